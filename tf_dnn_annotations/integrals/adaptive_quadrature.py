"""Integrals of a model's gradients over paths, to a tolerance.

By segments of a path that are halved where they err most.
"""

import collections

import numpy as np

from tf_dnn_annotations.integrals import gauss_kronrod
from tf_dnn_annotations.integrals import memory
from tf_dnn_annotations.integrals import path_integral
from tf_dnn_annotations.integrals import segments as path_segments

# Segments to begin with where the first layer is not known.
_FIRST_SEGMENTS = 4

# Where the 15 nodes resolve the integrand, Kronrod's error is far below its
# difference from Gauss: by the ratio of that difference to a coarser one, times
# this. Found by trial, to be on the safe side.
_RESOLVED = 8.0

# For kinks that stand so that the difference is below the error: by trial.
_SAFETY = 2.5


def adaptive(paths, changes, rounding, noise, columns, tolerance, max_steps):
  """Returns the integral of dF over each row's path, to a tolerance.

  The path is cut into segments, each with Kronrod's 15 nodes, among them the 7
  of Gauss. The segments whose two sums differ most are halved until the row
  meets the tolerance, relative to the sum of the absolute attributions: by
  those differences on the path first, which costs little, then on the columns,
  where the gap counts too. Where the first layer moves far through zero, the
  path is cut before the first gradient is evaluated.

  Args:
    paths: `quadrature.Paths`.
    changes: [n, T], F(end) - F(start).
    rounding: [n, T], how well F is known: beyond that, steps are of no use.
    noise: [n, T], errors of float32 that `columns.rounding` does not include.
    columns: `first_layer.Columns`, which carries sums to the columns.
    tolerance: relative, positive.
    max_steps: most steps per row, but never fewer than 15.

  Returns:
    `path_integral.PathIntegral`
  """
  num_rows, num_targets = changes.shape
  most_segments = max(1, max_steps // gauss_kronrod.NUM_NODES)
  # The sums of the segments of a row.
  group = memory.rows_within(
    memory.INTEGRALS, most_segments * num_targets * paths.end.shape[1]
  )
  parts = [
    _Refinement(
      paths,
      np.arange(first, min(first + group, num_rows)),
      changes,
      rounding,
      noise,
      columns,
      tolerance,
      most_segments,
    ).integral()
    for first in range(0, num_rows, group)
  ]
  return path_integral.PathIntegral(
    *(np.concatenate(part) for part in zip(*(part[:5] for part in parts)))
  )


class _Estimate(
  collections.namedtuple(
    '_Estimate',
    [
      'rows',
      'first',
      'num_segments',
      'sums',
      'errors',
      'likely',
      'gap',
      'asked',
      'room',
    ],
  )
):
  """The sums over the segments of each row that is not done.

  Attributes:
    rows: int [m], those rows, in order.
    first: int [m], the index of the first segment of each.
    num_segments: int [m], how many segments each has.
    sums, errors: float64 [m, T, size], the integral and its estimated error.
    likely: [m, T], how large that error is likely to be on the path.
    gap: [m, T], |change of the output - sum of the attributions|.
    asked: [m, T], how large the error on the path may be.
    room: int [m], how many segments may still be halved.
  """

  __slots__ = ()


class _Refinement(object):
  """The segments of a group of rows at work."""

  def __init__(
    self,
    paths,
    rows,
    changes,
    rounding,
    noise,
    columns,
    tolerance,
    most_segments,
  ):
    """Takes consecutive rows, and the arguments of `adaptive` for all rows."""
    self._paths, self._columns, self._tolerance = paths, columns, tolerance
    self._first, self._num_rows = rows[0], len(rows)
    self._start, self._changes = paths.start[rows], changes[rows]
    self._rounding, self._noise = rounding[rows], noise[rows]
    self._most_segments = most_segments
    # Otherwise the path is that of the columns.
    self._is_first_layer = columns.first_layer.kernel is not None
    self._delta = paths.end[rows].astype(np.float64) - self._start
    # Units that hardly move as a whole move with parts of a column that cancel.
    self._weight = np.abs(self._delta)
    self._weight += self._weight.mean(axis=1, keepdims=True)
    self._integral = path_integral.PathIntegral(
      np.zeros((len(rows), changes.shape[1], self._delta.shape[1])),
      np.zeros(len(rows), np.int64),
      np.zeros(len(rows)),
      np.zeros(len(rows), bool),
      np.zeros(len(rows), bool),
    )
    self._is_done = np.zeros(len(rows), bool)
    # How much of the tolerance is asked of the path.
    self._strictness = np.ones((len(rows), 1))

  def integral(self):
    """Returns the `PathIntegral` of the rows."""
    result = self._integral
    new, is_blind = self._first_segments()
    segments = None
    while len(new[0]):
      result.num_steps[:] += gauss_kronrod.NUM_NODES * np.bincount(
        new[0], minlength=self._num_rows
      )
      evaluated = self._evaluated(*new)
      segments = (
        evaluated
        if segments is None
        else path_segments.merged(segments, evaluated)
      )
      estimate = self._estimate(segments)
      self._finish(estimate)
      segments, new = self._halved(segments, estimate)
    result.has_converged[is_blind] = result.is_limited[is_blind] = False
    return result

  def _first_segments(self):
    """Returns ((row, low, high), bool [n]: whether units may turn unseen)."""
    most = max(1, self._most_segments // 2)
    if not self._is_first_layer:
      num = min(_FIRST_SEGMENTS, most)
      new = path_segments.even(self._num_rows, num)
      return new, np.zeros(self._num_rows, bool)
    *new, num_cuts = path_segments.steep(self._start, self._delta, most)
    # Too few segments even for the steepest unit.
    is_blind = (num_cuts >= most) & (most <= path_segments.CUTS_PER_UNIT)
    return new, is_blind

  def _evaluated(self, row, low, high):
    """Returns `Segments`, with a gradient at each node."""
    num_nodes = gauss_kronrod.NUM_NODES
    parts = []
    block = max(1, self._paths.max_points // num_nodes)
    for first in range(0, len(row), block):
      some = slice(first, first + block)
      length = high[some] - low[some]
      nodes = (
        low[some, np.newaxis] + length[:, np.newaxis] * gauss_kronrod.NODES
      )
      owner = np.repeat(row[some] + self._first, num_nodes)
      gradients = self._paths.gradients(owner, nodes.ravel())
      num_targets, size = gradients.shape[1:]
      gradients = gradients.reshape(len(length), num_nodes, -1)
      weights = gauss_kronrod.WEIGHTS.astype(gradients.dtype)
      sums = np.matmul(weights, gradients)
      sums = sums.reshape(len(length), len(weights), num_targets, size)
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
    return path_segments.Segments(
      row, low, high, *map(np.concatenate, zip(*parts))
    )

  def _estimate(self, segments):
    """Returns the `_Estimate` of the rows that have segments."""
    first = np.flatnonzero(np.diff(segments.row, prepend=-1))
    rows = segments.row[first]
    sums, errors = (
      np.add.reduceat(part, first, axis=0, dtype=np.float64)
      for part in (segments.sums, segments.errors)
    )
    scale = np.sum(np.abs(sums) * self._weight[rows, np.newaxis], axis=-1)
    gap = self._changes[rows] - np.sum(
      sums * self._delta[rows, np.newaxis], axis=-1
    )
    num_left = (
      self._most_segments * gauss_kronrod.NUM_NODES
      - self._integral.num_steps[rows]
    )
    return _Estimate(
      rows,
      first,
      np.diff(np.append(first, len(segments.row))),
      sums,
      errors,
      # Errors of different segments add up like random numbers, also where they
      # happen to cancel.
      _SAFETY * np.sqrt(np.add.reduceat(segments.size**2, first, axis=0)),
      np.abs(gap),
      self._tolerance * scale * self._strictness[rows],
      num_left // (2 * gauss_kronrod.NUM_NODES),
    )

  def _finish(self, estimate):
    """Finishes the rows whose attributions meet the tolerance, or cannot."""
    likely, gap = estimate.likely, estimate.gap
    rounding = self._rounding[estimate.rows]
    seems_done = (likely <= estimate.asked) | (likely + gap <= rounding)
    (asks,) = np.nonzero(seems_done.all(axis=1) | (estimate.room <= 0))
    if not len(asks):
      return
    rows, sums = estimate.rows[asks], estimate.sums[asks]
    errors, gap = estimate.errors[asks], gap[asks]
    weight = self._weight[rows, np.newaxis]
    with np.errstate(divide='ignore', invalid='ignore'):
      signed = np.sum(np.abs(errors) * weight, axis=-1)
      more = np.fmax(likely[asks] / signed, _SAFETY)
    index = rows + self._first
    values, error = (
      self._columns.absolute_sums(index, part) for part in (sums, errors)
    )
    error *= more
    unknown = self._columns.rounding(index, sums, values)
    unknown += self._noise[rows]
    bound = self._tolerance * values
    floor = np.maximum(np.maximum(rounding[asks], unknown), bound)
    missed = error + gap
    is_met = (missed + unknown <= bound).all(axis=1)
    is_limited = ~is_met & (missed <= floor).all(axis=1)
    ends = is_met | is_limited | (estimate.room[asks] <= 0)
    done = rows[ends]
    self._is_done[done] = True
    self._integral.gradients[done] = sums[ends]
    error += self._noise[rows]
    self._integral.errors[done] = error[ends].max(axis=1)
    self._integral.has_converged[done] = is_met[ends]
    self._integral.is_limited[done] = is_limited[ends]
    # The path seemed done, but the columns are not.
    with np.errstate(divide='ignore', invalid='ignore'):
      less = np.fmin(bound / missed, 1)
    less = less.min(axis=1, keepdims=True)
    self._strictness[rows] *= np.clip(less / 2, 0.01, 0.5)

  def _halved(self, segments, estimate):
    """Returns the `Segments` to keep, and (row, low, high) of new ones.

    Halves the worst segments of the rows that go on: those which alone are more
    than their share of what is asked; where that is met and the gap is too
    large, all of the longest.
    """
    likely, gap, asked = estimate.likely, estimate.gap, estimate.asked
    of_row = np.repeat(np.arange(len(estimate.rows)), estimate.num_segments)
    with np.errstate(divide='ignore', invalid='ignore'):
      score = np.nan_to_num(segments.size / asked[of_row], posinf=1e30)
    score = score.max(axis=1) * np.sqrt(estimate.num_segments)[of_row]
    is_gap = ((likely <= asked / 2) & (gap > asked / 2)).any(axis=1) & (
      likely <= asked
    ).all(axis=1)
    length = segments.high - segments.low
    longest = np.maximum.reduceat(length, estimate.first)
    score = np.where(is_gap[of_row], 2 * length / longest[of_row], score)
    order = np.lexsort((-score, segments.row))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(
      estimate.first, estimate.num_segments
    )
    goes_on = ~self._is_done[segments.row]
    is_worst = (score >= 1) | (rank == 0)
    halves = goes_on & (rank < estimate.room[of_row]) & is_worst
    row, low, high = (part[halves] for part in segments[:3])
    middle = self._middles(row, low, high)
    new = (
      np.repeat(row, 2),
      np.stack([low, middle], axis=1).ravel(),
      np.stack([middle, high], axis=1).ravel(),
    )
    kept = goes_on & ~halves
    return path_segments.Segments(*(part[kept] for part in segments)), new

  def _middles(self, row, low, high):
    """Returns where to cut segments: near the middle, if possible on a kink."""
    middle = (low + high) / 2
    if not self._is_first_layer or not len(row):
      return middle
    # Zeros of a unit of the first layer, where many activations have a kink.
    with np.errstate(divide='ignore', invalid='ignore'):
      zeros = -self._start[row] / self._delta[row]
      distance = np.abs(zeros - middle[:, np.newaxis])
    nearest = np.argmin(np.nan_to_num(distance, nan=np.inf), axis=1)
    zero = np.take_along_axis(zeros, nearest[:, np.newaxis], axis=1)[:, 0]
    is_near = np.abs(zero - middle) < (high - low) / 4
    return np.where(is_near, zero, middle)
