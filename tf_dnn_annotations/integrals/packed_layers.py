"""The layers of a network as path_sweep.c reads them: checked and aligned."""

import itertools

import numpy as np

# Numbers in the widest vector, as in path_sweep.c.
_WIDEST = 8


class PackedLayers(object):
  """The layers of a network, in arrays that C reads.

  Attributes:
    num_kinks: int64 [layers], how many kinks each activation has.
    kinks: float64, those of all layers, one layer after the other.
    kink_sides: float64, 1 for a kink whose slope is that left of it, -1 for one
      whose slope is that right of it.
    slopes: float64, those of all layers' pieces, one layer after the other.
    span: the least distance of two kinks of an activation, or infinity.
    matrices: float64, each layer's kernel, bias, and norms of the kernel's
      columns times the largest slope below, one after the other, as `aligned`
      returns them.
    units_above: list of the number of units of each layer but the first, which
      comes with the paths.
    units_first: the number of units of the first layer, None if it is the only
      one.
  """

  def __init__(self, activations, kernels, biases):
    """Packs the layers.

    Args:
      activations: list of `piecewise_linear.Activation`, one per layer from the
        first on.
      kernels: list of [units_i, units_{i+1}], one between any two layers.
      biases: list of [units_{i+1}], of the same length.

    Raises:
      ValueError: an activation is not valid, or shapes do not fit together.
    """
    _check(activations, kernels, biases)
    kernels, biases = (
      [np.asarray(array, np.float64) for array in arrays]
      for arrays in (kernels, biases)
    )
    kinks, slopes, kink_slopes = zip(*activations)
    self.num_kinks = np.array([len(each) for each in kinks], np.int64)
    # Not empty, since C gets the address of it.
    self.kinks = np.array(list(itertools.chain(*kinks)) or [0.0])
    self.slopes = np.array(list(itertools.chain(*slopes)), np.float64)
    self.kink_sides = np.array(
      [
        1.0 if on == left else -1.0
        for pieces, slopes_on in zip(slopes, kink_slopes)
        for left, on in zip(pieces, slopes_on)
      ]
      or [0.0]
    )
    self.span = min(
      [float(gap) for each in kinks for gap in np.diff(each)] or [np.inf]
    )
    reaches = [
      np.sqrt(np.einsum('jk,jk->k', kernel, kernel)) * np.abs(pieces).max()
      for kernel, pieces in zip(kernels, slopes)
    ]
    self.matrices = aligned(
      [
        matrix
        for kernel, bias, reach in zip(kernels, biases, reaches)
        for matrix in (kernel, bias[np.newaxis], reach[np.newaxis])
      ]
    )
    self.units_above = [len(bias) for bias in biases]
    self.units_first = len(kernels[0]) if len(kernels) else None


def _check(activations, kernels, biases):
  """Raises ValueError unless these are layers as `PackedLayers` takes them."""
  if not activations or not (
    len(activations) == len(kernels) + 1 == len(biases) + 1
  ):
    raise ValueError(
      '`kernels` and `biases` must be one fewer than the activations; got '
      f'{len(kernels)} and {len(biases)} for {len(activations)}. Give those '
      'between the layers.'
    )
  for i, activation in enumerate(activations):
    kinks, slopes, kink_slopes = map(list, activation)
    if not len(slopes) == len(kinks) + 1 == len(kink_slopes) + 1:
      raise ValueError(
        f'`activations[{i}]` must have one slope more than kinks and a slope '
        f'on each kink; got {len(slopes)} and {len(kink_slopes)} slopes for '
        f'{len(kinks)} kinks. Give those left of, between and right of them.'
      )
    if not np.isfinite(kinks + slopes).all() or (np.diff(kinks) <= 0).any():
      raise ValueError(
        f'`activations[{i}]` must have finite slopes and kinks that rise; got '
        f'{activation}. Give the kinks in order, each once.'
      )
    if any(
      on not in pair for on, pair in zip(kink_slopes, zip(slopes, slopes[1:]))
    ):
      raise ValueError(
        f'`activations[{i}]` must have on each kink the slope left or right of '
        f'it; got {activation}. Give one of the two.'
      )
  for i, (kernel, bias) in enumerate(zip(kernels, biases)):
    rows = np.shape(kernels[i])[0] if i == 0 else np.shape(biases[i - 1])[0]
    check_shape(f'biases[{i}]', np.asarray(bias), (np.size(bias),))
    check_shape(f'kernels[{i}]', np.asarray(kernel), (rows, len(bias)))


def check_shape(name, array, shape):
  """Raises ValueError unless an array has a shape; C would read beyond it."""
  if array.shape != shape:
    raise ValueError(
      f'`{name}` must have the shape {list(shape)}; got {list(array.shape)}. '
      'Give what fits the network and the other arguments.'
    )


def aligned(matrices):
  """Returns matrices one after the other, as path_sweep.c reads them.

  Their rows are padded with zeros to whole vectors, and the first one is
  aligned to a vector.
  """
  widths = [-(-matrix.shape[1] // _WIDEST) * _WIDEST for matrix in matrices]
  sizes = [len(matrix) * width for matrix, width in zip(matrices, widths)]
  memory = np.zeros(sum(sizes) + _WIDEST)
  first = -(memory.ctypes.data // memory.itemsize) % _WIDEST
  result = memory[first : first + sum(sizes)]
  position = 0
  for matrix, width, size in zip(matrices, widths, sizes):
    part = result[position : position + size].reshape(len(matrix), width)
    part[:, : matrix.shape[1]] = matrix
    position += size
  return result
