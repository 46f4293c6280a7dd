"""Integrals of a model's gradients over paths, to a tolerance.

By segments of a path that are halved where they err most. Paths and gradient
functions are those of `quadrature`.
"""

import collections

import numpy as np

from tf_dnn_annotations.integrals import quadrature

# Kronrod's 15 nodes, those of [0, 1) of (-1, 1), their weights, and the weights
# of the 7 of Gauss among them.
# Source: Piessens, de Doncker-Kapenga, Ueberhuber, Kahaner, QUADPACK, Springer
# 1983, routine QK15.
_HALF = np.array(
  [
    (0.991455371120812639, 0.022935322010529225, 0.0),
    (0.949107912342758525, 0.063092092629978553, 0.129484966168869693),
    (0.864864423359769073, 0.104790010322250184, 0.0),
    (0.741531185599394440, 0.140653259715525919, 0.279705391489276668),
    (0.586087235467691130, 0.169004726639267903, 0.0),
    (0.405845151377397167, 0.190350578064785410, 0.381830050505118945),
    (0.207784955007898468, 0.204432940075298892, 0.0),
    (0.0, 0.209482141084727828, 0.417959183673469388),
  ]
)
NODES_PER_SEGMENT = 15

# A unit of the first layer that moves by more than this on its way through zero
# may turn between two of 15 nodes: they lie up to a tenth of a segment apart,
# and tanh and its like turn within a few units.
_STEEP = 30.0
# So far from zero, such a unit has turned.
_TURNED = 8.0
# Segments to begin with where the first layer is not known.
_FIRST_SEGMENTS = 4

# Where the 15 nodes resolve the integrand, Kronrod's error is far below its
# difference from Gauss: by the ratio of that difference to a coarser one, times
# this. Found by trial, to be on the safe side.
_RESOLVED = 8.0

# Where a steep unit begins to turn, its zero, and where it has turned.
_CUTS_PER_UNIT = 3

# For kinks that stand so that the difference is below the error: by trial.
_SAFETY = 2.5

# Numbers held for the segments of a group of rows, 16 MB.
_NUMBERS = 1 << 22


