"""The feature values of examples come back as they were given or parsed."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_AGES = [[1.5], [-2.0], [0.25]]
_PAIRS = [[1, 2], [3, 4], [-5, 0]]
_COLORS = [['red', 'blue'], [], ['grün']]


def _columns():
  fc = tf.feature_column
  color = fc.categorical_column_with_vocabulary_list('color', ['red', 'blue'])
  return [
    fc.numeric_column('age'),
    fc.numeric_column('pair', (2,), dtype=tf.int64),
    fc.indicator_column(color),
  ]


def _network():
  return numpy_network.whole_numbers(1, [5, 4, 3])


def _serialized(**others):
  encoded = [[text.encode() for text in texts] for texts in _COLORS]
  return network_export.examples(
    age=_AGES, pair=_PAIRS, color=encoded, **others
  )


class GivenFeaturesTest(parameterized.TestCase):
  def _check(self, values, expected):
    """Compares values with lists; arrays must have the right types."""
    self.assertEqual(list(values), list(expected))
    for key, (rows, dtype) in expected.items():
      if isinstance(values[key], list):
        self.assertEqual([row.tolist() for row in values[key]], rows)
        self.assertEqual({row.dtype for row in values[key]}, {np.dtype(dtype)})
      else:
        self.assertEqual(values[key].tolist(), rows)
        self.assertEqual(values[key].dtype, dtype)

  @property
  def _expected(self):
    return {
      'age': ([1.5, -2.0, 0.25], np.float32),
      'color': (_COLORS, object),
      'pair': (_PAIRS, np.int64),
    }

  @parameterized.product(receiver=('examples', 'sparse'), chunk=(2, 100))
  def test_serialized(self, receiver, chunk):
    export_dir = network_export.export(_network(), _columns(), None, receiver)
    with tfda.IntegratedGradients(export_dir) as ig:
      ig.model.rows_per_call = chunk
      self._check(ig.model.given_features(_serialized()), self._expected)

  @parameterized.parameters('examples', 'sparse', 'raw')
  def test_any_keys_of_serialized_examples(self, receiver):
    examples = _serialized(
      id=[[7], [8], [9]],
      name=[[b'a', b'\xff'], [], [b'']],
      score=[[], [], [2.5]],
    )
    export_dir = network_export.export(_network(), _columns(), None, receiver)
    with tfda.IntegratedGradients(export_dir) as ig:
      values = ig.model.given_features(examples, ['id', 'name', 'pair', 'no'])
      score = ig.model.given_features(examples, ['score'])['score']
    self._check(
      {key: values.pop(key) for key in ('id', 'name', 'pair')},
      {
        'id': ([[7], [8], [9]], np.int64),
        'name': ([['a', '\\xff'], [], ['']], object),
        'pair': (_PAIRS, np.int64),
      },
    )
    self.assertEqual([row.tolist() for row in values['no']], [[], [], []])
    self.assertEqual([row.tolist() for row in score], [[], [], [2.5]])

  @parameterized.product(receiver=('examples', 'sparse', 'raw'), chunk=(2, 100))
  def test_raw(self, receiver, chunk):
    export_dir = network_export.export(_network(), _columns(), None, receiver)
    raw = {'age': _AGES, 'pair': np.array(_PAIRS), 'color': _COLORS}
    if receiver == 'examples':
      # What it receives are tf.Examples, and it computes features of them.
      raw['age'] = np.ravel(_AGES)
    with tfda.IntegratedGradients(export_dir) as ig:
      ig.model.rows_per_call = chunk
      self._check(ig.model.given_features(raw), self._expected)
      rows = [{key: values[i] for key, values in raw.items()} for i in range(3)]
      self._check(
        ig.model.given_features(rows, ['color']),
        {'color': (_COLORS, object)},
      )

  def test_a_feature_that_a_receiver_computes_is_what_the_model_reads(self):
    def receiver_fn():
      received = tf.placeholder(tf.string, [None])
      parsed = tf.io.parse_example(
        received, {'year': tf.io.FixedLenFeature([1], tf.int64)}
      )
      return tf.estimator.export.ServingInputReceiver(
        {'age': 2020.0 - tf.cast(parsed['year'], tf.float32)}, received
      )

    export_dir = network_export.export(
      numpy_network.whole_numbers(1, [1, 4, 3]),
      [tf.feature_column.numeric_column('age')],
      None,
      receiver_fn,
    )
    examples = network_export.examples(year=[[1990], [2000]])
    with tfda.IntegratedGradients(export_dir) as ig:
      self._check(
        ig.model.given_features(examples, ['age', 'year']),
        {
          'age': ([30.0, 20.0], np.float32),
          'year': ([[1990], [2000]], np.int64),
        },
      )

  @parameterized.parameters('examples', 'raw')
  def test_no_rows(self, receiver):
    export_dir = network_export.export(_network(), _columns(), None, receiver)
    with tfda.IntegratedGradients(export_dir) as ig:
      values = ig.model.given_features([], ['age', 'color', 'pair', 'id'])
    self.assertEqual(values['age'].shape, (0,))
    self.assertEqual(values['pair'].shape, (0, 2))
    self.assertEqual((values['color'], values['id']), ([], []))

  def test_a_fixed_batch_size(self):
    def receiver_fn():
      received = tf.placeholder(tf.string, [2])
      features = tf.io.parse_example(
        received, tf.feature_column.make_parse_example_spec(_columns())
      )
      return tf.estimator.export.ServingInputReceiver(features, received)

    export_dir = network_export.export(
      _network(), _columns(), None, receiver_fn
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self._check(ig.model.given_features(_serialized()), self._expected)

  def test_errors(self):
    export_dir = network_export.export(_network(), _columns(), None, 'raw')
    raw = {'age': _AGES, 'pair': _PAIRS, 'color': _COLORS}
    with tfda.IntegratedGradients(export_dir) as ig:
      with self.assertRaisesRegex(
        ValueError, r"`keys` must be .*got \['ages'\]\. .*serialized"
      ):
        ig.model.given_features(raw, ['ages'])
      for keys in (None, ['id']):
        with self.assertRaisesRegex(tfda.RowError, 'row 1: Could not parse'):
          ig.model.given_features([_serialized()[0], b'no example'], keys)


if __name__ == '__main__':
  absltest.main()
