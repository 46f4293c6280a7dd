"""Rows for a model that was exported for batches of one fixed size."""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import feature_values


def size(tensors):
  """Returns the number of rows that a model demands in a call, or None.

  Args:
    tensors: iterable of `Tensor` or `SparseTensor` whose first dimension is the
      batch.

  Raises:
    ValueError: they demand different numbers.
  """
  sizes = {}
  for tensor in tensors:
    if tensor.shape.rank and tensor.shape.as_list()[0] is not None:
      name = tensor.values.name if _is_sparse(tensor) else tensor.name
      sizes.setdefault(tensor.shape.as_list()[0], name)
  if len(sizes) > 1 or 0 in sizes:
    raise ValueError(
      'its tensors are made for batches of different sizes, '
      + ', '.join(f'{n} ({name!r})' for n, name in sorted(sizes.items()))
    )
  return next(iter(sizes), None)


def run(run_fn, fetches, feed, batch_size):
  """Runs a model on any number of rows, in batches of its own size.

  The last batch is filled up with copies of its last row, which can fail only
  if that row does, and what is computed of them is dropped.

  Args:
    run_fn: function of fetches and feed, as `tf.Session.run`.
    fetches: structure of tensors whose first dimension is the batch.
    feed: {tensor: array [n, ...] or `tf.SparseTensorValue` of n rows}.
    batch_size: int.

  Returns:
    the structure of what was fetched, for the n rows.
  """
  num_rows = max(feature_values.num_rows(value) for value in feed.values())
  parts = []
  for first in range(0, max(num_rows, 1), batch_size):
    last = min(first + batch_size, num_rows)
    rows = feature_values.rows(feed, first, last)
    fetched = run_fn(
      fetches, {key: _filled(rows[key], batch_size) for key in rows}
    )
    parts.append(
      _mapped(lambda value, n=last - first: _first(value, n), fetched)
    )
  return _joined(parts)


def _is_sparse(value):
  return isinstance(value, (tf.SparseTensor, tf.SparseTensorValue))


def _first(value, num_rows):
  return feature_values.rows({'': value}, 0, num_rows)['']


def _filled(value, num_rows):
  """Returns a value with copies of its last row up to `num_rows` of them."""
  count = feature_values.num_rows(value)
  if count == num_rows:
    return value
  if not _is_sparse(value):
    if not count:
      return np.zeros((num_rows,) + value.shape[1:], value.dtype)
    missing = np.repeat(value[-1:], num_rows - count, axis=0)
    return np.concatenate([value, missing])
  is_last = value.indices[:, 0] == count - 1
  indices = [value.indices]
  for row in range(count, num_rows):
    copy = value.indices[is_last].copy()
    copy[:, 0] = row
    indices.append(copy)
  copies = [value.values[is_last]] * (num_rows - count)
  shape = np.array(value.dense_shape)
  shape[0] = num_rows
  return tf.SparseTensorValue(
    np.concatenate(indices), np.concatenate([value.values] + copies), shape
  )


def _mapped(function, *structures):
  """Applies a function to the leaves of dicts and lists of one structure."""
  first = structures[0]
  if isinstance(first, dict):
    return {
      key: _mapped(function, *(each[key] for each in structures))
      for key in first
    }
  if isinstance(first, list):
    return [_mapped(function, *each) for each in zip(*structures)]
  return function(*structures)


def _joined(parts):
  if len(parts) == 1:
    return parts[0]
  return _mapped(lambda *values: _concatenated(values), *parts)


def _concatenated(values):
  if not _is_sparse(values[0]):
    return np.concatenate(values)
  indices, first = [], 0
  for value in values:
    indices.append(np.array(value.indices))
    indices[-1][:, 0] += first
    first += feature_values.num_rows(value)
  shape = np.max([value.dense_shape for value in values], axis=0)
  shape[0] = first
  return tf.SparseTensorValue(
    np.concatenate(indices),
    np.concatenate([value.values for value in values]),
    shape,
  )
