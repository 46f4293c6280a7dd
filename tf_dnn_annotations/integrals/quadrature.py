"""Integrals of a model's gradients over paths, by sums over nodes.

A path is the straight line from a row of `start` to that of `end`, both
[n, size]; a gradient function takes (points [m, size], rows int [m]) and
returns the gradients [m, T, size] of the targets of those rows.
"""

import collections

import numpy as np

# Most nodes of `adaptive_quadrature` per row unless told otherwise.
MAX_NUM_NODES = 1025


class Integrals(
  collections.namedtuple(
    'Integrals',
    [
      'gradients',
      'num_nodes',
      'errors',
      'has_converged',
      'is_limited',
      'noise',
    ],
  )
):
  """Integrals of gradients over the paths of n rows.

  Attributes:
    gradients: float64 [n, T, size].
    num_nodes: int64 [n], or one number for all rows.
    errors: float64 [n], the estimated sum of the absolute errors of a row's
      attributions, the largest over the targets, rounding aside; 0 where
      nothing is known.
    has_converged: bool [n], whether the tolerance was met.
    is_limited: bool [n], whether that failed for rounding alone.
    noise: [n, T], how much of the rounding of the path the integral feels; None
      if that is as `rounding.of_path` has it for smooth activations.
  """

  __slots__ = ()


Integrals.__new__.__defaults__ = (0.0, True, False, None)


def fixed(gradient_fn, start, end, nodes, weights, max_points):
  """Returns sum_k weights[k] * dF at node k of each row's path.

  Rows and nodes are laid out one behind the other and cut into calls of
  `max_points`, wherever that cuts a row's path.

  Args:
    gradient_fn, start, end: as the module has them.
    nodes, weights: float64 [num_steps].
    max_points: most points in one call.

  Returns:
    float64 [n, T, size]
  """
  num_rows, num_steps = len(end), len(nodes)
  sums = None
  for first in range(0, num_rows * num_steps, max_points):
    point = np.arange(first, min(first + max_points, num_rows * num_steps))
    row, step = np.divmod(point, num_steps)
    gradients = gradient_fn(points(start, end, row, nodes[step]), row)
    if sums is None:
      sums = np.zeros((num_rows,) + gradients.shape[1:])
    # The points of a row stand together: one sum for each run of them.
    first_of_row = np.flatnonzero(np.diff(row, prepend=-1))
    sums[row[first_of_row]] += np.add.reduceat(
      weights[step, np.newaxis, np.newaxis] * gradients, first_of_row, axis=0
    )
  return sums


def points(start, end, row, position):
  """Returns the points at positions in [0, 1] of the paths of rows."""
  position = position[:, np.newaxis].astype(end.dtype)
  return start[row] + position * (end[row] - start[row])
