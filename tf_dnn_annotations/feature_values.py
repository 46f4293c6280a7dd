"""Raw features as given by a user, made into what a graph can be fed."""

import collections

import numpy as np
import tensorflow.compat.v1 as tf

# What tf.feature_column takes for missing in a dense tensor; of integers, -1.
PADDING = {tf.string: b'', tf.float32: 0.0, tf.float64: 0.0}


class RowError(ValueError):
  """An example that cannot be used.

  Attributes:
    row: its index among the examples given.
    reason: what is wrong with it, and the remedy.
  """

  def __init__(self, row, reason):
    super().__init__(f'row {row}: {reason}')
    self.row = row
    self.reason = reason


class Feature(
  collections.namedtuple('Feature', ['key', 'dtype', 'shape', 'is_sparse'])
):
  """A raw feature that a model reads.

  Attributes:
    key: its key in tf.Examples and in dicts of features.
    dtype: `tf.DType`.
    shape: list of the dimensions after the batch's, None for an unknown one;
      None if the rank is unknown. A sparse feature has a list of any length.
    is_sparse: whether an example may have any number of values.
  """

  __slots__ = ()


def batch(features, raw, is_finite=True):
  """Returns the values of raw features as arrays of the features' types.

  Args:
    features: dict of key to `Feature`: what the model reads.
    raw: dict of the same keys to values of n examples: for a dense feature an
      array [n, ...] (or [n] where the shape is [1], or a list of n lists of
      values where it is of any length); for a sparse one a list of n lists of
      values, an array [n] or [n, k], or a SparseTensorValue. In an array for
      values of any number None, '', -1 and 0.0 are missing, by its type, as
      tf.feature_column takes them.
    is_finite: whether a NaN or an infinity is an error.

  Returns:
    ({key: array or `tf.SparseTensorValue`}, n)

  Raises:
    ValueError: a key or a shape is wrong, or a value is NaN or infinite.
    TypeError: values of another type than the feature's.
  """
  unknown = sorted(set(raw) - set(features))
  missing = sorted(set(features) - set(raw))
  if unknown or missing:
    raise ValueError(
      f'`examples` must have the features {sorted(features)}; got '
      f'{sorted(map(str, raw))}. '
      + (f'Not known to the model: {unknown}. ' if unknown else '')
      + (f'Add {missing}.' if missing else 'Leave them out.')
    )
  values = {
    key: (_sparse if feature.is_sparse else _dense)(feature, raw[key])
    for key, feature in features.items()
  }
  sizes = {key: num_rows(value) for key, value in values.items()}
  if len(set(sizes.values())) > 1:
    raise ValueError(
      '`examples` must have as many rows for each feature; got '
      f'{dict(sorted(sizes.items()))}. Make the first dimensions equal.'
    )
  if is_finite:
    check_finite(values)
  return values, next(iter(sizes.values())) if sizes else 0


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
    row = value.indices[:, 0]
    chosen = (row >= start) & (row < stop)
    indices = value.indices[chosen].copy()
    indices[:, 0] -= start
    shape = np.array(value.dense_shape)
    shape[0] = max(0, min(stop, shape[0]) - start)
    return tf.SparseTensorValue(indices, value.values[chosen], shape)

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
    raise RowError(
      first_row + int(row),
      f'{what} {key!r} must be finite; got {array[tuple(bad)]}. Give a number, '
      'or leave the row out.',
    )


def is_finite(array):
  """Returns whether a float array holds no NaN and no infinity."""
  # The sum is much faster than a look at each element. It may overflow.
  with np.errstate(over='ignore', invalid='ignore'):
    return np.isfinite(array.sum()) or np.isfinite(array).all()


def _dense(feature, value):
  is_full = getattr(value, 'ndim', 1) > 1 and value.dtype != object
  if feature.shape == [None] and not is_full:
    value = _padded(feature, value)
  # Python strings as objects: numpy's own drop trailing zero bytes.
  is_list_of_strings = feature.dtype == tf.string and isinstance(value, list)
  try:
    array = np.asarray(value, object if is_list_of_strings else None)
  except ValueError:  # Lists of different lengths, since numpy 1.24.
    array = np.empty(len(value), object)
  if array.dtype == object and feature.dtype != tf.string:
    # Lists of different lengths, before numpy 1.24, or None for a missing one.
    raise ValueError(
      f'feature {feature.key!r} must be an array of {feature.dtype.name} with '
      f'shape [n, {_dimensions(feature)}]; got {value!r:.200}. Give every row '
      'the same number of values, none of them None.'
    )
  array = _converted(feature, array)
  shape = feature.shape
  if shape is None:
    return array
  if array.ndim == 1 and shape == [1]:
    array = array[:, np.newaxis]
  if array.shape == (0,) and None not in shape:  # No rows, of any shape.
    array = array.reshape([0, *shape])
  matches = array.ndim == len(shape) + 1 and all(
    expected in (None, got) for expected, got in zip(shape, array.shape[1:])
  )
  if not matches:
    raise ValueError(
      f'feature {feature.key!r} must have the shape [n, '
      f'{_dimensions(feature)}]; got {list(array.shape)}. Reshape it.'
    )
  return array


