"""Points of a model's processed space, and what the model computes there."""

import collections

import numpy as np

from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import refusals
from tf_dnn_annotations.saved_models import row_errors


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
    return Points(*(values[index] for values in self))


class PointReader(object):
  """Computes `Points` from examples and from processed columns.

  Attributes:
    rows_per_call: number of rows that bounds the memory of a call.
  """

  def __init__(
    self, session, features, outputs, prediction, space, rows_per_call
  ):
    """Takes what is run.

    Args:
      session: the `model_session.ModelSession`.
      features: {feature key: `Tensor` or `SparseTensor`}.
      outputs: {name of an output: `Tensor` [batch, num_outputs]}.
      prediction: the `model_outputs.Prediction`.
      space: the `processed_space.ProcessedSpace`.
      rows_per_call: int.
    """
    self._session, self._features, self._outputs = session, features, outputs
    self._prediction, self._space = prediction, space
    self.rows_per_call = rows_per_call
    self._zeros = {}

  def of_rows(self, read_fn, first, last, output, unknown=None):
    """Computes the columns and outputs of rows of examples, in one call.

    Args:
      read_fn: function of the first and the last row that returns what the
        session is to be fed.
      first, last: the rows are [first, last).
      output: 'logits' or 'probabilities'.
      unknown: `vocabularies.UnknownCounter` of the rows' categories, or None.

    Returns:
      `Points`.

    Raises:
      RowError: an example cannot be parsed, or holds a NaN or an infinity.
    """
    if first >= last:
      none = np.zeros((0, self._space.width), self._space.dtype)
      return self.of_columns(none, output)
    feed = read_fn(first, last)
    fetches = {
      # Features that are fed have been checked.
      'features': {
        key: tensor
        for key, tensor in self._features.items()
        if tensor.dtype.is_floating and tensor not in feed
      },
      'columns': self._space.side_by_side,
      **self._fetches(output),
    }
    if unknown:
      fetches['categories'] = {
        key: self._features[key] for key in unknown.vocabularies
      }
    fetched = self._session.run_rows(fetches, feed, first)
    if unknown:
      unknown.add(fetched['categories'])
    feature_values.check_finite(fetched['features'], first_row=first)
    columns = fetched['columns']
    if not feature_values.is_finite(columns):
      by_name = {
        name: columns[:, part] for name, part in self._space.slices.items()
      }
      feature_values.check_finite(by_name, 'the value of column', first)
    points = _points(columns, fetched)
    _check_no_overflow(points, first)
    self._check_predicted(points.predicted, len(columns))
    return points

  def of_columns(self, columns, output, max_rows=None):
    """Computes the outputs of processed columns [n, width of all columns]."""
    self._session.check_open()
    chunk = max_rows or self.rows_per_call
    fetches = self._fetches(output)
    parts = []
    for first in range(0, max(len(columns), 1), chunk):
      rows = columns[first : first + chunk]
      feed = self._space.feed_of_columns(rows)
      parts.append(_points(rows, self._session.run(fetches, feed)))
      _check_no_overflow(parts[-1], first)
    return joined(parts)

  def of_zeros(self, output):
    """Returns the point of zeros in every column, computed once."""
    self._session.check_open()
    if output not in self._zeros:
      zeros = np.zeros((1, self._space.width), self._space.dtype)
      self._zeros[output] = self.of_columns(zeros, output)
    return self._zeros[output]

  def _fetches(self, output):
    """Returns what `_points` takes of the model."""
    fetches = {'outputs': self._outputs[output]}
    if self._space.first_layer is not None:
      fetches['path'] = self._space.first_layer
    if output != 'logits' or not self._prediction.is_largest:
      fetches['predicted'] = self._prediction.ids
    return fetches

  def _check_predicted(self, ids, num_rows):
    num_outputs = self._outputs['logits'].shape.as_list()[-1]
    if len(ids) != num_rows:
      raise refusals.contradictory(
        self._session.export_dir,
        f'it predicts {len(ids)} classes for {num_rows} rows',
      )
    if len(ids) and not 0 <= ids.min() <= ids.max() < num_outputs:
      raise refusals.contradictory(
        self._session.export_dir,
        f'it predicts a class in [{ids.min()}, {ids.max()}], and has '
        f'{num_outputs} of them',
      )


def joined(parts):
  """Returns `Points` one behind the other."""
  if len(parts) == 1:
    return parts[0]
  return Points(*map(np.concatenate, zip(*parts)))


def _points(columns, fetched):
  """Returns the `Points` of columns and of what was fetched of the model."""
  predicted = fetched.get('predicted')
  if predicted is None:
    predicted = np.argmax(fetched['outputs'], axis=1)
  path = fetched.get('path', columns)
  return Points(columns, path, fetched['outputs'], predicted)


def _check_no_overflow(points, first_row):
  """Raises `RowError` at the first row that the model cannot compute."""
  for values in (points.outputs, points.path):
    if not feature_values.is_finite(values):
      row = np.argwhere(~np.isfinite(values))[0][0]
      raise row_errors.RowError(
        first_row + int(row),
        'the model computes a NaN or an infinity. Leave out or scale down '
        'what is too large for float32, or train the model again if it does '
        'so for every row.',
      )
