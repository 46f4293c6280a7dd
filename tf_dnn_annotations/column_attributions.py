"""Carries integrated gradients from the first dense layer to the columns."""

import numpy as np

# Numbers in the product of a chunk of rows with the kernel: found by trial,
# about a share of the second-level cache.
_CHUNK_NUMBERS = 1 << 18

# A wide column, such as the indicator of a large vocabulary, is multiplied
# entry by entry where fewer than one in so many entries differ from the
# baseline: found by trial against a matrix product.
_WIDE = 256
_SPARSE = 16


def add(values, integrals, kernel, x, start, share):
  """Adds share * (x_i - x'_i) * (kernel @ integral)_i to `values`.

  Args:
    values: {column name: float32 [n, T, width]}, changed in place.
    integrals: [n, T, units], gradients with respect to the first layer's
      pre-activation, integrated over the path.
    kernel: float32 [width of all columns, units].
    x: {column name: [n, width]}, in the order of the kernel's rows.
    start: {column name: [n or 1, width]}, the baselines.
    share: the weight of this baseline.
  """
  num_rows, num_targets, units = integrals.shape
  integrals = (integrals * share).astype(kernel.dtype)
  first = 0
  narrow = []  # [(name, first and last row of the kernel)]
  for name, column in x.items():
    last = first + column.shape[1]
    if column.shape[1] < _WIDE:
      narrow.append((name, first, last))
    else:
      difference = _difference(column, start[name])
      rows, entries = _few_entries(difference)
      if rows is None:
        _add_dense([values[name]], integrals, kernel[first:last], [difference])
      else:
        products = np.einsum(
          'etu,eu->et', integrals[rows], kernel[first + entries]
        )
        products *= difference[rows, entries][:, np.newaxis]
        values[name][rows, :, entries] += products
    first = last
  # The narrow columns in one product for each run of neighbours.
  while narrow:
    run = [narrow.pop(0)]
    while narrow and narrow[0][1] == run[-1][2]:
      run.append(narrow.pop(0))
    _add_dense(
      [values[name] for name, _, _ in run],
      integrals,
      kernel[run[0][1] : run[-1][2]],
      [_difference(x[name], start[name]) for name, _, _ in run],
    )


def _difference(column, start):
  return (column - start).astype(np.float32, copy=False)


def _few_entries(difference):
  """Returns (rows, entries) of what is not zero if that is little, or Nones."""
  if np.count_nonzero(difference) * _SPARSE > difference.size:
    return None, None
  return np.nonzero(difference)


def _add_dense(values, integrals, kernel, differences):
  """Adds to neighbouring columns' values by products with their kernel."""
  num_rows, num_targets, units = integrals.shape
  chunk = max(1, _CHUNK_NUMBERS // (num_targets * max(1, len(kernel))))
  for first in range(0, num_rows, chunk):
    rows = slice(first, first + chunk)
    products = integrals[rows].reshape(-1, units) @ kernel.T
    products = products.reshape(-1, num_targets, len(kernel))
    column = 0
    for value, difference in zip(values, differences):
      width = difference.shape[1]
      part = products[:, :, column : column + width]
      part *= difference[rows, np.newaxis]
      value[rows] += part
      column += width
