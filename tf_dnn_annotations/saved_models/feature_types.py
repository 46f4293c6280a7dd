"""The raw values of one feature, converted to its type or refused by row."""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import raw_values
from tf_dnn_annotations.saved_models import row_errors


def converted(feature, array, rows=None):
  """Returns `array` in the dtype of `feature`.

  Args:
    feature: `feature_values.Feature`.
    array: array of any type; of objects, of scalars alone.
    rows: int [array.size], the row of each element; None if the first dimension
      is that of the rows.
  """
  if rows is None:
    rows = _FirstDimension(array.size // max(1, len(array)))
  if feature.dtype == tf.string:
    values = array.ravel().tolist()
    if not set(map(type, values)) <= {bytes}:
      values = [
        value if type(value) is bytes else _encoded(feature, value, rows, k)
        for k, value in enumerate(values)
      ]
    strings = np.empty(array.shape, object)
    strings.ravel()[:] = values
    return strings
  if array.dtype == object:
    array = _numbers(feature, array, rows)
  wanted = feature.dtype.as_numpy_dtype
  if array.dtype == wanted:
    return array
  if array.size == 0:
    return array.astype(wanted)
  if array.dtype.kind not in 'biuf':
    raise _no_number(feature, array.ravel()[0], rows[0])
  with np.errstate(over='ignore', invalid='ignore'):
    numbers = array.astype(wanted, copy=False)
  if not feature.dtype.is_floating:
    _check_whole(feature, array, numbers, rows)
  return numbers


class _FirstDimension(object):
  """The rows of the elements of an array [n, ...], by their place."""

  def __init__(self, num_values):
    self._num_values = num_values

  def __getitem__(self, k):
    return k // self._num_values


def _numbers(feature, array, rows):
  """Returns an array of objects as one of numbers."""
  values = array.ravel().tolist()
  try:
    numbers = np.asarray(values)
  except (ValueError, OverflowError):
    numbers = array
  if numbers.dtype.kind in 'biuf' and not is_inexact(feature, numbers):
    return numbers.reshape(array.shape)
  for k, value in enumerate(values):
    if raw_values.is_missing(value):
      raise _missing(feature, value, rows[k])
    if not isinstance(value, (bool, int, float, np.number, np.bool_)):
      raise _no_number(feature, value, rows[k])
    if feature.dtype.is_floating or not isinstance(value, int):
      continue
    if not -(2**63) <= value < 2**63:
      raise _no_number(feature, value, rows[k], 'It is beyond 64 bits.')
  return np.array(values, np.float64).reshape(array.shape)


def is_inexact(feature, array):
  """Whether floats for integers may have been others, rounded."""
  if feature.dtype.is_floating or array.dtype.kind != 'f':
    return False
  with np.errstate(invalid='ignore'):  # NaN.
    return bool((np.abs(array) >= _first_shared(array.dtype)).any())


def _first_shared(dtype):
  """Returns the first integer that shares its float with another one."""
  return 2.0 ** (np.finfo(dtype).nmant + 1)


def _check_whole(feature, array, numbers, rows):
  """Raises `RowError` where conversion to integers has changed a number."""
  is_changed = numbers != array
  if array.dtype.kind == 'f':
    with np.errstate(invalid='ignore'):  # NaN.
      is_changed |= ~(np.abs(array) < _first_shared(array.dtype))
  if not is_changed.any():
    return
  k = int(np.argmax(is_changed.ravel()))
  value = array.ravel()[k]
  if raw_values.is_missing(value):
    raise _missing(feature, value, rows[k])
  remedy = 'Round it, or check the column.'
  if value == numbers.ravel()[k]:
    remedy = (
      f'As a {array.dtype.name} it may have been another integer: give '
      "integers (of pandas, the dtype 'Int64' has missing ones, too)."
    )
  raise _no_number(feature, value, rows[k], remedy)


def _no_number(feature, value, row, remedy='Convert it to numbers.'):
  return row_errors.RowTypeError(
    int(row),
    f'feature {feature.key!r} must be {feature.dtype.name}; got '
    f'{raw_values.shown(value)}. {remedy}',
  )


def _missing(feature, value, row):
  return row_errors.RowError(
    int(row),
    f'feature {feature.key!r} must be {feature.dtype.name}; got '
    f'{raw_values.shown(value)}. '
    + (
      'Where there is no value, leave it out of the list of the row.'
      if takes_any_number(feature)
      else 'It needs a value in each row: give a number, or leave the row out.'
    ),
  )


def _encoded(feature, value, rows, k):
  if isinstance(value, bytes):
    return value
  remedy = 'Convert it with str().'
  if isinstance(value, str):
    try:
      return value.encode('utf-8')
    except UnicodeEncodeError:
      remedy = 'It is not text: give the bytes that are meant.'
  if raw_values.is_missing(value):
    remedy = "It needs a string in each row: give '', or leave the row out."
    if takes_any_number(feature):
      remedy = "Where there is no value, give None, '' or []."
  elif isinstance(value, (dict, set, frozenset)):
    remedy = 'Give a list of strings.'
  raise row_errors.RowTypeError(
    int(rows[k]),
    f'feature {feature.key!r} must be strings; got '
    f'{raw_values.shown(value)}. {remedy}',
  )


def takes_any_number(feature):
  """Whether a row may have any number of values, or none."""
  return feature.is_sparse or feature.shape == [None]