def adaptive(
  gradient_fn,
  start,
  end,
  changes,
  rounding,
  noise,
  columns,
  tolerance,
  max_nodes,
  max_points,
  is_first_layer,
):
  """Returns the integral of dF over each row's path, to a tolerance.

  The path is cut into segments, each with Kronrod's 15 nodes, among them the 7
  of Gauss. The segments whose two sums differ most are halved until the row
  meets the tolerance, relative to the sum of the absolute attributions: by
  those differences on the path first, which costs little, then on the columns,
  where the gap counts too. Where the first layer moves far through zero, the
  path is cut before the first node is taken.

  Args:
    gradient_fn, start, end, max_points: as in `quadrature`.
    changes: [n, T], F(end) - F(start).
    rounding: [n, T], how well F is known: beyond that, nodes are of no use.
    noise: [n, T], what float32 adds to attributions beside what `columns` says.
    columns: `first_layer.Columns`, which carries sums to the columns.
    tolerance: relative, positive.
    max_nodes: most nodes per row, but never fewer than 15.
    is_first_layer: whether the path is that of the first layer's
      pre-activations; otherwise it is that of the columns themselves.

  Returns:
    `quadrature.Integrals`
  """
  num_rows, num_targets = changes.shape
  most_segments = max(1, max_nodes // NODES_PER_SEGMENT)
  group = _NUMBERS // (2 * most_segments * num_targets * end.shape[1])
  group = max(1, group)
  parts = []
  for first in range(0, num_rows, group):
    rows = np.arange(first, min(first + group, num_rows))
    parts.append(
      _Refinement(
        gradient_fn, start, end, changes, rounding, noise, columns, tolerance
      ).run(rows, most_segments, max_points, is_first_layer)
    )
  return quadrature.Integrals(
    *(np.concatenate(part) for part in zip(*(part[:5] for part in parts)))
  )


_Segments = collections.namedtuple(
  '_Segments',
  # Row, ends in [0, 1], Kronrod's sum [T, size], its error [T, size] and the
  # measure of that [T].
  ['row', 'low', 'high', 'sums', 'errors', 'size'],
)


class _Refinement(object):
  """The segments of a group of rows at work."""

  def __init__(
    self, gradient_fn, start, end, changes, rounding, noise, columns, tolerance
  ):
    """Takes the arguments of `adaptive`, of all rows."""
    self._gradient_fn, self._start, self._end = gradient_fn, start, end
    self._changes, self._rounding, self._columns = changes, rounding, columns
    self._noise, self._tolerance = noise, tolerance

  def run(self, rows, most_segments, max_points, is_first_layer):
    """Returns the fields of `quadrature.Integrals` of consecutive rows."""
    delta = self._end[rows].astype(np.float64) - self._start[rows]
    # Units that hardly move as a whole move with parts of a column that cancel.
    weight = np.abs(delta)
    weight += weight.mean(axis=1, keepdims=True)
    self._first, self._delta, self._weight = rows[0], delta, weight
    self._max_points, self._is_first_layer = max_points, is_first_layer
    num = len(rows)
    result = quadrature.Integrals(
      np.zeros((num, self._changes.shape[1], delta.shape[1])),
      np.zeros(num, np.int64),
      np.zeros(num),
      np.zeros(num, bool),
      np.zeros(num, bool),
    )
    # How much of the tolerance is asked of the path.
    strictness = np.ones((num, 1))
    most_first = max(1, most_segments // 2)
    is_blind = np.zeros(num, bool)
    if is_first_layer:
      *new, num_cuts = _steep_segments(self._start[rows], delta, most_first)
      # Too few segments even for the steepest unit: it may turn unseen.
      is_blind = (num_cuts >= most_first) & (most_first <= _CUTS_PER_UNIT)
    else:
      new = _even_segments(num, min(_FIRST_SEGMENTS, most_first))
    segments = None
    while len(new[0]):
      result.num_nodes[:] += NODES_PER_SEGMENT * np.bincount(
        new[0], minlength=num
      )
      new = self._evaluated(*new)
      segments = new if segments is None else _merged(segments, new)
      segments, new = self._halved(segments, result, strictness, most_segments)
    result.has_converged[is_blind] = result.is_limited[is_blind] = False
    return result

  def _evaluated(self, row, low, high):
    """Returns `_Segments`, with a gradient at each node."""
    parts = []
    block = max(1, self._max_points // NODES_PER_SEGMENT)
    for first in range(0, len(row), block):
      some = slice(first, first + block)
      length = high[some] - low[some]
      nodes = low[some, np.newaxis] + length[:, np.newaxis] * _NODES
      owner = np.repeat(row[some] + self._first, NODES_PER_SEGMENT)
      points = quadrature.points(self._start, self._end, owner, nodes.ravel())
      gradients = [
        self._gradient_fn(
          points[i : i + self._max_points], owner[i : i + self._max_points]
        )
        for i in range(0, len(points), self._max_points)
      ]
      gradients = (
        gradients[0] if len(gradients) == 1 else np.concatenate(gradients)
      )
      num_targets, size = gradients.shape[1:]
      gradients = gradients.reshape(len(length), NODES_PER_SEGMENT, -1)
      sums = np.matmul(_WEIGHTS.astype(gradients.dtype), gradients)
      sums = sums.reshape(len(length), 4, num_targets, size)
      sums *= length[:, np.newaxis, np.newaxis, np.newaxis]
      weight = self._weight[row[some], np.newaxis]
      even, odd, coarse = (
        np.sum(np.abs(sums[:, i]) * weight, axis=-1) for i in (1, 2, 3)
      )
      # A kink may stand so that one of the two does not see it.
      fine = np.maximum(even, odd)
      with np.errstate(divide='ignore', invalid='ignore'):
        share = np.fmin((_RESOLVED * fine / coarse) ** 2, 1)
      errors = np.where((even >= odd)[:, :, np.newaxis], sums[:, 1], sums[:, 2])
      errors = errors * share[:, :, np.newaxis]
      parts.append((sums[:, 0], errors, fine * share))
    return _Segments(row, low, high, *map(np.concatenate, zip(*parts)))

  def _halved(self, segments, result, strictness, most_segments):
    """Finishes rows; returns the segments to keep and (row, low, high) anew."""
    first = np.flatnonzero(np.diff(segments.row, prepend=-1))
    rows = segments.row[first]
    num_segments = np.diff(np.append(first, len(segments.row)))
    sums, errors = (
      np.add.reduceat(part, first, axis=0, dtype=np.float64)
      for part in (segments.sums, segments.errors)
    )
    # Errors of different segments add up like random numbers, also where they
    # happen to cancel.
    likely = _SAFETY * np.sqrt(np.add.reduceat(segments.size**2, first, axis=0))
    weight = self._weight[rows, np.newaxis]
    signed = np.sum(np.abs(errors) * weight, axis=-1)
    scale = np.sum(np.abs(sums) * weight, axis=-1)
    gap = self._changes[rows + self._first] - np.sum(
      sums * self._delta[rows, np.newaxis], axis=-1
    )
    gap, rounding = np.abs(gap), self._rounding[rows + self._first]
    asked = self._tolerance * scale * strictness[rows]
    room = (most_segments * NODES_PER_SEGMENT - result.num_nodes[rows]) // (
      2 * NODES_PER_SEGMENT
    )
    seems_done = ((likely <= asked) | (likely + gap <= rounding)).all(axis=1)
    (asks,) = np.nonzero(seems_done | (room <= 0))
    is_done = np.zeros(len(rows), bool)
    if len(asks):
      with np.errstate(divide='ignore', invalid='ignore'):
        more = np.fmax(likely[asks] / signed[asks], _SAFETY)
      index = rows[asks] + self._first
      values, error = (
        self._columns.absolute_sums(index, part[asks])
        for part in (sums, errors)
      )
      error *= more
      unknown = self._columns.rounding(index, sums[asks], values)
      unknown += self._noise[index]
      bound = self._tolerance * values
      floor = np.maximum(np.maximum(rounding[asks], unknown), bound)
      missed = error + gap[asks]
      is_met = (missed + unknown <= bound).all(axis=1)
      is_limited = ~is_met & (missed <= floor).all(axis=1)
      ends = is_met | is_limited | (room[asks] <= 0)
      is_done[asks] = ends
      done = rows[asks[ends]]
      result.gradients[done] = sums[asks[ends]]
      error += self._noise[index]
      result.errors[done] = error[ends].max(axis=1)
      result.has_converged[done] = is_met[ends]
      result.is_limited[done] = is_limited[ends]
      # The path seemed done, and the columns are not.
      with np.errstate(divide='ignore', invalid='ignore'):
        less = np.fmin(bound / missed, 1)
      less = less.min(axis=1, keepdims=True)
      strictness[rows[asks]] *= np.clip(less / 2, 0.01, 0.5)

    # The worst segments of the rows that go on: those which alone are more than
    # their share of what is asked; where that is all in order and the gap is
    # not, all of the longest.
    of_row = np.repeat(np.arange(len(rows)), num_segments)
    with np.errstate(divide='ignore', invalid='ignore'):
      score = np.nan_to_num(segments.size / asked[of_row], posinf=1e30)
    score = score.max(axis=1) * np.sqrt(num_segments)[of_row]
    is_gap = ((likely <= asked / 2) & (gap > asked / 2)).any(axis=1) & (
      likely <= asked
    ).all(axis=1)
    length = segments.high - segments.low
    longest = np.maximum.reduceat(length, first)
    score = np.where(is_gap[of_row], 2 * length / longest[of_row], score)
    order = np.lexsort((-score, segments.row))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(first, num_segments)
    goes_on = ~is_done[of_row]
    halves = goes_on & (rank < room[of_row]) & ((score >= 1) | (rank == 0))
    row, low, high = (part[halves] for part in segments[:3])
    middle = self._middles(row, low, high)
    new = (
      np.repeat(row, 2),
      np.stack([low, middle], axis=1).ravel(),
      np.stack([middle, high], axis=1).ravel(),
    )
    return _Segments(*(part[goes_on & ~halves] for part in segments)), new

  def _middles(self, row, low, high):
    """Returns where to cut segments: near the middle, on a kink if may be."""
    middle = (low + high) / 2
    if not self._is_first_layer or not len(row):
      return middle
    # Zeros of a unit of the first layer, where many an activation has a kink.
    with np.errstate(divide='ignore', invalid='ignore'):
      zeros = -self._start[row + self._first] / self._delta[row]
      distance = np.abs(zeros - middle[:, np.newaxis])
    nearest = np.argmin(np.nan_to_num(distance, nan=np.inf), axis=1)
    zero = np.take_along_axis(zeros, nearest[:, np.newaxis], axis=1)[:, 0]
    is_near = np.abs(zero - middle) < (high - low) / 4
    return np.where(is_near, zero, middle)


def _merged(segments, others):
  """Returns `_Segments` in the order of the rows."""
  merged = [np.concatenate(pair) for pair in zip(segments, others)]
  order = np.argsort(merged[0], kind='stable')
  return _Segments(*(part[order] for part in merged))


def _even_segments(num_rows, num):
  """Returns (row, low, high) of `num` equal segments for each row."""
  ends = np.arange(num + 1) / num
  return (
    np.repeat(np.arange(num_rows), num),
    np.tile(ends[:-1], num_rows),
    np.tile(ends[1:], num_rows),
  )


def _steep_segments(start, delta, most):
  """Returns (row, low, high, num_cuts) of segments, cut where units turn fast.

  `num_cuts`, int [n], is how many cuts each row asks for, some of which there
  may be no room for.

  Args:
    start, delta: [n, units], pre-activations at the start, and how they move.
    most: most segments per row; those of the steepest units come first.
  """
  num_rows = len(start)
  row, unit = np.nonzero(np.abs(delta) > _STEEP)
  speed = delta[row, unit]
  time = -start[row, unit] / speed
  turned = _TURNED / np.abs(speed)
  order = np.argsort(-np.abs(speed), kind='stable')
  row = np.repeat(row[order], _CUTS_PER_UNIT)
  cut = np.stack([time - turned, time, time + turned], axis=1)[order].ravel()
  (is_inside,) = np.nonzero((cut > 0) & (cut < 1))
  row, cut = row[is_inside], cut[is_inside]
  # The first of each row.
  order = np.argsort(row, kind='stable')
  row, cut = row[order], cut[order]
  count = np.bincount(row, minlength=num_rows)
  rank = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
  row, cut = row[rank < most - 1], cut[rank < most - 1]
  every = np.arange(num_rows)
  row = np.concatenate([row, every, every])
  cut = np.concatenate([cut, np.zeros(num_rows), np.ones(num_rows)])
  order = np.lexsort((cut, row))
  row, cut = row[order], cut[order]
  is_segment = (np.diff(row) == 0) & (np.diff(cut) > 0)
  return row[:-1][is_segment], cut[:-1][is_segment], cut[1:][is_segment], count


def _rules():
  """Returns the nodes in (0, 1) of a segment, [15], and weights [4, 15].

  Of Kronrod's rule; of its difference from that of Gauss with 7 of the nodes;
  of another rule that is zero for what is smooth; and of the difference from
  the rule on the other 8, right up to degree 7.
  """
  half = _HALF[::-1]
  nodes = np.concatenate([-_HALF[:-1, 0], half[:, 0]])
  kronrod, gauss = np.concatenate([_HALF[:-1, 1:], half[:, 1:]]).T
  is_other = gauss == 0
  coarse = np.zeros(len(nodes))
  moments = np.polynomial.legendre.legvander(nodes[is_other], 7).T
  coarse[is_other] = np.linalg.solve(moments, [2.0] + 7 * [0.0])
  # Zero up to degree 12, and of odd functions what the difference from Gauss is
  # of even ones.
  moments = np.polynomial.legendre.legvander(nodes, 12).T
  zero = np.linalg.svd(moments)[2][-2:]
  odd = zero[np.argmax(np.abs(zero[:, 0] - zero[:, -1]))]
  odd = odd - odd[::-1]
  odd *= np.linalg.norm(kronrod - gauss) / np.linalg.norm(odd)
  weights = np.stack([kronrod, kronrod - gauss, odd, kronrod - coarse])
  return (nodes + 1) / 2, weights / 2


_NODES, _WEIGHTS = _rules()
