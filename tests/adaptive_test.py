"""Nodes are added until the tolerance is met, and no further."""

import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.explainers import convergence
from tf_dnn_annotations.integrals import quadrature


def _steps(places, signs, steepness, **arguments):
  """Returns a `Network` of sum_j signs[j] tanh(steepness (x_j - places[j]))."""
  return numpy_network.Network(
    [
      (steepness * np.eye(len(places)), -steepness * np.array(places)),
      (np.array(signs, float)[:, np.newaxis], np.zeros(1)),
    ],
    activation='tanh',
    is_classifier=False,
    **arguments,
  )


class AdaptiveTest(parameterized.TestCase):
  @parameterized.product(
    activation=['tanh', 'sigmoid', 'elu'],
    tolerance=[1e-2, 1e-3, 1e-5],
    output=['logits', 'probabilities'],
  )
  def test_meets_its_tolerance(self, activation, tolerance, output):
    network = numpy_network.random(1, [4, 8, 6, 3], activation=activation)
    x = np.float32(np.random.RandomState(0).randn(4, 4) * 2)
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', convergence.NotConverged)
        result = ig.attribute(
          {'x': x}, targets='all', output=output, tolerance=tolerance
        )
    missed = [
      row
      for warning in caught
      if warning.category is convergence.NotConverged
      for row in warning.message.rows
    ]
    for row in range(4):
      expected = network.attributions(np.float64(x[row]), np.zeros(4), output)
      error = np.abs(result.values['x'][row] - expected).sum(axis=1)
      scale = np.abs(expected).sum(axis=1)
      if row in missed:
        # Float32 may be in the way of the smallest tolerance, but not of this.
        self.assertEqual(tolerance, 1e-5)
        np.testing.assert_array_less(error, 1e-4 * scale)
        continue
      # What is read: the columns' attributions, of each target.
      np.testing.assert_array_less(error, tolerance * scale)
      self.assertLessEqual(error.max(), result.error_estimate[row])
    self.assertLessEqual(result.num_steps.max(), quadrature.MAX_NUM_STEPS)

  @parameterized.product(
    unit=[1e-6, 1e-15, 1e6], activation=['tanh', 'sigmoid', 'elu', 'relu']
  )
  def test_meets_it_whatever_the_unit(self, unit, activation):
    network = numpy_network.random(
      3, [4, 16, 8, 1], activation=activation, is_classifier=False
    )
    kernel, bias = network.layers[-1]
    network = numpy_network.Network(
      network.layers[:-1] + [(kernel * unit, bias * unit)],
      activation=activation,
      is_classifier=False,
    )
    x = np.float32(np.random.RandomState(0).randn(5, 4) * 3)
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with warnings.catch_warnings():
        warnings.simplefilter('error', convergence.NotConverged)
        result = ig.attribute({'x': x})
    for row in range(5):
      expected = network.attributions(np.float64(x[row]), np.zeros(4))[0]
      error = np.abs(result.values['x'][row] - expected).sum()
      self.assertLess(error, 1e-3 * np.abs(expected).sum())
      self.assertLess(error, result.error_estimate[row])

  def test_meets_it_for_an_unlikely_class(self):
    network = numpy_network.random(6, [4, 16, 3], activation='tanh')
    kernel, bias = network.layers[-1]
    network = numpy_network.Network(
      network.layers[:-1] + [(kernel, bias - np.array([0, 0, 14.0]))],
      activation='tanh',
    )
    x = np.float32(np.random.RandomState(0).randn(5, 4) * 3)
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with warnings.catch_warnings():
        warnings.simplefilter('error', convergence.NotConverged)
        result = ig.attribute({'x': x}, targets=2, output='probabilities')
    self.assertLess(result.outputs.max(), 1e-4)
    for row in range(5):
      expected = network.attributions(
        np.float64(x[row]), np.zeros(4), 'probabilities'
      )[2]
      error = np.abs(result.values['x'][row] - expected).sum()
      self.assertLess(error, 1e-3 * np.abs(expected).sum())

  @parameterized.product(
    steepness=[30.0, 300.0, 3000.0],
    places=[(0.5, 0.5), (0.3, 0.37), (0.123, 0.777), (0.9, 0.95)],
  )
  def test_finds_narrow_steps_that_cancel(self, steepness, places):
    # 2 and -2, and the output moves by 0.
    network = _steps(places, [1, -1], steepness)
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute({'x': np.ones((1, 2))})
    ends = np.tanh(steepness * (np.array([[0.0], [1.0]]) - places))
    expected = (ends[1] - ends[0]) * [1, -1]
    # Twice the tolerance, and steps from which float32's x are one rounding,
    # 6e-8 of it, away.
    np.testing.assert_allclose(
      result.values['x'][0], expected, atol=4e-3 + steepness * 6e-8
    )

  def test_too_few_steps_to_find_them_are_told(self):
    network = _steps((0.3, 0.37), [1, -1], 3000.0)
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertWarnsRegex(convergence.NotConverged, 'Raise `num_steps`'):
        ig.attribute({'x': np.ones((1, 2))}, num_steps=50)

  def test_only_unconverged_rows_go_on(self):
    network = numpy_network.random(2, [4, 8, 3], activation='tanh')
    # The first row is its own baseline, the last one far away from it.
    x = np.float32([[0, 0, 0, 0], [0.1, 0, 0, 0], [40, -30, 20, 50]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with warnings.catch_warnings():
        warnings.simplefilter('error', convergence.NotConverged)
        result = ig.attribute({'x': x}, targets=0, tolerance=1e-4)
    self.assertEqual(result.num_steps[0], 15)  # One segment.
    self.assertLess(result.num_steps[1], result.num_steps[2])
    np.testing.assert_array_equal(result.values['x'][0], 0)

  def test_one_call_for_each_node(self):
    network = numpy_network.random(3, [4, 8, 3], activation='tanh')
    x = np.float32([[9, -8, 7, 6]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      ig.attribute({'x': x}, targets=0)
      calls = ig.model.num_calls
      result = ig.attribute({'x': x}, targets=0, tolerance=1e-5, max_rows=1)
      calls = ig.model.num_calls - calls
    # And one for the row; that of zeros as a baseline was kept.
    self.assertEqual(calls, result.num_steps[0] + 1)

  @parameterized.parameters((1, 15), (15, 15), (44, 15), (45, 45), (300, 285))
  def test_num_steps_is_the_most(self, num_steps, expected):
    # Kinks everywhere, and a tolerance that cannot be met.
    network = numpy_network.random(4, [4, 30, 20, 3], activation='elu')
    x = np.float32([[9, -8, 7, 6], [3, 4, -5, 1]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertWarns(convergence.NotConverged):
        result = ig.attribute(
          {'x': x}, targets=0, num_steps=num_steps, tolerance=1e-9
        )
    # Segments of 15 nodes; to halve one takes 30 more.
    self.assertLessEqual(result.num_steps.max(), max(15, num_steps))
    self.assertEqual(result.num_steps[0], expected)

  def test_says_how_many_rows_missed_the_cap(self):
    network = numpy_network.random(4, [4, 8, 3], activation='tanh')
    x = np.float32([[0, 0, 0, 0], [90, -80, 70, 60]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertWarnsRegex(
        RuntimeWarning, r'1 of 2 rows \(row 1 is the .*Raise `num_steps`'
      ):
        result = ig.attribute({'x': x}, targets=0, num_steps=9, tolerance=1e-6)
      self.assertEqual(result.num_steps.tolist(), [15, 15])  # The fewest.
      self.assertGreater(result.error_estimate[1], 0)
      with warnings.catch_warnings():
        warnings.simplefilter('error')
        ig.attribute({'x': x[1:] / 100}, targets=0, tolerance=1e-3)

  def test_says_where_float32_is_the_limit(self):
    # One row moves the output, which is near 1000, by its roundings alone.
    network = numpy_network.Network(
      [(np.eye(2), np.zeros(2)), (np.ones((2, 1)), np.array([1000.0]))],
      activation='tanh',
      is_classifier=False,
    )
    x = np.float32([[1, 2], [1e-5, -2e-5]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertWarnsRegex(
        convergence.NotConverged, '1 of 2 .*float32 knows the output'
      ) as caught:
        result = ig.attribute({'x': x})
    self.assertEqual(caught.warning.rows, [1])
    self.assertEqual(caught.warning.limited_rows, [1])
    self.assertNotIn('num_steps', str(caught.warning))
    # It does not go on for nothing.
    self.assertLess(result.num_steps.max(), 100)
    np.testing.assert_allclose(result.values['x'], np.tanh(x), rtol=1e-4)

  @parameterized.parameters(0, -1.0, 'small')
  def test_refuses_a_tolerance_that_is_none(self, tolerance):
    network = numpy_network.random(5, [4, 8, 3], activation='tanh')
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertRaisesRegex(ValueError, '`tolerance`.*Leave it out'):
        ig.attribute({'x': np.zeros((1, 4))}, tolerance=tolerance)


if __name__ == '__main__':
  absltest.main()
