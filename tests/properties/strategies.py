"""Random models of the estimators, and random rows for them, for hypothesis."""

import collections
import os

import hypothesis
from hypothesis import strategies as st
import tensorflow.compat.v1 as tf
from tensorflow.python.feature_column import feature_column_v2 as fc_v2

from tests.support import directories

# How many examples a test takes, if not the few of `make test`. Those are the
# same each time, and one that fails is not made smaller, which takes minutes.
_NUM_EXAMPLES = os.getenv('PROPERTIES_EXAMPLES')


def settings(num_examples):
  """Returns the settings of a test that takes a few examples in `make test`."""
  phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
  return hypothesis.settings(
    phases=list(hypothesis.Phase) if _NUM_EXAMPLES else phases,
    max_examples=int(_NUM_EXAMPLES or num_examples),
    derandomize=_NUM_EXAMPLES is None,
    deadline=None,  # The first of a kind loads what the others have loaded.
    print_blob=True,
    suppress_health_check=[
      hypothesis.HealthCheck.too_slow,
      hypothesis.HealthCheck.data_too_large,
    ],
  )


_directory = directories.new_dir()

_VOCABULARY = ('red', 'green', 'blue')
_TOKENS = ('red', 'green', 'blue', 'mauve', '\u00e9t\u00e9')


def _vocabulary_file():
  path = os.path.join(_directory, 'names.txt')
  if not os.path.exists(path):
    with open(path, 'w') as file:
      file.write('\n'.join(_VOCABULARY) + '\n')
  return path


# The features: a strategy of one row's values each. Numbers are no finer than
# a tf.Example has them.
# TensorFlow takes what is smaller than a normal number for 0.
_FLOATS = st.floats(-4, 4, width=32, allow_subnormal=False)


def _lists(values):
  return st.lists(values, max_size=3)


FEATURES = {
  'age': st.lists(_FLOATS, min_size=1, max_size=1),
  'size': st.lists(_FLOATS, min_size=1, max_size=1),
  'pair': st.lists(_FLOATS, min_size=2, max_size=2),
  'grid': st.lists(_FLOATS, min_size=4, max_size=4),
  'color': _lists(st.sampled_from(_TOKENS)),
  'city': _lists(st.sampled_from(_TOKENS)),
  'name': _lists(st.sampled_from(_TOKENS)),
  'seen': _lists(st.integers(0, 4)),
  'bought': _lists(st.integers(0, 4)),
  # As many as colors: see `_rows`.
  'strength': None,
}
_STRENGTHS = (0.25, 0.5, 1.0, 3.0)


# The columns: kind to (function that makes them, keys of the features of each
# by its name). No two kinds have a name in common.


def _age():
  return tf.feature_column.numeric_column('age')


def _colors():
  return tf.feature_column.categorical_column_with_vocabulary_list(
    'color', _VOCABULARY, num_oov_buckets=2
  )


def _cities():
  return tf.feature_column.categorical_column_with_hash_bucket('city', 5)


def _names():
  return tf.feature_column.categorical_column_with_vocabulary_file(
    'name', _vocabulary_file(), vocabulary_size=3
  )


def _ids(key):
  return tf.feature_column.categorical_column_with_identity(key, 5)


def _buckets():
  return tf.feature_column.bucketized_column(_age(), [-1.0, 0.0, 2.0])


def _shared(version):
  ids = [_ids('seen'), _ids('bought')]
  if version == 1:
    return tf.feature_column.shared_embedding_columns(ids, 2)
  return fc_v2.shared_embedding_columns_v2(ids, 2)


def _indicator(column):
  return [tf.feature_column.indicator_column(column)]


def _embedding(column, combiner):
  return [tf.feature_column.embedding_column(column, 2, combiner=combiner)]


