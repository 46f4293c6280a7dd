"""Properties of the integrals alone, over random networks and paths.

Against float64 references that share no code with the package, and for units
that rest on kinks against rational numbers. No model and no TensorFlow: what a
model computes in float32 is computed by numpy in float32 here.
"""

import collections
import os

from absl.testing import absltest
from absl.testing import parameterized
import hypothesis
from hypothesis import strategies as st
import numpy as np

from tests.support import rational_network
from tf_dnn_annotations.integrals import adaptive_quadrature
from tf_dnn_annotations.integrals import first_layer
from tf_dnn_annotations.integrals import linear_regions
from tf_dnn_annotations.integrals import path_sweep
from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.integrals import quadrature
from tf_dnn_annotations.integrals import region_sums
from tf_dnn_annotations.integrals import rounding

_LINEAR = {
  'relu': piecewise_linear.RELU,
  'relu6': piecewise_linear.RELU6,
  'leaky_relu': piecewise_linear.leaky_relu(0.2),
  'identity': piecewise_linear.IDENTITY,
}


def _sigmoid(z):
  return 1 / (1 + np.exp(-z))


# Name: (function, derivative, whether that or the next one jumps at zero).
_CURVED = {
  'tanh': (np.tanh, lambda z: 1 - np.tanh(z) ** 2, False),
  'sigmoid': (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z)), False),
  'softplus': (lambda z: np.logaddexp(0, z), _sigmoid, False),
  'elu': (
    lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))),
    True,
  ),
  'selu': (
    lambda z: 1.05 * np.where(z > 0, z, 1.67 * np.expm1(np.minimum(z, 0))),
    lambda z: 1.05 * np.where(z > 0, 1, 1.67 * np.exp(np.minimum(z, 0))),
    True,
  ),
  'softsign': (
    lambda z: z / (1 + np.abs(z)),
    lambda z: 1 / (1 + np.abs(z)) ** 2,
    True,
  ),
}


# Of which the errors are compared with their estimates.
_NUM_NETWORKS = int(os.environ.get('PROPERTIES_NETWORKS', '200'))


def _settings(num):
  return hypothesis.settings(
    max_examples=num,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
  )


# A dense network of float32 weights: columns, the first layer, others, logits.
_Dense = collections.namedtuple('_Dense', ['kernels', 'biases', 'activation'])


class _FromNumpy(object):
  """Makes choices as hypothesis's `draw` does, but evenly: for statistics."""

  def __init__(self, seed):
    self._random = np.random.RandomState(seed)

  def integer(self, low, high):
    return self._random.randint(low, high + 1)

  def among(self, values):
    return values[self._random.randint(len(values))]


class _FromHypothesis(object):
  """Makes choices that hypothesis can shrink."""

  def __init__(self, draw):
    self._draw = draw

  def integer(self, low, high):
    return self._draw(st.integers(low, high))

  def among(self, values):
    return self._draw(st.sampled_from(values))


def _dense(choose, activations, most_units):
  """Makes a `_Dense`, with zero weights, ties and scales as batch norm's."""
  random = np.random.RandomState(choose.integer(0, 2**31 - 1))
  num_layers = choose.integer(1, 4)
  sizes = [choose.integer(1, 60)]
  sizes += [choose.integer(1, most_units) for _ in range(num_layers)]
  sizes.append(choose.among([1, 3, 10]))
  gain = choose.among([0.5, 1.4, 2.5])
  kernels = [
    random.randn(a, b) * gain / np.sqrt(a) for a, b in zip(sizes, sizes[1:])
  ]
  biases = [random.randn(b) * choose.among([0.0, 0.1, 1.0]) for b in sizes[1:]]
  kind = choose.among(['plain', 'zeros', 'twins', 'scales'])
  for i, (kernel, bias) in enumerate(zip(kernels, biases)):
    if kind == 'zeros':
      kernel *= random.rand(*kernel.shape) < 0.6
    elif kind == 'twins' and i < len(kernels) - 1:
      half = kernel.shape[1] // 2
      kernel[:, -half or kernel.shape[1] :] = kernel[:, :half]
      bias[-half or len(bias) :] = bias[:half]
    elif kind == 'scales' and i:
      kernel *= random.uniform(0.2, 4, (len(kernel), 1))
  return _Dense(
    [kernel.astype(np.float32) for kernel in kernels],
    [bias.astype(np.float32) for bias in biases],
    choose.among(sorted(activations)),
  )


