"""Networks whose activations are piecewise linear; numpy only."""

import collections

import numpy as np

# Passages of a unit through its kinks on a path, measured on random and on
# trained networks.
PASSAGES_A_UNIT = 0.45


class Activation(collections.namedtuple('Activation', ['kinks', 'slopes'])):
  """A continuous piecewise linear function of one variable, zero at zero.

  Attributes:
    kinks: tuple of floats, rising.
    slopes: tuple of floats, one more than kinks: left of, between, right of.
  """

  __slots__ = ()

  def __call__(self, z, out=None):
    """Returns the function of an array, which may be `out` if it is ReLU's."""
    if self == RELU:
      return np.maximum(z, 0, out=out)
    result = self.slopes[0] * z
    for kink, jump in self.jumps:
      # What the change of slope at the kink adds beyond it, and at zero.
      result = result + jump * (np.maximum(z - kink, 0) - max(-kink, 0.0))
    return result

  @property
  def jumps(self):
    """List of (kink, by how much the slope rises there)."""
    return [
      (kink, after - before)
      for kink, before, after in zip(
        self.kinks, self.slopes[:-1], self.slopes[1:]
      )
    ]

  def slope(self, z):
    """Returns the slope at z; at a kink, the one left of it."""
    if self == RELU:
      return (z > 0).astype(z.dtype)
    result = np.full_like(z, self.slopes[0])
    for kink, jump in self.jumps:
      result += jump * (z > kink)
    return result

  def mean_slope(self, low, high):
    """Returns the mean of the slope over the segment between two arrays."""
    length = high - low
    np.abs(length, out=length)
    upper = np.maximum(low, high)
    if self == RELU:
      # As below, in place: new arrays cost more than what is done in them.
      with np.errstate(divide='ignore', invalid='ignore'):
        np.divide(upper, length, out=upper)
        np.fmax(upper, 0, out=upper)
        return np.fmin(upper, 1, out=upper)
    result = np.full_like(upper, self.slopes[0])
    with np.errstate(divide='ignore', invalid='ignore'):
      for kink, jump in self.jumps:
        # The share of the segment that lies above the kink; fmax takes the
        # 0 / 0 of a unit that stays on the kink for 0.
        share = np.fmax((upper - kink) / length, 0)
        result += jump * np.fmin(share, 1)
    return result


IDENTITY = Activation((), (1.0,))
RELU = Activation((0.0,), (0.0, 1.0))
RELU6 = Activation((0.0, 6.0), (0.0, 1.0, 0.0))


def leaky_relu(alpha):
  """Returns the leaky ReLU of slope `alpha` below zero."""
  return Activation((0.0,), (float(alpha), 1.0))


class Network(
  collections.namedtuple('Network', ['activations', 'kernels', 'biases'])
):
  """A network from the first hidden layer's pre-activation to the logits.

  Layer i's output is activations[i](z_i), and z_{i+1} = that @ kernels[i] +
  biases[i]; the last z is the logits.

  Attributes:
    activations: tuple of `Activation`, one a hidden layer.
    kernels: tuple of float arrays [units_i, units_{i+1}].
    biases: tuple of float arrays [units_{i+1}].
  """

  __slots__ = ()

  def astype(self, dtype):
    """Returns the network with weights of `dtype`."""
    return self._replace(
      kernels=tuple(kernel.astype(dtype) for kernel in self.kernels),
      biases=tuple(bias.astype(dtype) for bias in self.biases),
    )

  def logits(self, z):
    """Returns the logits [n, num_logits] of pre-activations z [n, units_0]."""
    for activation, kernel, bias in zip(*self):
      z = activation(z) @ kernel + bias
    return z
