"""Integrals of a model's gradients over paths, by sums over nodes."""

import numpy as np

# Nodes with which the adaptive rule begins and, unless told otherwise, ends.
_FIRST_LEVEL = 3
MAX_NUM_NODES = 1025

# More columns of Richardson's table than this gain nothing on smooth
# integrands and spread the noise of kinks.
_MAX_ORDER = 4


def fixed(gradient_fn, start, end, nodes, weights, max_points):
  """Returns sum_k weights[k] * dF at node k of each row's path.

  Rows and nodes are laid out one behind the other and cut into calls of
  `max_points`, wherever that cuts a row's path.

  Args:
    gradient_fn: function of ({name: points [m, size]}, rows int [m]) that
      returns {name: gradients [m, T, size]} of the targets of those rows.
    start, end: {name: [n, size]}, the ends of the paths.
    nodes, weights: float64 [num_steps].
    max_points: most points in one call.

  Returns:
    {name: float64 [n, T, size]}
  """
  num_rows, num_steps = len(next(iter(end.values()))), len(nodes)
  sums = {}
  for first in range(0, num_rows * num_steps, max_points):
    point = np.arange(first, min(first + max_points, num_rows * num_steps))
    row, step = np.divmod(point, num_steps)
    position = nodes[step, np.newaxis]
    points = {
      name: start[name][row]
      + position.astype(z.dtype) * (z[row] - start[name][row])
      for name, z in end.items()
    }
    # The points of a row stand together: one sum for each run of them.
    first_of_row = np.flatnonzero(np.diff(row, prepend=-1))
    for name, gradients in gradient_fn(points, row).items():
      if name not in sums:
        sums[name] = np.zeros((num_rows,) + gradients.shape[1:])
      sums[name][row[first_of_row]] += np.add.reduceat(
        weights[step, np.newaxis, np.newaxis] * gradients, first_of_row, axis=0
      )
  return sums


def adaptive(
  gradient_fn,
  start,
  end,
  changes,
  rounding,
  tolerance,
  max_nodes,
  max_points,
):
  """Returns the integral of dF over each row's path, to a tolerance.

  The trapezoidal rule on 2^k + 1 nodes for k = 3, 4, ... with Richardson's
  extrapolation (Romberg's rule). Each refinement evaluates the points midway
  between those already there and keeps their sum. A row is done when two
  successive estimates agree and the gap is small, both to `tolerance` times
  the sum of the absolute attributions.

  Args:
    gradient_fn, start, end, max_points: as in `fixed`.
    changes: [n, T], F(end) - F(start).
    rounding: [n, T], how well F is known, a floor of what is asked for.
    tolerance: relative, positive.
    max_nodes: most nodes a row; 2^k + 1 that exceed it are not tried.

  Returns:
    ({name: float64 [n, T, size]}, num_nodes int64 [n], errors float64 [n],
    has_converged bool [n]). An error is the largest sum over a path's elements
    of the difference between the two last estimates, in the unit of F.
  """
  num_rows = len(changes)
  totals = {}
  num_nodes = np.zeros(num_rows, np.int64)
  errors = np.zeros(num_rows)
  has_converged = np.zeros(num_rows, bool)
  # A table of estimates is kept for each row at work.
  size = sum(z.shape[1] for z in end.values()) * changes.shape[1]
  group = max(1, int(2**22 // ((_MAX_ORDER + 4) * max(size, 1))))
  for first in range(0, num_rows, group):
    rows = np.arange(first, min(first + group, num_rows))
    table, level = [], 0
    while len(rows):
      nodes = (
        np.array([0.0, 1.0])
        if level == 0
        else (np.arange(2 ** (level - 1)) + 0.5) / 2 ** (level - 1)
      )
      means = fixed(
        lambda points, row, rows=rows: gradient_fn(points, rows[row]),
        {name: z[rows] for name, z in start.items()},
        {name: z[rows] for name, z in end.items()},
        nodes,
        np.full(len(nodes), 1 / len(nodes)),
        max_points,
      )
      refined = [
        means
        if level == 0
        else {name: (table[0][name] + means[name]) / 2 for name in means}
      ]
      for m, coarse in enumerate(table[:_MAX_ORDER], start=1):
        refined.append(
          {
            name: fine + (fine - coarse[name]) / (4.0**m - 1)
            for name, fine in refined[-1].items()
          }
        )
      previous, table = table, refined
      level += 1
      if level <= _FIRST_LEVEL:
        continue
      estimate = table[-1]
      deltas = {
        name: (z[rows].astype(np.float64) - start[name][rows])[:, np.newaxis]
        for name, z in end.items()
      }
      sums, scales, differences = (
        sum(
          np.sum(function(deltas[name], estimate[name], name), axis=-1)
          for name in estimate
        )
        for function in (
          lambda delta, value, name: delta * value,
          lambda delta, value, name: np.abs(delta * value),
          lambda delta, value, name, last=previous[-1]: np.abs(
            delta * (value - last[name])
          ),
        )
      )
      bound = tolerance * scales + rounding[rows]
      is_done = (
        (differences <= bound) & (np.abs(changes[rows] - sums) <= bound)
      ).all(axis=1)
      nodes_so_far = 2 ** (level - 1) + 1
      is_last = 2**level + 1 > max_nodes
      stops = is_done | is_last
      for name, value in estimate.items():
        if name not in totals:
          totals[name] = np.zeros((num_rows,) + value.shape[1:])
        totals[name][rows[stops]] = value[stops]
      num_nodes[rows[stops]] = nodes_so_far
      errors[rows[stops]] = differences.max(axis=1)[stops]
      has_converged[rows[stops]] = is_done[stops]
      rows = rows[~stops]
      table = [
        {name: value[~stops] for name, value in entry.items()}
        for entry in table
      ]
  return totals, num_nodes, errors, has_converged
