"""Raw features as given by a user, made into what a graph can be fed."""

from typing import List, NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import feature_arrays
from tf_dnn_annotations.saved_models import raw_values
from tf_dnn_annotations.saved_models import row_errors
from tf_dnn_annotations.text import suggestions


class Feature(NamedTuple):
  """A raw feature that a model reads.

  Attributes:
    key: its key in tf.Examples and in dicts of features.
    dtype: `tf.DType`.
    shape: list of the dimensions after the batch's, None for an unknown one;
      None if the rank is unknown. A sparse feature has a list of any length.
    is_sparse: whether an example may have any number of values.
  """

  key: str
  dtype: tf.DType
  shape: Optional[List[Optional[int]]]
  is_sparse: bool


def batch(features, raw, is_finite=True, subject='`examples`'):
  """Returns the values of raw features as arrays of the features' types.

  Args:
    features: dict of key to `Feature`: what the model reads.
    raw: dict of the same keys to values of n examples, each in a form that
      `raw_values.plain` accepts: for a dense feature an array [n, ...], or [n]
      where the shape is [1]; for one of any number of values an array [n] or
      [n, k], a list of n lists of values, or a sparse or ragged Tensor. There
      None, NaN and NA are missing, and in arrays and single values '', -1 and
      0.0, too, by the type, as tf.feature_column treats them.
    is_finite: whether a NaN or an infinity is an error.
    subject: what error messages call the examples.

  Returns:
    ({key: array or `tf.SparseTensorValue`}, n)

  Raises:
    ValueError: a key or a shape is wrong.
    RowError: a value of a row is missing, NaN or infinite.
    TypeError: values of another type than the feature's.
  """
  unknown = sorted(set(raw) - set(features), key=str)
  missing = sorted(set(features) - set(raw))
  if unknown or missing:
    hints = [suggestions.did_you_mean(key, missing) for key in unknown]
    raise ValueError(
      f'{subject} must have the features {sorted(features)}; got '
      f'{sorted(map(str, raw))}.'
      + (f' Not known to the model: {unknown}.' if unknown else '')
      + ''.join(hints)
      + (f' Add {missing}.' if missing else ' Leave them out.')
    )
  values = {
    key: (feature_arrays.sparse if feature.is_sparse else feature_arrays.dense)(
      feature, raw[key]
    )
    for key, feature in features.items()
  }
  sizes = {key: num_rows(value) for key, value in values.items()}
  if len(set(sizes.values())) > 1:
    raise ValueError(
      f'{subject} must have as many rows for each feature; got '
      f'{dict(sorted(sizes.items()))}. Make the first dimensions equal.'
    )
  if is_finite:
    check_finite(values)
  return values, next(iter(sizes.values())) if sizes else 0


def batch_of_good_rows(features, raw, is_finite=True):
  """Returns what `batch` does, of the rows that can be used.

  Each other row costs a pass over the batch.

  Args:
    features, raw, is_finite: as for `batch`.

  Returns:
    ({key: array or `tf.SparseTensorValue`}, indices of the rows that it holds,
    int [m], {index of another row: reason})

  Raises:
    ValueError, TypeError: as `batch` does where no single row is to blame.
  """
  raw = {key: raw_values.plain(key, value) for key, value in raw.items()}
  good, reasons = None, {}
  while True:
    try:
      values, count = batch(features, raw, is_finite)
    except row_errors.RowError as error:
      if good is None:
        good = np.arange(max(num_rows(value) for value in raw.values()))
      reasons[int(good[error.row])] = error.reason
      kept = np.delete(np.arange(len(good)), error.row)
      good = good[kept]
      raw = {key: raw_values.chosen(raw[key], kept) for key in raw}
      continue
    return values, np.arange(count) if good is None else good, reasons


def num_rows(value):
  """Returns the number of examples in a value that `batch` returned."""
  if isinstance(value, tf.SparseTensorValue):
    return int(value.dense_shape[0])
  return len(value)


def rows(values, start, stop):
  """Returns the rows [start, stop) of a dict that `batch` returned."""

  def sliced(value):
    if not isinstance(value, tf.SparseTensorValue):
      return value[start:stop]
    # The indices are sorted.
    first, last = np.searchsorted(value.indices[:, 0], [start, stop])
    indices = value.indices[first:last].copy()
    indices[:, 0] -= start
    shape = np.array(value.dense_shape)
    shape[0] = max(0, min(stop, shape[0]) - start)
    return tf.SparseTensorValue(indices, value.values[first:last], shape)

  return {key: sliced(value) for key, value in values.items()}


def check_finite(values, what='feature', first_row=0):
  """Raises `RowError` at the first NaN or infinity in a dict of values."""
  for key, value in values.items():
    is_sparse = isinstance(value, tf.SparseTensorValue)
    array = value.values if is_sparse else value
    if array.dtype.kind != 'f' or is_finite(array):
      continue
    bad = np.argwhere(~np.isfinite(array))[0]
    row = value.indices[bad[0]][0] if is_sparse else bad[0]
    raise row_errors.RowError(
      first_row + int(row),
      f'{what} {key!r} must be finite; got {array[tuple(bad)]}. Give a number '
      f'that {array.dtype.name} can hold, or leave the row out.',
    )


def is_finite(array):
  """Returns whether a float array is free of NaN and infinity."""
  # The sum is much faster than a look at each element. It may overflow.
  with np.errstate(over='ignore', invalid='ignore'):
    return np.isfinite(array.sum()) or np.isfinite(array).all()


def joined(features, parts):
  """Returns the rows of dicts that `batch` returned, one behind the other.

  Args:
    features: dict of key to `Feature`.
    parts: list of dicts as `batch` returns.

  Returns:
    {key: array [n, ...], or for a sparse feature list of n lists of values}.
  """
  together = {}
  for key, feature in features.items():
    values = [part[key] for part in parts]
    if feature.is_sparse:
      together[key] = [
        row.tolist() for value in values for row in row_arrays(value)
      ]
      continue
    if feature.shape == [None]:
      width = max(value.shape[1] for value in values)
      values = [feature_arrays.padded(feature, v, width) for v in values]
    together[key] = np.concatenate(values)
  return together


def row_arrays(value):
  """Returns the values of each row of a SparseTensorValue, n arrays [k]."""
  num_rows = int(value.dense_shape[0])
  ends = np.searchsorted(value.indices[:, 0], np.arange(1, num_rows))
  return np.split(value.values, ends)[:num_rows]
