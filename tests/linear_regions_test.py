"""The exact sum equals the integral, on every kind of network and path."""

import tracemalloc

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import numpy_network
from tf_dnn_annotations.integrals import linear_regions
from tf_dnn_annotations.integrals import path_sweep
from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.integrals import quadrature
from tf_dnn_annotations.integrals import region_sums

_ACTIVATIONS = {
  'relu': piecewise_linear.RELU,
  'leaky_relu': piecewise_linear.leaky_relu(0.2),
  'relu6': piecewise_linear.RELU6,
  'identity': piecewise_linear.IDENTITY,
}

# Some thousand roundings in float64 of numbers of size 1 to 10, and kinks that
# are shifted by some hundred, so that units can rest on them.
_ROUNDING = 1e-11


def _float32_values(array):
  # As `numpy_network` has them.
  return np.asarray(np.asarray(array, np.float32), np.float64)


def _network(units, num_logits, activation, seed=0):
  random = np.random.RandomState(seed)
  sizes = list(units) + [num_logits]
  return piecewise_linear.Network(
    (activation,) * len(units),
    tuple(
      _float32_values(random.randn(a, b) * np.sqrt(2.0 / a))
      for a, b in zip(sizes, sizes[1:])
    ),
    tuple(_float32_values(0.1 * random.randn(b)) for b in sizes[1:]),
  )


def _without_weights(units):
  """Returns a network of large layers that takes no memory."""
  sizes = list(units) + [10]
  kernels = [np.broadcast_to(0.0, shape) for shape in zip(sizes, sizes[1:])]
  return piecewise_linear.Network(
    (piecewise_linear.RELU,) * len(units), tuple(kernels), ()
  )


def _classes(num_logits):
  return np.array([[-1.0], [1.0]]) if num_logits == 1 else np.eye(num_logits)


def _activation(activation, z):
  """The function by its definition, apart from the package's own."""
  kinks, slopes, _ = activation
  if not kinks:
    return slopes[0] * z
  result = np.where(z < kinks[0], slopes[0] * z, slopes[1] * z)
  if len(kinks) > 1:
    result = np.minimum(result, kinks[1])
  return result


def _output(network, z, output, target):
  """F of points z [m, units] in float64."""
  for activation, kernel, bias in zip(*network):
    z = _activation(activation, z) @ kernel + bias
  if z.shape[1] == 1:
    z = np.concatenate([-z, z], axis=1)
    if output == 'probabilities':
      z = 1 / (1 + np.exp(-z))
  elif output == 'probabilities':
    z = np.exp(z - z.max(axis=1, keepdims=True))
    z /= z.sum(axis=1, keepdims=True)
  return z[:, target]


def _integral(network, start, end, output, target):
  """The integral of dF/dz by a fine sum of central differences.

  The error is about (jump of the slope) * (1 / points) for each kink passed,
  and the differences' own (1e-4)**2.
  """
  num = 4000
  position = ((np.arange(num) + 0.5) / num)[:, np.newaxis]
  points = start + position * (end - start)
  integral = np.empty(len(start))
  for unit in range(len(start)):
    shift = np.zeros(len(start))
    shift[unit] = 1e-4
    integral[unit] = np.mean(
      _output(network, points + shift, output, target)
      - _output(network, points - shift, output, target)
    ) / (2e-4)
  return integral


def _gradients_and_regions(integral):
  return integral.gradients, integral.num_steps


