"""Rows of a batch that cannot be explained, and the batch without them."""

from typing import List

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.explainers import baselines as baseline_points
from tf_dnn_annotations.saved_models import example_forms
from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import raw_values
from tf_dnn_annotations.saved_models import row_errors


class SkippedRows(RuntimeWarning):
  """Rows of a batch that could not be explained and have no attributions.

  Attributes:
    batch: index of the batch, from 0.
    rows: list of the indices of the rows in it.
    reasons: list of str, why each could not be, with the remedy.
  """

  def __init__(
    self, batch: int, num_rows: int, errors: List[row_errors.RowError]
  ) -> None:
    self.batch = batch
    self.rows = [error.row for error in errors]
    self.reasons = [error.reason for error in errors]
    rows = f'{len(errors)} of {num_rows} rows are'
    if num_rows == 1:
      rows = 'the only row is'
    super().__init__(
      f'Of batch {batch}, {rows} skipped. The first: {errors[0]}'
    )


def attributions_of_others(explainer, examples, error, arguments):
  """Explains a batch without the rows that cannot be.

  Args:
    explainer: the `integrated_gradients.IntegratedGradients`.
    examples: as its `attribute` accepts them.
    error: the `RowError` that it raised.
    arguments: dict of its other arguments.

  Returns:
    (`Attributions` of the other rows, number of rows in the batch, list of a
    `RowError` for each bad row, by row)
  """
  examples = example_forms.plain(examples)
  errors = {}
  if isinstance(examples, dict):
    examples, rows, errors = feature_values.batch_of_good_rows(
      explainer.model.features, examples, is_finite=False
    )
    rows = rows.tolist()
  else:
    rows = list(range(len(examples)))
  num_rows = len(rows) + len(errors)
  good = list(range(len(rows)))  # Places in `examples`, whose rows are `rows`.
  while True:
    found = find(explainer.model, _chosen(examples, good), arguments)
    found = {good[place]: reason for place, reason in found.items()}
    if not found and error.row not in errors:
      # The model alone could compute this row.
      found = {rows.index(error.row): error.reason}
    errors.update({rows[place]: reason for place, reason in found.items()})
    good = [place for place in good if place not in found]
    of_good = [rows[place] for place in good]
    try:
      result = explainer.attribute(
        _chosen(examples, good), **_of_rows(arguments, num_rows, of_good)
      )
    except row_errors.RowError as row_error:
      if row_error.of != 'examples':
        raise
      error = row_errors.RowError(of_good[row_error.row], row_error.reason)
      continue
    errors = sorted(errors.items())
    return result, num_rows, [row_errors.RowError(*e) for e in errors]


def find(model, examples, arguments):
  """Finds all rows of a batch that the model cannot compute.

  Halves of the batch are computed until all are good or of one row, which takes
  some 2 * log2(n) runs of the model for one bad row of n, and at worst as much
  as some 3 * log2(n) runs of all n rows, however many are bad.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    examples: list of bytes, or a dict that `feature_values.batch` returned.
    arguments: dict of the arguments of `attribute`.

  Returns:
    {row: reason}
  """
  reasons, num_rows = {}, len(examples)
  if isinstance(examples, dict):
    num_rows = max(map(feature_values.num_rows, examples.values()))
    for row in _not_finite(examples):
      try:
        feature_values.check_finite(feature_values.rows(examples, row, row + 1))
      except row_errors.RowError as error:
        reasons[row] = error.reason
  stack = [list(range(num_rows))]
  while stack:
    rows = [row for row in stack.pop() if row not in reasons]
    if not rows:
      continue
    try:
      model.points_of_examples(
        _chosen(examples, rows),
        arguments.get('output', 'logits'),
        arguments.get('max_rows'),
      )
    except row_errors.RowError as error:
      reasons[rows[error.row]] = error.reason
      middle = len(rows) // 2
      stack += [rows[:middle], rows[middle:]]
  return reasons


def _of_rows(arguments, num_rows, rows):
  """Returns arguments of `attribute` for some rows of a batch of num_rows."""
  arguments = dict(arguments)
  targets = arguments.get('targets', '')
  if not isinstance(targets, str) and np.shape(targets) == (num_rows,):
    arguments['targets'] = np.asarray(targets)[rows]
  baselines = arguments.get('baselines')
  if isinstance(baselines, baseline_points.ColumnValues):
    arguments['baselines'] = baseline_points.ColumnValues(
      {
        name: np.asarray(value)[rows]
        if np.ndim(value) == 2 and len(value) == num_rows > 1
        else value
        for name, value in baselines.items()
      }
    )
  return arguments


def _not_finite(values):
  """Returns the rows of a dict of features that hold a NaN or an infinity."""
  rows = set()
  for value in values.values():
    is_sparse = isinstance(value, tf.SparseTensorValue)
    array = value.values if is_sparse else value
    if array.dtype.kind == 'f':
      bad = np.argwhere(~np.isfinite(array))[:, 0]
      rows.update((value.indices[bad, 0] if is_sparse else bad).tolist())
  return sorted(rows)


def _chosen(examples, rows):
  """Returns some rows of a list, or of a dict that `batch` returned."""
  if not isinstance(examples, dict):
    return [examples[row] for row in rows]
  rows = np.array(rows, np.int64)
  return {
    key: raw_values.chosen(value, rows) for key, value in examples.items()
  }