def _padded(feature, value):
  """Returns an array [n, k] of lists of values, the shorter ones filled up."""
  if hasattr(value, 'dense_shape'):
    lists = [[] for _ in range(value.dense_shape[0])]
    for index, single in zip(value.indices, value.values):
      lists[index[0]].append(single)
  else:
    lists = [_values_of_row(feature, row) for row in value]
  width = max([len(row) for row in lists] or [0])
  padding = PADDING.get(feature.dtype, -1)
  lists = [row + [padding] * (width - len(row)) for row in lists]
  dtype = object if feature.dtype == tf.string else None
  return np.array(lists, dtype).reshape(len(lists), width)


def _dimensions(feature):
  return ', '.join(
    '?' if dimension is None else str(dimension)
    for dimension in feature.shape or []
  )


def _sparse(feature, value):
  if isinstance(value, tf.SparseTensorValue) or hasattr(value, 'dense_shape'):
    shape = np.asarray(value.dense_shape, np.int64)
    return tf.SparseTensorValue(
      np.asarray(value.indices, np.int64).reshape(-1, len(shape)),
      _converted(feature, np.asarray(value.values)),
      shape,
    )
  lists = [_values_of_row(feature, row) for row in value]
  # An array of objects in one dimension may hold lists, which say what they
  # hold; rows of one length are filled up.
  if isinstance(value, np.ndarray) and value.ndim > 1:
    lists = [[v for v in row if not _is_padding(feature, v)] for row in lists]
  indices = [(i, j) for i, row in enumerate(lists) for j in range(len(row))]
  flat = [v for row in lists for v in row]
  # An object array keeps strings' trailing zero bytes and mixed lengths.
  array = np.array(flat, object if feature.dtype == tf.string else None)
  if array.ndim != 1:
    raise ValueError(
      f'feature {feature.key!r} must have a list of single values a row; got '
      f'{value!r:.200}. Flatten each row.'
    )
  return tf.SparseTensorValue(
    np.array(indices, np.int64).reshape(-1, 2),
    _converted(feature, array),
    np.array([len(lists), max([len(row) for row in lists] or [0])], np.int64),
  )


def _values_of_row(feature, row):
  """Returns the list of the values of one example of a sparse feature."""
  if row is None:
    return []
  if isinstance(row, np.ndarray):
    row = row.ravel()
  if isinstance(row, (np.ndarray, list, tuple)):
    return [value for value in row if value is not None]
  return [] if _is_padding(feature, row) else [row]


def _is_padding(feature, value):
  """Whether tf.feature_column takes `value` in a dense array for missing."""
  if isinstance(value, (str, bytes)):
    return len(value) == 0
  return value is None or value == PADDING.get(feature.dtype, -1)


def _converted(feature, array):
  """Returns `array` in the dtype of `feature`."""
  if feature.dtype == tf.string:
    return _strings(feature, array)
  kind, wanted = array.dtype.kind, feature.dtype.as_numpy_dtype
  if array.size == 0:
    return array.astype(wanted)
  if kind not in 'biuf':
    raise TypeError(
      f'feature {feature.key!r} must be {feature.dtype.name}; got '
      f'{array.ravel()[:1].tolist()[0]!r}. Convert it to numbers.'
    )
  converted = array.astype(wanted, copy=False)
  if not feature.dtype.is_floating and (converted != array).any():
    raise TypeError(
      f'feature {feature.key!r} must be {feature.dtype.name}; got '
      f'{array[converted != array][0]}. Round it, or check the column.'
    )
  return converted


def _strings(feature, array):
  def encoded(value):
    if isinstance(value, str):
      return value.encode('utf-8')
    if isinstance(value, bytes):
      return value
    raise TypeError(
      f'feature {feature.key!r} must be strings; got {value!r}. Convert it '
      'with str().'
    )

  strings = np.empty(array.shape, object)
  strings.ravel()[:] = [encoded(value) for value in array.ravel().tolist()]
  return strings