COLUMNS = collections.OrderedDict(
  numeric=(lambda _: [_age()], {'age': 'age'}),
  normalized=(
    lambda _: [
      tf.feature_column.numeric_column(
        'size', normalizer_fn=lambda value: (value - 1.0) / 3.0
      )
    ],
    {'size': 'size'},
  ),
  vector=(
    lambda _: [tf.feature_column.numeric_column('pair', shape=(2,))],
    {'pair': 'pair'},
  ),
  matrix=(
    lambda _: [
      tf.feature_column.numeric_column(
        'grid', shape=(2, 2), normalizer_fn=lambda value: 2.0 * value
      )
    ],
    {'grid': 'grid'},
  ),
  bucketized=(lambda _: [_buckets()], {'age_bucketized': 'age'}),
  buckets_of_vector=(
    lambda _: [
      tf.feature_column.bucketized_column(
        tf.feature_column.numeric_column('pair', shape=(2,)), [0.0, 1.5]
      )
    ],
    {'pair_bucketized': 'pair'},
  ),
  indicator=(lambda _: _indicator(_colors()), {'color_indicator': 'color'}),
  embedding=(
    lambda _: _embedding(_colors(), 'mean'),
    {'color_embedding': 'color'},
  ),
  hashed=(lambda _: _indicator(_cities()), {'city_indicator': 'city'}),
  hashed_embedding=(
    lambda _: _embedding(_cities(), 'sum'),
    {'city_embedding': 'city'},
  ),
  file=(lambda _: _indicator(_names()), {'name_indicator': 'name'}),
  file_embedding=(
    lambda _: _embedding(_names(), 'sqrtn'),
    {'name_embedding': 'name'},
  ),
  identity=(lambda _: _indicator(_ids('seen')), {'seen_indicator': 'seen'}),
  shared=(
    _shared,
    {'bought_shared_embedding': 'bought', 'seen_shared_embedding': 'seen'},
  ),
  crossed=(
    lambda _: _indicator(
      tf.feature_column.crossed_column([_buckets(), 'color'], 5)
    ),
    {'age_bucketized_X_color_indicator': 'age x color'},
  ),
  crossed_embedding=(
    lambda _: _embedding(
      tf.feature_column.crossed_column(['city', 'color'], 6), 'mean'
    ),
    {'city_X_color_embedding': 'city x color'},
  ),
  weighted=(
    lambda _: _indicator(
      tf.feature_column.weighted_categorical_column(_colors(), 'strength')
    ),
    {'color_weighted_by_strength_indicator': 'color x strength'},
  ),
  weighted_embedding=(
    lambda _: _embedding(
      tf.feature_column.weighted_categorical_column(_colors(), 'strength'),
      'sum',
    ),
    {'color_weighted_by_strength_embedding': 'color x strength'},
  ),
)


class Model(
  collections.namedtuple(
    'Model',
    [
      'version',
      'kinds',
      'hidden_units',
      'activation',
      'batch_norm',
      'num_classes',
      'has_labels',
      'num_predicted',
      'receiver',
      'seed',
      'scale',
    ],
  )
):
  """What is asked of an estimator.

  Attributes:
    version: 1 or 2.
    kinds: list of keys of `COLUMNS`.
    hidden_units: list of int.
    activation: name of an activation function.
    batch_norm: bool.
    num_classes: int; None for a regressor.
    has_labels: whether a classifier has a label vocabulary.
    num_predicted: how many numbers a regressor predicts.
    receiver: 'examples', 'raw' or 'sparse', as `network_export.export` has it.
    seed: int, of the weights.
    scale: float, the size of the kernels.
  """

  __slots__ = ()

  @property
  def labels(self):
    if self.num_classes and self.has_labels:
      return [f'label {i}' for i in range(self.num_classes)]
    return None

  def columns(self):
    """Returns new feature columns."""
    # Columns of v2 shared embeddings refuse to be made eagerly.
    with tf.Graph().as_default():
      return sum((COLUMNS[k][0](self.version) for k in self.kinds), [])

  @property
  def feature_of_column(self):
    """{column name: key of the feature, or 'a x b' of several}."""
    return {
      name: key for kind in self.kinds for name, key in COLUMNS[kind][1].items()
    }

  @property
  def keys(self):
    """Sorted keys of the features that the columns read."""
    return sorted(
      {k for ks in self.feature_of_column.values() for k in ks.split(' x ')}
    )


@st.composite
def models(draw, activations):
  """Draws `Model`s with one of the activations."""
  is_classifier = draw(st.booleans())
  num_layers = draw(st.sampled_from([2, 1, 3, 4]))
  units = st.one_of(st.integers(1, 8), st.integers(1, 130))
  return Model(
    version=draw(st.sampled_from([1, 2])),
    kinds=draw(
      st.lists(
        st.sampled_from(list(COLUMNS)), min_size=1, max_size=6, unique=True
      )
    ),
    hidden_units=[draw(units) for _ in range(num_layers)],
    activation=draw(st.sampled_from(activations)),
    batch_norm=draw(st.booleans()),
    num_classes=draw(st.integers(2, 5)) if is_classifier else None,
    has_labels=draw(st.booleans()),
    num_predicted=draw(st.integers(1, 3)),
    receiver=draw(st.sampled_from(['examples', 'raw', 'sparse'])),
    seed=draw(st.integers(0, 2**16)),
    scale=draw(st.sampled_from([1.0, 0.3, 3.0])),
  )


@st.composite
def rows(draw, keys, num_rows):
  """Draws {feature key: list of num_rows lists of values}."""
  drawn = {}
  for key in keys:
    if FEATURES[key] is not None:
      drawn[key] = [draw(FEATURES[key]) for _ in range(num_rows)]
  if 'strength' in keys:
    drawn['strength'] = [
      [draw(st.sampled_from(_STRENGTHS)) for _ in row] for row in drawn['color']
    ]
  return {
    key: [
      [v.encode() if isinstance(v, str) else v for v in row] for row in values
    ]
    for key, values in drawn.items()
  }
