"""The forms in which users have examples: two are enough for a model."""

import collections
import collections.abc

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import raw_values
from tf_dnn_annotations.saved_models import row_errors

_REMEDY = (
  'Give a list of serialized tf.Examples (bytes), a dict of feature key to '
  'array, a pandas DataFrame or a list of dicts.'
)


def plain(examples, subject='`examples`'):
  """Returns examples in one of two forms.

  Args:
    examples: raw features, as a dict or another mapping of feature key to
      values, a pandas DataFrame, or an iterable of dicts, one per row; or
      serialized tf.Examples: an iterable of bytes, or an eager string Tensor.
    subject: what error messages call them.

  Returns:
    {feature key: values}, or a list of bytes.

  Raises:
    TypeError: `examples` is none of these.
    ValueError: names of columns that are not distinct; rows of different keys.
  """
  if isinstance(examples, collections.abc.Mapping):
    return _of_mapping(examples)
  if raw_values.is_frame(examples):
    return _of_frame(examples, subject)
  if _is_dataset(examples):
    raise TypeError(
      f'{subject} must be rows; got a tf.data.Dataset. Give its batches, of '
      'serialized tf.Examples or of dicts of raw features, to '
      'attribute_batches: ' + _batches_of_dataset()
    )
  if isinstance(examples, (tf.Tensor, tf.Variable)):
    examples = raw_values.concrete(subject, examples)
  if (
    isinstance(examples, (str, bytes, type))
    or not hasattr(examples, '__iter__')
    or not getattr(examples, 'ndim', 1)
  ):
    raise TypeError(
      f'{subject} must be a list; got {raw_values.shown(examples)}. '
      f'{_REMEDY} Of batches, each is such a list or dict.'
    )
  if getattr(getattr(examples, 'dtype', None), 'kind', '') == 'S':
    raise TypeError(
      f"{subject} must keep each byte; got an array of numpy's own strings, "
      'which drops zeros at their ends. Give the list, or np.array(examples, '
      'object).'
    )
  rows = list(examples)
  if rows and isinstance(rows[0], collections.abc.Mapping):
    return _of_rows(rows, subject)
  if not set(map(type, rows)) <= {bytes}:
    _check_types(rows, examples, subject)
  return rows


def _check_types(rows, examples, subject):
  """Raises TypeError at the first row that is not bytes."""
  for i, row in enumerate(rows):
    if isinstance(row, bytes):
      continue
    remedy = _REMEDY
    if raw_values.is_series(examples):
      remedy = 'Give the whole DataFrame; of its row i, frame.iloc[[i]].'
    elif isinstance(row, (tf.Tensor, tf.Variable)):
      remedy += ' An eager Tensor has them in numpy().'
    raise TypeError(
      f'{subject} must hold bytes; got {type(row).__name__} at row {i}. '
      + remedy
    )


def _is_dataset(value):
  """Whether `value` is a tf.data.Dataset."""
  return isinstance(value, tf.data.Dataset) or (
    hasattr(value, 'element_spec') and hasattr(value, 'batch')
  )


def _batches_of_dataset():
  if tf.executing_eagerly():
    return 'dataset.batch(1024).as_numpy_iterator().'
  return (
    'what session.run(tf.data.make_one_shot_iterator(dataset.batch(1024))'
    '.get_next()) returns, batch by batch.'
  )


def check_batches(batches):
  """Raises TypeError where `batches` is a single batch, as far as can be seen.

  Args:
    batches: iterable of what `plain` takes.
  """
  if _is_dataset(batches) and not tf.executing_eagerly():
    raise TypeError(
      '`batches` must be an iterable of batches; got a tf.data.Dataset of a '
      'graph. Give ' + _batches_of_dataset()
    )
  is_one = (
    isinstance(batches, (str, bytes, type, collections.abc.Mapping))
    or raw_values.is_frame(batches)
    or not hasattr(batches, '__iter__')
  )
  if is_one:
    raise TypeError(
      '`batches` must be an iterable of batches; got '
      f'{type(batches).__name__}. Give [examples] if it is a single one.'
    )


def _of_mapping(mapping):
  """Returns a dict whose values can be iterated more than once."""
  if not any(hasattr(value, '__next__') for value in mapping.values()):
    return mapping if isinstance(mapping, dict) else dict(mapping)
  return {
    key: list(value) if hasattr(value, '__next__') else value
    for key, value in mapping.items()
  }


def _of_frame(frame, subject):
  """Returns {column name: Series} of a pandas DataFrame."""
  names = list(frame.columns)
  if any(isinstance(name, tuple) for name in names):
    raise ValueError(
      f'{subject} must have feature keys as names of columns; got a MultiIndex '
      f'with {names[0]!r}. Give each column one name.'
    )
  counts = collections.Counter(names)
  twice = sorted(str(name) for name, count in counts.items() if count > 1)
  if twice:
    raise ValueError(
      f'{subject} must have columns of different names; got {twice} more than '
      'once. Rename or drop them.'
    )
  return {name: frame.iloc[:, i] for i, name in enumerate(names)}


def _of_rows(rows, subject):
  """Returns {feature key: list of n values} of dicts of single rows."""
  keys = set(rows[0])
  for i, row in enumerate(rows):
    if not isinstance(row, collections.abc.Mapping):
      raise TypeError(
        f'{subject} must hold dicts, like row 0; got {type(row).__name__} at '
        f'row {i}. Give every row in one form; of pairs of features and label, '
        'the features.'
      )
    if set(row) != keys:
      different = sorted(map(str, keys ^ set(row)))
      raise row_errors.RowError(
        i,
        f'must have the features of row 0; {different} are in one of them '
        'alone. Give every feature in each row: None where it has no value.',
      )
  return {key: [row[key] for row in rows] for key in rows[0]}
