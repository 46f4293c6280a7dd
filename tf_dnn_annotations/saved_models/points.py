"""Points of a model's processed space, and what the model computes there."""

import collections

import numpy as np

from tf_dnn_annotations.saved_models import feature_values


class Points(
  collections.namedtuple('Points', ['columns', 'path', 'outputs', 'predicted'])
):
  """What a model computed at n points of its processed space.

  Attributes:
    columns: float [n, width of all columns], side by side in the model's order.
    path: float [n, size], where the points lie in the space in which paths are
      followed: the first dense layer's pre-activation if the model's `kernel`
      is known, otherwise `columns` themselves.
    outputs: [n, num_outputs].
    predicted: int [n], the index of the output that the model itself predicts:
      its class_ids, or that of the largest logit where it has none.
  """

  __slots__ = ()

  def rows(self, index):
    """Returns some of the points; of a single one, that one for all rows."""
    if len(self.outputs) == 1:
      index = slice(None)
    return Points(
      self.columns[index],
      self.path[index],
      self.outputs[index],
      self.predicted[index],
    )


def joined(parts):
  """Returns `Points` one behind the other."""
  if len(parts) == 1:
    return parts[0]
  return Points(
    np.concatenate([part.columns for part in parts]),
    np.concatenate([part.path for part in parts]),
    np.concatenate([part.outputs for part in parts]),
    np.concatenate([part.predicted for part in parts]),
  )


def check_no_overflow(points, first_row):
  """Raises `RowError` at the first row that the model cannot compute."""
  for values in (points.outputs, points.path):
    if not feature_values.is_finite(values):
      row = np.argwhere(~np.isfinite(values))[0][0]
      raise feature_values.RowError(
        first_row + int(row),
        'the model computes a NaN or an infinity. Leave out or scale down '
        'what is too large for float32, or train the model again if it does '
        'so for every row.',
      )
