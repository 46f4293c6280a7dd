"""What a row of attributions holds, whatever it is written to.

A row is one explained output of one example: fields, one attribution per name,
and, where the result has them, the example's features.
"""

import math

import numpy as np

# What an attribution may be summed over.
BY = ('feature', 'column', 'element')


def names(result, by):
  """Returns the names of the attributions of a row.

  Args:
    result: `Attributions`, of any number of rows.
    by: one of `BY`.

  Returns:
    list of distinct str
  """
  if by == 'feature':
    return list(result.per_feature())
  if by == 'column':
    return list(result.columns)
  return [
    name for column in result.columns for name in result.element_names[column]
  ]


def attributions(result, by):
  """Returns the attributions of each row, float32 [rows, len(names)].

  Args:
    result, by: as for `names`.
  """
  if by == 'feature':
    values = np.stack(list(result.per_feature().values()), axis=-1)
  elif by == 'column':
    values = result.per_column()
  else:
    values = np.concatenate(
      [result.values[name] for name in result.columns], axis=-1
    )
  return values.reshape(-1, values.shape[-1])


def fields(result):
  """Returns the names of the other fields of a row, a list of str.

  Args:
    result: `Attributions`. A model with a single output has no targets to name.
  """
  of_target = ['target', 'target_id'] if result.num_outputs > 1 else []
  return [*of_target, 'output', 'baseline_output', 'gap']


def field_values(result):
  """Returns the values of `fields` for each row, a list of lists."""
  columns = []
  if result.num_outputs > 1:
    ids = result.targets.ravel().tolist()
    labels = result.labels or range(result.num_outputs)
    columns = [[labels[i] for i in ids], ids]
  columns += [
    numbers(part.ravel())
    for part in (result.outputs, result.baseline_outputs, result.gap)
  ]
  return [list(row) for row in zip(*columns)]


def feature_values(result):
  """Returns the values of the features for each row, a list of lists.

  Bytes become text, and numbers that are not finite None. The values of a row
  that has several, or may have, are a list.
  """
  num_targets = rows_per_example(result)
  columns = [plain(values) for values in result.features.values()]
  return [list(row) for row in zip(*columns) for _ in range(num_targets)]


def rows_per_example(result):
  """Returns how many rows an example has: one per explained output."""
  return result.outputs.shape[1] if result.outputs.ndim > 1 else 1


def numbers(array):
  """Returns the float32s of an array as a nested list of short floats.

  0.1 in float32 becomes 0.1 and not 0.10000000149011612; what is not finite
  becomes None.
  """
  array = np.asarray(array, np.float32)
  # A float32's text is the shortest that reads as it. Not array.astype(str):
  # numpy may drop the exception of a Ctrl-C in it.
  shortest = np.fromiter(
    map(float, map(str, array.ravel())), np.float64, array.size
  ).reshape(array.shape)
  if not np.isfinite(array).all():
    shortest = np.where(np.isfinite(array), shortest, None)
  return shortest.tolist()


def plain(value):
  """Returns a value as JSON has it.

  Args:
    value: a scalar, an array, or a list of these.

  Returns:
    None, a bool, an int, a finite float, a str, or a list of these. A float32
    or float16 has the shortest digits that read as it, and bytes that are not
    UTF-8 are escaped.
  """
  if isinstance(value, (list, tuple)):
    return [plain(entry) for entry in value]
  if isinstance(value, np.ndarray) and value.dtype.kind != 'O':
    if value.dtype in (np.float16, np.float32):
      return numbers(value)
    return (
      value.tolist() if value.dtype.kind in 'biu' else plain(value.tolist())
    )
  if isinstance(value, np.ndarray):
    return plain(value.tolist())
  if isinstance(value, bytes):
    # Never 'replace': two names would become one.
    return value.decode('utf-8', 'backslashreplace')
  if isinstance(value, np.generic):
    return plain(np.asarray(value))
  if isinstance(value, float):
    return value if math.isfinite(value) else None
  if value is None or isinstance(value, (bool, int, str)):
    return value
  return str(value) if value == value else None  # Not pandas' NaT.
