"""Writes testdata/golden: a model, and what its attributions must be.

    python testdata/make_golden.py

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
import sys
import tempfile

import numpy as np
import tensorflow.compat.v1 as tf

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
      # What hashes is TensorFlow: the hash is no arithmetic of the model.
      crossed = tf.sparse.cross_hashed(
        [
          tf.sparse.from_dense([list(colors)]),
          tf.SparseTensor([[0, 0]], np.int64([bucket]), [1, 1]),
        ],
        _NUM_CROSSES,
      )
      np.add.at(counts[row], session.run(crossed.values), 1)
  return counts


def _network(variables):
  """Returns [(kernel, bias)], the logits' last."""
  layers = [f'hiddenlayer_{i}' for i in range(len(HIDDEN_UNITS))] + ['logits']
  return [
    (variables[f'dnn/{name}/kernel'], variables[f'dnn/{name}/bias'])
    for name in layers
  ]


def _forward(layers, x):
  """Returns the pre-activations [n, units] of each layer."""
  z = []
  for kernel, bias in layers:
    z.append(x @ kernel + bias)
    x = np.maximum(z[-1], 0)
  return z


def _region_borders(layers, x, baseline):
  """Returns the rising positions on the path where a ReLU switches, 0 and 1."""
  borders = [0.0, 1.0]
  for layer in range(len(layers) - 1):
    # Between the borders of the layers before, this layer is linear.
    found = list(borders)
    for start, stop in zip(borders[:-1], borders[1:]):
      ends = np.array([[start], [stop]])
      first, last = _forward(layers, baseline + ends * (x - baseline))[layer]
      for a, b in zip(first, last):
        if a * b < 0:
          found.append(start + (stop - start) * a / (a - b))
    borders = sorted(found)
  return borders


def _logits_gradients(layers, point):
  """Returns [num_classes, width] at one point."""
  gradient = np.eye(len(LABELS))
  z = _forward(layers, point[np.newaxis])
  for i in reversed(range(len(layers))):
    if i < len(layers) - 1:
      gradient = gradient * (z[i][0] > 0)
    gradient = gradient @ layers[i][0].T
  return gradient


def _softmax(logits):
  exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
  return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _attributions(layers, x, baseline, output):
  """Returns [num_classes, width] for one row.

  In a region the logits are linear. The gradient of the logits is constant
  there, and so is exact at any point; the mean of the softmax's slope over it
  is taken by Gauss-Legendre with 60 nodes, which is exact to 1e-15 for as
  smooth a function.
  """
  total = np.zeros((len(LABELS), len(x)))
  nodes, weights = np.polynomial.legendre.leggauss(60)
  borders = _region_borders(layers, x, baseline)
  for start, stop in zip(borders[:-1], borders[1:]):
    middle = (start + stop) / 2
    gradient = _logits_gradients(layers, baseline + middle * (x - baseline))
    if output == 'probabilities':
      positions = (middle + nodes * (stop - start) / 2)[:, np.newaxis]
      p = _softmax(_forward(layers, baseline + positions * (x - baseline))[-1])
      slope = p[:, :, np.newaxis] * (np.eye(len(LABELS)) - p[:, np.newaxis])
      gradient = np.einsum('k,kij->ij', weights / 2, slope) @ gradient
    total += (stop - start) * gradient
  return total * (x - baseline)


def expected(checkpoint=CHECKPOINT):
  """Returns what expected.json holds, from a checkpoint alone."""
  reader = tf.train.load_checkpoint(checkpoint)
  variables = {
    name: np.float64(reader.get_tensor(name))
    for name in reader.get_variable_to_shape_map()
  }
  layers = _network(variables)
  processed = processed_columns(variables)
  x = np.concatenate(list(processed.values()), axis=1)
  cuts = np.cumsum([value.shape[1] for value in processed.values()])[:-1]
  cases = []
  for output in ('logits', 'probabilities'):
    activated = _forward(layers, x)[-1]
    outputs = activated if output == 'logits' else _softmax(activated)
    for baseline_row in (None, _ROW_OF_BASELINE):
      baseline = 0 * x[0] if baseline_row is None else x[baseline_row]
      values = np.array(
        [_attributions(layers, row, baseline, output) for row in x]
      )
      parts = np.split(values, cuts, axis=2)
      cases.append(
        {
          'output': output,
          'baseline_row': baseline_row,
          'outputs': outputs.tolist(),
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
  # Where the writer is, if it is not installed.
  sys.path.insert(0, str(DIR.parents[1]))
  import tf_dnn_annotations as tfda

  shutil.rmtree(DIR, ignore_errors=True)
  os.makedirs(os.path.dirname(CHECKPOINT))
  with tempfile.TemporaryDirectory() as scratch:
    trained = _train(os.path.join(scratch, 'model'))
    for path in glob.glob(trained + '.*'):
      if not path.endswith('.meta'):  # The graph; no estimator reads it.
        shutil.copy(path, CHECKPOINT + path[len(trained) :])
    exported = tfda.DNNClassifierWithLayerAnnotations(
      model_dir=os.path.join(scratch, 'other'), **estimator_arguments()
    ).export_saved_model(scratch, receiver_fn(), checkpoint_path=CHECKPOINT)
    shutil.copytree(tf.compat.as_str_any(exported), SAVED_MODEL)
  with tf.io.TFRecordWriter(EXAMPLES) as writer:
    for example in serialized_examples():
      writer.write(example)
  EXPECTED.write_text(json.dumps(expected(), indent=1) + '\n')


if __name__ == '__main__':
  main()
