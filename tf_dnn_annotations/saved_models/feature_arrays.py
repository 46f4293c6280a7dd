"""The raw values of one feature, made into what a graph can be fed."""

import itertools

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import feature_types
from tf_dnn_annotations.saved_models import raw_values
from tf_dnn_annotations.saved_models import row_errors

# Values that tf.feature_column treats as missing in a dense tensor; of integers
# it is -1.
PADDING = {tf.string: b'', tf.float32: 0.0, tf.float64: 0.0}

# Types of values that need no check of each: none of them is missing.
_SCALARS = {bool, bytes, float, int, str}
_LISTS = {list, tuple, np.ndarray}


def dense(feature, value):
  """Returns an array [n, ...] of the values of a dense feature.

  Args:
    feature: `feature_values.Feature`.
    value: as `raw_values.plain` accepts it.

  Raises:
    RowError: a row misses a value, or has one of another type or shape.
    ValueError, TypeError: the values as a whole have a wrong shape or type.
  """
  value = raw_values.plain(feature.key, value)
  if feature.shape == [None]:
    return _any_number(feature, value)
  if isinstance(value, tf.SparseTensorValue):
    value = _cells(feature, value)
  array = _array(feature, value)
  if array.dtype == object and _has_lists(array.ravel().tolist()):
    _refuse_uneven(feature, value)
  return feature_types.converted(feature, _shaped(feature, array))


def sparse(feature, value):
  """Returns the `tf.SparseTensorValue` of a feature of any number of values.

  Args:
    feature: `feature_values.Feature`.
    value: as `raw_values.plain` accepts it. Cells that are missing are left
      out, and so is padding ('', -1, 0.0) in arrays and in single values.

  Raises:
    RowError: a value of another type, or not a single one.
    ValueError: the indices are not those of the values.
  """
  value = raw_values.plain(feature.key, value)
  if isinstance(value, tf.SparseTensorValue):
    return _checked_sparse(feature, value)
  rows, places, values, num_rows = _entries(feature, value)
  return tf.SparseTensorValue(
    np.stack([rows, places], axis=1),
    feature_types.converted(feature, values, rows),
    np.array([num_rows, _length(places)], np.int64),
  )


def padding(feature):
  """Returns what stands for a missing value in an array of a feature."""
  return PADDING.get(feature.dtype, -1)


def padded(feature, array, width):
  """Returns an array [n, k] with its rows filled up to [n, width]."""
  filled = np.full((len(array), width), padding(feature), array.dtype)
  filled[:, : array.shape[1]] = array
  return filled


def _any_number(feature, value):
  """Returns an array [n, k], the shorter rows filled up."""
  if isinstance(value, np.ndarray) and value.dtype != object:
    cells = value[:, np.newaxis] if value.ndim == 1 else value
    if cells.ndim == 2 and not _is_nan(cells).any():
      return feature_types.converted(feature, cells)
  if isinstance(value, tf.SparseTensorValue):
    value = _checked_sparse(feature, value)
    rows, num_rows = value.indices[:, 0], value.dense_shape[0]
    places, values = _places(rows), value.values
  else:
    rows, places, values, num_rows = _entries(feature, value)
    values = feature_types.converted(feature, values, rows)
  array = np.full((num_rows, _length(places)), padding(feature), values.dtype)
  array[rows, places] = values
  return array


def _entries(feature, value):
  """Returns (row, place in the row, value) of each value, and the row count."""
  if isinstance(value, np.ndarray) and value.ndim > 2:
    raise ValueError(
      f'feature {feature.key!r} must have a list of values per row; got an '
      f'array of the shape {list(value.shape)}. Flatten each row.'
    )
  if isinstance(value, np.ndarray) and value.dtype != object:
    cells = value[:, np.newaxis] if value.ndim == 1 else value
    is_kept = ~_is_nan(cells)
    if feature.is_sparse:
      is_kept &= ~_are_padding(feature, cells)
    rows = np.nonzero(is_kept)[0]
    return rows, _places(rows), cells[is_kept], len(value)
  if isinstance(value, list) and set(map(type, value)) <= {list, tuple}:
    flat = list(itertools.chain.from_iterable(value))
    if set(map(type, flat)) <= _SCALARS:
      lengths = np.fromiter(map(len, value), np.int64, len(value))
      return _listed(lengths, flat)
  is_cells = isinstance(value, np.ndarray) and value.ndim == 2
  lists = [
    _values_of_cells(feature, row)
    if is_cells
    else _values_of_row(feature, row, i)
    for i, row in enumerate(value)
  ]
  lengths = np.array([len(row) for row in lists], np.int64)
  return _listed(lengths, list(itertools.chain.from_iterable(lists)))


def _listed(lengths, flat):
  """Returns what `_entries` does of rows of some lengths, and all values."""
  rows = np.repeat(np.arange(len(lengths)), lengths)
  values = np.empty(len(flat), object)
  values[:] = flat
  return rows, _places(rows), values, len(lengths)


def _places(rows):
  """Returns the place of each entry in its row, given sorted rows."""
  return np.arange(len(rows)) - np.searchsorted(rows, rows)


def _length(places):
  """Returns how many values the longest row has."""
  return int(places.max()) + 1 if len(places) else 0


def _is_nan(array):
  if array.dtype.kind == 'f':
    return np.isnan(array)
  return np.zeros(array.shape, bool)


def _are_padding(feature, array):
  """`_is_padding` of each element of an array of numbers or strings."""
  if array.dtype.kind in 'SU':
    return array == array.dtype.type()
  if array.dtype.kind not in 'biuf' or feature.dtype == tf.string:
    return np.zeros(array.shape, bool)
  return array == padding(feature)


