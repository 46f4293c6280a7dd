"""What cannot be raw features is refused: one line names row and remedy."""

import datetime
import inspect
import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.saved_models import feature_values

_RAW = {
  'color': [[b'red'], [], [b'blue'], [b'red']],  # Any number.
  'count': np.float32([[3], [0.5], [-2], [1]]),
  'day': np.int64([[2], [0], [1], [4]]),
  'plan': [[b'a'], [b'b'], [b'a'], [b'b']],  # One each.
  'seen': [[0], [], [3], [2]],  # Any number.
  'size': np.float32([[1, 2], [-0.5, 0], [3, 1.25], [0, -2]]),
}


def _columns():
  fc = tf.feature_column

  def words(key, vocabulary):
    return fc.indicator_column(
      fc.categorical_column_with_vocabulary_list(key, vocabulary)
    )

  return [
    fc.numeric_column('size', shape=(2,)),
    fc.numeric_column('count'),
    fc.numeric_column('day', dtype=tf.int64),
    words('color', ['red', 'blue']),
    words('plan', ['a', 'b']),
    fc.indicator_column(fc.categorical_column_with_identity('seen', 4)),
  ]


def _receiver_fn():
  features = {
    'color': tf.sparse_placeholder(tf.string, [None, None]),
    'count': tf.placeholder(tf.float32, [None, 1]),
    'day': tf.placeholder(tf.int64, [None, 1]),
    'plan': tf.placeholder(tf.string, [None, 1]),
    'seen': tf.sparse_placeholder(tf.int64, [None, None]),
    'size': tf.placeholder(tf.float32, [None, 2]),
  }
  return tf.estimator.export.ServingInputReceiver(features, features)


def _sparse(indices, shape, values=(0, 3, 2)):
  return tf.SparseTensorValue(np.int64(indices), np.int64(values), shape)


def _symbolic(dtype=tf.float32):
  with tf.Graph().as_default():
    return tf.placeholder(dtype, [None])


def _frame():
  return pd.DataFrame(
    {
      'color': ['red', None, 'blue', 'red'],
      'count': [3, 0.5, -2, 1],
      'day': [2, 0, 1, 4],
      'plan': ['a', 'b', 'a', 'b'],
      'seen': pd.Series([0, None, 3, 2], dtype='Int64'),
      'size': list(_RAW['size']),
    }
  )


class _ModelTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    network = numpy_network.whole_numbers(2, [12, 3, 3])
    cls.ig = tfda.IntegratedGradients(
      network_export.export(
        network,
        _columns(),
        receiver=_receiver_fn,
        label_vocabulary=['adelie', 'chinstrap', 'gentoo'],
      )
    )

  @classmethod
  def tearDownClass(cls):
    cls.ig.close()
    super().tearDownClass()

  def _check(self, error, regex, examples, **arguments):
    with warnings.catch_warnings():
      # Those of numpy would be the words of another.
      warnings.simplefilter('error')
      with self.assertRaisesRegex(error, regex) as raised:
        self.ig.attribute(examples, **arguments)
    self.assertNotIn('\n', str(raised.exception))


