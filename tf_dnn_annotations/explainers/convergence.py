"""Warnings about rows whose attributions are inexact or mean little."""

from typing import List, Sequence
import warnings

import numpy as np

# Attributions that cancel to less than this share of the sum of their absolute
# values explain a difference of outputs that hardly exists.
NEAR = 1e-3


class NotConverged(RuntimeWarning):
  """'auto' did not meet the tolerance on some rows.

  Attributes:
    rows: list of the indices of those rows.
    limited_rows: those of them for which more steps are of no use, since
      float32 does not know the output any better.
    tolerance: that of the call.
  """

  def __init__(
    self,
    num_rows: int,
    rows: List[int],
    tolerance: float,
    limited_rows: Sequence[int] = (),
  ) -> None:
    remedies = []
    if len(limited_rows) < len(rows):
      remedies.append('Raise `num_steps`.')
    if len(limited_rows):
      which = (
        'Such a row'
        if len(limited_rows) == len(rows)
        else (
          f'{len(limited_rows)} of them (row {limited_rows[0]} is the first)'
        )
      )
      remedies.append(
        f'{which} cannot: float32 knows the output no better than that, with '
        'any number of steps. Give a larger `tolerance`, or scale the inputs.'
      )
    super().__init__(
      f'{_rows(rows, num_rows)} did not meet the tolerance of {tolerance:g}: '
      'see `gap` and `error_estimate` of the result. ' + ' '.join(remedies)
    )
    self.rows = rows
    self.limited_rows = list(limited_rows)
    self.tolerance = tolerance


class NearBaseline(RuntimeWarning):
  """The output of some rows is nearly that of their baseline.

  Attributes:
    rows: list of the indices of those rows.
  """

  def __init__(self, num_rows: int, rows: List[int]) -> None:
    super().__init__(
      f'The output of {_rows(rows, num_rows)} differs from that of the '
      f'baseline by less than {NEAR:.1%} of the sum of the absolute '
      'attributions, which cancel, or by no more than rounding: compare '
      '`outputs` and `baseline_outputs` of the result. Another baseline '
      'explains such a row better.'
    )
    self.rows = rows


def warn(sums, tolerance, stacklevel):
  """Warns of the rows that need it, if any.

  Args:
    sums: `row_sums.RowSums`, complete.
    tolerance: that of the call.
    stacklevel: as in `warnings.warn`, 1 for the caller.
  """
  num_rows = len(sums.has_converged)
  missed, limited = (
    np.flatnonzero(~sums.has_converged & is_some).tolist()
    for is_some in (True, ~sums.needs_steps)
  )
  if missed:
    warnings.warn(
      NotConverged(num_rows, missed, tolerance, limited),
      stacklevel=stacklevel + 1,
    )
  near = np.flatnonzero(sums.is_near_baseline()).tolist()
  if near:
    warnings.warn(NearBaseline(num_rows, near), stacklevel=stacklevel + 1)


def _rows(rows, num_rows):
  return f'{len(rows)} of {num_rows} rows (row {rows[0]} is the first)'
