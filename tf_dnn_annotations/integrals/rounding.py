"""The errors of attributions that are due to float32.

Models compute in float32: the ends of the path, the first kernel and the
attributions are known up to a few roundings. The estimates here are not proven
bounds. They are of the size that errors were measured to have, and on the safe
side of it: see docs/accuracy.md.
"""

import numpy as np

# Roundings that the ends of the path and the product with the kernel add, where
# activations have kinks and where they have none, and those that the
# attributions themselves add. Found by trial on random networks.
_ROUNDOFF = 2.0**-24
_ROUNDINGS_WITH_KINKS = 8.0
_ROUNDINGS_WITHOUT = 3.0
_ROUNDINGS_OF_VALUES = 2.0

# How well float32 knows an output, as a share of it: a few roundings.
_SHARE_OF_OUTPUT = 1e-6

# How much of the rounding of logits reaches probabilities. Found by trial.
_SHARE_OF_LOGITS = 0.5
_SHARE_OF_LOGARITHM = 0.05
# The same share for logits alone where activations are mostly smooth.
_SHARE_WHERE_SMOOTH = 0.25

# The smallest number that float32 holds with all its digits.
_LEAST = 1e-38


def of_outputs(start_outputs, end_outputs):
  """Returns how well float32 knows the difference of two outputs, [n, T]."""
  size = np.maximum(np.abs(end_outputs), np.abs(start_outputs))
  return _SHARE_OF_OUTPUT * size


def of_path(start, end, integrals, span=None):
  """Returns how strongly an integral reacts to rounding of its path.

  The root mean square of the gradients g, times 1 + |z| / (how far z moves, or
  how far a unit is on). Pre-activations z are known up to eps |z|, so the place
  where a unit turns is the less certain the larger they are beside that.

  Args:
    start, end: [1 or n, units], [n, units], the ends of the paths.
    integrals: [n, T, units], those of the gradients.
    span: the least distance of two kinks of a piecewise linear activation;
      None if the activation is smooth and turns over a distance of about 1.

  Returns:
    float64 [n, T]
  """
  units = end.shape[1]
  delta = end - start
  moved = np.einsum('nu,nu->n', delta, delta)
  size = np.maximum(*(np.einsum('nu,nu->n', z, z) for z in (start, end)))
  if span is None:
    share = 2 * size / np.maximum(moved, units)
  else:
    turning = 1 + np.count_nonzero((start > 0) != (end > 0), axis=1)
    least = np.minimum(moved, units * span**2) * units
    with np.errstate(divide='ignore', invalid='ignore'):
      # Where nothing moves, there is nothing to react to.
      share = np.where(least > 0, 2 * size * turning / least, 0)
  squares = np.einsum('ntu,ntu->nt', integrals, integrals) / units
  return (1 + np.sqrt(share))[:, np.newaxis] * np.sqrt(squares)


def of_probabilities(noise, network, start, end):
  """Changes the noise of exact sums, in place, to that of probabilities.

  Logits are known up to a share of themselves, which adds to the errors of
  probabilities.

  Args:
    noise: float64 [n, T], as `of_path` returns it.
    network: `piecewise_linear.Network`.
    start, end: as in `of_path`.
  """
  largest = np.maximum(
    *(np.abs(network.logits(z)).max(axis=1) for z in (start, end))
  )
  noise *= 1 + _SHARE_OF_LOGITS * largest[:, np.newaxis]


def of_path_of_probabilities(start, end, integrals, start_outputs, end_outputs):
  """Returns `of_path` for probabilities whose logits are not known.

  The logarithm of a small probability is about as large as the logits.

  Args:
    start, end, integrals: as in `of_path`.
    start_outputs, end_outputs: [n, T], the probabilities at the ends.
  """
  least = np.clip(np.minimum(end_outputs, start_outputs), _LEAST, 1)
  noise = of_path(start, end, integrals)
  noise *= _SHARE_WHERE_SMOOTH - _SHARE_OF_LOGARITHM * np.log(least)
  return noise


def of_sums(sizes, noise, has_kinks):
  """Returns the errors of attributions due to the way from the path to them.

  About eps * sum_i |x_i - x'_i| ||W_i|| ||g|| / sqrt(units) for an integral
  that reacts to nothing else: the errors of units are as good as random.

  Args:
    sizes: [n], as `FirstLayer.add` returns them.
    noise: [n, T], as `of_path` returns it.
    has_kinks: whether activations have kinks.

  Returns:
    float64 [n, T], in the unit of the output, without the rounding of the
    attributions themselves, which is `of_values`.
  """
  roundings = _ROUNDINGS_WITH_KINKS if has_kinks else _ROUNDINGS_WITHOUT
  return roundings * _ROUNDOFF * sizes[:, np.newaxis] * noise


def of_values(absolute_sums):
  """Returns the rounding of attributions that have these absolute sums."""
  return _ROUNDINGS_OF_VALUES * _ROUNDOFF * absolute_sums
