"""Keeps numpy's matrix products to the thread that asks for them.

Where several threads each compute rows of their own, a BLAS that splits every
product among threads too makes them wait for each other: with it, exact sums
take two to three times as long on a machine that has anything else to do.
"""

import contextlib
import ctypes
import functools
import pathlib
import threading

import numpy as np

# Where numpy's wheels keep their OpenBLAS, and how they name its functions.
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
  """Has numpy's OpenBLAS use one thread, in all of the process, meanwhile.

  May be entered by several threads at once: the last to leave restores the
  number. Without effect where numpy came with another BLAS.
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
  """Returns OpenBLAS's functions (get, set) of a number of threads, or None."""
  directory = pathlib.Path(np.__file__).resolve().parent
  for pattern in _LIBRARIES:
    parent, _, name = pattern.rpartition('/')
    for path in sorted((directory / parent).glob(name)):
      try:
        # Loaded already, by numpy: this finds the same one.
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
