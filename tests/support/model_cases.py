"""Models that tests share: feature columns of every kind, and data.

`CASES[name]` is a case: a list of feature columns and eight rows of the
features that they read. Every feature is given in three forms:

  parsed: the tensors that tf.io.parse_example returns for serialized
    tf.Examples.
  sparse: the same, made without parsing. Features of any length are
    SparseTensors.
  dense: arrays alone. A row of any length is padded with '' or -1.
"""

import collections
import functools
import os

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.feature_column import feature_column as fc_v1
from tensorflow.python.feature_column import feature_column_v2 as fc_v2

from tests.support import directories

FORMS = ('parsed', 'sparse', 'dense')
NUM_ROWS = 8

# Feature key to eight values: arrays [8, ...] of features of a fixed length,
# lists of lists of those of any length.
_FIXED = {
  'age': np.float32([[-1.5], [0.25], [0], [3], [7.5], [2], [-0.5], [1]]),
  'pair': np.float32(np.linspace(-2, 3, 16).reshape(8, 2) ** 3 / 9),
  'grid': np.float32(np.sin(np.arange(32)).reshape(8, 2, 2)),
  'day': np.int64([[0], [1], [2], [3], [4], [3], [1], [0]]),
  'weight': np.float32([[1], [2], [0.5], [1], [3], [1], [0.25], [1]]),
}
_RAGGED = {
  'color': [
    [b'red'],
    [b'green', b'blue'],
    [],
    [b'blue', b'blue', b'red'],
    [b'other'],
    [b'green'],
    [b'red', b'other'],
    [b'blue'],
  ],
  # As many of these as colors.
  'strength': [
    [0.5],
    [1.0, 2.0],
    [],
    [3.0, 0.25, 1.5],
    [1.0],
    [2.5],
    [0.75, 1.0],
    [2.0],
  ],
  'seen': [[0, 1], [2], [], [3, 3, 1], [4], [0], [1, 2], [4, 0]],
  'bought': [[1], [], [2, 4], [0], [3, 1], [2], [], [4]],
}
_DTYPES = {'color': tf.string, 'strength': tf.float32}
_PADDING = {'color': b'', 'strength': 0.0}

# Head name to (labels [8, 1] or [8, 2], arguments of its estimator).
HEADS = {
  'binary': (np.int64([[0], [1], [1], [0], [1], [0], [0], [1]]), {}),
  'multi_class': (
    np.int64([[0], [2], [1], [0], [2], [1], [0], [1]]),
    {'n_classes': 3},
  ),
  'vocabulary': (
    np.array([[b'a'], [b'c'], [b'b'], [b'a'], [b'c'], [b'b'], [b'a'], [b'b']]),
    {'n_classes': 3, 'label_vocabulary': ['a', 'b', 'c']},
  ),
  'regression': (np.float32(np.cos(np.arange(8)).reshape(8, 1)), {}),
  'regression_2d': (
    np.float32(np.cos(np.arange(16)).reshape(8, 2)),
    {'label_dimension': 2},
  ),
}


class Case(
  collections.namedtuple('Case', ['name', 'make_columns', 'keys', 'is_v2'])
):
  """Feature columns of one kind, and rows for them.

  Attributes:
    name: str.
    make_columns: function that returns a new list of the columns.
    keys: keys of the features that the columns read.
    is_v2: whether V2 estimators accept the columns too.
  """

  __slots__ = ()

  def columns(self):
    # Columns of v2 shared embeddings refuse to be made eagerly.
    with tf.Graph().as_default():
      return self.make_columns()

  def parsing_spec(self, extra_keys=()):
    """Returns {key: tf.io feature} for tf.io.parse_example."""
    return {key: _parsing_feature(key) for key in self.keys + tuple(extra_keys)}

  def raw_features(self, extra_keys=()):
    """Returns {key: array [8, ...], or list of 8 lists where of any length}."""
    return {
      key: _FIXED[key] if key in _FIXED else _RAGGED[key]
      for key in self.keys + tuple(extra_keys)
    }

  def dense_features(self, extra_keys=()):
    """Returns {key: array [8, ...]}."""
    return {
      key: _FIXED[key] if key in _FIXED else _padded(key)
      for key in self.keys + tuple(extra_keys)
    }

  def serialized_examples(self, extra_keys=()):
    """Returns 8 serialized tf.Examples."""
    return [
      tf.train.Example(
        features=tf.train.Features(
          feature={
            key: _example_feature(key, values[row])
            for key, values in self.raw_features(extra_keys).items()
          }
        )
      ).SerializeToString(deterministic=True)
      for row in range(NUM_ROWS)
    ]

  def features(self, form='parsed', extra_keys=()):
    """Returns {key: Tensor or SparseTensor} in the graph at hand."""
    if form == 'parsed':
      return tf.io.parse_example(
        tf.constant(self.serialized_examples(extra_keys)),
        self.parsing_spec(extra_keys),
      )
    if form == 'dense':
      dense = self.dense_features(extra_keys)
      return {key: tf.constant(value) for key, value in dense.items()}
    return {
      key: _sparse(key) if key in _RAGGED else tf.constant(value)
      for key, value in self.raw_features(extra_keys).items()
    }

  def input_fn(self, head='binary', form='parsed', extra_keys=(), repeat=False):
    """Returns an input_fn of one batch of 8 rows, in order, or of endless ones.

    Args:
      head: one of `HEADS`, or None for no labels.
      form: one of `FORMS`.
      extra_keys: keys of features that no column reads, as 'weight'.
      repeat: whether the batch comes again and again.
    """

    def input_fn():
      features = self.features(form, extra_keys)
      if head is None:
        return tf.data.Dataset.from_tensors(features)
      data = tf.data.Dataset.from_tensors((features, HEADS[head][0]))
      return data.repeat() if repeat else data

    return input_fn

  def serving_input_receiver_fn(self, form='parsed'):
    """Returns a serving_input_receiver_fn that takes examples or features."""
    if form == 'parsed':
      return tf.estimator.export.build_parsing_serving_input_receiver_fn(
        self.parsing_spec()
      )

    def raw():
      features = {key: _placeholder(key, form) for key in self.keys}
      return tf.estimator.export.ServingInputReceiver(features, features)

    return raw


