"""Writes testdata/golden: a model, and what its attributions must be.

    python -m testdata.make_golden     # in the directory above

TensorFlow's ordinary DNNClassifier is trained and its checkpoint kept; the
annotated estimator exports that checkpoint; and `expected` works out the
attributions from the checkpoint's variables in float64 numpy, without anything
of tf_dnn_annotations. Made with TensorFlow 2.15.1; a later run gives another
model, as training is not the same everywhere.
"""

import glob
import json
import os
import pathlib
import shutil

import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import numpy_network

DIR = pathlib.Path(__file__).resolve().parent / 'golden'
CHECKPOINT = str(DIR / 'checkpoint' / 'model.ckpt')
SAVED_MODEL = str(DIR / 'saved_model')
EXAMPLES = str(DIR / 'examples.tfrecord')
EXPECTED = DIR / 'expected.json'

HIDDEN_UNITS = (8, 6)
LABELS = ('never', 'once', 'often')
_COLORS = ('red', 'green', 'blue')  # Others share a bucket of their own.
_AGE_MEAN, _AGE_SCALE = 40.0, 12.5
_AGE_BOUNDARIES = (30.0, 50.0)
_NUM_CROSSES = 7

# The rows: age, and any number of colors.
ROWS = (
  (23.0, ('red',)),
  (31.5, ('green', 'blue')),
  (40.0, ()),
  (44.25, ('blue', 'blue', 'red')),
  (58.0, ('mauve',)),
  (71.0, ('green',)),
  (19.0, ('red', 'mauve')),
  (50.0, ('blue',)),
)
_ROW_OF_BASELINE = 4


def columns():
  """Returns the feature columns of the model."""
  fc = tf.feature_column
  age = fc.numeric_column('age')
  color = fc.categorical_column_with_vocabulary_list(
    'color', _COLORS, num_oov_buckets=1
  )
  crossed = fc.crossed_column(
    ['color', fc.bucketized_column(age, _AGE_BOUNDARIES)], _NUM_CROSSES
  )
  return [
    fc.numeric_column(
      'age', normalizer_fn=lambda value: (value - _AGE_MEAN) / _AGE_SCALE
    ),
    fc.embedding_column(color, 3),
    fc.indicator_column(color),
    fc.indicator_column(crossed),
  ]


def estimator_arguments():
  """Returns the arguments of the estimators, but for the directory."""
  return dict(
    hidden_units=HIDDEN_UNITS,
    feature_columns=columns(),
    n_classes=len(LABELS),
    label_vocabulary=list(LABELS),
  )


def receiver_fn():
  """Returns the function that makes the SavedModel parse tf.Examples."""
  return tf.estimator.export.build_parsing_serving_input_receiver_fn(
    tf.feature_column.make_parse_example_spec(columns())
  )


def serialized_examples():
  """Returns `ROWS` as serialized tf.Examples."""
  return [
    tf.train.Example(
      features=tf.train.Features(
        feature={
          'age': tf.train.Feature(float_list=tf.train.FloatList(value=[age])),
          'color': tf.train.Feature(
            bytes_list=tf.train.BytesList(
              value=[color.encode() for color in colors]
            )
          ),
        }
      )
    ).SerializeToString()
    for age, colors in ROWS
  ]


# The expected attributions, in float64.


def processed_columns(variables):
  """Returns {column name: [n, width]}, in the order of the model."""
  num_colors = len(_COLORS) + 1
  ids = [
    [_COLORS.index(c) if c in _COLORS else num_colors - 1 for c in colors]
    for _, colors in ROWS
  ]
  counts = np.array([np.bincount(i, minlength=num_colors) for i in ids])
  table = variables[
    'dnn/input_from_feature_columns/input_layer/color_embedding/'
    'embedding_weights'
  ]
  return {
    'age': np.array([[(age - _AGE_MEAN) / _AGE_SCALE] for age, _ in ROWS]),
    'age_bucketized_X_color_indicator': _cross_counts(),
    # The mean over a row's colors, zero without any.
    'color_embedding': counts
    @ table
    / np.maximum(counts.sum(axis=1, keepdims=True), 1),
    'color_indicator': np.float64(counts),
  }