class FeatureTest(_ModelTest):
  @parameterized.parameters(
    # Missing, where there has to be a value.
    ('count', pd.Series([3, None, 1, 2]), r"^row 1: .*'count' .*finite"),
    ('count', np.float64([3, np.nan, 1, 2]), r"^row 1: .*'count' .*finite"),
    (
      'count',
      pd.Series([3, 2, None, 2], dtype='Float64'),
      r"^row 2: feature 'count' must be float32; got None\. It needs a value",
    ),
    (
      'count',
      np.ma.masked_array([1.0, 2, 3, 4], [0, 1, 0, 0]),
      r"^row 1: feature 'count' must be float32; got None\. It needs a value",
    ),
    ('day', pd.Series([2, 0, None, 1]), "^row 2: feature 'day' .*It needs"),
    ('day', np.float64([2, 0, np.nan, 1]), "^row 2: feature 'day' .*It needs"),
    (
      'day',
      pd.DataFrame({'day': pd.Series([2, None, 3, 1], dtype='Int64')}),
      "^row 1: feature 'day' .*got None.*It needs a value in each row",
    ),
    (
      'day',
      _sparse([[0, 0], [1, 0], [3, 0]], [4, 1]),
      "^row 2: feature 'day' .*It needs a value in each row",
    ),
    (
      'plan',
      pd.Series(['a', 'b', None, 'a']),
      r"^row 2: feature 'plan' must be strings; got None\. It .*: give ''",
    ),
    (
      'plan',
      pd.Series(['a', 'b', np.nan, 'a']).to_numpy(),
      r"^row 2: feature 'plan' must be strings; got nan\. It .*: give ''",
    ),
    ('size', pd.DataFrame({'w': [1, 2, 3, 4], 'h': [1, None, 2, 3]}), '^row 1'),
    # A NaN among other values was computed.
    (
      'color',
      [['red'], ['red', np.nan], [], []],
      r"^row 1: .*'color' must be strings; got nan\. .*None, '' or \[\]\.$",
    ),
    ('seen', [[0], [], [3, np.nan], []], r"^row 2: feature 'seen' .*got nan"),
    # Of another type.
    ('color', [['red'], [], [1], []], r'^row 2: .*got 1\. Convert .*str\(\)'),
    ('color', pd.Series([1, 2, 3, 4]), r'^row 0: .*got 1\. Convert it with'),
    ('color', [{'red'}, None, None, None], r'^row 0: .*Give a list of strings'),
    ('count', [1, 'x', 2, 3], r"^row 1: .*got 'x'\. Convert it to numbers"),
    ('seen', [[0], [1, 'x'], [2], []], r"^row 1: .*got 'x'\. Convert it to"),
    (
      'seen',
      pd.Series(['0', None, '1', '2']),
      r"^row 0: .*'seen' must be int64; got '0'\. Convert",
    ),
    (
      'day',
      pd.to_datetime(['2020-01-01'] * 4),
      r"^row 0: .*'day' must be int64; got '2020-01-01T00.*Convert it to num",
    ),
    (
      'color',
      pd.Series(pd.to_datetime(['2020-01-01', None, None, None])),
      "^row 0: .*'color' must be strings; got .*2020",
    ),
    (
      'plan',
      [datetime.date(2020, 1, 1)] * 4,
      "^row 0: .*'plan' must be strings; got datetime.*Convert it with str",
    ),
    # Integers that are others by the time that they are here.
    ('count', [2**70, 'x', 1, 1], r"^row 1: .*got 'x'"),
    ('day', [2**63, 0, 1, 2], r'^row 0: .*int64; got 9223372036854775808'),
    ('day', [0, 1, 2**70, 2], r'^row 2: .*got 1180.*\. It is beyond 64 bits'),
    ('seen', [[0], [-(2**64)], [], []], r'^row 1: .*It is beyond 64 bits'),
    (
      'day',
      pd.Series([1, 2, 9007199254740993.0, 1]),
      r'^row 2: .*As a float64 it may have been another integer: give integers',
    ),
    (
      'seen',
      pd.Series([1, None, 2**60, 3]),
      r"^row 2: .*may have been another.*dtype 'Int64'",
    ),
    ('day', np.float32([1, 2**24, 0, 0]), r'^row 1: .*As a float32 it may'),
    ('day', [1, 2, 1e30, 0], r'^row 2: .*must be int64; got 1e\+30'),
    (
      'count',
      [1, 1e300, 0, 0],
      r'^row 1: .*finite; got inf.* float32 can hold',
    ),
    # Of another shape.
    ('color', 'red', r"a value for each row; got 'red'\. Give a list .*\[valu"),
    ('count', 3.5, r'a value for each row; got 3\.5\. Give a list'),
    (
      'count',
      np.float32(3.5),
      r'a value for each row; got .*3\.5\. Give a list',
    ),
    ('count', np.array(3.5), r'a value for each row; got .*3\.5\. Give a list'),
    (
      'size',
      [np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2), np.zeros(2)],
      r"^row 0: .*'size' .*got array\(\[\[0",
    ),
    ('seen', {0: 1}, r"'seen' must have a value for each row; got \{0: 1\}"),
    ('seen', {0, 1}, r"'seen' must have a value for each row; got \{0, 1\}"),
    ('color', None, r"'color' must have a value for each row; got None"),
    (
      'color',
      [['red'], [['red', 'blue']], [], []],
      r"^row 1: feature 'color' .*list of single values.*Flatten each row",
    ),
    ('seen', np.zeros((4, 1, 1)), r"'seen' .*shape \[4, 1, 1\]\. Flatten"),
    (
      'seen',
      tf.ragged.constant_value([[[0]], [], [[3], [2]], []], ragged_rank=2),
      r"^row 0: feature 'seen' .*Flatten each row",
    ),
    (
      'size',
      [[1, 2], [3, 4], [5], [6, 7]],
      r"^row 2: feature 'size' .*\[n, 2\]; got \[5\]\. Give every row the same",
    ),
    ('size', [[1, 2], None, [3, 4], [6, 7]], r"^row 1: .*'size' .*got None"),
    ('count', [[1], [2], [3, 4], [5]], r"^row 2: .*'count' .*got \[3, 4\]"),
    (
      'plan',
      [['a'], ['b', 'c'], ['a'], ['a']],
      r"^row 1: .*'plan' .*\[n, 1\]; got \['b', 'c'\]",
    ),
    ('plan', [['a'], None, ['b'], ['a']], r"^row 1: .*'plan' .*got None"),
    ('plan', [['a'], ['b'], [], ['a']], r"^row 2: .*'plan' .*got \[\]"),
    ('plan', [['a'], ['b'], 'a', ['a']], r"^row 2: .*'plan' .*got 'a'"),
    ('color', ['red', '\ud800', '', ''], r"^row 1: .*'color' .*not text: give"),
    ('size', pd.DataFrame({'w': [1, 2, 3, 4]}), r'\[n, 2\]; got \[4\]'),
    ('count', np.array([(1,)] * 4, [('a', 'f4')]), r'^row 0: .*got \(1'),
    ('day', (i for i in range(3)), r"as many rows .*'day': 3"),
    # Sparse tensors that contradict themselves.
    (
      'seen',
      _sparse([[0, 0], [2, 0], [4, 0]], [4, 1]),
      r"'seen' must have indices within its dense_shape \[4, 1\]; got \[4, 0\]",
    ),
    (
      'seen',
      _sparse([[0, 0], [2, -1], [3, 0]], [4, 1]),
      r'got \[2, -1\]\. Make',
    ),
    (
      'seen',
      _sparse([[0, 0], [2, 0], [2, 0]], [4, 1]),
      r"^row 2: .*'seen' .*two at \[2, 0\]\. Number the values",
    ),
    (
      'seen',
      _sparse([[0, 0], [2, 0]], [4, 1]),
      r"'seen' must be a SparseTensor .*indices \[2, 2\], values \[3\]",
    ),
    (
      'seen',
      _sparse([[0], [2], [3]], [4]),
      r'Give it the dense_shape \[n, k\]',
    ),
    ('seen', _sparse([[0, 0], [2, 0], [1, 0]], [3, 1]), r"rows .*'seen': 3"),
  )
  def test_value(self, key, value, regex):
    self._check((ValueError, TypeError), regex, dict(_RAW, **{key: value}))

  def test_symbolic_tensors(self):
    with tf.Graph().as_default():
      sparse = tf.sparse_placeholder(tf.int64, [None, None])
      ragged = tf.ragged.placeholder(tf.int64, 1)
    for key, value in (
      ('count', _symbolic()),
      ('seen', sparse),
      ('seen', ragged),
      ('count', [_symbolic()] * 4),
    ):
      self._check(
        TypeError,
        f"'{key}' must have values; .*of a graph.*what session.run",
        dict(_RAW, **{key: value}),
      )


