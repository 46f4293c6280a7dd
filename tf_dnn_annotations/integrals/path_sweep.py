"""The exact sum over linear regions in one sweep along each path, in C.

`region_sums` holds the regions of many rows in arrays and takes them layer by
layer. This goes along one row's path from one passage of a unit through a
kink to the next and keeps only sums, as path_sweep.c says, so that a passage
takes one product with each kernel further above, and no memory for regions. It
computes in float64 throughout.

The library is built where there is a C compiler when the package is installed.
"""

import ctypes
import functools
import itertools
import pathlib
import warnings

import numpy as np

from tf_dnn_annotations.integrals import compiled_library

LIBRARY = '_path_sweep.so'
_MISSING = 'the compiled library is missing'

# As in path_sweep.c.
_INTERFACE = 2
_LOGITS, _RECORD, _REPLAY = range(3)
_WIDEST = 8


class _Problem(ctypes.Structure):
  """As in path_sweep.c, which says what the fields are."""

  _fields_ = [
    ('output', ctypes.c_int64),
    ('num_rows', ctypes.c_int64),
    ('start_stride', ctypes.c_int64),
    ('num_layers', ctypes.c_int64),
    ('num_targets', ctypes.c_int64),
    ('units', ctypes.c_void_p),
    ('num_kinks', ctypes.c_void_p),
    ('kinks', ctypes.c_void_p),
    ('kink_sides', ctypes.c_void_p),
    ('piece_slopes', ctypes.c_void_p),
    ('layers', ctypes.c_void_p),
    ('weights', ctypes.c_void_p),
    ('targets', ctypes.c_void_p),
    ('capacity', ctypes.c_int64),
    ('ends', ctypes.c_void_p),
    ('steps', ctypes.c_void_p),
    ('region_weights', ctypes.c_void_p),
    ('noise', ctypes.c_void_p),
    ('span', ctypes.c_double),
  ]


@functools.lru_cache(maxsize=None)
def _library():
  """Returns (the library or None, why there is none)."""
  path = pathlib.Path(__file__).with_name(LIBRARY)
  try:
    library = compiled_library.load(
      str(path), 'path_sweep', _INTERFACE, ctypes.sizeof(_Problem)
    )
  except FileNotFoundError:
    return None, _MISSING
  except OSError as error:
    return None, f'the compiled library does not fit: {error}'
  library.path_sweep_vector_bytes.argtypes = []
  library.path_sweep_vector_bytes.restype = ctypes.c_int
  library.path_sweep_integrate.argtypes = [
    ctypes.POINTER(_Problem),
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
  ]
  library.path_sweep_integrate.restype = ctypes.c_int
  return library, ''


@functools.lru_cache(maxsize=None)
def is_built():
  """Whether there is the library, without which nothing here can be called.

  Warns:
    RuntimeWarning: there is one that does not fit and is not used.
  """
  library, why_not = _library()
  if library is None and why_not != _MISSING:
    warnings.warn(
      f'{why_not}. Exact sums take several times as long. Install '
      'tf_dnn_annotations again.',
      RuntimeWarning,
      stacklevel=2,
    )
  return library is not None


def why_not_built():
  """Returns why there is no library that can be used; '' if there is one."""
  return _library()[1]


def vector_bytes():
  """Returns the bytes of the widest vectors that the processor computes."""
  return _library()[0].path_sweep_vector_bytes()


