"""Ctrl-C and its like end a run from a thread of their own.

Python raises KeyboardInterrupt wherever the main thread is. numpy and
TensorFlow call Python where they drop exceptions (TensorFlow 1.15: where one is
a crash), and a call into C is not left before it ends. So nothing is raised
here: another thread removes what is not complete and ends the process.

For the command line alone: a process has one set of signal handlers.
"""

import os
import signal
import threading
from typing import List

# Of systems without SIGHUP, the others.
_SIGNALS = [
  getattr(signal, name)
  for name in ('SIGINT', 'SIGTERM', 'SIGHUP')
  if hasattr(signal, name)
]
# The exit code of what a signal ended is this and its number, as in shells.
_BY_SIGNAL = 128

# Held by what must not be cut in two, and for good by what ends the process.
_lock = threading.RLock()
_handled: List[int] = []  # Those of `_SIGNALS` that `install` has taken over.
_has_finished = False


def install(end_fn):
  """Takes over the signals that ask for the end, but those that are ignored.

  A second signal does not wait for `end_fn`.

  Args:
    end_fn: called with the number of the first signal, in another thread than
      the main one, to clean up; then the process ends.
  """
  read_end, write_end = os.pipe()
  os.set_blocking(write_end, False)
  # Written to by C, while Python's handlers wait for the main thread.
  signal.set_wakeup_fd(write_end)
  threading.Thread(target=_wait, args=(read_end, end_fn), daemon=True).start()
  for number in _SIGNALS:
    # What is started in the background ignores SIGINT; by nohup, SIGHUP.
    if signal.getsignal(number) != signal.SIG_IGN:
      _handled.append(number)
      signal.signal(number, lambda number, frame: None)


def _wait(read_end, end_fn):
  (number,) = os.read(read_end, 1)
  threading.Thread(target=_end, args=(number, end_fn), daemon=True).start()
  (number,) = os.read(read_end, 1)
  os._exit(_BY_SIGNAL + number)


def _end(number, end_fn):
  with _lock:
    if not _has_finished:
      try:
        end_fn(number)
      finally:
        os._exit(_BY_SIGNAL + number)


def held():
  """Returns a context manager in which no first signal ends the process."""
  return _lock


def finish():
  """Passes the point after which a run has its result: no signal ends it.

  Does not return if a signal came before.
  """
  global _has_finished
  with _lock:
    while _handled:
      signal.signal(_handled.pop(), signal.SIG_IGN)
      _has_finished = True
