"""Integrals of a model's gradients over paths, by sums over nodes."""

import numpy as np

# Most steps of `adaptive_quadrature` per row by default.
MAX_NUM_STEPS = 1025


class Paths(object):
  """Straight paths of n rows, and the gradients of the model along them.

  Attributes:
    start, end: [n, size], the ends of the paths.
    max_points: most points in one call of the model.
  """

  def __init__(self, gradient_fn, start, end, max_points):
    """Takes the paths; computes nothing yet.

    Args:
      gradient_fn: function of (points [m, size], rows int [m]) that returns
        the gradients [m, T, size] of the targets of those rows.
      start: [1 or n, size].
      end: [n, size].
      max_points: int, positive.
    """
    self._gradient_fn = gradient_fn
    self.start, self.end = np.broadcast_to(start, end.shape), end
    self.max_points = max_points

  def gradients(self, rows, positions):
    """Returns the gradients at points of the paths, [m, T, size].

    Args:
      rows: int [m], whose path each point is on.
      positions: [m], in [0, 1].
    """
    positions = positions[:, np.newaxis].astype(self.end.dtype)
    start = self.start[rows]
    points = start + positions * (self.end[rows] - start)
    gradients = [
      self._gradient_fn(
        points[first : first + self.max_points],
        rows[first : first + self.max_points],
      )
      for first in range(0, len(points), self.max_points)
    ]
    return gradients[0] if len(gradients) == 1 else np.concatenate(gradients)


def fixed(paths, nodes, weights):
  """Returns sum_k weights[k] * dF at node k of each row's path.

  Rows and nodes are laid out one after the other and cut into calls of
  `paths.max_points`, wherever that cuts a row's path.

  Args:
    paths: `Paths`.
    nodes, weights: float64 [num_steps].

  Returns:
    float64 [n, T, size]
  """
  num_rows, num_steps = len(paths.end), len(nodes)
  num_points, sums = num_rows * num_steps, None
  for first in range(0, num_points, paths.max_points):
    point = np.arange(first, min(first + paths.max_points, num_points))
    row, step = np.divmod(point, num_steps)
    gradients = paths.gradients(row, nodes[step])
    if sums is None:
      sums = np.zeros((num_rows,) + gradients.shape[1:])
    # The points of a row stand together: one sum for each run of them.
    first_of_row = np.flatnonzero(np.diff(row, prepend=-1))
    sums[row[first_of_row]] += np.add.reduceat(
      weights[step, np.newaxis, np.newaxis] * gradients, first_of_row, axis=0
    )
  return sums
