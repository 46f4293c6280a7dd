"""The float64 reference is right: the tests that use it rely on it."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import numpy_network

_X, _BASELINE = np.array([1.5, -2.0, 0.5]), np.array([-0.5, 1.0, 2.0])
_ACTIVATIONS = (
  *numpy_network.PIECEWISE_LINEAR,
  *('elu', 'mish', 'selu', 'sigmoid', 'softplus', 'softsign', 'swish', 'tanh'),
)
_CASES = parameterized.product(
  activation=_ACTIVATIONS,
  num_logits=[1, 3],
  output=['logits', 'probabilities'],
  batch_norm=[False, True],
)


def _network(activation, num_logits, batch_norm):
  # Wide enough for both kinks of ReLU6.
  network = numpy_network.random(1, (3, 8, 6, num_logits))
  return numpy_network.Network(
    [(3 * kernel, bias) for kernel, bias in network.layers],
    activation,
    numpy_network.random_batch_norms(2, [8, 6]) if batch_norm else None,
  )


class NumpyNetworkTest(parameterized.TestCase):
  def test_attributions_by_hand(self):
    # relu(2 x - 1) + relu(x): at x = 2 the first is on in the last 3/4.
    layers = [
      (np.array([[2.0, 1.0]]), np.array([-1.0, 0.0])),
      (np.array([[1.0], [1.0]]), np.array([0.0])),
    ]
    network = numpy_network.Network(layers, is_classifier=False)
    attributions = network.attributions(np.array([2.0]), np.zeros(1))
    np.testing.assert_allclose(attributions, [[2 * (2 * 0.75 + 1)]], rtol=1e-15)

  @_CASES
  def test_gradients_are_differences(
    self, activation, num_logits, output, batch_norm
  ):
    network = _network(activation, num_logits, batch_norm)
    step = 1e-6
    for unit in range(3):
      shift = step * np.eye(3)[[unit]]
      high, low = (
        network.outputs(_X + sign * shift, output)[0] for sign in (1, -1)
      )
      # A central difference errs by about the step's square, and by the
      # roundings of float64 over the step.
      np.testing.assert_allclose(
        network.gradients(_X[np.newaxis], output)[0, :, unit],
        (high - low) / (2 * step),
        rtol=1e-5,
        atol=1e-6,
      )

  @_CASES
  def test_attributions_sum_to_the_change(
    self, activation, num_logits, output, batch_norm
  ):
    network = _network(activation, num_logits, batch_norm)
    after, before = network.outputs(np.stack([_X, _BASELINE]), output)
    attributions = network.attributions(_X, _BASELINE, output)
    # Gauss-Legendre is good to 9 digits and more; probabilities that are near
    # 0 at both ends have roundings of float64 alone.
    atol = 1e-9 * np.abs(attributions).sum(axis=1).max() + 1e-14
    np.testing.assert_allclose(
      attributions.sum(axis=1), after - before, rtol=0, atol=atol
    )

  def test_some_targets(self):
    network = _network('relu', 3, False)
    np.testing.assert_array_equal(
      network.attributions(_X, _BASELINE, targets=[2, 0]),
      network.attributions(_X, _BASELINE)[[2, 0]],
    )


if __name__ == '__main__':
  absltest.main()
