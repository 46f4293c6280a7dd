"""The exact sum over linear regions in one sweep along each path, in C.

`region_sums` holds the regions of many rows in arrays and computes them layer
by layer. This follows one row's path from one passage of a unit through a kink
to the next and keeps only sums, as path_sweep.c explains. So a passage takes
one product with each kernel further above, and no memory for regions. All of it
is computed in float64.

The library is built where there is a C compiler when the package is installed.
"""

import ctypes
import functools
import pathlib
import warnings

import numpy as np

from tf_dnn_annotations.integrals import compiled_library
from tf_dnn_annotations.integrals import packed_layers
from tf_dnn_annotations.integrals import path_integral

LIBRARY = '_path_sweep.so'
_MISSING = 'the compiled library is missing'

# As in path_sweep.c.
_INTERFACE = 2
_LOGITS, _RECORD, _REPLAY = range(3)
_VECTOR_BYTES = 16, 32, 64


class _Problem(ctypes.Structure):
  """As in path_sweep.c, which documents the fields."""

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
  """Returns (library or None, reason why there is none)."""
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
  """Whether the library was built, without which nothing here can be called.

  Warns:
    RuntimeWarning: there is a library, but it does not fit and is not used.
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
  """Returns the reason why the library cannot be used; '' if it can."""
  return _library()[1]


def vector_bytes():
  """Returns the bytes of the widest vectors that the processor supports."""
  return _library()[0].path_sweep_vector_bytes()


class PathSweep(object):
  """Paths through a network of one or more layers.

  Every path is given by `start`, [n, units_0] or [1, units_0], the first
  layer's pre-activations where it starts, and `end`, [n, units_0].
  """

  def __init__(self, activations, kernels, biases, max_bytes=None):
    """Packs the layers; computes nothing yet.

    Args:
      activations, kernels, biases: as `packed_layers.PackedLayers` takes them.
      max_bytes: the widest vectors to use, 16, 32 or 64, as `vector_bytes`.

    Raises:
      ValueError: the layers are not valid or do not fit together, as here and
        below; or the processor has no such vectors.
    """
    widest = vector_bytes()
    if max_bytes is not None and (
      max_bytes not in _VECTOR_BYTES or max_bytes > widest
    ):
      raise ValueError(
        f'`max_bytes` must be 16, 32 or 64 and at most {widest} on this '
        f'processor; got {max_bytes!r}. Leave it out.'
      )
    self._max_bytes = max_bytes or widest
    self._layers = packed_layers.PackedLayers(activations, kernels, biases)

  def logits(self, start, end, weights, targets):
    """Integrates the gradients of sums of the last layer's outputs.

    Args:
      start, end: of the paths.
      weights: [classes, units of the last layer], the derivatives of a logit
        with respect to the outputs of the last layer, the last hidden one.
      targets: int [n], the class of each row, or None for all classes.

    Returns:
      `path_integral.PathIntegral` of the gradients with respect to the first
      layer's pre-activations, with T = 1 or classes and, as the number of
      steps, the number of regions of positive length of each path.
    """
    start, end = self._paths(start, end)
    units, weights = self._units(end), np.asarray(weights, np.float64)
    if weights.ndim != 2 or not len(weights):
      raise ValueError(
        '`weights` must have the shape [classes, units], of one class or more; '
        f'got {list(weights.shape)}. Give a row for each class.'
      )
    packed_layers.check_shape('weights', weights, (len(weights), units[-1]))
    if targets is not None:
      targets = _checked_targets(targets, len(end), len(weights))
    num_targets, packed = 1, packed_layers.aligned([weights])
    if targets is None and len(weights) > 1:
      # The sums over time are shared by all classes, so they have weights of
      # one; those of the classes follow.
      num_targets = len(weights)
      packed = packed_layers.aligned(
        [np.ones((1, weights.shape[1])), weights.T]
      )
    return self._run(
      start,
      end,
      _LOGITS,
      num_targets,
      targets=targets,
      weights=packed,
      noise=np.empty((len(end), num_targets)),
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
    # About 0.45 per unit, as measured; those for which there is no room are
    # counted, and the sweep is repeated with room for them.
    capacity = len(end) * (int(0.6 * sum(self._units(end))) + 2)
    while True:
      ends = np.empty((capacity, 2, self._layers.units_above[-1]))
      steps = np.empty(capacity)
      num_regions = self._run(
        start, end, _RECORD, 1, capacity=capacity, ends=ends, steps=steps
      ).num_steps
      total = num_regions.sum()
      if total <= capacity:
        return ends[:total], steps[:total], num_regions
      capacity = total

  def weighted(self, start, end, region_weights):
    """Integrates the gradients of an output of the last layer, of logits.

    Args:
      start, end: of the paths.
      region_weights: [R, units], the gradient with respect to the logits,
        integrated over each region that `regions` found.

    Returns:
      `path_integral.PathIntegral` with T = 1.
    """
    start, end = self._paths(start, end)
    self._check_has_logits()
    region_weights = np.asarray(region_weights, np.float64)
    capacity = len(region_weights)
    shape = capacity, self._units(end)[-1]
    packed_layers.check_shape('region_weights', region_weights, shape)
    integral = self._run(
      start,
      end,
      _REPLAY,
      1,
      capacity=capacity,
      region_weights=packed_layers.aligned([region_weights]),
      noise=np.empty((len(end), 1)),
    )
    num_regions = integral.num_steps.sum()
    if num_regions != capacity:
      raise ValueError(
        f'`region_weights` must have {num_regions} rows; got {capacity}. '
        'Give one for each region that `regions` finds on the same paths.'
      )
    return integral

  def _units(self, end):
    """Returns the number of units per layer; paths determine the first."""
    return [end.shape[1]] + self._layers.units_above

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
    if self._layers.units_first is not None:
      packed_layers.check_shape(
        'end', end, (len(end), self._layers.units_first)
      )
    num_starts = 1 if start.shape[:1] == (1,) else len(end)
    packed_layers.check_shape('start', start, (num_starts, end.shape[1]))
    return start, end

  def _check_has_logits(self):
    """Raises ValueError where the last layer is the first one too."""
    if not self._layers.units_above:
      raise ValueError(
        '`activations` must be of two layers or more, the last one that of the '
        'logits; got 1. Use `logits`.'
      )

  def _run(
    self,
    start,
    end,
    output,
    num_targets,
    targets=None,
    capacity=0,
    noise=None,
    **arrays,
  ):
    """Calls the library; `arrays` are further fields of `_Problem`."""
    num_rows, units = end.shape
    layers, all_units = self._layers, np.array(self._units(end), np.int64)
    problem = _Problem(
      output=output,
      num_rows=num_rows,
      start_stride=0 if len(start) == 1 else units,
      num_layers=len(all_units),
      num_targets=num_targets,
      units=_address(all_units),
      num_kinks=_address(layers.num_kinks),
      kinks=_address(layers.kinks),
      kink_sides=_address(layers.kink_sides),
      piece_slopes=_address(layers.slopes),
      layers=_address(layers.matrices),
      targets=_address(targets),
      capacity=capacity,
      noise=_address(noise),
      span=layers.span,
      **{name: _address(array) for name, array in arrays.items()},
    )
    integrals = np.empty((num_rows, num_targets, units))
    num_regions = np.empty(num_rows, np.int64)
    # ctypes releases the interpreter's lock during the call.
    failed = _library()[0].path_sweep_integrate(
      problem,
      _address(start),
      _address(end),
      self._max_bytes,
      _address(integrals),
      _address(num_regions),
    )
    if failed:
      raise MemoryError('There is not enough memory for the layers of one row.')
    return path_integral.PathIntegral(integrals, num_regions, noise=noise)


def _checked_targets(targets, num_rows, num_classes):
  """Returns targets as C takes them, int64 [n].

  Raises:
    ValueError: they are not classes, one per row.
  """
  targets = np.asarray(targets)
  if targets.dtype.kind not in 'iu' and targets.size:
    raise ValueError(
      f'`targets` must be integers; got {targets.dtype}. Give class ids.'
    )
  targets = np.ascontiguousarray(targets, np.int64)
  packed_layers.check_shape('targets', targets, (num_rows,))
  if num_rows and not 0 <= targets.min() <= targets.max() < num_classes:
    raise ValueError(
      f'`targets` must be in [0, {num_classes}); got {targets.min()} to '
      f'{targets.max()}. Give a row of `weights` each.'
    )
  return targets


def _address(array):
  return None if array is None else array.ctypes.data
