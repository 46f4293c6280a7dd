"""Ctrl-C and its like end a run, whoever swallows the exception.

A signal raises `Interrupted` in the main thread, at once where Python runs. But
numpy and TensorFlow call Python where they drop exceptions, so a flag is kept
too: `check` raises again. A second signal ends the process wherever it is, in
C as well.

For the command line alone: a process has one set of signal handlers.
"""

import os
import signal
import threading

# Of systems without SIGHUP, the others.
_SIGNALS = [
  getattr(signal, name)
  for name in ('SIGINT', 'SIGTERM', 'SIGHUP')
  if hasattr(signal, name)
]

_handled = []  # Those of `_SIGNALS` that `install` has taken over.
_received = None  # The first of them that came.


class Interrupted(KeyboardInterrupt):
  """A signal asks for the end.

  Attributes:
    signal: its number.
  """

  def __init__(self, number):
    super().__init__(number)
    self.signal = number


def install(at_once_fn):
  """Takes over the signals that ask for the end, but those that are ignored.

  Args:
    at_once_fn: called with the number of the second signal, in another thread
      than the main one; is to end the process.
  """
  read_end, write_end = os.pipe()
  os.set_blocking(write_end, False)
  # Written to where Python's handlers are called only later, as while the main
  # thread is in a call of TensorFlow.
  signal.set_wakeup_fd(write_end)
  threading.Thread(
    target=_wait_for_second, args=(read_end, at_once_fn), daemon=True
  ).start()
  for number in _SIGNALS:
    # What is started in the background ignores SIGINT; by nohup, SIGHUP.
    if signal.getsignal(number) != signal.SIG_IGN:
      _handled.append(number)
      signal.signal(number, _on_signal)


def _on_signal(number, frame):
  del frame
  global _received
  # Once only: what cleans up is not interrupted.
  if _received is None:
    _received = number
    raise Interrupted(number)


def _wait_for_second(read_end, at_once_fn):
  os.read(read_end, 1)
  (number,) = os.read(read_end, 1)
  at_once_fn(number)


def received():
  """Returns the number of the signal that asked for the end, or None."""
  return _received


def check():
  """Raises `Interrupted` if a signal came, also one whose exception is lost."""
  if _received is not None:
    raise Interrupted(_received)


def finish():
  """Passes the point after which a run has its result: no signal ends it.

  Raises:
    Interrupted: a signal came before.
  """
  while _handled:
    signal.signal(_handled.pop(), signal.SIG_IGN)
  check()