def _example_feature(key, values):
  values = np.ravel(values).tolist()
  if _dtype(key) == tf.string:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
  if _dtype(key) == tf.float32:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
  values = [int(value) for value in values]
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _dtype(key):
  if key in _FIXED:
    return tf.as_dtype(_FIXED[key].dtype)
  return _DTYPES.get(key, tf.int64)


def _parsing_feature(key):
  if key in _FIXED:
    return tf.FixedLenFeature(_FIXED[key].shape[1:], _dtype(key))
  return tf.VarLenFeature(_dtype(key))


def _padded(key):
  rows = _RAGGED[key]
  width = max(len(row) for row in rows)
  padding = _PADDING.get(key, -1)
  return np.array(
    [row + [padding] * (width - len(row)) for row in rows],
    dtype=object if _dtype(key) == tf.string else _dtype(key).as_numpy_dtype,
  )


def _sparse(key):
  rows = _RAGGED[key]
  return tf.SparseTensor(
    indices=[(i, j) for i, row in enumerate(rows) for j in range(len(row))],
    values=tf.constant([v for row in rows for v in row], _dtype(key)),
    dense_shape=[len(rows), max(len(row) for row in rows)],
  )


def _placeholder(key, form):
  if key in _FIXED:
    return tf.placeholder(_dtype(key), (None,) + _FIXED[key].shape[1:], key)
  if form == 'sparse':
    return tf.sparse_placeholder(_dtype(key), [None, None], key)
  return tf.placeholder(_dtype(key), [None, None], key)


# The columns. Initial values are constants or seeded, so that two models of
# the same columns and the same `tf_random_seed` are the same.


def _initializer():
  return tf.truncated_normal_initializer(stddev=0.5, seed=7)


def _colors():
  return tf.feature_column.categorical_column_with_vocabulary_list(
    'color', ['red', 'green', 'blue'], num_oov_buckets=1
  )


def _ids(key='seen'):
  return tf.feature_column.categorical_column_with_identity(key, 5)


def _numeric():
  return [tf.feature_column.numeric_column('age')]


def _numeric_normalized():
  return [
    tf.feature_column.numeric_column(
      'age', normalizer_fn=lambda age: (age - 2.0) / 4.0
    )
  ]


def _numeric_nd():
  return [
    tf.feature_column.numeric_column(
      'grid', shape=(2, 2), normalizer_fn=lambda grid: grid * 2.0 + 1.0
    ),
    tf.feature_column.numeric_column('pair', shape=(2,)),
  ]


def _bucketized():
  pair = tf.feature_column.numeric_column('pair', shape=(2,))
  return [tf.feature_column.bucketized_column(pair, [-0.5, 0.0, 1.0])]


def _two_of_one_feature():
  age = tf.feature_column.numeric_column('age')
  return [age, tf.feature_column.bucketized_column(age, [0.0, 2.0])]


def _indicator():
  return [tf.feature_column.indicator_column(_colors())]


def _hashed():
  hashed = tf.feature_column.categorical_column_with_hash_bucket('color', 6)
  return [tf.feature_column.indicator_column(hashed)]