def _rows(choose, width):
  """Makes (x, baselines) of 3 rows, float32 [3, width] and [1 or 3, width]."""
  random = np.random.RandomState(choose.integer(0, 2**31 - 1))
  x = random.randn(3, width) * choose.among([1.0, 3.0, 30.0])
  if choose.among([False, True]):
    x *= random.rand(3, width) < 0.3
  kind = choose.among(['zeros', 'row', 'rows', 'shared'])
  baselines = {
    'zeros': np.zeros((1, width)),
    'row': random.randn(1, width),
    'rows': random.randn(3, width),
    'shared': np.where(random.rand(3, width) < 0.5, x, 0),
  }[kind]
  return x.astype(np.float32), baselines.astype(np.float32)


def _as64(array):
  # np.float64 makes a number of an array of one.
  return np.asarray(array, np.float64)


def _first_layer(network, columns):
  """Returns the pre-activations [n, units], in the columns' dtype."""
  kernel, bias = network.kernels[0], network.biases[0]
  return columns @ kernel.astype(columns.dtype) + bias.astype(columns.dtype)


def _layers(function, kernels, biases, z):
  """Returns the pre-activations of all layers, the logits last."""
  results = [z]
  for kernel, bias in zip(kernels, biases):
    z = function(z).astype(z.dtype) @ kernel + bias
    results.append(z)
  return results


def _gradients(function, derivative, kernels, biases, z, output, target):
  """Returns (F, dF/dz) of points z [n, units] of the first layer."""
  results = _layers(function, kernels, biases, z)
  logits = results[-1]
  gradient = np.zeros_like(logits)
  if output == 'logits':
    value = logits[:, target]
    gradient[:, target] = 1
  else:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    value = p[:, target]
    gradient = -p * p[:, [target]]
    gradient[:, target] += value
  for kernel, before in zip(kernels[::-1], results[-2::-1]):
    gradient = (gradient @ kernel.T) * derivative(before).astype(z.dtype)
  return value, gradient


def _kinks(function, kernels, biases, thresholds, start, end):
  """Returns where on the path [units] a unit passes a threshold, and the ends.

  By bisection between the points of a grid and the kinks of all layers below,
  between which pre-activations of a piecewise linear network are linear.
  """
  # Finer for smooth functions, which have no kinks to tell where they turn.
  positions = np.linspace(0, 1, 33 if thresholds else 257)
  for depth in range(len(kernels)):

    def z_at(a, depth=depth):
      points = start + a[:, np.newaxis] * (end - start)
      return _layers(function, kernels[:depth], biases[:depth], points)[-1]

    z = z_at(positions)
    for threshold in thresholds:
      above = z > threshold
      region, unit = np.nonzero(above[:-1] != above[1:])
      low, high = positions[region], positions[region + 1]
      is_above = above[region, unit]
      for _ in range(52 if len(region) else 0):
        middle = (low + high) / 2
        same = (
          z_at(middle)[np.arange(len(unit)), unit] > threshold
        ) == is_above
        low, high = np.where(same, middle, low), np.where(same, high, middle)
      positions = np.append(positions, (low + high) / 2)
    positions = np.unique(positions)
  return positions


def _reference(dense, functions, thresholds, x, baseline, output, target):
  """Returns the attributions [width] of one row in float64."""
  kernels, biases = (
    [_as64(array) for array in arrays]
    for arrays in (dense.kernels, dense.biases)
  )
  ends = _first_layer(dense, _as64([baseline, x]))
  positions = _kinks(functions[0], kernels[1:], biases[1:], thresholds, *ends)
  nodes, weights = np.polynomial.legendre.leggauss(12)
  steps = np.diff(positions)[:, np.newaxis]
  nodes = (positions[:-1, np.newaxis] + steps * (nodes + 1) / 2).ravel()
  weights = (steps * weights / 2).ravel()
  total = 0
  for first in range(0, len(nodes), 2000):
    some = slice(first, first + 2000)
    points = ends[0] + nodes[some, np.newaxis] * (ends[1] - ends[0])
    _, gradients = _gradients(
      *functions, kernels[1:], biases[1:], points, output, target
    )
    total = total + weights[some] @ gradients
  return (_as64(x) - baseline) * (kernels[0] @ total)


class _Found(object):
  """What the package makes of some rows, put together as the explainer does."""

  def __init__(self, dense, x, baselines, changes, integrate_fn):
    """Integrates.

    Args:
      dense: `_Dense`.
      x, baselines: float32 [n, width] and [1 or n, width].
      changes: [n, 1], F(x) - F(baseline).
      integrate_fn: function of (start, end, columns) that returns a
        `path_integral.PathIntegral`.
    """
    layer = first_layer.FirstLayer(dense.kernels[0], [slice(0, x.shape[1])])
    start, end = (_first_layer(dense, columns) for columns in (baselines, x))
    integral = integrate_fn(
      start, end, first_layer.Columns(layer, x - baselines, start, end)
    )
    values = np.empty((len(x), 1, x.shape[1]), np.float32)
    sizes = layer.add(values, integral.gradients, x - baselines, is_first=True)
    sums, absolute = first_layer.row_sums(values)
    noise = integral.noise
    if noise is None:
      noise = rounding.of_path(start, end, integral.gradients)
    self.values, self.has_converged = values[:, 0], integral.has_converged
    self.gap = changes - sums
    self.estimate = (
      np.broadcast_to(integral.errors, len(x))[:, np.newaxis]
      + np.abs(self.gap)
      + rounding.of_sums(sizes, noise, integral.noise is not None)
      + rounding.of_values(absolute)
    )[:, 0]


