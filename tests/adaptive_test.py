"""Nodes are added until the tolerance is met, and no further."""

import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests import network_export
from tests import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations import quadrature

_RNG = np.random.RandomState(0)


class AdaptiveTest(parameterized.TestCase):
  @parameterized.product(
    activation=['tanh', 'sigmoid', 'elu'],
    tolerance=[1e-2, 1e-3, 1e-5],
    output=['logits', 'probabilities'],
  )
  def test_meets_its_tolerance(self, activation, tolerance, output):
    network = numpy_network.random(1, [4, 8, 6, 3], activation=activation)
    x = np.float32(_RNG.randn(4, 4) * 2)
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute(
        {'x': x}, targets='all', output=output, tolerance=tolerance
      )
    for row in range(2):
      expected = network.attributions(np.float64(x[row]), np.zeros(4), output)
      bound = network.rounding(np.float64(x[row]), np.zeros(4), output)[0]
      # The tolerance is relative to the sum over the first layer's units,
      # which are more and larger than the columns' attributions: the kernel's
      # entries between them are of size 1.
      scale = np.abs(network.pre_activations(np.float64(x[row : row + 1]))[0])
      error = np.abs(result.values['x'][row] - expected)
      self.assertLessEqual(
        error.max(), tolerance * 10 * scale.sum() + bound.max() + 1e-6
      )
    self.assertLessEqual(result.num_nodes.max(), quadrature.MAX_NUM_NODES)

  def test_only_unconverged_rows_go_on(self):
    network = numpy_network.random(2, [4, 8, 3], activation='tanh')
    # The first row is its own baseline, the last one far away from it.
    x = np.float32([[0, 0, 0, 0], [0.1, 0, 0, 0], [40, -30, 20, 50]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute({'x': x}, targets=0, tolerance=1e-4)
    self.assertEqual(result.num_nodes[0], 15)  # One segment.
    self.assertLess(result.num_nodes[1], result.num_nodes[2])
    np.testing.assert_array_equal(result.values['x'][0], 0)

  def test_points_are_reused(self):
    network = numpy_network.random(3, [4, 8, 3], activation='tanh')
    x = np.float32([[9, -8, 7, 6]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      ig.attribute({'x': x}, targets=0)
      calls = ig.model.num_calls
      result = ig.attribute({'x': x}, targets=0, tolerance=1e-5, max_rows=1)
      calls = ig.model.num_calls - calls
    # One call for each node and one for the row; that of zeros as a baseline
    # was kept.
    self.assertEqual(calls, result.num_nodes[0] + 1)

  def test_says_how_many_rows_missed_the_cap(self):
    network = numpy_network.random(4, [4, 8, 3], activation='tanh')
    x = np.float32([[0, 0, 0, 0], [90, -80, 70, 60]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertWarnsRegex(
        RuntimeWarning, r'1 of 2 rows \(row 1 is the .*Raise `num_steps`'
      ):
        result = ig.attribute({'x': x}, targets=0, num_steps=9, tolerance=1e-6)
      self.assertEqual(result.num_nodes.tolist(), [15, 15])  # The fewest.
      self.assertGreater(result.error_estimate[1], 0)
      with warnings.catch_warnings():
        warnings.simplefilter('error')
        ig.attribute({'x': x[1:] / 100}, targets=0, tolerance=1e-3)

  @parameterized.parameters(0, -1.0, 'small')
  def test_refuses_a_tolerance_that_is_none(self, tolerance):
    network = numpy_network.random(5, [4, 8, 3], activation='tanh')
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertRaisesRegex(ValueError, '`tolerance`.*Leave it out'):
        ig.attribute({'x': np.zeros((1, 4))}, tolerance=tolerance)


if __name__ == '__main__':
  absltest.main()