def _identity():
  return [
    tf.feature_column.indicator_column(_ids()),
    tf.feature_column.indicator_column(_ids('day')),
  ]


def _embedding(combiner='mean', trainable=True):
  return [
    tf.feature_column.embedding_column(
      _colors(),
      3,
      combiner=combiner,
      trainable=trainable,
      initializer=_initializer(),
    )
  ]


@functools.lru_cache(maxsize=None)
def vocabulary_file():
  path = os.path.join(directories.new_dir(), 'colors.txt')
  with open(path, 'w') as file:
    file.write('red\ngreen\nblue\n')
  return path


def _vocabulary_file():
  colors = tf.feature_column.categorical_column_with_vocabulary_file(
    'color', vocabulary_file(), vocabulary_size=3, num_oov_buckets=2
  )
  return [
    tf.feature_column.embedding_column(colors, 2, initializer=_initializer())
  ]


# The table that the checkpoint of `embedding_checkpoint` holds.
EMBEDDING_TABLE = np.float32(np.arange(12).reshape(4, 3) / 4 - 1)


@functools.lru_cache(maxsize=None)
def embedding_checkpoint():
  """Returns a checkpoint of `EMBEDDING_TABLE` in a variable 'table'."""
  with tf.Graph().as_default(), tf.Session() as session:
    table = tf.get_variable('table', initializer=EMBEDDING_TABLE)
    session.run(table.initializer)
    return tf.train.Saver([table]).save(
      session, os.path.join(directories.new_dir(), 'table')
    )


def _embedding_from_checkpoint():
  return [
    tf.feature_column.embedding_column(
      _colors(),
      3,
      ckpt_to_load_from=embedding_checkpoint(),
      tensor_name_in_ckpt='table',
      trainable=False,
    )
  ]


def _crossed():
  crossed = tf.feature_column.crossed_column(
    ['color', tf.feature_column.bucketized_column(_numeric()[0], [0.0, 2.0])],
    7,
  )
  return [tf.feature_column.indicator_column(crossed)]


def _weighted():
  weighted = tf.feature_column.weighted_categorical_column(
    _colors(), 'strength'
  )
  return [
    tf.feature_column.indicator_column(weighted),
    tf.feature_column.embedding_column(
      weighted, 2, combiner='sum', initializer=_initializer()
    ),
  ]


def _shared_v2():
  # tf.feature_column.shared_embeddings of TF 2; TF 1.15 has it there alone.
  return fc_v2.shared_embedding_columns_v2(
    [_ids('seen'), _ids('bought')], 3, initializer=_initializer()
  )


def _shared_v1():
  return tf.feature_column.shared_embedding_columns(
    [_ids('seen'), _ids('bought')], 3, initializer=_initializer()
  )


def _private_v1():
  """Columns of the classes before TF 1.13, which contrib's users have."""
  age = fc_v1._numeric_column('age')
  buckets = fc_v1._bucketized_column(age, (0.0, 2.0))
  colors = fc_v1._categorical_column_with_hash_bucket('color', 6)
  ids = fc_v1._categorical_column_with_identity('seen', 5)
  return [
    age,
    fc_v1._numeric_column('grid', shape=(2, 2)),
    buckets,
    fc_v1._indicator_column(colors),
    fc_v1._embedding_column(ids, 3, initializer=_initializer()),
    fc_v1._indicator_column(fc_v1._crossed_column([buckets, 'color'], 7)),
  ]


class SquareColumn(fc_v2.DenseColumn):
  """A user's own column that is not a namedtuple: the square of a feature."""

  def __init__(self, key):
    self._key = key

  @property
  def _is_v2_column(self):
    return True

  @property
  def name(self):
    return self._key + '_squared'

  @property
  def parse_example_spec(self):
    return {self._key: tf.FixedLenFeature((1,), tf.float32)}

  @property
  def parents(self):
    return [self._key]

  @property
  def variable_shape(self):
    return tf.TensorShape([1])

  def transform_feature(self, transformation_cache, state_manager):
    return tf.square(transformation_cache.get(self._key, state_manager))

  def get_dense_tensor(self, transformation_cache, state_manager):
    return transformation_cache.get(self, state_manager)

  def get_config(self):
    return {'key': self._key}

  @classmethod
  def from_config(cls, config, custom_objects=None, columns_by_name=None):
    return cls(**config)

  # Their names in TF 1.15.
  _get_config = get_config
  _from_config = from_config


