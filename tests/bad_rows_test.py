"""A bad row costs that row: the others of its batch are explained."""

import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.explainers import bad_rows

# Without an activation function, an attribution is the change of the input
# times the weight.
_RNG = np.random.RandomState(0)
_NETWORK = numpy_network.Network(
  [(_RNG.randn(4, 3), _RNG.randn(3)), (_RNG.randn(3, 3), _RNG.randn(3))],
  activation='identity',
)
_WEIGHTS = _NETWORK.layers[0][0] @ _NETWORK.layers[1][0]
_TOLERANCE = 1e-4  # Of float32 sums of a dozen products of numbers below 10.


class BadRowsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Side by side: age, pair (2), tag_indicator (1).
    columns = [
      tf.feature_column.numeric_column('age'),
      tf.feature_column.numeric_column('pair', shape=(2,)),
      tf.feature_column.indicator_column(
        tf.feature_column.categorical_column_with_vocabulary_list('tag', ['a'])
      ),
    ]
    cls.explainers = {
      receiver: tfda.IntegratedGradients(
        network_export.export(_NETWORK, columns, receiver=receiver)
      )
      for receiver in ('examples', 'sparse')
    }

  @classmethod
  def tearDownClass(cls):
    for explainer in cls.explainers.values():
      explainer.close()
    super().tearDownClass()

  def setUp(self):
    super().setUp()
    rng = np.random.RandomState(1)
    self.x = rng.uniform(-5, 5, [8, 4])
    self.x[:, 3] = [i % 2 for i in range(8)]
    self.tags = [[b'a'] if tag else [] for tag in self.x[:, 3]]

  def _examples(self, x):
    return network_export.examples(
      age=x[:, :1].tolist(), pair=x[:, 1:3].tolist(), tag=self.tags
    )

  def _check(self, result, rows, target=1):
    values = np.concatenate(
      [result.values[name] for name in result.columns], axis=-1
    )
    np.testing.assert_allclose(
      values, self.x[rows] * _WEIGHTS[:, target], atol=_TOLERANCE
    )

  def _bad_examples(self):
    """Returns (examples, {index of a bad one: a word of the reason})."""
    x = self.x.copy()
    x[1, 0] = np.nan
    x[6, 2] = np.inf
    examples = self._examples(x)
    examples[3] = b'no tf.Example'
    examples[4] = network_export.examples(age=[[1.0]], tag=[[b'a']])[0]
    return examples, {1: "'age'", 3: 'parse', 4: 'pair', 6: "'pair'"}

  def test_the_default_is_strict(self):
    examples, _ = self._bad_examples()
    with self.assertRaisesRegex(ValueError, '^row [1346]: '):
      list(self.explainers['examples'].attribute_batches([examples]))

  @parameterized.parameters(None, 1, 3)
  def test_skip_warns_with_rows_and_reasons(self, max_rows):
    examples, reasons = self._bad_examples()
    good = [0, 2, 5, 7]
    for explainer in self.explainers.values():
      with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', RuntimeWarning)
        results = list(
          explainer.attribute_batches(
            [self._examples(self.x), examples],
            on_error='skip',
            targets=1,
            max_rows=max_rows,
          )
        )
      self._check(results[0], list(range(8)))
      self._check(results[1], good)
      (warning,) = [
        warning.message
        for warning in caught
        if isinstance(warning.message, bad_rows.SkippedRows)
      ]
      self.assertEqual(warning.batch, 1)
      self.assertEqual(warning.rows, sorted(reasons))
      for row, reason in zip(warning.rows, warning.reasons):
        self.assertIn(reasons[row], reason)
      self.assertRegex(str(warning), 'batch 1, 4 of 8 rows .*first: row 1: ')

  def test_a_function_gets_the_errors(self):
    examples, reasons = self._bad_examples()
    got = []
    with warnings.catch_warnings():
      warnings.simplefilter('error', bad_rows.SkippedRows)
      (result,) = self.explainers['examples'].attribute_batches(
        [examples], on_error=lambda *arguments: got.append(arguments), targets=1
      )
    self._check(result, [0, 2, 5, 7])
    ((batch, num_rows, errors),) = got
    self.assertEqual((batch, num_rows), (0, 8))
    self.assertEqual([error.row for error in errors], sorted(reasons))

    def stop(*_):
      raise KeyError('enough')

    with self.assertRaises(KeyError):
      list(
        self.explainers['examples'].attribute_batches([examples], on_error=stop)
      )

  def test_raw_features_and_what_is_given_by_row(self):
    raw = {
      'age': self.x[:, 0].copy(),
      'pair': self.x[:, 1:3].copy(),
      'tag': self.tags,
    }
    raw['age'][[0, 7]] = np.nan
    raw['pair'][3, 1] = -np.inf
    good = [1, 2, 4, 5, 6]
    targets = np.arange(8) % 3
    starts = self.x[::-1, :1]
    for explainer in self.explainers.values():
      with self.assertWarns(bad_rows.SkippedRows):
        (result,) = explainer.attribute_batches(
          [raw],
          on_error='skip',
          targets=targets,
          baselines=tfda.ColumnValues(age=starts),
        )
      self.assertEqual(result.targets.tolist(), targets[good].tolist())
      np.testing.assert_allclose(
        result.values['age'][:, 0],
        (self.x[:, 0] - starts[:, 0])[good] * _WEIGHTS[0, targets[good]],
        atol=_TOLERANCE,
      )

  def test_what_the_model_cannot_compute_is_a_bad_row(self):
    x = self.x.copy()
    x[2, 0] = 3e38  # Times a weight it is infinite.
    x[2, 1:3] = 3e38
    with self.assertWarns(bad_rows.SkippedRows) as caught:
      (result,) = self.explainers['examples'].attribute_batches(
        [self._examples(x)], on_error='skip', targets=1
      )
    self.assertEqual(caught.warning.rows, [2])
    self.assertIn('too large for float32', caught.warning.reasons[0])
    self._check(result, [0, 1, 3, 4, 5, 6, 7])

  def test_a_batch_may_have_no_good_row(self):
    with self.assertWarns(bad_rows.SkippedRows):
      (result,) = self.explainers['examples'].attribute_batches(
        [[b'bad']], on_error='skip', targets='all'
      )
    self.assertEqual(result.outputs.shape, (0, 3))

  def test_a_thousand_bad_rows_cost_little_more_than_the_good_ones(self):
    examples, _ = self._bad_examples()
    bad = [examples[i] for i in (1, 3, 4, 6)]
    batch = (self._examples(self.x)[:1] + bad) * 250
    explainer = self.explainers['examples']
    num_rows = []
    points_of_examples = explainer.model.points_of_examples

    def counted(examples, *arguments):
      num_rows.append(len(examples))
      return points_of_examples(examples, *arguments)

    explainer.model.points_of_examples = counted
    try:
      with self.assertWarns(bad_rows.SkippedRows) as caught:
        (result,) = explainer.attribute_batches([batch], on_error='skip')
    finally:
      del explainer.model.points_of_examples
    self.assertLen(result.outputs, 250)
    self.assertLen(caught.warning.rows, 1000)
    # log2(1250) halvings; not the thousand runs of one row after the other.
    self.assertLess(sum(num_rows), 12 * len(batch))

  def test_baselines_stay_strict(self):
    examples, _ = self._bad_examples()
    with self.assertRaisesRegex(ValueError, '`baselines`: row'):
      list(
        self.explainers['examples'].attribute_batches(
          [self._examples(self.x)], on_error='skip', baselines=examples
        )
      )

  def test_on_error_is_one_of_three(self):
    for on_error in ('ignore', None, 7):
      with self.assertRaisesRegex(
        ValueError, "`on_error` must be 'raise', 'skip' or a f.*Use 'skip'"
      ):
        self.explainers['examples'].attribute_batches([], on_error=on_error)


if __name__ == '__main__':
  absltest.main()
