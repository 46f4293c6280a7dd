"""Carries integrated gradients from the first dense layer to the columns."""

import numpy as np

# Numbers in the product of a chunk of rows with the kernel: found by trial,
# about a share of the second-level cache.
_CHUNK_NUMBERS = 1 << 17

# A product with fewer rows has the kernel read again too often: by trial.
_PRODUCT_ROWS = 128

# A wide column, such as the indicator of a large vocabulary, is multiplied
# entry by entry where fewer than one in so many entries differ from the
# baseline: found by trial against a matrix product.
_WIDE = 256
_SPARSE = 16
# Rows that are asked first.
_FIRST_ROWS = 16


def add(values, integrals, kernel, differences, slices, is_first):
  """Adds (x_i - x'_i) * (kernel @ integral)_i to `values`.

  Args:
    values: float32 [n, T, width of all columns], changed in place.
    integrals: [n, T, units], gradients with respect to the first layer's
      pre-activation, integrated over the path.
    kernel: float [width of all columns, units].
    differences: float [n, width of all columns], x - x'.
    slices: iterable of the slice of each column, in order.
    is_first: whether `values` holds nothing yet, and is to be overwritten.
  """
  integrals = integrals.astype(kernel.dtype)
  for part in _runs(slices, differences):
    rows, entries = _few_entries(part, differences)
    if rows is None:
      _add_dense(values, integrals, kernel, differences, part, is_first)
      continue
    if is_first:
      values[:, :, part] = 0
    products = np.einsum('etu,eu->et', integrals[rows], kernel[entries])
    products *= differences[rows, entries][:, np.newaxis]
    values[rows, :, entries] += products


def row_sums(values):
  """Returns the sums of values and of absolute values over the last axis.

  Args:
    values: float32 [n, T, width].

  Returns:
    (sums, absolute sums), both float64 [n, T].
  """
  sums = np.empty(values.shape[:2])
  absolute_sums = np.empty(values.shape[:2])
  chunk = max(1, _CHUNK_NUMBERS // max(1, values.shape[1] * values.shape[2]))
  for first in range(0, len(values), chunk):
    rows = slice(first, first + chunk)
    # numpy sums float32 pairwise, to about a rounding of the absolute sum.
    sums[rows] = values[rows].sum(axis=-1)
    absolute_sums[rows] = np.abs(values[rows]).sum(axis=-1)
  return sums, absolute_sums


def _runs(slices, differences):
  """Yields slices: wide, sparse columns alone, others as long runs."""
  start = stop = 0
  for part in slices:
    # The first rows tell of what kind a column is.
    if part.stop - part.start >= _WIDE and _is_sparse(
      differences[:_FIRST_ROWS, part]
    ):
      if stop > start:
        yield slice(start, stop)
      yield part
      start = part.stop
    stop = part.stop
  if stop > start:
    yield slice(start, stop)


def _is_sparse(differences):
  return np.count_nonzero(differences) * _SPARSE <= differences.size


def _few_entries(part, differences):
  """Returns (rows, entries) of what is not zero, or Nones if that is much."""
  if part.stop - part.start < _WIDE or not _is_sparse(
    differences[:_FIRST_ROWS, part]
  ):
    return None, None
  column = differences[:, part]
  if not _is_sparse(column):
    return None, None
  rows, entries = np.nonzero(column)
  return rows, entries + part.start


def _add_dense(values, integrals, kernel, differences, part, is_first):
  """Adds to the columns of a run by products with their kernel."""
  num_rows, num_targets, units = integrals.shape
  width = part.stop - part.start
  is_whole = width == len(kernel)
  chunk = max(_CHUNK_NUMBERS // width, _PRODUCT_ROWS) // num_targets or 1
  for first in range(0, num_rows, chunk):
    rows = slice(first, first + chunk)
    flat = integrals[rows].reshape(-1, units)
    if is_first and is_whole:
      products = values[rows]
      np.matmul(flat, kernel[part].T, out=products.reshape(-1, width))
    else:
      products = flat @ kernel[part].T
      products = products.reshape(-1, num_targets, width)
    products *= differences[rows, np.newaxis, part]
    if not is_first:
      values[rows, :, part] += products
    elif not is_whole:
      values[rows, :, part] = products