class GoodRowsTest(_ModelTest):
  def test_rows_that_are_left(self):
    raw = dict(
      _RAW,
      count=[3, None, -2, 1],
      seen=_sparse([[2, 0], [0, 0], [3, 0]], [4, 1], (3, 0, 2)),
      size=np.float32([[1, 2], [-0.5, 0], [3, np.inf], [0, -2]]),
      color=pd.Series(['red', None, 'blue', 'red']),
    )
    features = self.ig.model.features
    values, rows, reasons = feature_values.batch_of_good_rows(features, raw)
    np.testing.assert_array_equal(rows, [0, 3])
    self.assertCountEqual(reasons, [1, 2])
    self.assertRegex(reasons[1], "^feature 'count' must be float32; got None")
    self.assertRegex(reasons[2], "^feature 'size' must be finite; got inf")
    expected, _ = feature_values.batch(
      features, {key: [value[0], value[3]] for key, value in _RAW.items()}
    )
    for key, value in expected.items():
      if features[key].is_sparse:
        for got, part in zip(values[key], value):
          np.testing.assert_array_equal(got, part)
      else:
        np.testing.assert_array_equal(values[key], value)

  def test_all_or_none_are_left(self):
    features = self.ig.model.features
    _, rows, reasons = feature_values.batch_of_good_rows(features, _RAW)
    np.testing.assert_array_equal(rows, range(4))
    self.assertEqual(reasons, {})
    raw = dict(_RAW, day=[None] * 4)
    _, rows, reasons = feature_values.batch_of_good_rows(features, raw)
    self.assertEmpty(rows)
    self.assertCountEqual(reasons, range(4))


