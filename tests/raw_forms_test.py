"""The same raw features, in every form that users have, give the same bits."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_NETWORK = numpy_network.whole_numbers(5, [19, 6, 3])
_RAW = {
  'color': [[b'red'], [], [b'blue'], [b'green']],  # At most one value.
  'count': np.float32([[3], [0.5], [-2], [1]]),
  'day': np.int64([[2], [0], [1], [4]]),
  'item': [[b'x'], [b'y'], [], [b'x']],
  'plan': [[b'a'], [b'b'], [b'a'], [b'b']],  # Dense.
  'seen': [[0], [], [3], [2]],
  'size': np.float32([[1, 2], [-0.5, 0], [3, 1.25], [0, -2]]),
  'tag': [[b't'], [], [b'u'], [b't']],  # Dense, of any length.
  'weight': [[0.5], [2.0], [], [1.5]],  # Of the items.
  'words': [[b'v', b'w'], [], [b'w'], [b'v', b'v']],
}
# After the columns, in the order of their names.
_PROCESSED = np.float64(
  # color     count day  item      plan  seen        size      tag   words
  [
    [1, 0, 0, 3, 2, 0.5, 0, 1, 0, 1, 0, 0, 0, 1, 2, 1, 0, 1, 1],
    [0, 0, 0, 0.5, 0, 0, 2, 0, 1, 0, 0, 0, 0, -0.5, 0, 0, 0, 0, 0],
    [0, 0, 1, -2, 1, 0, 0, 1, 0, 0, 0, 0, 1, 3, 1.25, 0, 1, 0, 1],
    [0, 1, 0, 1, 4, 1.5, 0, 0, 1, 0, 0, 1, 0, 0, -2, 1, 0, 2, 0],
  ]
)


def _columns():
  fc = tf.feature_column

  def words(key, vocabulary):
    return fc.categorical_column_with_vocabulary_list(key, vocabulary)

  return [
    fc.numeric_column('size', shape=(2,)),
    fc.numeric_column('count'),
    fc.numeric_column('day', dtype=tf.int64),
    fc.indicator_column(words('color', ['red', 'green', 'blue'])),
    fc.indicator_column(
      fc.weighted_categorical_column(words('item', ['x', 'y']), 'weight')
    ),
    fc.indicator_column(words('plan', ['a', 'b'])),
    fc.indicator_column(fc.categorical_column_with_identity('seen', 4)),
    fc.indicator_column(words('tag', ['t', 'u'])),
    fc.indicator_column(words('words', ['v', 'w'])),
  ]


def _receiver_fn():
  features = {
    'color': tf.sparse_placeholder(tf.string, [None, None]),
    'count': tf.placeholder(tf.float32, [None, 1]),
    'day': tf.placeholder(tf.int64, [None, 1]),
    'item': tf.sparse_placeholder(tf.string, [None, None]),
    'plan': tf.placeholder(tf.string, [None, 1]),
    'seen': tf.sparse_placeholder(tf.int64, [None, None]),
    'size': tf.placeholder(tf.float32, [None, 2]),
    'tag': tf.placeholder(tf.string, [None, None]),
    'weight': tf.sparse_placeholder(tf.float32, [None, None]),
    'words': tf.sparse_placeholder(tf.string, [None, None]),
  }
  return tf.estimator.export.ServingInputReceiver(features, features)


def _sparse(lists, dtype, order=1):
  indices = [(i, j) for i, row in enumerate(lists) for j in range(len(row))]
  values = [value for row in lists for value in row]
  return tf.SparseTensorValue(
    np.int64(indices)[::order],
    np.array(values, dtype)[::order],
    np.int64([len(lists), max(map(len, lists))]),
  )


def _text(key):
  """Returns a feature of at most one string as a list of str or None."""
  return [row[0].decode() if row else None for row in _RAW[key]]


def _objects(values):
  array = np.empty(len(values), object)
  array[:] = values
  return array


_ONE_WORD = {
  'series_of_none': lambda key: pd.Series(_text(key)),
  'series_of_nan': lambda key: pd.Series(_text(key)).fillna(np.nan),
  'series_of_string_dtype': lambda key: pd.Series(_text(key), dtype='string'),
  'series_of_categories': lambda key: pd.Series(_text(key), dtype='category'),
  'series_with_another_index': lambda key: pd.Series(
    _text(key), index=[7, 3, 3, 0]
  ),
  'series_of_lists': lambda key: pd.Series(_objects(_RAW[key])),
  'series_of_lists_and_none': lambda key: pd.Series(
    _objects([row or None for row in _RAW[key]])
  ),
  'frame_of_one_column': lambda key: pd.DataFrame({'other': _text(key)}),
  'values_of_a_series': lambda key: (
    pd.Series(_text(key)).fillna(np.nan).to_numpy()
  ),
  'index': lambda key: pd.Index(_text(key)),
  'categorical': lambda key: pd.Categorical(_text(key)),
  'list_of_nan': lambda key: [
    np.nan if text is None else text for text in _text(key)
  ],
  'list_of_na': lambda key: [
    pd.NA if text is None else text for text in _text(key)
  ],
  'lists_of_na': lambda key: [
    [pd.NA if text is None else text] for text in _text(key)
  ],
  'list_of_empty_strings': lambda key: [text or '' for text in _text(key)],
  'numpy_strings': lambda key: np.array([text or '' for text in _text(key)]),
  'numpy_bytes': lambda key: np.array([text or '' for text in _text(key)], 'S'),
  'masked': lambda key: np.ma.masked_array(
    [text or 'red' for text in _text(key)],
    [text is None for text in _text(key)],
  ),
  'masked_2d': lambda key: np.ma.masked_array(
    [[text or 'red', 'red'] for text in _text(key)],
    [[text is None, True] for text in _text(key)],
  ),
  'sparse_value': lambda key: _sparse(_RAW[key], object),
  'sparse_value_out_of_order': lambda key: _sparse(_RAW[key], object, -1),
  'ragged_value': lambda key: tf.ragged.constant_value(
    _RAW[key], dtype=np.dtype('S')
  ),
  'generator': lambda key: (row for row in _RAW[key]),
  'tuple': lambda key: tuple(_RAW[key]),
}
_DENSE_WORD = {
  'series': lambda key: pd.Series(_text(key)),
  'series_of_string_dtype': lambda key: pd.Series(_text(key), dtype='string'),
  'series_of_categories': lambda key: pd.Series(_text(key), dtype='category'),
  'frame': lambda key: pd.DataFrame({'other': _text(key)}),
  'list': _text,
  'array': lambda key: np.array(_RAW[key]),
  'objects': lambda key: np.array(_RAW[key], object),
  'masked': lambda key: np.ma.masked_array(_text(key)),
  'sparse_value': lambda key: _sparse(_RAW[key], object),
  'ragged_value': lambda key: tf.ragged.constant_value(
    _RAW[key], dtype=np.dtype('S')
  ),
  'generator': lambda key: (row for row in _RAW[key]),
}
_SEEN = [0, None, 3, 2]
_WEIGHT = [0.5, 2.0, None, 1.5]
# Feature key: {name of a form: function of the key that gives it}.
_FORMS = {
  'color': _ONE_WORD,
  'tag': _ONE_WORD,
  'plan': _DENSE_WORD,
  'seen': {
    'series_of_floats': lambda _: pd.Series(_SEEN),
    'series_of_nullable_integers': lambda _: pd.Series(_SEEN, dtype='Int64'),
    'series_of_objects': lambda _: pd.Series(_SEEN, dtype=object),
    'frame': lambda _: pd.DataFrame({'other': _SEEN}),
    'floats': lambda _: np.float64([0, np.nan, 3, 2]),
    'floats_2d': lambda _: np.float32([[0], [np.nan], [3], [2]]),
    'list': lambda _: _SEEN,
    'list_of_nan': lambda _: [0, np.nan, 3, 2],
    'masked': lambda _: np.ma.masked_array([0, 7, 3, 2], [0, 1, 0, 0]),
    'padded': lambda _: np.int32([[0, -1], [-1, -1], [3, -1], [-1, 2]]),
    'sparse_value': lambda key: _sparse(_RAW[key], np.int64),
    'sparse_value_out_of_order': lambda key: _sparse(_RAW[key], np.int32, -1),
    'ragged_value': lambda key: tf.ragged.constant_value(
      _RAW[key], dtype=np.int64
    ),
    'range_of_rows': lambda key: iter(_RAW[key]),
  },
  'weight': {
    'series': lambda _: pd.Series(_WEIGHT),
    'series_of_nullable_floats': lambda _: pd.Series(_WEIGHT, dtype='Float64'),
    'frame': lambda _: pd.DataFrame({'other': _WEIGHT}),
    'array': lambda _: np.float64([0.5, 2, np.nan, 1.5]),
    'padded': lambda _: np.float32([[0.5], [2], [0], [1.5]]),
    'masked': lambda _: np.ma.masked_array([0.5, 2, 7, 1.5], [0, 0, 1, 0]),
    'sparse_value': lambda key: _sparse(_RAW[key], np.float64, -1),
  },
  'words': {
    'series_of_lists': lambda key: pd.Series(_objects(_RAW[key])),
    'series_of_arrays': lambda key: pd.Series(
      _objects([np.array(row, object) for row in _RAW[key]])
    ),
    'tuples': lambda key: [tuple(row) or None for row in _RAW[key]],
    'frame_of_columns': lambda _: pd.DataFrame(
      {'first': ['v', None, 'w', 'v'], 'second': ['w', None, None, 'v']}
    ),
    'ragged_value': lambda key: tf.ragged.constant_value(
      _RAW[key], dtype=np.dtype('S')
    ),
    'sparse_value_out_of_order': lambda key: _sparse(_RAW[key], object, -1),
    'masked': lambda _: np.ma.masked_array(
      [['v', 'w'], ['x', 'x'], ['w', 'x'], ['v', 'v']],
      [[0, 0], [1, 1], [0, 1], [0, 0]],
    ),
  },
  'count': {
    'series': lambda _: pd.Series([3, 0.5, -2, 1]),
    'series_of_objects': lambda _: pd.Series([3, 0.5, -2, 1], dtype=object),
    'series_of_nullable': lambda _: pd.Series([3, 0.5, -2, 1], dtype='Float64'),
    'frame': lambda _: pd.DataFrame({'other': [3, 0.5, -2, 1]}),
    'masked': lambda _: np.ma.masked_array([3, 0.5, -2, 1]),
    'list': lambda _: [3, 0.5, -2, 1],
    'numpy_numbers': lambda _: [np.float32(3), np.float64(0.5), -2, np.int8(1)],
    'ragged_value': lambda _: tf.ragged.constant_value(
      [[3.0], [0.5], [-2.0], [1.0]]
    ),
    'sparse_value': lambda _: _sparse([[3], [0.5], [-2], [1]], np.float32),
  },
  'day': {
    'series': lambda _: pd.Series([2, 0, 1, 4]),
    'series_of_nullable': lambda _: pd.Series([2, 0, 1, 4], dtype='Int64'),
    'series_of_floats': lambda _: pd.Series([2.0, 0, 1, 4]),
    'series_of_small': lambda _: pd.Series([2, 0, 1, 4], dtype='uint8'),
    'list': lambda _: [2, 0, 1, 4],
    'objects': lambda _: np.array([2, 0, 1, 4], object),
  },
  'size': {
    'frame': lambda key: pd.DataFrame(_RAW[key], columns=['height', 'width']),
    'frame_of_objects': lambda key: pd.DataFrame(_RAW[key].tolist()).astype(
      object
    ),
    'series_of_lists': lambda key: pd.Series(_RAW[key].tolist()),
    'series_of_arrays': lambda key: pd.Series(list(_RAW[key])),
    'masked': lambda key: np.ma.masked_array(_RAW[key]),
    'list_of_arrays': lambda key: list(_RAW[key]),
    'fortran': lambda key: np.asfortranarray(_RAW[key]),
  },
}


def _eager_forms(key):
  """Returns {name: value} of the eager Tensors of a feature."""
  value = _RAW[key]
  if key in ('count', 'day', 'plan', 'size'):
    tensor = tf.constant(value)
    return {
      'tensor': tensor,
      'list_of_tensors': list(tensor),
      'variable': tf.Variable(tensor),
    }
  dtype = {'seen': tf.int64, 'weight': tf.float32}.get(key, tf.string)
  ragged = tf.ragged.constant(value, dtype)
  padding = {'seen': -1, 'weight': 0.0}.get(key, '')
  return {
    'ragged': ragged,
    'sparse': ragged.to_sparse(),
    'tensor': ragged.to_tensor(padding),
    'list_of_tensors': [tf.constant(row, dtype) for row in value],
  }


def _frame():
  """Returns all features as a pandas DataFrame, the index not in order."""
  lists = ('words', 'size')
  frame = pd.DataFrame(
    {key: pd.Series(_objects(list(_RAW[key]))) for key in lists}
  )
  for key in ('color', 'item', 'plan', 'tag'):
    frame[key] = _text(key)
  for key in ('count', 'day'):
    frame[key] = _RAW[key][:, 0]
  frame['seen'] = pd.Series(_SEEN, dtype='Int64')
  frame['weight'] = _WEIGHT
  frame.index = [3, 1, 1, 9]
  return frame


class RawFormsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.ig = tfda.IntegratedGradients(
      network_export.export(
        _NETWORK,
        _columns(),
        receiver=_receiver_fn,
      )
    )

  @classmethod
  def tearDownClass(cls):
    cls.ig.close()
    super().tearDownClass()

  def _check(self, examples):
    """Compares with the float64 network at the processed values, bit by bit."""

    result = self.ig.attribute(
      examples, targets='all', method='midpoint', num_steps=64
    )
    values = np.concatenate(
      [result.values[name] for name in result.columns], axis=-1
    )
    nodes = (np.arange(64)[:, np.newaxis] + 0.5) / 64
    np.testing.assert_array_equal(
      values,
      [_NETWORK.gradients(nodes * x).mean(axis=0) * x for x in _PROCESSED],
    )
    np.testing.assert_array_equal(result.outputs, _NETWORK.outputs(_PROCESSED))

  def test_lists(self):
    self._check(_RAW)

  @parameterized.parameters(*_FORMS)
  def test_forms_of(self, key):
    for name, form_fn in _FORMS[key].items():
      with self.subTest(name):
        self._check(dict(_RAW, **{key: form_fn(key)}))

  @parameterized.parameters(*_RAW)
  def test_eager_tensors_of(self, key):
    if not tf.executing_eagerly():
      self.skipTest('TensorFlow 1 has no values of Tensors.')
    for name, value in _eager_forms(key).items():
      with self.subTest(name):
        self._check(dict(_RAW, **{key: value}))

  def test_data_frame(self):
    self._check(_frame())
    self._check(dict(_frame()))

  def test_list_of_dicts(self):
    rows = [{key: values[i] for key, values in _RAW.items()} for i in range(4)]
    self._check(rows)
    self._check(tuple(rows))
    self._check(row for row in rows)
    self._check(_frame().to_dict('records'))

  def test_generators_are_read_once(self):
    generators = {key: iter(values) for key, values in _RAW.items()}
    result = self.ig.attribute(generators, baselines='mean')
    expected = self.ig.attribute(_RAW, baselines='mean')
    np.testing.assert_array_equal(
      result.baseline_outputs, expected.baseline_outputs
    )

  def test_batches(self):
    frame = _frame()
    for batches in (
      [frame.iloc[:2], frame.iloc[2:]],
      (frame.iloc[i : i + 1] for i in range(4)),
    ):
      results = list(self.ig.attribute_batches(batches))
      outputs = np.concatenate([result.outputs for result in results])
      np.testing.assert_array_equal(outputs, self.ig.attribute(_RAW).outputs)

  def test_no_rows(self):
    result = self.ig.attribute(_frame().iloc[:0])
    self.assertEqual(result.outputs.shape, (0,))
    result = self.ig.attribute({key: [] for key in _RAW})
    self.assertEqual(result.outputs.shape, (0,))

  def test_a_dataset(self):
    if not tf.executing_eagerly():
      self.skipTest('TensorFlow 1 iterates over a dataset in a session.')
    features = {
      key: _eager_forms(key)['ragged' if isinstance(value, list) else 'tensor']
      if key != 'plan'
      else tf.constant(value)
      for key, value in _RAW.items()
    }
    dataset = tf.data.Dataset.from_tensor_slices(features).batch(2)
    expected = self.ig.attribute(_RAW).outputs
    for batches in (dataset, dataset.as_numpy_iterator()):
      results = list(self.ig.attribute_batches(batches))
      outputs = np.concatenate([result.outputs for result in results])
      np.testing.assert_array_equal(outputs, expected)

  @parameterized.parameters('mean', 'median', 'sample')
  def test_baselines_of_every_form(self, strategy):
    expected = self.ig.baselines_of([_RAW], strategy, num_rows=3)
    forms = [_frame(), _frame().to_dict('records')]
    if tf.executing_eagerly():
      # Padded, where there is any number of values.
      forms.append({key: _eager_forms(key)['tensor'] for key in _RAW})
      forms.append(
        {
          key: _eager_forms(key).get('sparse', value)
          for key, value in _RAW.items()
        }
      )
    for examples in forms:
      baselines = self.ig.baselines_of([examples], strategy, num_rows=3)
      self.assertEqual(set(baselines), set(expected))
      for key in expected:
        self.assertEqual(
          np.array(baselines[key], object).tolist(),
          np.array(expected[key], object).tolist(),
        )

  @parameterized.parameters(
    ({}, 0),
    ({'color': None, 'tag': np.nan, 'seen': pd.NA}, 1),
    ({'words': []}, 2),
    ({'words': [], 'weight': [], 'item': []}, 2),
  )
  def test_one_raw_baseline(self, changes, row):
    """A row of a frame, or a dict of single values, is one example."""
    one = _frame().iloc[row]
    expected = self.ig.attribute(
      _RAW,
      baselines={
        key: [[]] if key in changes else values[row : row + 1]
        for key, values in _RAW.items()
      },
    )
    one = pd.Series({**one, **changes})
    for baselines in (one, dict(one), [dict(one)], one.to_frame().T):
      for examples in (_RAW, _frame()):
        result = self.ig.attribute(examples, baselines=baselines)
        for column in result.columns:
          np.testing.assert_array_equal(
            result.values[column], expected.values[column]
          )


if __name__ == '__main__':
  absltest.main()
