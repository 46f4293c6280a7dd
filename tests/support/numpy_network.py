"""A DNN in float64 numpy, the reference for what the reader computes."""

import numpy as np

# Unit roundoff of float32, in which models compute.
ROUNDOFF = 2.0**-24
# What tf.layers.BatchNormalization adds to a variance.
_EPSILON = 1e-3
# Cells of the dense midpoint rule between two kinks.
_NUM_CELLS = 20000


def _sigmoid(z):
  return 1 / (1 + np.exp(-z))


def _softplus(z):
  return np.logaddexp(0, z)


def _mish_slope(z):
  tanh = np.tanh(_softplus(z))
  return tanh + z * (1 - tanh**2) * _sigmoid(z)


def _float32_values(array):
  # What the model is given, so that no rounding comes of the weights.
  return np.asarray(np.asarray(array, np.float32), np.float64)


def _exp(z):
  # Of what is below 0: the rest would overflow, and is not taken.
  return np.exp(np.minimum(z, 0))


def _expm1(z):
  return np.expm1(np.minimum(z, 0))


# Of self-normalizing networks, Klambauer et al., 2017, equation 2.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


# Name: (function, derivative, where the derivative jumps or None for a smooth
# one, a bound of the second derivative elsewhere).
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
  'tanh': (np.tanh, lambda z: 1 - np.tanh(z) ** 2, None, 0.77),
  'sigmoid': (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z)), None, 0.1),
  'elu': (
    lambda z: np.where(z > 0, z, _expm1(z)),
    lambda z: np.where(z > 0, 1.0, _exp(z)),
    None,
    1,
  ),
  'softplus': (_softplus, _sigmoid, None, 0.25),
  'selu': (
    lambda z: _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * _expm1(z)),
    lambda z: _SELU_SCALE * np.where(z > 0, 1.0, _SELU_ALPHA * _exp(z)),
    None,
    1.8,
  ),
  'softsign': (
    lambda z: z / (1 + np.abs(z)),
    lambda z: (1 + np.abs(z)) ** -2,
    None,
    2,
  ),
  'swish': (
    lambda z: z * _sigmoid(z),
    lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z))),
    None,
    0.5,
  ),
  'mish': (lambda z: z * np.tanh(_softplus(z)), _mish_slope, None, 0.7),
}


class Network(object):
  """A DNN with the outputs of a classifier or a regressor.

  Args:
    layers: list of (kernel [fan_in, units], bias [units]), the logits' last.
    activation: name of the hidden layers' activation function.
    batch_norms: None, or a list for each hidden layer of what follows its
      activation: {'gamma', 'beta', 'moving_mean', 'moving_variance': [units]}.
    is_classifier: whether the logits are those of classes; of a single one
      the outputs are its negative and itself.
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
    function = _ACTIVATIONS[self.activation][0]
    results = []
    for i, (kernel, bias) in enumerate(self.layers):
      if i:
        x = function(results[-1]) * self._scales[i - 1] + self._shifts[i - 1]
      results.append(x @ kernel + bias)
    return results

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
    jacobian = self._output_gradients(zs[-1], output)
    derivative = _ACTIVATIONS[self.activation][1]
    for i in reversed(range(len(self.layers))):
      if i < len(self.layers) - 1:
        slope = derivative(zs[i]) * self._scales[i]
        jacobian = jacobian * slope[:, np.newaxis, :]
      jacobian = jacobian @ self.layers[i][0].T
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
    """Returns where on the path a unit switches, with the ends 0 and 1.

    Layer by layer: between the kinks of all earlier layers a pre-activation
    is linear.
    """
    positions = np.array([0.0, 1.0])
    thresholds = _ACTIVATIONS[self.activation][2] or ()
    for i in range(len(self.layers) - 1):
      points = baseline + positions[:, np.newaxis] * (x - baseline)
      z = self.pre_activations(points)[i]
      new = [positions]
      for threshold in thresholds:
        before, after = z[:-1] - threshold, z[1:] - threshold
        region, unit = np.nonzero(before * after < 0)
        share = before[region, unit] / (before - after)[region, unit]
        new.append(positions[region] + share * np.diff(positions)[region])
      positions = np.unique(np.concatenate(new))
    return positions

  def attributions(self, x, baseline, output='logits'):
    """Returns the Integrated Gradients [num_outputs, width] of one row.

    Between two kinks by a midpoint rule: with one cell where the gradient is
    constant, which is exact, and else with so many that they err by less than
    1e-8 of the gradient's second derivative.
    """
    positions = self.kinks(x, baseline)
    is_constant = (
      output == 'logits' and _ACTIVATIONS[self.activation][2] is not None
    )
    cells = 1 if is_constant else -(-_NUM_CELLS // (len(positions) - 1))
    total = np.zeros((self.outputs(x[np.newaxis]).shape[1], self.width))
    for start, stop in zip(positions[:-1], positions[1:]):
      nodes = start + (stop - start) * (np.arange(cells) + 0.5) / cells
      points = baseline + nodes[:, np.newaxis] * (x - baseline)
      mean = self.gradients(points, output).mean(axis=0)
      total += (stop - start) * mean
    return total * (x - baseline)

  def rounding(self, x, baseline, output='logits'):
    """Returns bounds of what float32 adds to the numbers of one row.

    Source: the running error analysis of Higham, Accuracy and Stability of
    Numerical Algorithms, section 3.3, at points all along the path. A unit so
    close to a kink that rounding switches it is not counted.

    Returns:
      (of an attribution [num_outputs, width], of an output [num_outputs]).
    """
    points = baseline + np.linspace(0, 1, 65)[:, np.newaxis] * (x - baseline)
    ends = np.maximum(np.abs(x), np.abs(baseline))
    function, derivative, _, curvature = _ACTIVATIONS[self.activation]

    # Forward: the error of each pre-activation. What the 3, 4 and 8 count are
    # the operations beside the sums, those within a function of TensorFlow's.
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
  power of two, float32 has room for every number on the way: an equality that
  must hold holds for the bits.
  """
  rng = np.random.RandomState(seed)
  layers = [
    (rng.randint(-2, 3, (fan_in, units)), rng.randint(-3, 4, units))
    for fan_in, units in zip(sizes[:-1], sizes[1:])
  ]
  return Network(layers, **arguments)
