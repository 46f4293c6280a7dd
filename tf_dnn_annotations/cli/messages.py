"""The output of a run: results on stdout, notes and errors on stderr.

Either may be closed, or a pipe whose reader has gone, which is not an error of
the run. Control characters are escaped in all that is written, so that a model
cannot act on the terminal.
"""

import os
import sys

from tf_dnn_annotations.text import plain_text

PROGRAM = 'tf_dnn_annotations'


def open_standard_files():
  """Makes stdin, stdout and stderr exist.

  Otherwise the next file that is opened, perhaps the output, would be number 1
  or 2, and would get whatever a library prints.
  """
  number = os.open(os.devnull, os.O_RDWR)
  while number <= 2:
    number = os.dup(number)
  os.close(number)
  for number, name in ((1, 'stdout'), (2, 'stderr')):
    if getattr(sys, name) is None:
      setattr(sys, name, open(number, 'w', encoding='utf-8', closefd=False))
  # The terminal's encoding may lack characters of a label.
  for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(errors='backslashreplace')


def show(text):
  """Prints lines of a result, which may be empty, on stdout.

  Raises:
    OSError: stdout cannot be written, as on a full disk.
  """
  write(sys.stdout, plain_text.escaped_lines(text) + '\n')


def note(text):
  """Prints a note of one line on stderr."""
  # Overwrites the progress bar, which is drawn again below.
  start = '\r\x1b[K' if sys.stderr.isatty() else ''
  write(sys.stderr, f'{start}note: {plain_text.escaped(text)}\n')


def error(text):
  """Prints an error on stderr; lines of code stay lines."""
  write(sys.stderr, plain_text.escaped_lines(text) + '\n')


def write(stream, text):
  """Writes text that is already harmless; nothing where nobody reads.

  Args:
    stream: `sys.stdout` or `sys.stderr`.
    text: str, written as it is.

  Raises:
    OSError: stdout cannot be written although somebody reads it.
  """
  try:
    stream.write(text)
    stream.flush()
  except OSError as problem:
    # Python would try to write the rest of the buffer again as it ends.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
    if stream is sys.stderr or isinstance(problem, BrokenPipeError):
      return
    raise OSError(
      f'standard output cannot be written: {problem.strerror}. Send it '
      'elsewhere.'
    ) from problem