class SummedTest(parameterized.TestCase):
  """By numpy, and below by the library."""

  def integrate(self, network, start, end, output, classes, targets):
    summed = region_sums.Summed(network, output, classes)
    return _gradients_and_regions(summed.integrate(start, end, targets))

  @parameterized.product(
    units=[(), (6,), (7, 5), (7, 6, 5), (6, 5, 4, 5)],
    activation=sorted(_ACTIVATIONS),
    num_logits=[1, 3],
    output=['logits', 'probabilities'],
  )
  def test_equals_fine_sum(self, units, activation, num_logits, output):
    network = _network(units, num_logits, _ACTIVATIONS[activation])
    random = np.random.RandomState(1)
    size = units[0] if units else num_logits
    # Wide enough for both kinks of ReLU6.
    start, end = random.randn(2, 3, size) * 4
    classes = _classes(num_logits)
    targets = np.arange(3) % len(classes)
    integrals, _ = self.integrate(network, start, end, output, classes, targets)
    for row in range(3):
      expected = _integral(network, start[row], end[row], output, targets[row])
      # 4000 points miss each of up to 40 kinks by at most a point, with slopes
      # of size 1 to 4.
      np.testing.assert_allclose(integrals[row, 0], expected, atol=4e-3)

  @parameterized.parameters(
    ((64, 32),), ((128, 64),), ((256, 128, 64),), ((64, 48, 32, 16),)
  )
  def test_is_complete(self, units):
    network = _network(units, 10, piecewise_linear.RELU)
    random = np.random.RandomState(2)
    start, end = random.randn(2, 12, units[0])
    targets = np.arange(12) % 10
    integrals, _ = self.integrate(
      network, start, end, 'logits', np.eye(10), targets
    )
    change = network.logits(end) - network.logits(start)
    gap = change[np.arange(12), targets] - np.sum(
      integrals[:, 0] * (end - start), axis=1
    )
    self.assertLessEqual(np.abs(gap).max(), _ROUNDING)

  @parameterized.parameters(
    ((64, 32),), ((128, 64, 32),), ((64, 48, 32, 16),), ((40, 30, 20, 15, 10),)
  )
  def test_equals_a_gradient_a_region(self, units):
    network = _network(units, 3, piecewise_linear.RELU)
    start, end = _float32_values(np.random.RandomState(7).randn(2, 4, units[0]))
    classes = np.eye(3)
    one, _ = self.integrate(
      network, start, end, 'logits', classes, np.array([0, 1, 2, 0])
    )
    every, _ = self.integrate(network, start, end, 'logits', classes, None)
    for row in range(4):
      # The path as that of a first layer which hands on its input.
      layers = [(np.eye(units[0]), start[row])]
      layers += zip(network.kernels, network.biases)
      change = end[row] - start[row]
      exact = numpy_network.Network(layers).attributions(change, 0 * change)
      for target, expected in enumerate(exact):
        actual = [every[row, target]]
        if target == row % 3:
          actual.append(one[row, 0])
        for integral in actual:
          np.testing.assert_allclose(
            integral * change, expected, rtol=0, atol=_ROUNDING
          )

  @parameterized.product(
    units=[(5,), (9, 7), (9, 7, 6)], output=['logits', 'probabilities']
  )
  def test_all_targets_equal_one_by_one(self, units, output):
    network = _network(units, 4, piecewise_linear.RELU)
    start, end = np.random.RandomState(3).randn(2, 5, units[0])
    every, _ = self.integrate(network, start, end, output, np.eye(4), None)
    for target in range(4):
      one, _ = self.integrate(
        network, start, end, output, np.eye(4), np.full(5, target)
      )
      np.testing.assert_allclose(every[:, target], one[:, 0], atol=_ROUNDING)

  @parameterized.parameters(((9, 7),), ((9, 7, 6),))
  def test_softmax_over_classes_sums_to_zero(self, units):
    network = _network(units, 4, piecewise_linear.RELU)
    start, end = np.random.RandomState(4).randn(2, 5, units[0])
    integrals, _ = self.integrate(
      network, start, end, 'probabilities', np.eye(4), None
    )
    np.testing.assert_allclose(integrals.sum(axis=1), 0, atol=_ROUNDING)

  @parameterized.product(
    units=[(6,), (9, 7), (9, 7, 6)], output=['logits', 'probabilities']
  )
  def test_path_backwards_is_the_same(self, units, output):
    network = _network(units, 3, piecewise_linear.RELU)
    start, end = np.random.RandomState(5).randn(2, 8, units[0])
    targets = np.zeros(8, int)
    there, _ = self.integrate(network, start, end, output, np.eye(3), targets)
    back, _ = self.integrate(network, end, start, output, np.eye(3), targets)
    np.testing.assert_allclose(there, back, atol=_ROUNDING)

  @parameterized.parameters(1, 20, 200, 3000, 1e6)
  def test_saturated_softmax(self, size):
    # One region in which the logits move far: many nodes are needed. Of two
    # classes the probability is the sigmoid of the difference of the logits.
    start, end = size * np.array([[[1.0, -1.0]], [[-1.0, 1.1]]])
    with np.errstate(over='ignore'):
      change = 1 / (1 + np.exp(-2.1 * size)) - 1 / (1 + np.exp(2.0 * size))
    network = piecewise_linear.Network((), (), ())
    integrals, _ = self.integrate(
      network, start, end, 'probabilities', np.eye(2), np.array([1])
    )
    self.assertAlmostEqual(
      np.sum(integrals[0, 0] * (end - start)), change, places=7
    )

  @parameterized.parameters(10.0, 1e3, 1e6, 1e9, 1e12)
  def test_softmax_of_large_logits(self, size):
    # The first and the last of ten classes stay near each other, while others
    # come from far and go far; memory does not grow with how far.
    random = np.random.RandomState(9)
    start, end = random.randn(2, 300, 10) * size
    start[:, 9] = start[:, 0] + random.randn(300)
    end[:, 9] = end[:, 0] + random.randn(300)
    network = piecewise_linear.Network((), (), ())
    tracemalloc.start()
    integrals, _ = self.integrate(
      network, start, end, 'probabilities', np.eye(10), None
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    self.assertLess(peak, 100 << 20)

    def probabilities(z):
      exps = np.exp(z - z.max(axis=1, keepdims=True))
      return exps / exps.sum(axis=1, keepdims=True)

    sums = np.sum(integrals * (end - start)[:, np.newaxis], axis=2)
    # A quadrature is right to 1e-9 for a unit of change, and has 64 at most in
    # each of the few pieces; the logits are known to a rounding of the largest.
    np.testing.assert_allclose(
      sums,
      probabilities(end) - probabilities(start),
      rtol=0,
      atol=1e-6 + 10 * size * 2.0**-52,
    )

  def test_same_bits_twice(self):
    network = _network((64, 32), 3, piecewise_linear.RELU)
    start, end = np.random.RandomState(6).randn(2, 3000, 64)
    args = network, start, end, 'logits', np.eye(3), np.zeros(3000, int)
    np.testing.assert_array_equal(
      self.integrate(*args)[0], self.integrate(*args)[0]
    )

  def test_no_rows(self):
    network = _network((7, 5), 3, piecewise_linear.RELU)
    nothing = np.zeros((0, 7))
    integrals, num_regions = self.integrate(
      network, nothing, nothing, 'logits', np.eye(3), np.zeros(0, int)
    )
    self.assertEqual(integrals.shape, (0, 1, 7))
    self.assertEqual(num_regions.shape, (0,))


@absltest.skipUnless(path_sweep.is_built(), 'path_sweep was not built')
class SweptTest(SummedTest):
  def integrate(self, network, start, end, output, classes, targets):
    integrator = linear_regions.integrator(network, output, classes)
    # There is nothing to sweep without hidden layers.
    expected = linear_regions.Swept if network.kernels else region_sums.Summed
    self.assertIsInstance(integrator, expected)
    return _gradients_and_regions(integrator.integrate(start, end, targets))


class CostTest(parameterized.TestCase):
  @parameterized.parameters(
    # As measured on two cores, exact and a step: docs/architecture.md.
    ((1024, 512, 256), 0.515, 13.9 / 1025),
    ((512,) * 4, 3.16, 12.7 / 1025),
    ((256,) * 8, 3.1, 6.0 / 1025),
    ((2048, 1024, 512), 4.7, 36.8 / 1025),
    ((2048, 2048, 1024), 20.7, 65.2 / 1025),
  )
  def test_is_about_what_was_measured(self, units, exact, step):
    if not path_sweep.is_built():
      self.skipTest('path_sweep was not built.')
    cost = linear_regions.cost_in_steps(_without_weights(units))
    self.assertBetween(cost * step / exact, 1 / 3, 3)

  def test_grows_with_depth_and_width(self):
    costs = [
      linear_regions.cost_in_steps(_without_weights(units))
      for units in [(9999, 999), (256, 128, 64), (256,) * 4, (4096,) * 4]
    ]
    self.assertEqual(costs, sorted(costs))
    # More than adding steps ever takes, so that 'auto' does that.
    self.assertGreater(costs[-1], quadrature.MAX_NUM_STEPS)


class HandMadeSummedTest(parameterized.TestCase):
  """Two hidden layers of ReLU, the second one handing on the first."""

  def integrate(self, network, start, end, output, classes, targets):
    summed = region_sums.Summed(network, output, classes)
    return _gradients_and_regions(summed.integrate(start, end, targets))

  def _integrate(self, start, end):
    units = len(start)
    network = piecewise_linear.Network(
      (piecewise_linear.RELU,) * 2,
      (np.eye(units), np.ones((units, 1))),
      (np.zeros(units), np.zeros(1)),
    )
    integrals, num_regions = self.integrate(
      network,
      np.array([start], float),
      np.array([end], float),
      'logits',
      np.array([[-1.0], [1.0]]),
      np.array([1]),
    )
    return integrals[0, 0].tolist(), int(num_regions[0])

  @parameterized.named_parameters(
    ('no_crossing', [1, -1], [2, -2], [1, 0], 1),
    ('crossing_at_the_end', [-1, 1], [0, 1], [0, 1], 1),
    ('crossing_at_the_start', [0, 1], [1, 1], [1, 1], 1),
    ('leaving_at_the_start', [0, 1], [-1, 1], [0, 1], 1),
    ('one_crossing', [-1, 1], [3, 1], [0.75, 1], 2),
    ('two_apart', [-1, -3], [1, 1], [0.5, 0.25], 3),
    ('parallel_crossings', [-1, -1], [1, 1], [0.5, 0.5], 2),
    ('one_up_one_down', [-1, 1], [1, -1], [0.5, 0.5], 2),
    ('zero_along_the_path', [0, -1], [0, 1], [0, 0.5], 2),
    ('identical_rows', [1, -1], [1, -1], [1, 0], 1),
  )
  def test_closed_form(self, start, end, expected, num_regions):
    # Each unit counts for the share of the path on which it is positive.
    integral, regions = self._integrate(start, end)
    np.testing.assert_allclose(integral, expected, atol=1e-7)
    self.assertEqual(regions, num_regions)


@absltest.skipUnless(path_sweep.is_built(), 'path_sweep was not built')
class HandMadeSweptTest(HandMadeSummedTest):
  def integrate(self, network, start, end, output, classes, targets):
    swept = linear_regions.Swept(network, output, classes)
    return _gradients_and_regions(swept.integrate(start, end, targets))


if __name__ == '__main__':
  absltest.main()
