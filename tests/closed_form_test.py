"""Attributions are those that float64 arithmetic gives, on chosen weights."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_RNG = np.random.RandomState(0)
_X = np.float32(_RNG.randn(5, 4) * 2)
_BASELINE = np.float32(_RNG.randn(1, 4))

# Hidden units relu(x0 + 2 x1 - 1) and relu(x1); logit 4 h0 - 2 h1 + 0.5. All
# of them, and the powers of two below, are float32 numbers without rounding.
_ONE_CROSSING = numpy_network.Network(
  [
    ([[1, 0], [2, 1]], [-1, 0]),
    ([[4], [-2]], [0.5]),
  ]
)


def _attribute(network, x, export_arguments=(), **arguments):
  export_dir = network_export.export(network, **dict(export_arguments))
  with tfda.IntegratedGradients(export_dir) as ig:
    return ig.attribute({'x': x}, targets='all', **arguments)


class ClosedFormTest(parameterized.TestCase):
  def _check(self, network, output='logits', **arguments):
    """Compares a network's attributions with its float64 form."""
    result = _attribute(
      network,
      _X,
      baselines={'x': _BASELINE},
      output=output,
      **arguments,
    )
    x, baseline = np.float64(_X), np.float64(_BASELINE[0])
    expected = np.array([network.attributions(r, baseline, output) for r in x])
    bounds = np.array([network.rounding(row, baseline, output)[0] for row in x])
    output_bounds = [network.rounding(r, baseline, output)[1] for r in x]
    # Something to compare: far more than rounding.
    self.assertGreater(np.abs(expected).max(), 500 * bounds.max())
    # What the reference itself may be off by is 1e-8.
    np.testing.assert_array_less(
      np.abs(result.values['x'] - expected), bounds + 1e-8
    )
    np.testing.assert_array_less(
      np.abs(result.outputs - network.outputs(x, output)), output_bounds
    )
    baseline_outputs = network.outputs(baseline[np.newaxis], output)
    np.testing.assert_array_less(
      np.abs(result.baseline_outputs - baseline_outputs), output_bounds
    )
    return result

  @parameterized.parameters(
    'gausslegendre', 'midpoint', 'trapezoid', 'left', 'right'
  )
  def test_linear_network_needs_the_fewest_nodes(self, method):
    network = numpy_network.random(1, [4, 5, 3, 3], activation='identity')
    kernels = [kernel for kernel, _ in network.layers]
    # Not by way of the reference: the product of the kernels, written out.
    slopes = (kernels[0] @ kernels[1] @ kernels[2]).T
    result = self._check(
      network, method=method, num_steps=2 if method == 'trapezoid' else 1
    )
    difference = np.float64(_X - _BASELINE)[:, np.newaxis]
    np.testing.assert_allclose(
      result.values['x'], difference * slopes, rtol=1e-4, atol=1e-5
    )

  def test_one_crossing(self):
    # From 0 to (1, 1), z0 = 3a - 1 is positive for the last 2/3 of the path,
    # z1 = a for all of it: dF/dx0 = 4 * 2/3, dF/dx1 = 8 * 2/3 - 2.
    # From 0 to (-1, 1), z0 = a - 1 never is: dF/dx0 = 0, dF/dx1 = -2.
    # From 0 to (3, -1), z0 = a - 1 and z1 = -a never are: all is 0.
    x = np.float32([[1, 1], [-1, 1], [3, -1]])
    expected = np.array([[8 / 3, 16 / 3 - 2], [0, -2], [0, 0]])
    # A crossing at 1/3 of the path: n cells see it off by 1/(6n) and less; the
    # slopes 4 and 8 behind it are the errors' factors.
    num_steps = 1024
    result = _attribute(
      _ONE_CROSSING, x, method='midpoint', num_steps=num_steps
    )
    errors = np.abs(result.values['x'][:, 1] - expected)
    np.testing.assert_array_less(errors, 8 / (2 * num_steps) + 1e-6)
    np.testing.assert_array_equal(result.values['x'][1:, 1], expected[1:])
    np.testing.assert_allclose(result.outputs[:, 1], [6.5, -1.5, 0.5])
    np.testing.assert_allclose(result.baseline_outputs[:, 1], [0.5, 0.5, 0.5])
    exact = _attribute(_ONE_CROSSING, x, method='exact')
    np.testing.assert_allclose(
      exact.values['x'][:, 1], expected, rtol=1e-6, atol=0
    )
    # The reference of the other tests agrees.
    np.testing.assert_allclose(
      [_ONE_CROSSING.attributions(row, 0 * row)[1] for row in np.float64(x)],
      expected,
      rtol=1e-14,
    )

  def test_a_crossing_at_a_cell_border_is_exact(self):
    # z0 = 4a - 1 switches at a quarter of the path: the border between the
    # first and the second of four cells. No rounding anywhere: the same bits.
    x = np.float32([[2, 1]])
    result = _attribute(_ONE_CROSSING, x, method='midpoint', num_steps=4)
    np.testing.assert_array_equal(
      result.values['x'][:, 1], [[2 * 4 * 0.75, 8 * 0.75 - 2]]
    )
    np.testing.assert_array_equal(result.gap, [[0, 0]])

  @parameterized.product(
    activation=['tanh', 'sigmoid', 'elu'],
    sizes=[(4, 5, 1), (4, 5, 3, 3)],
  )
  def test_smooth_activation(self, activation, sizes):
    # elu's derivative has kinks, where a rule of n nodes errs by 1/n**2.
    is_smooth = activation != 'elu'
    self._check(
      numpy_network.random(2, sizes, activation=activation),
      method='gausslegendre' if is_smooth else 'midpoint',
      num_steps=100 if is_smooth else 4000,
    )

  @parameterized.parameters('tanh', 'identity')
  def test_batch_norm_at_inference(self, activation):
    norms = numpy_network.random_batch_norms(4, [5, 3])
    self._check(
      numpy_network.random(
        3, [4, 5, 3, 3], activation=activation, batch_norms=norms
      ),
      method='gausslegendre',
      num_steps=100,
    )

  @parameterized.product(
    activation=['relu', 'leaky_relu', 'relu6', 'identity'],
    has_batch_norm=[False, True],
    sizes=[(4, 6, 1), (4, 6, 5, 3), (4, 5, 4, 3, 3)],
  )
  def test_exact_sum(self, activation, has_batch_norm, sizes):
    norms = numpy_network.random_batch_norms(8, sizes[1:-1])
    self._check(
      numpy_network.random(
        7,
        sizes,
        activation=activation,
        batch_norms=norms if has_batch_norm else None,
      ),
      method='exact',
    )

  @parameterized.parameters(1, 2)
  def test_regressor(self, label_dimension):
    self._check(
      numpy_network.random(
        5,
        [4, 5, 3, label_dimension],
        activation='tanh',
        is_classifier=False,
      ),
      method='gausslegendre',
      num_steps=100,
    )

  @parameterized.product(
    num_logits=[1, 3], activation=['identity', 'tanh', 'sigmoid']
  )
  def test_probabilities(self, num_logits, activation):
    self._check(
      numpy_network.random(6, [4, 5, 3, num_logits], activation=activation),
      output='probabilities',
      method='gausslegendre',
      num_steps=300,
    )

  def test_logistic_regression_in_closed_form(self):
    # F = sigmoid(w.x + b): IG_i = (F(x) - F(x')) * w_i d_i / (w.d), d = x - x'.
    network = numpy_network.Network(
      [(np.eye(4), np.zeros(4)), ([[1], [-2], [0.5], [1.5]], [0.25])],
      activation='identity',
    )
    x, slopes = np.float64(_X), np.array([1, -2, 0.5, 1.5])
    probability = 1 / (1 + np.exp(-(x @ slopes + 0.25)))
    moved = probability - 1 / (1 + np.exp(-0.25))
    expected = (moved / (x @ slopes))[:, np.newaxis] * x * slopes
    result = _attribute(
      network, _X, output='probabilities', method='gausslegendre', num_steps=300
    )
    np.testing.assert_allclose(result.values['x'][:, 1], expected, atol=2e-6)
    np.testing.assert_allclose(result.values['x'][:, 0], -expected, atol=2e-6)


if __name__ == '__main__':
  absltest.main()