class ExamplesTest(_ModelTest):
  def test_frames(self):
    frame = _frame()
    self._check(
      ValueError,
      r"Not known to the model: \['species'\]\. Leave them out",
      frame.assign(species='adelie'),
    )
    self._check(
      ValueError,
      r"\['colour'\]\. Did you mean 'color'\? Add \['color'\]",
      frame.rename(columns={'color': 'colour'}),
    )
    self._check(ValueError, r"Add \['color', 'count'", pd.DataFrame())
    self._check(
      ValueError,
      r"different names; got \['day'\] more than once\. Rename",
      pd.concat([frame, frame[['day']]], axis=1),
    )
    self._check(
      ValueError,
      r"got a MultiIndex with \('a', 'color'\)\. Give each column one name",
      pd.concat({'a': frame}, axis=1),
    )
    self._check(
      TypeError,
      r'str at row 0\. Give the whole DataFrame; of its row i, frame\.iloc',
      frame.iloc[0],
    )
    self._check(
      ValueError, r'Not known to the model: \[0, 1\]', pd.DataFrame([[1, 2]])
    )

  def test_rows(self):
    rows = _frame().to_dict('records')
    without = {key: value for key, value in rows[2].items() if key != 'seen'}
    self._check(
      ValueError,
      r"^row 2: must have the features of row 0; \['seen'\] .*None where it",
      [rows[0], rows[1], without],
    )
    self._check(
      TypeError, 'hold dicts, like row 0; got bytes at row 1', [rows[0], b'']
    )
    self._check(
      TypeError,
      'hold dicts, like row 0; got list at row 1.* label, the features',
      (rows[0], [1, 0]),
    )
    self._check(
      ValueError,
      r"^row 1: feature 'count'",
      [rows[0], dict(rows[1], count=None)],
    )

  @parameterized.parameters(
    (_symbolic(tf.string), r'^`examples` must .*of a graph.*what session\.run'),
    (np.array([b'a', b'b\0']), r'which drops zeros.*np\.array\(examples, obj'),
    (np.array('abc'), r'`examples` must be a list'),
    (np.zeros((2, 3)), r'must hold bytes; got ndarray at row 0\. .*DataFrame'),
    (['a'], r'must hold bytes; got str at row 0\. .* a list of dicts'),
    (pd.DataFrame, r'`examples` must be a list; got <class'),
    ({1, 2}, r'must hold bytes; got int at row 0'),
  )
  def test_others(self, examples, regex):
    self._check(TypeError, regex, examples)

  def test_a_dataset(self):
    with tf.Graph().as_default():
      dataset = tf.data.Dataset.from_tensor_slices([b'a'])
      remedy = r'what session\.run\(tf\.data\.make_one_shot_iterator\(dataset'
      self._check(TypeError, r'got a tf\.data\.Dataset\. .*' + remedy, dataset)
      with self.assertRaisesRegex(
        TypeError, '`batches` .*of a graph.*' + remedy
      ):
        list(self.ig.attribute_batches(dataset))
    if tf.executing_eagerly():
      self._check(
        TypeError,
        r'a tf\.data\.Dataset\. .*dataset\.batch\(1024\)\.as_numpy_iterator',
        tf.data.Dataset.from_tensor_slices([b'a']),
      )

  @parameterized.parameters('mean', 'median', 'sample')
  def test_every_strategy_refuses_what_attribute_refuses(self, strategy):
    for key, value, regex in (
      ('count', np.float32([[1], [np.nan], [2], [3]]), '^row 1: '),
      ('count', _RAW['count'][:2], 'as many rows'),
      ('unknown', [1, 2, 3, 4], 'Not known'),
    ):
      with self.assertRaisesRegex(ValueError, regex):
        self.ig.baselines_of([dict(_RAW, **{key: value})], strategy)
    for batches in (_RAW, _frame(), b'', 'abc', 3):
      with self.assertRaisesRegex(
        TypeError, r'`batches` must be an iterable of batches; .*\[examples\]'
      ):
        self.ig.baselines_of(batches, strategy)
    with self.assertRaisesRegex(TypeError, 'Of batches, each is such a list'):
      self.ig.baselines_of([b'', b''], strategy)

  def test_a_sample_of_both_kinds(self):
    examples = network_export.examples(**_RAW)
    with self.assertRaisesRegex(ValueError, 'all serialized .* got both'):
      self.ig.baselines_of([_RAW, examples], 'sample')


