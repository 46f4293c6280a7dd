"""The integral of a gradient over straight paths, by whatever method.

Everything that integrates has a method `integrate(start, end, targets)` that
returns a `PathIntegral`.
"""

import collections


class PathIntegral(
  collections.namedtuple(
    'PathIntegral',
    [
      'gradients',
      'num_steps',
      'errors',
      'has_converged',
      'is_limited',
      'noise',
    ],
  )
):
  """Integrals of gradients over the paths of n rows, and how well they went.

  Attributes:
    gradients: float64 [n, T, size], the integral over a in [0, 1] of the
      gradient at start + a (end - start), for each of T targets.
    num_steps: int64 [n], or one number for all rows: points of the path at
      which the gradient was evaluated, or linear regions of an exact sum.
    errors: float64 [n], the estimated sum of the absolute errors of a row's
      attributions, the largest over the targets, rounding aside; 0 where
      nothing is known.
    has_converged: bool [n], whether the tolerance was met.
    is_limited: bool [n], whether it was missed because of rounding alone.
    noise: float64 [n, T], how strongly the integral reacts to rounding of the
      path; None if that is `rounding.of_path` for smooth activations.
  """

  __slots__ = ()


PathIntegral.__new__.__defaults__ = (0.0, True, False, None)
