"""Baselines of data are its mean, its median or a part of it."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_RNG = np.random.RandomState(0)
_AGES = np.float32(_RNG.exponential(size=(101, 1)))
_COLOURS = [[b'red'] if i % 4 else [b'blue'] for i in range(101)]


class BaselineStrategiesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    column = tf.feature_column
    export_dir = network_export.export(
      numpy_network.random(1, [3, 6, 5, 3]),
      columns=[
        column.numeric_column('age'),
        column.indicator_column(
          column.categorical_column_with_vocabulary_list(
            'colour', ['red', 'blue']
          )
        ),
      ],
    )
    cls.ig = tfda.IntegratedGradients(export_dir)

  @classmethod
  def tearDownClass(cls):
    cls.ig.close()
    super().tearDownClass()

  def _batches(self, is_serialized):
    for first in range(0, 101, 25):
      batch = {
        'age': _AGES[first : first + 25],
        'colour': _COLOURS[first : first + 25],
      }
      yield network_export.examples(**batch) if is_serialized else batch

  @parameterized.parameters(True, False)
  def test_mean(self, is_serialized):
    baselines = self.ig.baselines_of(self._batches(is_serialized))
    np.testing.assert_allclose(
      baselines['age'], np.mean(_AGES, dtype=np.float64), rtol=1e-6
    )
    # 26 of 101 are blue.
    np.testing.assert_allclose(
      baselines['colour_indicator'], [75 / 101, 26 / 101], rtol=1e-6
    )

  def test_median(self):
    baselines = self.ig.baselines_of(self._batches(True), strategy='median')
    np.testing.assert_allclose(baselines['age'], np.median(_AGES), rtol=1e-6)
    np.testing.assert_allclose(
      baselines['colour_indicator'], [75 / 101, 26 / 101], rtol=1e-6
    )

  @parameterized.parameters(True, False)
  def test_sample(self, is_serialized):
    sample, again, other = (
      self.ig.baselines_of(
        self._batches(is_serialized),
        strategy='sample',
        num_rows=7,
        seed=seed,
      )
      for seed in (1, 1, 2)
    )
    data = {'age': _AGES, 'colour': _COLOURS}
    examples = network_export.examples(**data) if is_serialized else data
    if is_serialized:
      self.assertLen(sample, 7)
      self.assertContainsSubset(sample, examples)
      self.assertEqual(sample, again)
      self.assertNotEqual(sample, other)
    else:
      np.testing.assert_array_equal(sample['age'], again['age'])
      self.assertContainsSubset(
        np.ravel(sample['age']).tolist(), np.ravel(_AGES).tolist()
      )
    # The mean over them, one by one.
    result = self.ig.attribute(examples, baselines=sample, targets=1)
    mean = 0
    for k in range(7):
      one = (
        sample[k]
        if is_serialized
        else {key: value[k : k + 1] for key, value in sample.items()}
      )
      mean = (
        mean
        + self.ig.attribute(examples, baselines=one, targets=1).per_column()
      )
    np.testing.assert_allclose(result.per_column(), mean / 7, atol=2e-6)

  def test_every_row_is_equally_likely(self):
    # 300 samples of 10 of 101: the mean place of a row is 50, its standard
    # deviation 29.2 / sqrt(3000) = 0.53; five of those.
    places = []
    rows = network_export.examples(
      age=[[float(i)] for i in range(101)], colour=_COLOURS
    )
    place_of = {row: i for i, row in enumerate(rows)}
    for seed in range(300):
      sample = self.ig.baselines_of([rows], 'sample', num_rows=10, seed=seed)
      self.assertLen(set(sample), 10)
      places.extend(place_of[row] for row in sample)
    self.assertAlmostEqual(np.mean(places), 50, delta=2.7)

  def test_batches_may_be_filled_again(self):
    """What is kept neither changes with a batch nor keeps it in memory."""
    age = np.zeros((3, 1), np.float32)

    def batches():
      for value in range(1, 6):
        age[:] = value
        yield {'age': age, 'colour': [[b'red']] * 3}

    # As many as there are, in the order in which they came.
    sample = self.ig.baselines_of(batches(), strategy='sample', num_rows=15)
    np.testing.assert_array_equal(
      sample['age'], np.repeat(np.arange(1, 6), 3)[:, np.newaxis]
    )
    self.assertEqual(sample['colour'], [[b'red']] * 15)
    self.assertIsNone(sample['age'].base)

  def test_refusals(self):
    with self.assertRaisesRegex(ValueError, '`strategy`.*mean'):
      self.ig.baselines_of([], strategy='mode')
    with self.assertRaisesRegex(ValueError, '`batches`.*training data'):
      self.ig.baselines_of([])
    with self.assertRaisesRegex(ValueError, '`num_rows`'):
      self.ig.baselines_of([], strategy='sample', num_rows=0)


class NearTest(absltest.TestCase):
  def test_warns_where_attributions_cancel(self):
    # F = 3 x0 - 3 x1, and x0 = x1.
    network = numpy_network.Network([([[3], [-3]], [0])])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertWarnsRegex(RuntimeWarning, 'Another baseline'):
        result = ig.attribute({'x': np.ones((1, 2))}, targets=1)
    np.testing.assert_allclose(result.values['x'], [[3, -3]])

  def test_warns_of_rows_that_are_their_baseline(self):
    network = numpy_network.random(2, [2, 3, 4])
    x = np.float32([[1, 2], [3, 4], [1, 2]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      for targets in ('all', 0):
        with self.assertWarnsRegex(
          RuntimeWarning, r'2 of 3 rows \(row 0 is the first\)'
        ) as caught:
          ig.attribute({'x': x}, baselines={'x': x[:1]}, targets=targets)
        self.assertEqual(caught.warning.rows, [0, 2])


if __name__ == '__main__':
  absltest.main()
