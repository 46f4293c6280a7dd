"""Segments of paths: where they begin and end, and their sums."""

import collections

import numpy as np

# A unit of the first layer that moves by more than this on its way through zero
# may turn between two of 15 nodes: they lie up to a tenth of a segment apart,
# and tanh and similar functions turn within a few units.
_STEEP = 30.0
# At this distance from zero, such a unit has turned.
_TURNED = 8.0
# Where a steep unit begins to turn, its zero, and where it has turned.
CUTS_PER_UNIT = 3


class Segments(
  collections.namedtuple(
    'Segments', ['row', 'low', 'high', 'sums', 'errors', 'size']
  )
):
  """Segments of the paths of some rows, in the order of the rows.

  Attributes:
    row: int [m], the row on whose path each segment lies.
    low, high: [m], its ends in [0, 1].
    sums: [m, T, size], the integral over the segment by Kronrod's rule.
    errors: [m, T, size], the estimated error of it.
    size: [m, T], how large that error is on the whole.
  """

  __slots__ = ()


def merged(segments, others):
  """Returns two `Segments` as one, in the order of the rows."""
  merged = [np.concatenate(pair) for pair in zip(segments, others)]
  order = np.argsort(merged[0], kind='stable')
  return Segments(*(part[order] for part in merged))


def even(num_rows, num):
  """Returns (row, low, high) of `num` equal segments for each row."""
  ends = np.arange(num + 1) / num
  return (
    np.repeat(np.arange(num_rows), num),
    np.tile(ends[:-1], num_rows),
    np.tile(ends[1:], num_rows),
  )


def steep(start, delta, most):
  """Returns segments that are cut where units turn fast.

  Args:
    start, delta: [n, units], pre-activations at the start, and how they move.
    most: most segments per row; the cuts of the steepest units come first.

  Returns:
    (row, low, high, num_cuts) with num_cuts int [n], the number of cuts that
    each row needs, for which there may be no room.
  """
  num_rows = len(start)
  row, unit = np.nonzero(np.abs(delta) > _STEEP)
  speed = delta[row, unit]
  time = -start[row, unit] / speed
  turned = _TURNED / np.abs(speed)
  order = np.argsort(-np.abs(speed), kind='stable')
  row = np.repeat(row[order], CUTS_PER_UNIT)
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
