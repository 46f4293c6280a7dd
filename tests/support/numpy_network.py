"""A DNN in float64 numpy: the reference of tests, benchmarks and test data.

It uses nothing of tf_dnn_annotations, so that an error of the package cannot
hide in it.
"""

import numpy as np

# Unit roundoff of float32, in which models compute.
ROUNDOFF = 2.0**-24
# What tf.layers.BatchNormalization adds to a variance.
_EPSILON = 1e-3
# Gauss-Legendre between two cuts of a path. Where the gradient is not constant,
# a path has at least so many pieces.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NUM_PIECES = 64
# How finely kinks are searched for on a path that bends, and how often each
# interval that holds one is halved.
_NUM_INTERVALS, _NUM_HALVINGS = 2048, 40
# Points of a path that are computed at once, to bound the memory.
_NUM_POINTS = 512


def _sigmoid(z):
  return 1 / (1 + np.exp(-z))


def _softplus(z):
  return np.logaddexp(0, z)


def _mish_slope(z):
  tanh = np.tanh(_softplus(z))
  return tanh + z * (1 - tanh**2) * _sigmoid(z)


def _float32_values(array):
  # The weights that the model is given, so that they are not rounded again.
  return np.asarray(np.asarray(array, np.float32), np.float64)


def _exp(z):
  # Only values below 0 are used; larger ones would overflow.
  return np.exp(np.minimum(z, 0))


def _expm1(z):
  return np.expm1(np.minimum(z, 0))


# Of self-normalizing networks, Klambauer et al., 2017, equation 2.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


PIECEWISE_LINEAR = ('identity', 'leaky_relu', 'relu', 'relu6')
# Name: (function, derivative, where the derivative jumps or bends, a bound of
# the second derivative elsewhere).
_ACTIVATIONS = {
  'identity': (lambda z: z, np.ones_like, (), 0),
  'relu': (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0), (0.0,), 0),
  'leaky_relu': (
    lambda z: np.where(z > 0, z, 0.2 * z),
    lambda z: np.where(z > 0, 1.0, 0.2),
    (0.0,),
    0,
  ),
  'relu6': (
    lambda z: np.clip(z, 0, 6),
    lambda z: 1.0 * ((z > 0) & (z < 6)),
    (0.0, 6.0),
    0,
  ),
  'tanh': (np.tanh, lambda z: 1 - np.tanh(z) ** 2, (), 0.77),
  'sigmoid': (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z)), (), 0.1),
  'elu': (
    lambda z: np.where(z > 0, z, _expm1(z)),
    lambda z: np.where(z > 0, 1.0, _exp(z)),
    (0.0,),
    1,
  ),
  'softplus': (_softplus, _sigmoid, (), 0.25),
  'selu': (
    lambda z: _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * _expm1(z)),
    lambda z: _SELU_SCALE * np.where(z > 0, 1.0, _SELU_ALPHA * _exp(z)),
    (0.0,),
    1.8,
  ),
  'softsign': (
    lambda z: z / (1 + np.abs(z)),
    lambda z: (1 + np.abs(z)) ** -2,
    (0.0,),
    2,
  ),
  'swish': (
    lambda z: z * _sigmoid(z),
    lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z))),
    (),
    0.5,
  ),
  'mish': (lambda z: z * np.tanh(_softplus(z)), _mish_slope, (), 0.7),
}


