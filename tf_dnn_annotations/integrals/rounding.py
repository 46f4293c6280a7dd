"""How much float32 adds to attributions.

Models compute in float32: the ends of the path, the first kernel and the
attributions are known to some roundings. The bounds here are no proofs. They
are of the size that errors have, as measured, on the safe side of them: see
docs/accuracy.md.
"""

import numpy as np

# In roundings: what the ends of the path and the product with the kernel add,
# where activations have kinks and where they have none, and what the
# attributions themselves add. Found by trial on random networks.
_ROUNDOFF = 2.0**-24
_ROUNDINGS_WITH_KINKS = 8.0
_ROUNDINGS_WITHOUT = 3.0
_ROUNDINGS_OF_VALUES = 2.0


def of_path(start, end, integrals, span=None):
  """Returns how much of the rounding of a path its integral feels.

  The root mean square of the gradients g, times 1 + |z| / (how far z moves, or
  how far a unit is on). Pre-activations z are known to eps |z| alone, so where
  a unit turns is the less known the larger they are beside that.

  Args:
    start, end: [1 or n, units], [n, units], the ends of the paths.
    integrals: [n, T, units], those of the gradients.
    span: the least distance of two kinks of a piecewise linear activation;
      None if the activation is smooth, and turns over a distance of about 1.

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
      # Nothing moves: nothing is felt.
      share = np.where(least > 0, 2 * size * turning / least, 0)
  squares = np.einsum('ntu,ntu->nt', integrals, integrals) / units
  return (1 + np.sqrt(share))[:, np.newaxis] * np.sqrt(squares)


def of_sums(sizes, noise, has_kinks):
  """Returns what float32 adds to attributions on the way from the path.

  About eps * sum_i |x_i - x'_i| ||W_i|| ||g|| / sqrt(units) for an integral
  that feels nothing else: the errors of units are as good as random.

  Args:
    sizes: [n], what `first_layer.add` returned.
    noise: [n, T], what `of_path` returned.
    has_kinks: whether activations have kinks.

  Returns:
    float64 [n, T], in the unit of the output, without that of the attributions
    themselves, `of_values`.
  """
  roundings = _ROUNDINGS_WITH_KINKS if has_kinks else _ROUNDINGS_WITHOUT
  return roundings * _ROUNDOFF * sizes[:, np.newaxis] * noise


def of_values(absolute_sums):
  """Returns what float32 adds to attributions of these absolute sums."""
  return _ROUNDINGS_OF_VALUES * _ROUNDOFF * absolute_sums
