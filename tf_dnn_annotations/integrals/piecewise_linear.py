"""Networks whose activations are piecewise linear; numpy only."""

import collections

import numpy as np

# How often a unit passes one of its kinks on a path, measured on random and on
# trained networks.
PASSAGES_PER_UNIT = 0.45


def num_regions(kernels):
  """Returns about how many linear regions a path through layers has.

  Args:
    kernels: iterable of [units_i, units_{i+1}], those that follow each layer
      whose units cut the path.
  """
  return PASSAGES_PER_UNIT * sum(kernel.shape[0] for kernel in kernels) + 1


class Activation(
  collections.namedtuple('Activation', ['kinks', 'slopes', 'kink_slopes'])
):
  """A continuous piecewise linear function of one variable, zero at zero.

  Attributes:
    kinks: tuple of floats, rising.
    slopes: tuple of floats, one more than kinks: left of, between, right of.
    kink_slopes: tuple of floats, the slope on each kink, which is that left or
      right of it. It counts for a unit that rests there. It is TensorFlow's: 0
      on both kinks of ReLU6, and the left one for the others.
  """

  __slots__ = ()

  def __call__(self, z, out=None):
    """Returns the function of an array; `out` is used by ReLU, and may be z."""
    if self == RELU:
      return np.maximum(z, 0, out=out)
    result = self.slopes[0] * z
    for kink, jump, _ in self.jumps:
      # The change of slope counts beyond the kink. The value is zero at zero.
      result = result + jump * (np.maximum(z - kink, 0) - max(-kink, 0.0))
    return result

  @property
  def jumps(self):
    """List of (kink, by how much the slope rises there, side).

    The side is 1 if the slope on the kink is that left of it, -1 if it is that
    right of it. If the kink is shifted to that side by more than rounding, a
    unit that rests on it has the slope that counts.
    """
    return [
      (kink, after - before, 1 if on == before else -1)
      for kink, before, after, on in zip(
        self.kinks, self.slopes[:-1], self.slopes[1:], self.kink_slopes
      )
    ]

  def slope(self, z, rounding=0):
    """Returns the slope at z; within `rounding` of a kink, that on it."""
    if self == RELU:
      return (z > rounding).astype(z.dtype)
    result = np.full_like(z, self.slopes[0])
    for kink, jump, side in self.jumps:
      above = z > kink + rounding if side > 0 else z >= kink - rounding
      result += jump * above
    return result

  def mean_slope(self, low, high, rounding=0):
    """Returns the mean of the slope over the segment between two arrays.

    Args:
      low, high: of the same shape.
      rounding: of a shape that fits; units that do not move and are this near
        to a kink rest on it.
    """
    length = high - low
    np.abs(length, out=length)
    upper = np.maximum(low, high)
    if self == RELU:
      # As below, in place: allocating arrays would cost more than computing
      # them.
      upper -= rounding
      with np.errstate(divide='ignore', invalid='ignore'):
        np.divide(upper, length, out=upper)
        np.fmax(upper, 0, out=upper)
        return np.fmin(upper, 1, out=upper)
    lower = np.minimum(low, high)
    result = np.full_like(upper, self.slopes[0])
    with np.errstate(divide='ignore', invalid='ignore'):
      for kink, jump, side in self.jumps:
        # The share of the segment on the side that does not count on the kink.
        # fmax turns the 0 / 0 of a unit that rests there into 0.
        shifted = kink + side * rounding
        beyond = upper - shifted if side > 0 else shifted - lower
        share = np.fmin(np.fmax(beyond / length, 0), 1)
        result += jump * (share if side > 0 else 1 - share)
    return result


IDENTITY = Activation((), (1.0,), ())
RELU = Activation((0.0,), (0.0, 1.0), (0.0,))
RELU6 = Activation((0.0, 6.0), (0.0, 1.0, 0.0), (0.0, 0.0))


def leaky_relu(alpha):
  """Returns the leaky ReLU of slope `alpha` below zero."""
  return Activation((0.0,), (float(alpha), 1.0), (float(alpha),))


class Network(
  collections.namedtuple('Network', ['activations', 'kernels', 'biases'])
):
  """A network from the first hidden layer's pre-activation to the logits.

  Layer i's output is activations[i](z_i), and z_{i+1} = that @ kernels[i] +
  biases[i]; the last z is the logits.

  Attributes:
    activations: tuple of `Activation`, one per hidden layer.
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

  @property
  def span(self):
    """The least distance of two kinks of an activation, or infinity."""
    return min(
      (
        high - low
        for activation in self.activations
        for low, high in zip(activation.kinks, activation.kinks[1:])
      ),
      default=np.inf,
    )

  def sizes(self, start, end):
    """Returns about how large the terms of each pre-activation are on a path.

    The norm of a unit's weights times that of the layer below, which above the
    first layer is estimated as for random weights.

    Args:
      start, end: [n, units_0], of the first layer.

    Returns:
      list of [n, units_i], one per layer above the first.
    """
    norm = np.sqrt(
      np.maximum(*(np.einsum('nu,nu->n', z, z) for z in (start, end)))
    )
    sizes = []
    for activation, kernel, bias in zip(*self):
      reach = np.sqrt(np.einsum('jk,jk->k', kernel, kernel))
      reach = norm[:, np.newaxis] * reach * np.abs(activation.slopes).max()
      sizes.append(np.abs(bias) + reach)
      norm = np.linalg.norm(bias) + np.linalg.norm(reach, axis=1) / np.sqrt(
        max(1, len(kernel))
      )
    return sizes

  def logits(self, z):
    """Returns the logits [n, num_logits] of pre-activations z [n, units_0]."""
    for activation, kernel, bias in zip(*self):
      z = activation(z) @ kernel + bias
    return z