class Network(object):
  """A DNN with the outputs of a classifier or a regressor.

  Args:
    layers: list of (kernel [fan_in, units], bias [units]), the logits' last.
    activation: name of the hidden layers' activation function.
    batch_norms: None, or a list with the batch normalization after each hidden
      layer's activation: {'gamma', 'beta', 'moving_mean', 'moving_variance':
      [units]}.
    is_classifier: whether the logits are those of classes. The outputs of a
      single logit are its negative and itself.
  """

  def __init__(
    self, layers, activation='relu', batch_norms=None, is_classifier=True
  ):
    self.layers = [
      (_float32_values(kernel), _float32_values(bias))
      for kernel, bias in layers
    ]
    self.activation = activation
    self.batch_norms = batch_norms
    self.is_classifier = is_classifier
    self._scales, self._shifts, self._shift_sizes = [], [], []
    for i, (_, bias) in enumerate(self.layers[:-1]):
      norm = batch_norms[i] if batch_norms else None
      scale = np.ones(len(bias))
      shift = np.zeros(len(bias))
      if norm:
        scale = norm['gamma'] / np.sqrt(norm['moving_variance'] + _EPSILON)
        shift = norm['beta'] - norm['moving_mean'] * scale
      self._shift_sizes.append(
        np.abs(norm['beta']) + np.abs(norm['moving_mean'] * scale)
        if norm
        else shift
      )
      self._scales.append(scale)
      self._shifts.append(shift)

  @property
  def width(self):
    return len(self.layers[0][0])

  @property
  def hidden_units(self):
    return [len(bias) for _, bias in self.layers[:-1]]

  def pre_activations(self, x):
    """Returns the list of [n, units] for each layer, the logits last."""
    kernel, bias = self.layers[0]
    return self._onward(x @ kernel + bias)

  def _onward(self, z):
    """Returns `pre_activations`, given those of the first layer."""
    function = _ACTIVATIONS[self.activation][0]
    results = [z]
    for (kernel, bias), scale, shift in zip(
      self.layers[1:], self._scales, self._shifts
    ):
      x = function(results[-1]) * scale + shift
      results.append(x @ kernel + bias)
    return results

  def _on_path(self, positions, x, baseline):
    """Returns the pre-activations at positions between baseline and row.

    The first layer is linear, so its change along the path is computed once.
    """
    kernel, bias = self.layers[0]
    change = (x - baseline) @ kernel
    return self._onward(
      baseline @ kernel + bias + positions[:, np.newaxis] * change
    )

  def outputs(self, x, output='logits'):
    """Returns [n, num_outputs] of points [n, width]."""
    return self._activated(self.pre_activations(x)[-1], output)

  def _activated(self, logits, output):
    if not self.is_classifier:
      return logits
    if logits.shape[1] == 1:
      logits = np.concatenate([-logits, logits], axis=1)
      return logits if output == 'logits' else _sigmoid(logits)
    if output == 'logits':
      return logits
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)

  def gradients(self, x, output='logits'):
    """Returns [n, num_outputs, width]: dF/dx at points [n, width]."""
    zs = self.pre_activations(x)
    return self._first_gradients(zs, output) @ self.layers[0][0].T

  def _first_gradients(self, zs, output, targets=slice(None)):
    """Returns [n, num_targets, units]: dF/dz of the first layer."""
    jacobian = self._output_gradients(zs[-1], output)[:, targets]
    derivative = _ACTIVATIONS[self.activation][1]
    for z, scale, (kernel, _) in reversed(
      list(zip(zs, self._scales, self.layers[1:]))
    ):
      slope = derivative(z) * scale
      jacobian = (jacobian @ kernel.T) * slope[:, np.newaxis, :]
    return jacobian

  def _output_gradients(self, logits, output):
    """Returns [n, num_outputs, num_logits]: dF/dlogits."""
    jacobian = np.tile(np.eye(logits.shape[1]), (len(logits), 1, 1))
    is_binary = self.is_classifier and logits.shape[1] == 1
    if is_binary:
      jacobian = np.concatenate([-jacobian, jacobian], axis=1)
    if output == 'logits':
      return jacobian
    p = self._activated(logits, output)
    if is_binary:
      return jacobian * (p * (1 - p))[:, :, np.newaxis]
    return p[:, :, np.newaxis] * (jacobian - p[:, np.newaxis, :])

  def kinks(self, x, baseline):
    """Returns where on the path a unit passes a kink, with the ends 0 and 1."""
    thresholds = _ACTIVATIONS[self.activation][2]
    if self.activation in PIECEWISE_LINEAR:
      return self._linear_kinks(thresholds, x, baseline)
    return self._bent_kinks(thresholds, x, baseline)

  def _linear_kinks(self, thresholds, x, baseline):
    """Layer by layer: a layer is linear between the kinks of those before."""
    positions = np.array([0.0, 1.0])
    for i in range(len(self.layers) - 1):
      z = self._on_path(positions, x, baseline)[i]
      new = [positions]
      for threshold in thresholds:
        before, after = z[:-1] - threshold, z[1:] - threshold
        region, unit = np.nonzero(before * after < 0)
        share = before[region, unit] / (before - after)[region, unit]
        new.append(positions[region] + share * np.diff(positions)[region])
      positions = np.unique(np.concatenate(new))
    return positions

  def _bent_kinks(self, thresholds, x, baseline):
    """By bisection of the intervals at whose ends a unit differs."""
    found = [np.array([0.0, 1.0])]
    grid = np.linspace(0, 1, _NUM_INTERVALS + 1)
    zs = self._on_path(grid, x, baseline) if thresholds else []
    for i, z in enumerate(zs[:-1]):
      for threshold in thresholds:
        is_below = z < threshold
        interval, unit = np.nonzero(is_below[:-1] != is_below[1:])
        low, high = grid[interval], grid[interval + 1]
        starts_below = is_below[interval, unit]
        for _ in range(_NUM_HALVINGS if len(interval) else 0):
          middle = (low + high) / 2
          z_middle = self._on_path(middle, x, baseline)[i]
          is_low = (
            z_middle[np.arange(len(unit)), unit] < threshold
          ) == starts_below
          low = np.where(is_low, middle, low)
          high = np.where(is_low, high, middle)
        found.append(low)
    return np.unique(np.concatenate(found))

  def attributions(self, x, baseline, output='logits', targets=slice(None)):
    """Returns the Integrated Gradients [num_targets, width] of one row.

    The path is cut at the kinks. Where the network is linear between them, one
    gradient per piece is exact; elsewhere Gauss-Legendre is good to many more
    digits than float32 has.

    Args:
      x, baseline: [width].
      output: 'logits' or 'probabilities'.
      targets: indices of outputs, all of them by default.
    """
    x, baseline = (np.asarray(ends, np.float64) for ends in (x, baseline))
    cuts = self.kinks(x, baseline)
    nodes, weights = np.zeros(1), np.full(1, 2.0)
    if output != 'logits' or self.activation not in PIECEWISE_LINEAR:
      nodes, weights = _NODES, _WEIGHTS
      cuts = np.union1d(cuts, np.linspace(0, 1, _NUM_PIECES + 1))
    lengths = np.diff(cuts)[:, np.newaxis]
    positions = np.ravel(cuts[:-1, np.newaxis] + lengths * (nodes + 1) / 2)
    weights = np.ravel(lengths * weights / 2)
    mean = self.mean(positions, weights, x, baseline, output, targets)
    return mean * (x - baseline)

  def mean(self, positions, weights, x, baseline, output, targets=slice(None)):
    """Returns the weighted sum of gradients [num_targets, width] on a path.

    Args:
      positions, weights: [n], a position of 0 is the baseline.
      x, baseline, output, targets: as in `attributions`.
    """
    total = 0
    for first in range(0, len(positions), _NUM_POINTS):
      part = slice(first, first + _NUM_POINTS)
      zs = self._on_path(positions[part], x, baseline)
      gradients = self._first_gradients(zs, output, targets)
      total = total + np.tensordot(weights[part], gradients, 1)
    return total @ self.layers[0][0].T

  def rounding(self, x, baseline, output='logits'):
    """Returns bounds of the roundings of float32 in the numbers of one row.

    Source: the running error analysis of Higham, Accuracy and Stability of
    Numerical Algorithms, section 3.3, at points all along the path. A unit so
    close to a kink that rounding switches it is not accounted for.

    Returns:
      (of an attribution [num_outputs, width], of an output [num_outputs]).
    """
    points = baseline + np.linspace(0, 1, 65)[:, np.newaxis] * (x - baseline)
    ends = np.maximum(np.abs(x), np.abs(baseline))
    function, derivative, _, curvature = _ACTIVATIONS[self.activation]

    # Forward: the error of each pre-activation. The factors 3, 4 and 8 count
    # the operations besides the sums, such as those within an activation.
    zs, z_errors = self.pre_activations(points), []
    h, error = points, 3 * ROUNDOFF * np.broadcast_to(ends, points.shape)
    for i, (kernel, bias) in enumerate(self.layers):
      size = np.abs(h) @ np.abs(kernel) + np.abs(bias)
      error = error @ np.abs(kernel) + (len(kernel) + 1) * ROUNDOFF * size
      z_errors.append(error)
      if i < len(self._scales):
        scale, shift = self._scales[i], self._shifts[i]
        h = function(zs[i])
        error = np.abs(derivative(zs[i])) * error + 4 * ROUNDOFF * np.abs(h)
        size = np.abs(h * scale) + self._shift_sizes[i]
        error = error * np.abs(scale) + 3 * ROUNDOFF * size
        h = h * scale + shift

    # Backward: the error of the gradient with respect to each layer.
    jacobian = self._output_gradients(zs[-1], output)
    error, output_error = np.zeros_like(jacobian), z_errors[-1].max(axis=1)
    if output == 'probabilities':
      # Logits off by e make a probability off by 2 e of its size at most; its
      # gradient is that times 1 - p for its own logit, -p for the others.
      p = self._activated(zs[-1], output)
      output_error = 2 * output_error + 8 * ROUNDOFF
      others = p[:, np.newaxis] if zs[-1].shape[1] > 1 else p[:, :, np.newaxis]
      error = np.abs(jacobian) + p[:, :, np.newaxis] * others
      error = error * output_error[:, np.newaxis, np.newaxis]
    for i in reversed(range(len(self.layers))):
      kernel, _ = self.layers[i]
      if i < len(self._scales):
        slope = (derivative(zs[i]) * self._scales[i])[:, np.newaxis, :]
        slope_error = curvature * z_errors[i] * np.abs(self._scales[i])
        slope_error = slope_error[:, np.newaxis, :] + 8 * ROUNDOFF * np.abs(
          slope
        )
        error = error * np.abs(slope) + np.abs(jacobian) * slope_error
        jacobian = jacobian * slope
      size = np.abs(jacobian) @ np.abs(kernel.T)
      error = error @ np.abs(kernel.T)
      error = error + (kernel.shape[1] + 1) * ROUNDOFF * size
      jacobian = jacobian @ kernel.T
    error = error + 4 * ROUNDOFF * np.abs(jacobian)
    return (
      error.max(axis=0) * np.abs(x - baseline),
      np.full(jacobian.shape[1], output_error.max()),
    )