def _outputs_at_ends(dense, functions, x, baselines, output, target):
  """Returns (F(baseline), F(x)), computed in float32, both [n, 1]."""
  ends = [
    _gradients(
      *functions,
      dense.kernels[1:],
      dense.biases[1:],
      _first_layer(dense, columns),
      output,
      target,
    )[0].astype(np.float64)[:, np.newaxis]
    for columns in (baselines, x)
  ]
  return np.broadcast_arrays(*ends)


def _piecewise(dense):
  """Returns (the network after the first layer, (function, derivative))."""
  activation = _LINEAR[dense.activation]

  def function(z):
    # By its definition, apart from the package's own.
    kinks, slopes, _ = activation
    if not kinks:
      return z
    return np.minimum(
      np.where(z > 0, z, slopes[0] * z), kinks[1] if kinks[1:] else np.inf
    )

  def derivative(z):
    kinks, slopes, _ = activation
    if not kinks:
      return np.ones_like(z)
    below = z < (kinks[1] if kinks[1:] else np.inf)
    return np.where((z > 0) & below, 1, np.where(z > 0, 0, slopes[0]))

  network = piecewise_linear.Network(
    (activation,) * (len(dense.kernels) - 1),
    tuple(map(_as64, dense.kernels[1:])),
    tuple(map(_as64, dense.biases[1:])),
  )
  return network, (function, derivative)


class ExactTest(parameterized.TestCase):
  @_settings(60)
  @hypothesis.given(st.data())
  def test_equals_a_gradient_a_region(self, data):
    choose = _FromHypothesis(data.draw)
    dense = _dense(choose, _LINEAR, most_units=130)
    network, functions = _piecewise(dense)
    x, baselines = _rows(choose, len(dense.kernels[0]))
    start, end = (
      _first_layer(dense, _as64(columns)) for columns in (baselines, x)
    )
    num_logits = len(dense.biases[-1])
    classes = np.eye(num_logits)
    target = choose.integer(0, num_logits - 1)
    kinks = _LINEAR[dense.activation].kinks
    expected = _reference(
      dense, functions, kinks, x[0], baselines[0], 'logits', target
    )
    integrators = [region_sums.Summed(network, 'logits', classes)]
    if path_sweep.is_built():
      integrators.append(linear_regions.Swept(network, 'logits', classes))
    for integrator in integrators:
      integrals = integrator.integrate(start, end, np.full(3, target)).gradients
      every = integrator.integrate(start, end, None).gradients
      difference = _as64(x[0]) - baselines[0]
      scale = np.abs(difference) @ np.abs(dense.kernels[0])
      scale = scale @ np.abs(integrals[0, 0])
      actual = difference * (dense.kernels[0] @ integrals[0, 0])
      # Some hundred roundings of float64, and kinks shifted by as many.
      np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10 * scale)
      np.testing.assert_allclose(
        every[:, target],
        integrals[:, 0],
        rtol=0,
        atol=1e-9 * np.abs(every).max(),
      )

  @_settings(60)
  @hypothesis.given(st.data())
  def test_equals_rational_numbers_on_kinks(self, data):
    whole = st.integers(-2, 2).map(float)
    units = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))

    def array(*shape, elements=whole):
      size = int(np.prod(shape))
      values = data.draw(st.lists(elements, min_size=size, max_size=size))
      return np.array(values).reshape(shape)

    name = data.draw(st.sampled_from(['relu', 'relu6', 'leaky_relu']))
    activation = _LINEAR[name]
    if name == 'leaky_relu':
      activation = piecewise_linear.leaky_relu(0.25)
    network = piecewise_linear.Network(
      (activation,) * (len(units) - 1),
      tuple(array(*shape) for shape in zip(units, units[1:])),
      tuple(
        array(n, elements=st.sampled_from([0.0, 0.0, 1.0, -1.0, 6.0]))
        for n in units[1:]
      ),
    )
    places = st.sampled_from([-2.0, -1.0, 0.0, 0.0, 1.0, 3.0, 6.0])
    start, end = (
      array(1, units[0], elements=places),
      array(1, units[0], elements=places),
    )
    classes = np.eye(units[-1])
    target = data.draw(st.integers(0, units[-1] - 1))
    expected = rational_network.integrals(
      network, start[0], end[0], 'logits', classes, target
    )
    integrators = [region_sums.Summed(network, 'logits', classes)]
    if path_sweep.is_built():
      integrators.append(linear_regions.Swept(network, 'logits', classes))
    for integrator in integrators:
      integrals = integrator.integrate(start, end, np.array([target])).gradients
      np.testing.assert_allclose(integrals[0, 0], expected, atol=1e-9)


