"""The forms in which users have the values of one feature, as numpy has them.

pandas is not imported: its objects are known by what they can do.
"""

import collections.abc
import numbers

import numpy as np
import tensorflow.compat.v1 as tf

# Rows of these types need not be checked one by one.
_PLAIN = {bool, bytes, float, int, list, str, tuple, type(None), np.ndarray}

# Iterable, but not lists of values: strings have characters, sets no order.
_NO_LISTS = (str, bytes, collections.abc.Mapping, collections.abc.Set)

_ONE_VALUE_PER_ROW = (
  'Give a list or an array with one entry per row; of a single row, too, as in '
  '[value].'
)


def plain(key, value):
  """Returns the values of a feature in one of three forms.

  Args:
    key: the feature's, for messages.
    value: an array, a masked array, a pandas Series, Index or DataFrame, an
      eager Tensor, a RaggedTensor or SparseTensor or the value of one, or a
      list or another iterable with an entry per row.

  Returns:
    `tf.SparseTensorValue`; or an array, whose missing cells are None if they
    were masked or NA, or of a Series; or a list, whose entries are None,
    scalars, lists or arrays.

  Raises:
    TypeError: `value` is none of these.
  """
  # What most have, first.
  if type(value) is np.ndarray and value.ndim:
    return value
  if type(value) is list and set(map(type, value)) <= _PLAIN:
    return value
  if is_sparse(value):
    return tf.SparseTensorValue(
      *(
        np.asarray(concrete(f'feature {key!r}', part))
        for part in (value.indices, value.values, value.dense_shape)
      )
    )
  if hasattr(value, 'row_splits'):
    return _lists_of_ragged(key, value)
  if is_frame(value):
    return _cells_of_frame(value)
  if is_series(value):
    return _cells_of_series(value)
  value = concrete(f'feature {key!r}', value)
  if isinstance(value, np.ma.MaskedArray):
    is_masked = np.ma.getmaskarray(value)
    if not is_masked.any():
      return _array(key, value.data)
    cells = value.data.astype(object)
    cells[is_masked] = None
    return _array(key, cells)
  if isinstance(value, np.ndarray):
    return _array(key, value)
  is_unfit = isinstance(value, _NO_LISTS)
  if not is_unfit and hasattr(value, '__array__'):
    return _array(key, np.asarray(value))
  if is_unfit or not isinstance(value, collections.abc.Iterable):
    raise TypeError(
      f'feature {key!r} must have a value for each row; got {shown(value)}. '
      + _ONE_VALUE_PER_ROW
    )
  rows = list(value)
  return [plain(key, row) if _is_container(row) else row for row in rows]


def _is_container(value):
  """Whether `value`, an entry of a row, holds values in a form of its own."""
  if is_scalar(value) or isinstance(value, _NO_LISTS):
    return False
  return (
    isinstance(value, collections.abc.Iterable)
    or hasattr(value, '__array__')
    or hasattr(value, 'numpy')
  )


def chosen(value, rows):
  """Returns some rows of what `plain` returns, in the same form.

  Args:
    value: a list, an array or a `tf.SparseTensorValue`.
    rows: int array, ascending.
  """
  if isinstance(value, list):
    return [value[row] for row in rows]
  if isinstance(value, np.ndarray):
    return value[rows]
  is_chosen = np.isin(value.indices[:, 0], rows)
  indices = np.array(value.indices[is_chosen])
  indices[:, 0] = np.searchsorted(rows, indices[:, 0])
  shape = np.array(value.dense_shape)
  shape[0] = len(rows)
  return tf.SparseTensorValue(indices, value.values[is_chosen], shape)


def shown(value):
  """Returns a value as a short text of one line, the same for any numpy."""
  if getattr(getattr(value, 'dtype', None), 'kind', '') in ('m', 'M'):
    value = str(value)  # Its item may be a mere number.
  elif isinstance(value, np.generic):
    value = value.item()
  return f'{" ".join(repr(value).split()):.80}'


def is_sparse(value):
  """Whether `value` is a SparseTensor or the value of one."""
  return hasattr(value, 'dense_shape') and hasattr(value, 'indices')


def is_frame(value):
  """Whether `value` is a pandas DataFrame."""
  return hasattr(value, 'isna') and getattr(value, 'ndim', 0) == 2


def is_series(value):
  """Whether `value` is a pandas Series, Index or extension array."""
  is_flat = getattr(value, 'ndim', 0) == 1 and getattr(value, 'nlevels', 1) == 1
  return hasattr(value, 'isna') and is_flat


def is_scalar(value):
  """Whether `value` is a single one, missing ones among them."""
  return (
    np.isscalar(value)
    or is_missing(value)
    or isinstance(value, (numbers.Number, np.generic))
  )


def is_missing(value):
  """Whether `value` stands for a missing one: None, NaN, pandas' NA or NaT."""
  if value is None or _is_pandas_missing(value):
    return True
  is_float = isinstance(value, (float, np.floating, np.datetime64))
  return is_float and bool(value != value)


def is_left_out(value):
  """Whether `value` is missing from the list of a row's values.

  A NaN in it is not: it was computed, and has to be looked into.
  """
  return value is None or _is_pandas_missing(value)


def _is_pandas_missing(value):
  kind = type(value)
  return kind.__name__ in ('NAType', 'NaTType') and kind.__module__.startswith(
    'pandas.'
  )


def concrete(what, value):
  """Returns the value of a Tensor; others unchanged.

  Args:
    what: how a message calls it.
    value: a Tensor or anything else.
  """
  if hasattr(value, 'numpy') and callable(value.numpy):
    try:
      return value.numpy()
    except (AttributeError, NotImplementedError):  # A variable in a graph.
      pass
  elif not isinstance(value, (tf.Tensor, tf.Variable)):
    return value
  raise TypeError(
    f'{what} must have values; got {shown(value)}, a Tensor of a graph, which '
    'has none yet. Give what session.run(tensor) returns, or an '
    'eager Tensor.'
  )


def _array(key, array):
  if array.ndim:
    return np.asarray(array)
  raise TypeError(
    f'feature {key!r} must have a value for each row; got the single '
    f'{shown(array.tolist())}. {_ONE_VALUE_PER_ROW}'
  )


def _lists_of_ragged(key, value):
  try:
    return value.to_list()
  except ValueError:  # Of a graph.
    return concrete(f'feature {key!r}', value.flat_values)


def _cells_of_series(value):
  is_na = np.asarray(value.isna())
  is_of_floats = isinstance(value.dtype, np.dtype) and value.dtype.kind == 'f'
  if is_of_floats or not is_na.any():
    return np.asarray(value)
  # Not by way of floats, which cannot hold all integers.
  cells = np.array(value.astype(object), object)
  cells[is_na] = None
  return cells


def _cells_of_frame(value):
  columns = [_cells_of_series(value.iloc[:, i]) for i in range(value.shape[1])]
  if len(columns) == 1:
    return columns[0]
  if not columns:
    return np.zeros(value.shape)
  if len({column.dtype for column in columns}) > 1:
    columns = [column.astype(object) for column in columns]
  return np.stack(columns, axis=1)