class ArgumentsTest(_ModelTest):
  @parameterized.parameters(
    ({'steps': 50}, r"attribute\(\) has no argument 'steps'.*mean 'num_steps'"),
    ({'baseline': None}, "no argument 'baseline'.*Did you mean 'baselines'"),
    ({'zzz': 1}, "no argument 'zzz'. It takes examples, baselines, targ"),
  )
  def test_unknown_arguments(self, arguments, regex):
    self._check(TypeError, regex, _RAW, **arguments)
    with self.assertRaisesRegex(TypeError, regex):
      list(self.ig.attribute_batches([], **arguments))

  def test_the_signature_shows_the_real_arguments(self):
    self.assertEqual(
      list(inspect.signature(self.ig.attribute).parameters),
      'examples baselines targets output method num_steps max_rows '
      'tolerance with_features'.split(),
    )

  @parameterized.parameters(
    ({'targets': 'adeli'}, "Did you mean 'adelie'"),
    ({'targets': 'predict'}, "Did you mean 'predicted'"),
    ({'method': 'exakt'}, "Did you mean 'exact'"),
    ({'output': 'logit'}, "Did you mean 'logits'"),
    ({'baselines': 'avg'}, r"`baselines` must be .*\['mean', 'median', 'sam"),
    ({'baselines': 'medain'}, "Did you mean 'median'"),
    ({'baselines': {'coun': 1.0}}, "Did you mean 'count'"),
    (
      {'baselines': {'color_indicater': [1, 0]}},
      "Did you mean 'color_indicator'",
    ),
    ({'baselines': {'size': [[1, 2], [3]]}}, r'shape \[2\] for column'),
    ({'baselines': {'size': np.ma.masked_array([1, 2], [0, 1])}}, 'numbers'),
    ({'baselines': tfda.ColumnValues(coun=1.0)}, "Did you mean 'count'"),
  )
  def test_misspelt(self, arguments, regex):
    self._check(
      ValueError if 'numbers' != regex else TypeError, regex, _RAW, **arguments
    )


if __name__ == '__main__':
  absltest.main()