def _cross_counts():
  """Returns [n, _NUM_CROSSES]: how often each bucket has a color x age."""
  counts = np.zeros((len(ROWS), _NUM_CROSSES))
  with tf.Graph().as_default(), tf.Session() as session:
    for row, (age, colors) in enumerate(ROWS):
      if not colors:
        continue
      bucket = int(np.searchsorted(_AGE_BOUNDARIES, age, side='right'))
      # TensorFlow's own hashes: hashing is not the model's arithmetic.
      crossed = tf.sparse.cross_hashed(
        [
          tf.sparse.from_dense([list(colors)]),
          tf.SparseTensor([[0, 0]], np.int64([bucket]), [1, 1]),
        ],
        _NUM_CROSSES,
      )
      np.add.at(counts[row], session.run(crossed.values), 1)
  return counts


def network(variables):
  """Returns the `numpy_network.Network` of a checkpoint's {name: value}."""
  layers = [f'hiddenlayer_{i}' for i in range(len(HIDDEN_UNITS))] + ['logits']
  return numpy_network.Network(
    [
      (variables[f'dnn/{name}/kernel'], variables[f'dnn/{name}/bias'])
      for name in layers
    ]
  )


def expected(checkpoint=CHECKPOINT):
  """Returns what expected.json holds, from a checkpoint alone."""
  reader = tf.train.load_checkpoint(checkpoint)
  variables = {
    name: np.float64(reader.get_tensor(name))
    for name in reader.get_variable_to_shape_map()
  }
  dnn = network(variables)
  processed = processed_columns(variables)
  x = np.concatenate(list(processed.values()), axis=1)
  cuts = np.cumsum([value.shape[1] for value in processed.values()])[:-1]
  cases = []
  for output in ('logits', 'probabilities'):
    for baseline_row in (None, _ROW_OF_BASELINE):
      baseline = 0 * x[0] if baseline_row is None else x[baseline_row]
      values = np.array([dnn.attributions(row, baseline, output) for row in x])
      parts = np.split(values, cuts, axis=2)
      cases.append(
        {
          'output': output,
          'baseline_row': baseline_row,
          'outputs': dnn.outputs(x, output).tolist(),
          'values': {
            name: part.tolist() for name, part in zip(processed, parts)
          },
        }
      )
  return {
    'processed': {name: value.tolist() for name, value in processed.items()},
    'cases': cases,
  }


# The model.


def _train(model_dir):
  """Trains the ordinary estimator; returns its checkpoint."""
  rng = np.random.RandomState(0)
  age = rng.uniform(15, 80, 600).astype(np.float32)
  color = rng.choice(np.array(_COLORS + ('mauve', '')), (600, 2))
  label = (age / 30 + (color == 'red').any(axis=1)).astype(int) % len(LABELS)

  def input_fn():
    features = {'age': age[:, np.newaxis], 'color': color.astype('S')}
    labels = np.array(LABELS)[label].astype('S')[:, np.newaxis]
    data = tf.data.Dataset.from_tensor_slices((features, labels))
    return data.repeat().batch(60)

  estimator = tf.estimator.DNNClassifier(
    model_dir=model_dir,
    optimizer=tf.train.AdagradOptimizer(0.2),
    config=tf.estimator.RunConfig(tf_random_seed=1),
    **estimator_arguments(),
  )
  estimator.train(input_fn, steps=400)
  return estimator.latest_checkpoint()


def main():
  import tf_dnn_annotations as tfda

  shutil.rmtree(DIR, ignore_errors=True)
  os.makedirs(os.path.dirname(CHECKPOINT))
  trained = _train(directories.new_dir())
  for path in glob.glob(trained + '.*'):
    if not path.endswith('.meta'):  # The graph; no estimator reads it.
      shutil.copy(path, CHECKPOINT + path[len(trained) :])
  exported = tfda.DNNClassifierWithLayerAnnotations(
    model_dir=directories.new_dir(), **estimator_arguments()
  ).export_saved_model(
    directories.new_dir(), receiver_fn(), checkpoint_path=CHECKPOINT
  )
  shutil.copytree(tf.compat.as_str_any(exported), SAVED_MODEL)
  with tf.io.TFRecordWriter(EXAMPLES) as writer:
    for example in serialized_examples():
      writer.write(example)
  EXPECTED.write_text(json.dumps(expected(), indent=1) + '\n')


if __name__ == '__main__':
  main()
