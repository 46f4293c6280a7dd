"""Restricts numpy's matrix products to the thread that computes them.

Where several threads each compute rows of their own, a BLAS that also splits
every product among threads makes them wait for each other: exact sums then take
two to three times as long on a machine that runs anything else.
"""

import contextlib
import ctypes
import functools
import pathlib
import threading

import numpy as np

# Where numpy's wheels keep their OpenBLAS, and the names of its functions.
_LIBRARIES = (
  '../numpy.libs/*openblas*',
  '.libs/*openblas*',
  '.dylibs/*openblas*',
)
_PREFIXES = ('', 'scipy_')
_SUFFIXES = ('64_', '')

_lock = threading.Lock()
_users = 0
_num_threads_before = None


@contextlib.contextmanager
def one():
  """Makes numpy's OpenBLAS use one thread within the context.

  This holds for the whole process. Several threads may enter at once; the last
  one to leave restores the number. Without effect where numpy has another BLAS.
  """
  global _users, _num_threads_before
  functions = _functions()
  if functions is None:
    yield
    return
  get, set_to = functions
  with _lock:
    if not _users:
      _num_threads_before = get()
      set_to(1)
    _users += 1
  try:
    yield
  finally:
    with _lock:
      _users -= 1
      if not _users:
        set_to(_num_threads_before)


@functools.lru_cache(maxsize=None)
def _functions():
  """Returns OpenBLAS's (getter, setter) of its number of threads, or None."""
  directory = pathlib.Path(np.__file__).resolve().parent
  for pattern in _LIBRARIES:
    parent, _, name = pattern.rpartition('/')
    for path in sorted((directory / parent).glob(name)):
      try:
        # numpy has loaded it already, so this returns the same library.
        library = ctypes.CDLL(str(path.resolve()))
      except OSError:
        continue
      for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
          get, set_to = (
            getattr(
              library, f'{prefix}openblas_{verb}_num_threads{suffix}', None
            )
            for verb in ('get', 'set')
          )
          if get is not None and set_to is not None:
            get.restype, get.argtypes = ctypes.c_int, []
            set_to.restype, set_to.argtypes = None, [ctypes.c_int]
            return get, set_to
  return None