def random(seed, sizes, **arguments):
  """Returns a `Network` of random weights.

  Args:
    seed: int.
    sizes: widths of the input, the hidden layers and the logits.
    **arguments: of `Network`.
  """
  rng = np.random.RandomState(seed)
  layers = [
    (rng.randn(fan_in, units) * 1.5 / np.sqrt(fan_in), rng.randn(units) / 2)
    for fan_in, units in zip(sizes[:-1], sizes[1:])
  ]
  return Network(layers, **arguments)


def random_batch_norms(seed, hidden_units):
  """Returns batch norms of random values for `Network`."""
  rng = np.random.RandomState(seed)
  return [
    {
      'gamma': _float32_values(rng.uniform(0.5, 2, units)),
      'beta': _float32_values(rng.randn(units)),
      'moving_mean': _float32_values(rng.randn(units)),
      'moving_variance': _float32_values(rng.uniform(0.5, 2, units)),
    }
    for units in hidden_units
  ]


def whole_numbers(seed, sizes, **arguments):
  """Returns a `Network` of small whole weights.

  At inputs that are multiples of 1/4, and with a number of nodes that is a
  power of two, float32 represents every intermediate number exactly, so that
  equal results have equal bits.
  """
  rng = np.random.RandomState(seed)
  layers = [
    (rng.randint(-2, 3, (fan_in, units)), rng.randint(-3, 4, units))
    for fan_in, units in zip(sizes[:-1], sizes[1:])
  ]
  return Network(layers, **arguments)
