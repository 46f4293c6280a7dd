"""Makes contrib_saved_model/ and contrib_attributions.json.

The SavedModel is what users of tf.contrib.estimator left behind: written by its
own DNNClassifierWithLayerAnnotations, of TensorFlow 1.15.5 on Python 3.7, with
feature columns of the private constructors, as it saw no others. Its strings
are dense features, as it crashed on sparse ones. The attributions are computed
here in float64 numpy, from the checkpoint and without the package's code.

    python3.7 -m venv /tmp/contrib
    /tmp/contrib/bin/pip install tensorflow-cpu==1.15.5 'protobuf<3.21'
    /tmp/contrib/bin/python -m testdata.make_contrib

The last command is run in the directory above.
"""

import json
import os
import shutil

import numpy as np
import tensorflow as tf
from tensorflow.contrib import estimator as contrib_estimator
from tensorflow.python.feature_column import feature_column as fc

from tests.support import directories
from tests.support import numpy_network

_DIRECTORY = os.path.dirname(os.path.abspath(__file__))
_BOUNDARIES = (0.0, 2.0)
_COLORS = ['red', 'green', 'blue']
_CITIES = ['Oslo', 'Rome', 'Bern', 'Wien']
_NUM_CLASSES = 3

# What is explained: eight rows, some of words that the model does not know.
_FEATURES = {
  'age': [[-1.5], [0.25], [1.0], [3.0], [7.5], [2.0], [-0.5], [0.0]],
  'pair': [
    [0.5, -2.0],
    [1.0, 1.0],
    [-3.0, 0.25],
    [2.0, -1.0],
    [0.0, 0.5],
    [-0.75, 3.0],
    [4.0, 1.5],
    [0.0, 0.0],
  ],
  'color': [
    ['red'],
    ['green'],
    ['blue'],
    ['pink'],
    ['red'],
    ['blue'],
    ['green'],
    ['pink'],
  ],
  'city': [
    ['Oslo'],
    ['Rome'],
    ['Bern'],
    ['Wien'],
    ['Rome'],
    ['Ulm'],
    ['Oslo'],
    ['Ulm'],
  ],
}


def _columns():
  age = fc._numeric_column('age')
  color = fc._categorical_column_with_vocabulary_list('color', _COLORS)
  city = fc._categorical_column_with_vocabulary_list('city', _CITIES)
  return [
    fc._numeric_column('pair', shape=(2,)),
    age,
    fc._bucketized_column(age, _BOUNDARIES),
    fc._indicator_column(color),
    fc._embedding_column(
      city, 2, initializer=tf.truncated_normal_initializer(stddev=1.0, seed=7)
    ),
  ]


def _training_data():
  """Returns (features, labels) of 64 rows that a model can learn."""
  random = np.random.RandomState(0)
  features = {
    'age': np.float32(random.randn(64, 1) * 3),
    'pair': np.float32(random.randn(64, 2)),
    'color': random.choice(_COLORS + ['pink'], [64, 1]),
    'city': random.choice(_CITIES, [64, 1]),
  }
  labels = (features['age'] > 1).astype(np.int64)
  labels += (features['color'] == 'red') & (features['pair'][:, :1] > 0)
  return features, labels


def _receiver():
  return tf.estimator.export.build_parsing_serving_input_receiver_fn(
    {
      'age': tf.io.FixedLenFeature([1], tf.float32),
      'pair': tf.io.FixedLenFeature([2], tf.float32),
      'color': tf.io.FixedLenFeature([1], tf.string),
      'city': tf.io.FixedLenFeature([1], tf.string),
    }
  )()


def _column_values(embeddings):
  """Returns {column name: [8, width]} of the features, in the model's order."""

  def one_hot(words, vocabulary):
    return np.float64([[w == v for v in vocabulary] for (w,) in words])

  age = np.float64(_FEATURES['age'])
  bucket = np.searchsorted(_BOUNDARIES, age[:, 0], side='right')
  return {
    'age': age,
    'age_bucketized': np.eye(len(_BOUNDARIES) + 1)[bucket],
    # A word that is not in the vocabulary is a row of zeros.
    'city_embedding': one_hot(_FEATURES['city'], _CITIES).dot(embeddings),
    'color_indicator': one_hot(_FEATURES['color'], _COLORS),
    'pair': np.float64(_FEATURES['pair']),
  }


def _attributions(estimator):
  def variable(name):
    return np.float64(estimator.get_variable_value('dnn/' + name))

  columns = _column_values(
    variable(
      'input_from_feature_columns/input_layer/city_embedding/embedding_weights'
    )
  )
  network = numpy_network.Network(
    [
      (variable(layer + '/kernel'), variable(layer + '/bias'))
      for layer in ('hiddenlayer_0', 'hiddenlayer_1', 'logits')
    ]
  )
  values = np.stack(
    [
      network.attributions(x, np.zeros_like(x))
      for x in np.concatenate(list(columns.values()), axis=1)
    ]
  )
  widths = [value.shape[1] for value in columns.values()]
  parts = np.split(values, np.cumsum(widths)[:-1], axis=2)
  return {name: part.tolist() for name, part in zip(columns, parts)}


def main():
  estimator = contrib_estimator.DNNClassifierWithLayerAnnotations(
    hidden_units=[6, 5],
    feature_columns=_columns(),
    n_classes=_NUM_CLASSES,
    model_dir=directories.new_dir(),
    config=tf.estimator.RunConfig(tf_random_seed=3),
  )
  estimator.train(
    lambda: tf.data.Dataset.from_tensors(_training_data()).repeat(), steps=200
  )
  export_dir = estimator.export_saved_model(directories.new_dir(), _receiver)
  kept_dir = os.path.join(_DIRECTORY, 'contrib_saved_model')
  shutil.rmtree(kept_dir, ignore_errors=True)
  shutil.move(tf.compat.as_text(export_dir), kept_dir)
  expected = {'features': _FEATURES, 'attributions': _attributions(estimator)}
  path = os.path.join(_DIRECTORY, 'contrib_attributions.json')
  with open(path, 'w') as file:
    json.dump(expected, file, indent=1, sort_keys=True)
    file.write('\n')


if __name__ == '__main__':
  main()
