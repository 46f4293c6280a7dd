"""Writes testdata/foreign: SavedModels of other TensorFlows, to be read here.

    python -m testdata.make_foreign     # in the directory above

writes two files named after the TensorFlow that runs it: a zip of a SavedModel
for each of `MODELS`, trained a little and exported by the annotated estimators,
and a JSON of what the reader must find in it, in float64 numpy from the
variables and without anything of tf_dnn_annotations. Kept are those of
TensorFlow 1.15.5 (Python 3.7), 2.15.1 and 2.21.0 (Python 3.12, and in the
environment TF_USE_LEGACY_KERAS=1). A later run gives other models.
"""

import collections
import json
import os
import pathlib
import tempfile
import zipfile

import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import numpy_network

DIR = pathlib.Path(__file__).resolve().parent / 'foreign'
LABELS = ('never', 'once', 'often')
VERSIONS = ('tf1.15', 'tf2.15', 'tf2.21')
# The row that is the baseline of every other case in the JSON.
BASELINE_ROW = 4

_COLORS = ('red', 'green', 'blue')  # Others share a bucket of their own.
_AGE_MEAN, _AGE_SCALE = 40.0, 12.5
_AGE_BOUNDARIES = (30.0, 50.0)
_NUM_CROSSES = 5
_ROWS = (  # Age, pair and colors.
  (23.0, (0.5, -2.0), ('red',)),
  (31.5, (1.0, 0.0), ('green', 'blue')),
  (40.0, (-3.0, 0.25), ()),
  (44.25, (0.0, 0.0), ('blue', 'blue', 'red')),
  (58.0, (2.0, -1.0), ('mauve',)),
)


class Model(collections.namedtuple('Model', ['class_name', 'arguments'])):
  """An estimator's class and its arguments, without the columns."""

  __slots__ = ()

  @property
  def is_classifier(self):
    return 'Classifier' in self.class_name


MODELS = {
  'classifier': Model(
    'DNNClassifierWithLayerAnnotations',
    dict(hidden_units=[5, 4], n_classes=3, label_vocabulary=list(LABELS)),
  ),
  'classifier_v2': Model(
    'DNNClassifierWithLayerAnnotationsV2', dict(hidden_units=[5, 4])
  ),
  'regressor_of_batch_norm': Model(
    'DNNRegressorWithLayerAnnotations',
    dict(hidden_units=[4, 3], label_dimension=2, batch_norm=True),
  ),
}


def columns():
  """Returns the feature columns of the models."""
  fc = tf.feature_column
  color = fc.categorical_column_with_vocabulary_list(
    'color', _COLORS, num_oov_buckets=1
  )
  age = fc.numeric_column('age')
  crossed = fc.crossed_column(
    [fc.bucketized_column(age, _AGE_BOUNDARIES), 'color'], _NUM_CROSSES
  )
  # In no order of names.
  return [
    fc.numeric_column('pair', shape=(2,)),
    fc.indicator_column(color),
    fc.embedding_column(color, 2),
    fc.numeric_column(
      'age', normalizer_fn=lambda value: (value - _AGE_MEAN) / _AGE_SCALE
    ),
    fc.indicator_column(crossed),
  ]


def raw_features():
  """Returns the rows as {feature key: a value or a list of values a row}."""
  ages, pairs, colors = zip(*_ROWS)
  return {
    'age': [[age] for age in ages],
    'pair': [list(pair) for pair in pairs],
    'color': [[color.encode() for color in row] for row in colors],
  }


def serialized_examples():
  """Returns the rows as serialized tf.Examples."""

  def feature(value):
    if isinstance(value[0] if value else b'', bytes):
      return tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
    return tf.train.Feature(float_list=tf.train.FloatList(value=value))

  return [
    tf.train.Example(
      features=tf.train.Features(
        feature={key: feature(rows[i]) for key, rows in raw_features().items()}
      )
    ).SerializeToString(deterministic=True)
    for i in range(len(_ROWS))
  ]


# What the reader must find.


def processed(variable):
  """Returns {column name: [n, width]}, in the order of the model.

  Args:
    variable: function of a variable's name that returns its value.
  """
  embeddings = variable(
    'dnn/input_from_feature_columns/input_layer/color_embedding/'
    'embedding_weights'
  )
  ids = [
    [_COLORS.index(c) if c in _COLORS else len(_COLORS) for c in row[2]]
    for row in _ROWS
  ]
  counts = np.float64([np.bincount(i, minlength=4) for i in ids])
  num_colors = np.maximum(counts.sum(axis=1, keepdims=True), 1)
  return {
    'age': np.array([[(row[0] - _AGE_MEAN) / _AGE_SCALE] for row in _ROWS]),
    'age_bucketized_X_color_indicator': _cross_counts(),
    'color_embedding': counts.dot(embeddings) / num_colors,
    'color_indicator': counts,
    'pair': np.array([row[1] for row in _ROWS]),
  }