def _values_of_cells(feature, row):
  """Returns the values of a row of an array of objects."""
  values = [value for value in row if not raw_values.is_missing(value)]
  # A dense feature keeps its padding: a crossed column treats it as a value.
  if not feature.is_sparse:
    return values
  return [value for value in values if not _is_padding(feature, value)]


def _values_of_row(feature, row, i):
  """Returns the list of the values of row i, given in a form of its own."""
  if isinstance(row, np.ndarray) and row.ndim == 0:
    row = row[()]
  if not isinstance(row, (list, tuple, np.ndarray)):
    is_absent = raw_values.is_missing(row) or _is_padding(feature, row)
    return [] if is_absent else [row]
  if isinstance(row, np.ndarray) and row.ndim > 1:
    raise _nested(feature, row, i)
  values = [value for value in row if not raw_values.is_left_out(value)]
  if _has_lists(values):
    raise _nested(feature, row, i)
  return values


def _has_lists(values):
  return not _LISTS.isdisjoint(map(type, values))


def _nested(feature, row, i):
  return row_errors.RowError(
    i,
    f'feature {feature.key!r} must have a list of single values per row; got '
    f'{raw_values.shown(row)}. Flatten each row.',
  )


def _is_padding(feature, value):
  """Whether tf.feature_column treats `value` in a dense array as missing."""
  if isinstance(value, (str, bytes)):
    return len(value) == 0
  if not raw_values.is_scalar(value):
    return False
  return bool(value == padding(feature))


def _checked_sparse(feature, value):
  """Returns a SparseTensorValue whose indices are sorted and within bounds."""
  shape = np.asarray(value.dense_shape, np.int64).ravel()
  indices = np.asarray(value.indices, np.int64)
  values = np.asarray(value.values)
  if len(shape) < 2 or indices.shape != (len(values), len(shape)):
    raise ValueError(
      f'feature {feature.key!r} must be a SparseTensor of rows and values; got '
      f'indices {list(indices.shape)}, values {list(values.shape)} and '
      f'dense_shape {shape.tolist()}. Give it the dense_shape [n, k].'
    )
  is_outside = ((indices < 0) | (indices >= shape)).any(axis=1)
  if is_outside.any():
    raise ValueError(
      f'feature {feature.key!r} must have indices within its dense_shape '
      f'{shape.tolist()}; got {indices[is_outside][0].tolist()}. Make the '
      'dense_shape as large as the number of rows and the longest of them.'
    )
  # As TensorFlow's operations need them.
  order = np.lexsort(indices.T[::-1])
  if (np.diff(order) != 1).any():
    indices, values = indices[order], values[order]
  is_same = (indices[1:] == indices[:-1]).all(axis=1)
  if is_same.any():
    raise row_errors.RowError(
      int(indices[1:][is_same][0, 0]),
      f'feature {feature.key!r} must have one value at each index; got two at '
      f'{indices[1:][is_same][0].tolist()}. Number the values of a row from 0.',
    )
  return tf.SparseTensorValue(
    indices, feature_types.converted(feature, values, indices[:, 0]), shape
  )


def _cells(feature, value):
  """Returns a SparseTensorValue as an array of objects, None for no value."""
  value = _checked_sparse(feature, value)
  cells = np.empty(value.dense_shape, object)
  cells[tuple(value.indices.T)] = value.values
  return cells


def _array(feature, value):
  """Returns the values of a dense feature as an array of any type."""
  if isinstance(value, np.ndarray) and value.dtype != object:
    return value
  # Numbers that are objects, or that an array of objects has in lists.
  rows = value.tolist() if isinstance(value, np.ndarray) else value
  if feature.dtype != tf.string:
    try:
      array = np.asarray(rows)
    except (ValueError, OverflowError):  # Lists of different lengths, say.
      array = None
    if array is not None and array.dtype.kind in 'biuf':
      if not feature_types.is_inexact(feature, array):
        return array
  # As objects: numpy's own strings drop trailing zero bytes.
  try:
    return np.asarray(rows, object)
  except ValueError:
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


def _shaped(feature, array):
  """Returns an array that has the shape of a dense feature, or refuses it."""
  shape = feature.shape
  if shape is None:
    return array
  if array.ndim == 1 and shape == [1]:
    array = array[:, np.newaxis]
  if array.shape == (0,) and None not in shape:  # No rows, of any shape.
    array = array.reshape([0, *shape])
  if not _fits(feature, array.shape[1:]):
    raise ValueError(
      f'feature {feature.key!r} must have the shape [n, '
      f'{_dimensions(feature)}]; got {list(array.shape)}. Reshape it.'
    )
  return array


def _fits(feature, shape):
  return len(shape) == len(feature.shape) and all(
    expected in (None, got) for expected, got in zip(feature.shape, shape)
  )


def _dimensions(feature):
  return ', '.join(
    '?' if dimension is None else str(dimension)
    for dimension in feature.shape or [None]
  )


def _refuse_uneven(feature, rows):
  """Raises `RowError` at the first row without the feature's shape."""
  first = None
  for i, row in enumerate(rows):
    try:
      shape = np.asarray(row, object).shape
    except ValueError:  # Nested lists of different lengths.
      shape = None
    first = shape if first is None else first
    is_good = shape == first and not raw_values.is_missing(row)
    if feature.shape is not None and shape is not None:
      fits = _fits(feature, shape) or (shape == () and feature.shape == [1])
      is_good = is_good and fits
    if not is_good:
      raise row_errors.RowError(
        i,
        f'feature {feature.key!r} must be an array of {feature.dtype.name} '
        f'with the shape [n, {_dimensions(feature)}]; got '
        f'{raw_values.shown(row)}. Give every row the same number of values.',
      )