class SlottedColumn(
  fc_v2.DenseColumn, collections.namedtuple('SlottedColumn', ['key', 'scale'])
):
  """A user's own column with __slots__: a feature times a number."""

  __slots__ = ()

  @property
  def _is_v2_column(self):
    return True

  @property
  def name(self):
    return self.key + '_scaled'

  @property
  def parse_example_spec(self):
    return {self.key: tf.FixedLenFeature((1,), tf.float32)}

  @property
  def parents(self):
    return [self.key]

  @property
  def variable_shape(self):
    return tf.TensorShape([1])

  def transform_feature(self, transformation_cache, state_manager):
    return self.scale * transformation_cache.get(self.key, state_manager)

  def get_dense_tensor(self, transformation_cache, state_manager):
    return transformation_cache.get(self, state_manager)

  def get_config(self):
    return dict(self._asdict())

  @classmethod
  def from_config(cls, config, custom_objects=None, columns_by_name=None):
    return cls(**config)

  # Their names in TF 1.15.
  _get_config = get_config
  _from_config = from_config


def _mixed():
  """Columns that are not in alphabetical order."""
  return (
    _indicator()
    + _numeric_nd()
    + _embedding()
    + _two_of_one_feature()
    + _crossed()
  )


def _cases(*cases):
  return collections.OrderedDict((case.name, case) for case in cases)


CASES = _cases(
  Case('numeric', _numeric, ('age',), True),
  Case('numeric_normalized', _numeric_normalized, ('age',), True),
  Case('numeric_nd', _numeric_nd, ('grid', 'pair'), True),
  Case('bucketized', _bucketized, ('pair',), True),
  Case('two_of_one_feature', _two_of_one_feature, ('age',), True),
  Case('indicator', _indicator, ('color',), True),
  Case('hashed', _hashed, ('color',), True),
  Case('identity', _identity, ('seen', 'day'), True),
  Case('embedding_mean', _embedding, ('color',), True),
  Case(
    'embedding_sum',
    functools.partial(_embedding, 'sum'),
    ('color',),
    True,
  ),
  Case(
    'embedding_sqrtn',
    functools.partial(_embedding, 'sqrtn'),
    ('color',),
    True,
  ),
  Case(
    'embedding_frozen',
    functools.partial(_embedding, trainable=False),
    ('color',),
    True,
  ),
  Case(
    'embedding_from_checkpoint', _embedding_from_checkpoint, ('color',), True
  ),
  Case('vocabulary_file', _vocabulary_file, ('color',), True),
  Case('crossed', _crossed, ('color', 'age'), True),
  Case('weighted', _weighted, ('color', 'strength'), True),
  Case('shared_v2', _shared_v2, ('seen', 'bought'), True),
  Case('shared_v1', _shared_v1, ('seen', 'bought'), False),
  Case(
    'own',
    lambda: [SquareColumn('age'), tf.feature_column.numeric_column('age')],
    ('age',),
    True,
  ),
  Case('own_slots', lambda: [SlottedColumn('age', 3.0)], ('age',), True),
  Case('private_v1', _private_v1, ('age', 'grid', 'color', 'seen'), False),
  Case('mixed', _mixed, ('age', 'pair', 'grid', 'color'), True),
)


@functools.lru_cache(maxsize=None)
def annotated_export(
  case_name,
  head='binary',
  form='parsed',
  version=1,
  hidden_units=(4, 3),
  **arguments,
):
  """Trains an annotated estimator for 5 steps; returns its SavedModel's dir.

  It is made once per process for the same arguments.

  Args:
    case_name: one of `CASES`.
    head: one of `HEADS`.
    form: one of `FORMS`, the form of the signatures' inputs.
    version: 1 or 2, for the V1 and the V2 estimators.
    hidden_units: tuple of int.
    **arguments: further arguments of the estimator, hashable.
  """
  case = CASES[case_name]
  estimator = estimator_class(head, version, annotated=True)(
    hidden_units=hidden_units,
    feature_columns=case.columns(),
    model_dir=directories.new_dir(),
    config=tf.estimator.RunConfig(tf_random_seed=3),
    **dict(HEADS[head][1], **arguments),
  )
  estimator.train(case.input_fn(head, form, repeat=True), steps=5)
  export_dir = estimator.export_saved_model(
    directories.new_dir(), case.serving_input_receiver_fn(form)
  )
  return tf.compat.as_str_any(export_dir)


def estimator_class(head, version=1, annotated=False):
  """Returns the estimator of `head`, the ordinary or the annotated one."""
  # Not at the top: readers' tests run where there are no estimators.
  from tensorflow_estimator.python.estimator.canned import dnn

  import tf_dnn_annotations

  name = 'DNNRegressor' if head.startswith('regression') else 'DNNClassifier'
  suffix = 'V2' if version == 2 else ''
  if annotated:
    return getattr(tf_dnn_annotations, f'{name}WithLayerAnnotations{suffix}')
  return getattr(dnn, name + suffix)