def _cross_counts():
  """Returns [n, _NUM_CROSSES]: how often a row has each age x color."""
  counts = np.zeros((len(_ROWS), _NUM_CROSSES))
  with tf.Graph().as_default(), tf.Session() as session:
    for row, (age, _, colors) in enumerate(_ROWS):
      if colors:
        bucket = np.searchsorted(_AGE_BOUNDARIES, age, side='right')
        # TensorFlow's own hashes: hashing is not the model's arithmetic.
        crossed = tf.sparse.cross_hashed(
          [
            tf.SparseTensor([[0, 0]], np.int64([bucket]), [1, 1]),
            tf.SparseTensor(
              [(0, i) for i in range(len(colors))],
              list(colors),
              [1, len(colors)],
            ),
          ],
          _NUM_CROSSES,
        )
        np.add.at(counts[row], session.run(crossed.values), 1)
  return counts


def network(model, variable):
  """Returns the `numpy_network.Network` of one of `MODELS`.

  Args:
    model: `Model`.
    variable: function of a variable's name that returns its value.
  """
  num_hidden = len(model.arguments['hidden_units'])
  layers = [f'dnn/hiddenlayer_{i}' for i in range(num_hidden)]
  norms = None
  if model.arguments.get('batch_norm'):
    names = ('gamma', 'beta', 'moving_mean', 'moving_variance')
    norms = [
      {name: variable(f'{layer}/batchnorm_{i}/{name}') for name in names}
      for i, layer in enumerate(layers)
    ]
  return numpy_network.Network(
    [
      (variable(f'{layer}/kernel'), variable(f'{layer}/bias'))
      for layer in layers + ['dnn/logits']
    ],
    batch_norms=norms,
    is_classifier=model.is_classifier,
  )


def _expected(model, estimator):
  """Returns what the JSON holds of a model."""

  dnn = network(model, estimator.get_variable_value)
  columns = processed(estimator.get_variable_value)
  x = np.concatenate(list(columns.values()), axis=1)
  cuts = np.cumsum([value.shape[1] for value in columns.values()])[:-1]
  cases = []
  for output in ('logits', 'probabilities')[: 1 + model.is_classifier]:
    for row in (None, BASELINE_ROW):
      baseline = np.zeros(x.shape[1]) if row is None else x[row]
      values = np.array([dnn.attributions(r, baseline, output) for r in x])
      cases.append(
        {
          'output': output,
          'baseline_row': row,
          'outputs': _rounded(dnn.outputs(x, output)),
          'values': {
            name: _rounded(part)
            for name, part in zip(columns, np.split(values, cuts, axis=2))
          },
        }
      )
  return {'cases': cases, 'hidden_units': dnn.hidden_units}


def _rounded(values):
  # float32 has 7 digits.
  return np.vectorize(lambda value: float(f'{value:.9g}'))(values).tolist()


# The models.


def _input_fn():
  rng = np.random.RandomState(0)
  age = rng.uniform(15, 80, (64, 1)).astype(np.float32)
  pair = rng.randn(64, 2).astype(np.float32)
  color = rng.choice(np.array(_COLORS + ('mauve', '')), (64, 2))
  red = (color == 'red').any(axis=1, keepdims=True)
  features = {'age': age, 'pair': pair, 'color': color.astype('S')}
  return features, age / 40 - pair[:, :1] + red


def _labels(model, values):
  """Returns the labels of real `values` [n, 1] for a model."""
  if not model.is_classifier:
    return np.float32(np.concatenate([values, -(values**2)], axis=1))
  num_classes = model.arguments.get('n_classes', 2)
  ids = np.searchsorted([1.0, 2.5][: num_classes - 1], values)
  return np.array(LABELS).astype('S')[ids] if num_classes > 2 else ids


def _estimator(model, model_dir):
  import tf_dnn_annotations as tfda

  return getattr(tfda, model.class_name)(
    feature_columns=columns(),
    model_dir=model_dir,
    config=tf.estimator.RunConfig(tf_random_seed=1),
    **model.arguments,
  )


def _write(name, scratch, archive):
  """Trains and exports one model; returns what is expected of it."""
  model = MODELS[name]
  estimator = _estimator(model, os.path.join(scratch, name))
  features, values = _input_fn()
  labels = _labels(model, values)
  estimator.train(
    lambda: tf.data.Dataset.from_tensors((features, labels)).repeat(),
    steps=50,
  )
  exported = pathlib.Path(
    tf.compat.as_str_any(
      estimator.export_saved_model(
        scratch,
        tf.estimator.export.build_parsing_serving_input_receiver_fn(
          tf.feature_column.make_parse_example_spec(columns())
        ),
      )
    )
  )
  for path in sorted(exported.rglob('*')):
    archive.write(str(path), f'{name}/{path.relative_to(exported)}')
  return _expected(model, estimator)


def main():
  version = 'tf' + '.'.join(tf.__version__.split('.')[:2])
  DIR.mkdir(exist_ok=True)
  with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(
    str(DIR / f'{version}.zip'), 'w', zipfile.ZIP_DEFLATED
  ) as archive:
    expected = {name: _write(name, scratch, archive) for name in MODELS}
  text = json.dumps(expected, sort_keys=True, separators=(',', ':'))
  # A line a model's case, that a change shows where it is.
  (DIR / f'{version}.json').write_text(
    text.replace('{"baseline_row"', '\n{"baseline_row"') + '\n'
  )


if __name__ == '__main__':
  main()
