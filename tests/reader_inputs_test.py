"""The same rows give the same bits, in whatever form they are given."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

# Columns in the model's order: 'color_embedding' (2), 'count' (1),
# 'kind_indicator' (3), 'seen_indicator' (4), 'size' (2).
_TABLE = np.float32([[1, -1], [0.5, 2], [-2, 0.25]])
_NETWORK = numpy_network.whole_numbers(5, [12, 6, 3])
_RAGGED = {
  'color': [[b'red'], [b'green', b'blue'], [], [b'blue']],
  'seen': [[0, 3], [], [1], [2, 2]],
}
_FIXED = {
  'count': np.float32([[3], [0], [-2], [1]]),
  'kind': np.int64([[2], [0], [1], [1]]),
  'size': np.float32([[1, 2], [-0.5, 0], [3, 1.25], [0, -2]]),
}
_RAW = dict(_RAGGED, **_FIXED)
# What those are after the columns, worked out by hand. The embedding is the
# mean over the colors (blue, green, red are rows 2, 1, 0 of the table).
_PROCESSED = np.float64(
  [
    [1, -1, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2],
    [-0.75, 1.125, 0, 1, 0, 0, 0, 0, 0, 0, -0.5, 0],
    [0, 0, -2, 0, 1, 0, 0, 1, 0, 0, 3, 1.25],
    [-2, 0.25, 1, 0, 1, 0, 0, 0, 2, 0, 0, -2],
  ]
)


def _columns():
  fc = tf.feature_column
  color = fc.categorical_column_with_vocabulary_list(
    'color', ['red', 'green', 'blue']
  )
  return [
    fc.numeric_column('size', shape=(2,)),
    fc.numeric_column('count'),
    fc.embedding_column(color, 2),
    fc.indicator_column(fc.categorical_column_with_identity('seen', 4)),
    fc.indicator_column(fc.categorical_column_with_identity('kind', 3)),
  ]


def _sparse(lists, dtype):
  return tf.SparseTensorValue(
    np.array([(i, j) for i, row in enumerate(lists) for j in range(len(row))]),
    np.array([value for row in lists for value in row], dtype),
    np.array([len(lists), 2]),
  )


_RECEIVERS = ('examples', 'raw', 'sparse')

# Name of a form: what of `_RAW` is given in another way.
_FORMS = {
  'lists': {},
  'arrays': {
    'color': np.array(
      [[b'red', b''], [b'green', b'blue'], [b'', b''], [b'blue', b'']]
    ),
    'seen': np.array([[0, 3], [-1, -1], [1, -1], [2, 2]]),
  },
  'object_arrays': {
    'color': np.array(
      [[b'red', None], [b'green', b'blue'], [None, None], [b'blue', None]],
      object,
    ),
    'seen': np.array([[0, 3], [None, None], [1, None], [2, 2]], object),
  },
  'text': {
    'color': [['red'], ['green', 'blue'], [], ['blue']],
  },
  'text_array': {
    'color': np.array([['red', ''], ['green', 'blue'], ['', ''], ['blue', '']]),
  },
  'arrays_of_arrays': {
    'color': [np.array(row, 'S') for row in _RAGGED['color']],
    'seen': [np.array(row, np.int32) for row in _RAGGED['seen']],
  },
  'tuples_and_none': {
    'color': (('red',), ('green', 'blue'), None, ('blue',)),
    'seen': ((0, 3), None, (1,), (2, 2)),
  },
  'sparse_tensor_values': {
    'color': _sparse(_RAGGED['color'], object),
    'seen': _sparse(_RAGGED['seen'], np.int64),
  },
  'sparse_tensor_values_of_int32': {
    'seen': _sparse(_RAGGED['seen'], np.int32),
  },
  'without_the_last_dimension': {
    'count': _FIXED['count'][:, 0],
    'kind': _FIXED['kind'][:, 0],
  },
  'lists_of_numbers': {key: value.tolist() for key, value in _FIXED.items()},
  'integers_for_floats': {
    'count': np.int32([[3], [0], [-2], [1]]),
  },
  'lists_of_integers_for_floats': {'count': [3, 0, -2, 1]},
  'bytes_for_floats': {'count': np.int8([3, 0, -2, 1])},
  'float64': {
    'count': np.float64(_FIXED['count']),
    'size': np.float64(_FIXED['size']),
  },
  'whole_floats_for_integers': {'kind': np.float32(_FIXED['kind'])},
  'int32_for_int64': {'kind': np.int32(_FIXED['kind'])},
}


class ReaderInputsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    table = {
      'dnn/input_from_feature_columns/input_layer/color_embedding/'
      'embedding_weights': _TABLE
    }
    cls.explainers = {
      receiver: tfda.IntegratedGradients(
        network_export.export(_NETWORK, _columns(), table, receiver)
      )
      for receiver in _RECEIVERS
    }

  @classmethod
  def tearDownClass(cls):
    for explainer in cls.explainers.values():
      explainer.close()
    super().tearDownClass()

  def _check(self, examples, receiver, rows=(0, 1, 2, 3), **arguments):
    """Compares with the float64 network at the processed values, bit by bit."""
    result = self.explainers[receiver].attribute(
      examples, targets='all', method='midpoint', num_steps=64, **arguments
    )
    self.assertEqual(
      result.columns,
      ['color_embedding', 'count', 'kind_indicator', 'seen_indicator', 'size'],
    )
    values = np.concatenate(
      [result.values[name] for name in result.columns], axis=-1
    )
    nodes = (np.arange(64)[:, np.newaxis] + 0.5) / 64
    x = _PROCESSED[list(rows)]
    expected = [_NETWORK.gradients(nodes * row).mean(axis=0) * row for row in x]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(result.outputs, _NETWORK.outputs(x))

  @parameterized.product(form=list(_FORMS), receiver=_RECEIVERS)
  def test_raw_features(self, form, receiver):
    self._check(dict(_RAW, **_FORMS[form]), receiver)

  @parameterized.product(receiver=_RECEIVERS, max_rows=[None, 1, 3])
  def test_serialized_examples(self, receiver, max_rows):
    self._check(network_export.examples(**_RAW), receiver, max_rows=max_rows)

  @parameterized.parameters(*_RECEIVERS)
  def test_other_containers_of_serialized_examples(self, receiver):
    examples = network_export.examples(**_RAW)
    self._check(tuple(examples), receiver)
    self._check(np.array(examples, object), receiver)
    self._check((example for example in examples), receiver)

  @parameterized.product(receiver=_RECEIVERS, max_rows=[1, 3])
  def test_raw_features_in_parts(self, receiver, max_rows):
    for form in ('lists', 'arrays', 'sparse_tensor_values'):
      examples = dict(_RAW, **_FORMS[form])
      self._check(examples, receiver, max_rows=max_rows)

  @parameterized.parameters(*_RECEIVERS)
  def test_one_row(self, receiver):
    for row in range(4):
      one = {key: values[row : row + 1] for key, values in _RAW.items()}
      self._check(one, receiver, rows=[row])
      self._check(network_export.examples(**one), receiver, rows=[row])

  @parameterized.parameters(*_RECEIVERS)
  def test_features_that_the_model_does_not_read(self, receiver):
    # A tf.Example may have more of them; that is what it is for.
    more = dict(_RAW, unused=[[1.0]] * 4)
    self._check(network_export.examples(**more), receiver)

  @parameterized.parameters(*_RECEIVERS)
  def test_what_the_model_tells_of_its_features(self, receiver):
    model = self.explainers[receiver].model
    self.assertEqual(model.takes_examples, receiver == 'examples')
    told = {
      key: (feature.dtype, feature.shape, feature.is_sparse)
      for key, feature in model.features.items()
    }
    shape = [None] if receiver == 'raw' else None
    any_length = shape, receiver != 'raw'
    self.assertEqual(
      told,
      {
        'color': (tf.string,) + any_length,
        'count': (tf.float32, [1], False),
        'kind': (tf.int64,) + any_length,
        'seen': (tf.int64,) + any_length,
        'size': (tf.float32, [2], False),
      },
    )


class EveryKindOfColumnTest(parameterized.TestCase):
  @parameterized.parameters(*model_cases.CASES)
  def test_column(self, name):
    case = model_cases.CASES[name]
    serialized = case.serialized_examples()
    # Enough units that some are on, whatever the initial values are.
    export_dir = model_cases.annotated_export(
      name, 'multi_class', hidden_units=(16, 8)
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      results = [
        ig.attribute(examples, targets='all', num_steps=8, method='midpoint')
        for examples in (serialized, case.raw_features(), case.dense_features())
      ]
      of_itself = ig.attribute(
        serialized[:3], baselines=serialized[1], targets='all'
      )
    # All forms are the same rows.
    self.assertGreater(np.abs(results[0].per_column()).max(), 0)
    for result in results[1:]:
      self.assertEqual(result.columns, results[0].columns)
      for column in result.columns:
        np.testing.assert_array_equal(
          result.values[column], results[0].values[column]
        )
      np.testing.assert_array_equal(result.outputs, results[0].outputs)
    # A row that is its own baseline has moved nothing.
    for value in of_itself.values.values():
      np.testing.assert_array_equal(value[1], np.zeros_like(value[1]))
    # The model sees it twice, among others and alone, and may round otherwise.
    atol = 50 * numpy_network.ROUNDOFF * (1 + np.abs(of_itself.outputs).max())
    np.testing.assert_allclose(
      of_itself.outputs[1], of_itself.baseline_outputs[1], rtol=0, atol=atol
    )
    np.testing.assert_allclose(of_itself.gap[1], 0, rtol=0, atol=atol)


class ZeroTest(parameterized.TestCase):
  @parameterized.product(
    activation=['relu', 'tanh'],
    output=['logits', 'probabilities'],
    method=['auto', 'gausslegendre', 'right'],
  )
  def test_a_column_that_nothing_depends_on(self, activation, output, method):
    network = numpy_network.random(7, [5, 6, 3], activation=activation)
    kernel = network.layers[0][0]
    kernel[1:3] = 0  # The rows of column 'b'.
    columns = [
      tf.feature_column.numeric_column(key, shape=(size,))
      for key, size in (('a', 1), ('b', 2), ('c', 2))
    ]
    export_dir = network_export.export(network, columns)
    rng = np.random.RandomState(0)
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute(
        {'a': rng.randn(4, 1), 'b': rng.randn(4, 2), 'c': rng.randn(4, 2)},
        targets='all',
        output=output,
        method=method,
      )
    np.testing.assert_array_equal(result.values['b'], np.zeros((4, 3, 2)))
    self.assertGreater(np.abs(result.values['a']).min(), 0)


if __name__ == '__main__':
  absltest.main()
