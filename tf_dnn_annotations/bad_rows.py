"""Rows of a batch that cannot be explained, and the batch without them."""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations import annotated_model
from tf_dnn_annotations import baselines as baseline_points
from tf_dnn_annotations import feature_values


class SkippedRows(RuntimeWarning):
  """Rows of a batch that could not be explained and have no attributions.

  Attributes:
    batch: index of the batch, from 0.
    rows: list of the indices of the rows in it.
    reasons: list of str, why each could not be, with the remedy.
  """

  def __init__(self, batch, num_rows, errors):
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
    examples: as its `attribute` takes them.
    error: the `RowError` that it raised.
    arguments: dict of its other arguments.

  Returns:
    (`Attributions` of the other rows, number of rows in the batch, list of a
    `RowError` for each bad row, by row)
  """
  if isinstance(examples, dict):
    examples, num_rows = feature_values.batch(
      explainer.model.features, examples, is_finite=False
    )
  else:
    examples = list(examples)
    num_rows = len(examples)
  errors, good = {}, list(range(num_rows))
  while True:
    # What a search of the good rows finds, if that is not the first one, went
    # well when the model alone was run.
    found = find(explainer.model, _chosen(examples, good), arguments)
    found = found or {error.row: error.reason}
    errors.update({good[row]: reason for row, reason in found.items()})
    good = [row for row in good if row not in errors]
    try:
      result = explainer.attribute(
        _chosen(examples, good), **_of_rows(arguments, num_rows, good)
      )
    except annotated_model.RowError as row_error:
      error = row_error
      continue
    errors = sorted(errors.items())
    return result, num_rows, [annotated_model.RowError(*e) for e in errors]


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
      except annotated_model.RowError as error:
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
    except annotated_model.RowError as error:
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
  return {key: _rows_of(value, rows) for key, value in examples.items()}


def _rows_of(value, rows):
  if not isinstance(value, tf.SparseTensorValue):
    return value[rows]
  new_rows = np.full(int(value.dense_shape[0]), -1, np.int64)
  new_rows[rows] = np.arange(len(rows))
  indices = value.indices.copy()
  indices[:, 0] = new_rows[indices[:, 0]]
  is_chosen = indices[:, 0] >= 0
  shape = np.array(value.dense_shape)
  shape[0] = len(rows)
  return tf.SparseTensorValue(
    indices[is_chosen], value.values[is_chosen], shape
  )