class PathSweep(object):
  """Paths through a network of one or more layers.

  Every path is given by `start`, [n, units_0] or [1, units_0], the first
  layer's pre-activations where it starts, and `end`, [n, units_0].
  """

  def __init__(self, activations, kernels, biases, max_bytes=None):
    """Makes the sweep; computes nothing yet.

    Args:
      activations: list of `piecewise_linear.Activation`, one per layer from the
        first on.
      kernels: list of [units_i, units_{i+1}], one between any two layers.
      biases: list of [units_{i+1}], of the same length.
      max_bytes: the widest vectors to use, 16, 32 or 64, as `vector_bytes`.

    Raises:
      ValueError: an activation is not one, shapes do not fit together, as here
        and below; or the processor has no such vectors.
    """
    widest = vector_bytes()
    if (
      max_bytes is not None
      and max_bytes not in (16, 32, 64)[: (16, 32, 64).index(widest) + 1]
    ):
      raise ValueError(
        f'`max_bytes` must be 16, 32 or 64 and at most {widest} on this '
        f'processor; got {max_bytes!r}. Leave it out.'
      )
    self._max_bytes = max_bytes or widest
    _check_network(activations, kernels, biases)
    kernels, biases = (
      [np.asarray(array, np.float64) for array in arrays]
      for arrays in (kernels, biases)
    )
    kinks, slopes, kink_slopes = zip(*activations)
    self._num_kinks = np.array([len(each) for each in kinks], np.int64)
    self._kinks = np.array(list(itertools.chain(*kinks)) or [0.0])
    self._slopes = np.array(list(itertools.chain(*slopes)), np.float64)
    self._kink_sides = np.array(
      [
        1.0 if on == left else -1.0
        for pieces, slopes_on in zip(slopes, kink_slopes)
        for left, on in zip(pieces, slopes_on)
      ]
      or [0.0]
    )
    self._span = min(
      [float(gap) for each in kinks for gap in np.diff(each)] or [np.inf]
    )
    # The norms of what leads to each unit.
    reaches = [
      np.sqrt(np.einsum('jk,jk->k', kernel, kernel)) * np.abs(pieces).max()
      for kernel, pieces in zip(kernels, slopes)
    ]
    self._layers = _aligned(
      [
        matrix
        for kernel, bias, reach in zip(kernels, biases, reaches)
        for matrix in (kernel, bias[np.newaxis], reach[np.newaxis])
      ]
    )
    # The first layer's come with the paths.
    self._units_above = [len(bias) for bias in biases]
    self._units_first = len(kernels[0]) if len(kernels) else None

  def logits(self, start, end, weights, targets, noise=None):
    """Integrates the gradients of sums of the last layer's outputs.

    Args:
      start, end: of the paths.
      weights: [classes, units of the last layer], the derivatives of a logit
        with respect to the outputs of the last layer, the last hidden one.
      targets: int [n], the class of each row, or None for all classes.
      noise: None, or float64 [n, T] that is set to what
        `rounding.of_path` is.

    Returns:
      (integrals, num_regions): float64 [n, T, units_0] of the gradients with
      respect to the first layer's pre-activations, with T = 1 or classes, and
      int64 [n], how many regions longer than nothing each path has.
    """
    start, end = self._paths(start, end)
    units, weights = self._units(end), np.asarray(weights, np.float64)
    if weights.ndim != 2 or not len(weights):
      raise ValueError(
        '`weights` must have the shape [classes, units], of one class or more; '
        f'got {list(weights.shape)}. Give a row for each class.'
      )
    _check_shape('weights', weights, (len(weights), units[-1]))
    if targets is not None:
      targets = np.asarray(targets)
      if targets.dtype.kind not in 'iu' and targets.size:
        raise ValueError(
          f'`targets` must be integers; got {targets.dtype}. Give class ids.'
        )
      targets = np.ascontiguousarray(targets, np.int64)
      _check_shape('targets', targets, (len(end),))
      if len(targets) and not 0 <= targets.min() <= targets.max() < len(
        weights
      ):
        raise ValueError(
          f'`targets` must be in [0, {len(weights)}); got {targets.min()} to '
          f'{targets.max()}. Give a row of `weights` each.'
        )
    num_targets, packed = 1, _aligned([weights])
    if targets is None and len(weights) > 1:
      # The sums over time are shared by all classes, so they have weights of
      # one; those of the classes come after.
      num_targets = len(weights)
      packed = _aligned([np.ones((1, weights.shape[1])), weights.T])
    return self._run(
      start,
      end,
      _LOGITS,
      num_targets,
      targets=targets,
      weights=packed,
      noise=noise,
    )

  def regions(self, start, end):
    """Finds the regions in which the last layer, of logits, is linear.

    Returns:
      (ends [R, 2, units], steps [R], num_regions [n]): the last layer's
      pre-activations at both ends of each region, its length as a share of the
      path, and how many regions, one after the other, each row has.
    """
    start, end = self._paths(start, end)
    self._check_has_logits()
    # About 0.45 a unit, as measured; more than there is room for are counted.
    capacity = len(end) * (int(0.6 * sum(self._units(end))) + 2)
    while True:
      ends = np.empty((capacity, 2, self._units_above[-1]))
      steps = np.empty(capacity)
      _, num_regions = self._run(
        start, end, _RECORD, 1, capacity=capacity, ends=ends, steps=steps
      )
      total = num_regions.sum()
      if total <= capacity:
        return ends[:total], steps[:total], num_regions
      capacity = total

  def weighted(self, start, end, region_weights, noise=None):
    """Integrates the gradients of an output of the last layer, of logits.

    Args:
      start, end: of the paths.
      region_weights: [R, units], the gradient with respect to the logits,
        integrated over each region that `regions` found.
      noise: None, or float64 [n, 1], as for `logits`.

    Returns:
      float64 [n, 1, units_0]
    """
    start, end = self._paths(start, end)
    self._check_has_logits()
    region_weights = np.asarray(region_weights, np.float64)
    capacity = len(region_weights)
    shape = capacity, self._units(end)[-1]
    _check_shape('region_weights', region_weights, shape)
    integrals, num_regions = self._run(
      start,
      end,
      _REPLAY,
      1,
      capacity=capacity,
      region_weights=_aligned([region_weights]),
      noise=noise,
    )
    if num_regions.sum() != capacity:
      raise ValueError(
        f'`region_weights` must have {num_regions.sum()} rows; got {capacity}. '
        'Give one for each region that `regions` finds on the same paths.'
      )
    return integrals

  def _units(self, end):
    """Returns the list of the layers' units, the first one's that of paths."""
    return [end.shape[1]] + self._units_above

  def _paths(self, start, end):
    """Returns the ends of paths as C takes them, [1 or n, units], [n, units].

    Raises:
      ValueError: they do not fit the network or each other.
    """
    start = np.ascontiguousarray(start, np.float64)
    end = np.ascontiguousarray(end, np.float64)
    if end.ndim != 2:
      raise ValueError(
        f'`end` must have the shape [n, units]; got {list(end.shape)}. Give a '
        'row for each path.'
      )
    if self._units_first is not None:
      _check_shape('end', end, (len(end), self._units_first))
    num_starts = 1 if start.shape[:1] == (1,) else len(end)
    _check_shape('start', start, (num_starts, end.shape[1]))
    return start, end

  def _check_has_logits(self):
    """Raises ValueError where the last layer is the first one too."""
    if not self._units_above:
      raise ValueError(
        '`activations` must be of two layers or more, the last one that of the '
        'logits; got 1. Use `logits`.'
      )

  def _run(
    self, start, end, output, num_targets, targets=None, capacity=0, **arrays
  ):
    """Calls the library; `arrays` are fields of `_Problem`."""
    num_rows, units = end.shape
    noise = arrays.get('noise')
    if noise is not None:
      _check_shape('noise', noise, (num_rows, num_targets))
      if noise.dtype != np.float64 or not noise.flags.c_contiguous:
        raise ValueError(
          f'`noise` must be contiguous float64; got {noise.dtype}. Make it '
          'with numpy.empty.'
        )
    all_units = np.array(self._units(end), np.int64)
    problem = _Problem(
      output=output,
      num_rows=num_rows,
      start_stride=0 if len(start) == 1 else units,
      num_layers=len(all_units),
      num_targets=num_targets,
      units=_address(all_units),
      num_kinks=_address(self._num_kinks),
      kinks=_address(self._kinks),
      kink_sides=_address(self._kink_sides),
      piece_slopes=_address(self._slopes),
      layers=_address(self._layers),
      targets=_address(targets),
      capacity=capacity,
      span=self._span,
      **{name: _address(array) for name, array in arrays.items()},
    )
    integrals = np.empty((num_rows, num_targets, units))
    num_regions = np.empty(num_rows, np.int64)
    # This leaves the interpreter's lock meanwhile.
    failed = _library()[0].path_sweep_integrate(
      problem,
      _address(start),
      _address(end),
      self._max_bytes,
      _address(integrals),
      _address(num_regions),
    )
    if failed:
      raise MemoryError('There is no memory for the layers of one row.')
    return integrals, num_regions


def _check_network(activations, kernels, biases):
  """Raises ValueError unless these are layers as `PathSweep` takes them."""
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
    _check_shape(f'biases[{i}]', np.asarray(bias), (np.size(bias),))
    _check_shape(f'kernels[{i}]', np.asarray(kernel), (rows, len(bias)))


def _check_shape(name, array, shape):
  """Raises ValueError unless an array has a shape: C would read beyond it."""
  if array.shape != shape:
    raise ValueError(
      f'`{name}` must have the shape {list(shape)}; got {list(array.shape)}. '
      'Give what fits the network and the other arguments.'
    )


def _address(array):
  return None if array is None else array.ctypes.data


def _aligned(matrices):
  """Returns matrices one behind the other, as path_sweep.c wants them.

  Their rows are filled up with zeros to whole vectors, and the first one is
  aligned to one.
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
