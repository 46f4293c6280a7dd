"""Carries integrated gradients from the first dense layer to the columns."""

import numpy as np

from tf_dnn_annotations.integrals import memory
from tf_dnn_annotations.integrals import rounding

# A product with fewer rows reads the kernel too often: found by trial.
_PRODUCT_ROWS = 128

# A column at least this wide, such as the indicator of a large vocabulary, is
# multiplied entry by entry where at most one in `_SPARSE` entries differs from
# the baseline: found by trial against a matrix product.
_WIDE = 256
_SPARSE = 16
# Whether a column is sparse is guessed from its first rows, before all of them
# are counted.
_FIRST_ROWS = 16


class FirstLayer(object):
  """The way from the space of the path to the columns.

  The first dense layer is affine, so the gradient with respect to the columns
  is the kernel times that with respect to the layer's pre-activations. Where
  the layer is not known, the path is that of the columns themselves.

  Attributes:
    kernel: float [width of all columns, units], or None.
    width: number of elements of all columns.
  """

  def __init__(self, kernel, slices):
    """Prepares the way; computes the norms of the kernel's rows.

    Args:
      kernel: float [width of all columns, units]; None if the path is that of
        the columns themselves.
      slices: iterable of the slice of each column, in order.
    """
    self.kernel = kernel
    self._slices = tuple(slices)
    self.width = self._slices[-1].stop if self._slices else 0
    self._norms = None
    if kernel is not None:
      self._norms = np.sqrt(np.einsum('iu,iu->i', kernel, kernel))

  def add(self, values, integrals, differences, is_first):
    """Adds (x_i - x'_i) * (kernel @ integral)_i to `values`.

    Args:
      values: float32 [n, T, width of all columns], changed in place.
      integrals: [n, T, size], gradients integrated over the path.
      differences: float [n, width of all columns], x - x'.
      is_first: whether `values` holds nothing yet and is overwritten.

    Returns:
      [n], the sums of |x_i - x'_i| times the norm of row i of the kernel, for
      `rounding.of_sums`; zeros without a kernel.
    """
    sizes = np.zeros(len(differences))
    if self.kernel is None:
      if is_first:
        values[:] = 0
      values += differences[:, np.newaxis] * integrals
      return sizes
    integrals = integrals.astype(self.kernel.dtype)
    for part in _runs(self._slices, differences):
      rows, entries = _few_entries(part, differences)
      if rows is None:
        self._add_dense(values, integrals, differences, part, is_first, sizes)
        continue
      if is_first:
        values[:, :, part] = 0
      products = np.einsum('etu,eu->et', integrals[rows], self.kernel[entries])
      moved = differences[rows, entries]
      products *= moved[:, np.newaxis]
      values[rows, :, entries] += products
      sizes += np.bincount(
        rows, np.abs(moved) * self._norms[entries], len(sizes)
      )
    return sizes

  def _add_dense(self, values, integrals, differences, part, is_first, sizes):
    """Adds to the columns of a run by products with their kernel.

    Adds to `sizes`, too, while a chunk of differences is in the cache.
    """
    num_rows, num_targets, units = integrals.shape
    width = part.stop - part.start
    kernel, norms = self.kernel[part], self._norms[part]
    is_whole = width == len(self.kernel)
    chunk = memory.rows_within(memory.CORE_CACHE, width, _PRODUCT_ROWS)
    chunk = chunk // num_targets or 1
    for first in range(0, num_rows, chunk):
      rows = slice(first, first + chunk)
      flat = integrals[rows].reshape(-1, units)
      if is_first and is_whole:
        products = values[rows]
        np.matmul(flat, kernel.T, out=products.reshape(-1, width))
      else:
        products = flat @ kernel.T
        products = products.reshape(-1, num_targets, width)
      moved = differences[rows, part]
      products *= moved[:, np.newaxis]
      sizes[rows] += np.abs(moved) @ norms
      if not is_first:
        values[rows, :, part] += products
      elif not is_whole:
        values[rows, :, part] = products

  def sizes(self, differences):
    """Returns the same sums as `add`, [n]; there must be a kernel."""
    return np.abs(differences) @ self._norms


class Columns(object):
  """The columns of n rows, as a path to them is integrated."""

  def __init__(self, first_layer, differences, start, end):
    """Takes the columns and the paths of n rows.

    Args:
      first_layer: `FirstLayer`.
      differences: float [n, width of all columns], x - x'.
      start, end: as in `rounding.of_path`.
    """
    self.first_layer = first_layer
    self._differences, self._start, self._end = differences, start, end

  def absolute_sums(self, rows, vectors):
    """Returns the sums of |(x_i - x'_i) * (kernel @ vector)_i| over i.

    Args:
      rows: int [m].
      vectors: float [m, T, size].

    Returns:
      float64 [m, T].
    """
    width, num_targets = self._differences.shape[1], vectors.shape[1]
    results = np.empty(vectors.shape[:2])
    chunk = memory.rows_within(memory.SCRATCH, width * num_targets)
    for first in range(0, len(rows), chunk):
      some = slice(first, first + chunk)
      values = np.empty(vectors[some].shape[:2] + (width,), np.float32)
      self.first_layer.add(
        values, vectors[some], self._differences[rows[some]], is_first=True
      )
      results[some] = np.abs(values, out=values).sum(axis=-1)
    return results

  def rounding(self, rows, integrals, absolute_sums):
    """Returns the errors of attributions due to float32, float64 [m, T].

    Args:
      rows: int [m].
      integrals: float [m, T, size].
      absolute_sums: [m, T], those of the attributions.
    """
    result = rounding.of_values(absolute_sums)
    if self.first_layer.kernel is None:
      return result
    start = self._start if len(self._start) == 1 else self._start[rows]
    sizes = self.first_layer.sizes(self._differences[rows])
    noise = rounding.of_path(start, self._end[rows], integrals)
    return result + rounding.of_sums(sizes, noise, has_kinks=False)


def differences(start, end):
  """Returns x - x' of columns `start`, [1 or n, width], and `end`."""
  # Most baselines are zeros, and this saves a copy.
  return end - start if start.any() else end


def row_sums(values):
  """Returns the sums of values and of absolute values over the last axis.

  Args:
    values: float32 [n, T, width].

  Returns:
    (sums, absolute sums), both float64 [n, T].
  """
  sums = np.empty(values.shape[:2])
  absolute_sums = np.empty(values.shape[:2])
  numbers = max(1, values.shape[1] * values.shape[2])
  chunk = memory.rows_within(memory.CORE_CACHE, numbers)
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
  """Returns (rows, entries) of nonzero values; Nones unless they are few."""
  if part.stop - part.start < _WIDE or not _is_sparse(
    differences[:_FIRST_ROWS, part]
  ):
    return None, None
  column = differences[:, part]
  if not _is_sparse(column):
    return None, None
  rows, entries = np.nonzero(column)
  return rows, entries + part.start