class ErrorEstimateTest(parameterized.TestCase):
  """The true error is hardly ever above the estimate: docs/accuracy.md."""

  def _check_honest(self, ratios):
    ratios = np.concatenate(ratios)
    self.assertGreater(len(ratios), 150)
    self.assertLessEqual(np.mean(ratios < 1), 0.01)
    # It says something: mostly it is not far above.
    self.assertLess(np.median(ratios), 50)

  @parameterized.parameters('logits', 'probabilities')
  def test_of_exact_sums(self, output):
    ratios = []

    def check(seed):
      choose = _FromNumpy(seed)
      dense = _dense(choose, _LINEAR, most_units=130)
      x, baselines = _rows(choose, len(dense.kernels[0]))
      num_logits = len(dense.biases[-1])
      if output == 'probabilities' and num_logits == 1:
        return
      target = choose.integer(0, num_logits - 1)
      network, functions = _piecewise(dense)
      classes = np.eye(num_logits)
      integrator = linear_regions.integrator(network, output, classes)
      targets = np.full(3, target)

      def integrate(start, end, _):
        return integrator.integrate(start, end, targets)

      start_outputs, outputs = _outputs_at_ends(
        dense, functions, x, baselines, output, target
      )
      found = _Found(dense, x, baselines, outputs - start_outputs, integrate)
      # The same in float64 throughout: that it is right is held above.
      start, end = (
        _first_layer(dense, _as64(columns)) for columns in (baselines, x)
      )
      integrals = integrator.integrate(start, end, targets).gradients
      expected = (_as64(x) - baselines) * (
        integrals[:, 0] @ _as64(dense.kernels[0]).T
      )
      error = np.abs(found.values - expected).sum(axis=1)
      # Nothing that float32 cannot hold.
      ratios.append((found.estimate / np.maximum(error, 1e-300))[error > 1e-30])

    for seed in range(_NUM_NETWORKS):
      check(seed)
    self._check_honest(ratios)

  @parameterized.parameters('logits', 'probabilities')
  def test_of_added_steps(self, output):
    ratios, broken = [], []

    def check(seed):
      choose = _FromNumpy(seed)
      dense = _dense(choose, _CURVED, most_units=60)
      x, baselines = _rows(choose, len(dense.kernels[0]))
      x /= max(1, np.abs(x).max() / 5)
      num_logits = len(dense.biases[-1])
      if output == 'probabilities' and num_logits == 1:
        return
      target = choose.integer(0, num_logits - 1)
      tolerance = choose.among([1e-2, 1e-3, 1e-4])
      *functions, has_kink = _CURVED[dense.activation]
      start_outputs, outputs = _outputs_at_ends(
        dense, functions, x, baselines, output, target
      )
      changes = outputs - start_outputs

      def gradient_fn(points, rows):
        del rows  # All have one target.
        arguments = dense.kernels[1:], dense.biases[1:], points
        gradients = _gradients(*functions, *arguments, output, target)[1]
        return gradients[:, np.newaxis]

      def integrate(start, end, columns):
        known = rounding.of_outputs(start_outputs, outputs)
        integral = adaptive_quadrature.adaptive(
          quadrature.Paths(gradient_fn, start, end, max_points=1000),
          changes,
          known,
          known if output == 'probabilities' else 0 * known,
          columns,
          tolerance,
          quadrature.MAX_NUM_STEPS,
        )
        if output == 'probabilities':
          noise = rounding.of_path_of_probabilities(
            start, end, integral.gradients, start_outputs, outputs
          )
          integral = integral._replace(noise=noise)
        return integral

      found = _Found(dense, x, baselines, changes, integrate)
      expected = np.stack(
        [
          _reference(
            dense,
            functions,
            (0.0,) if has_kink else (),
            x[row],
            baselines[row % len(baselines)],
            output,
            target,
          )
          for row in range(3)
        ]
      )
      error = np.abs(found.values - expected).sum(axis=1)
      ratios.append((found.estimate / np.maximum(error, 1e-300))[error > 1e-30])
      broken.append(
        found.has_converged & (error > tolerance * np.abs(expected).sum(axis=1))
      )

    for seed in range(_NUM_NETWORKS):
      check(seed)
    self._check_honest(ratios)
    # What is said to have converged has, with the same exceptions.
    self.assertLessEqual(np.mean(np.concatenate(broken)), 0.01)


if __name__ == '__main__':
  absltest.main()
