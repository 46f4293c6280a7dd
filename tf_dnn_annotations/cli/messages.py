"""What a run says to a person: results on stdout, notes and errors on stderr.

Either may be closed, or a pipe whose reader has gone; that is for its reader to
know, and no error of the run. Control characters are escaped in whatever passes
here, so that no model writes to the terminal.
"""

import os
import sys

from tf_dnn_annotations.text import plain_text

PROGRAM = 'tf_dnn_annotations'


def open_standard_files():
  """Makes stdin, stdout and stderr exist.

  Otherwise the next file that is opened, of results say, would be number 1 or
  2, and what some library prints would get into it.
  """
  number = os.open(os.devnull, os.O_RDWR)
  while number <= 2:
    number = os.dup(number)
  os.close(number)
  for number, name in ((1, 'stdout'), (2, 'stderr')):
    if getattr(sys, name) is None:
      setattr(sys, name, open(number, 'w', encoding='utf-8', closefd=False))
  # A label may hold what the terminal's encoding has no character for.
  for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(errors='backslashreplace')


def show(text):
  """Prints lines of a result, also an empty one, on stdout.

  Raises:
    OSError: stdout cannot take them, as on a full disk.
  """
  write(sys.stdout, plain_text.escaped_lines(text) + '\n')


def note(text):
  """Prints a line that the user should know, on stderr."""
  # Over the progress bar, which is drawn again below.
  start = '\r\x1b[K' if sys.stderr.isatty() else ''
  write(sys.stderr, f'{start}note: {plain_text.escaped(text)}\n')


def error(text):
  """Prints why there is no result, on stderr; lines of code stay lines."""
  write(sys.stderr, plain_text.escaped_lines(text) + '\n')


def write(stream, text):
  """Writes harmless text; to a stream that nobody reads, nothing.

  Args:
    stream: `sys.stdout` or `sys.stderr`.
    text: str, which is not escaped again.

  Raises:
    OSError: stdout cannot take it, for another reason than that.
  """
  try:
    stream.write(text)
    stream.flush()
  except OSError as problem:
    # What is still in its buffer would be tried again as Python ends.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
    if stream is sys.stderr or isinstance(problem, BrokenPipeError):
      return
    raise OSError(
      f'standard output cannot be written: {problem.strerror}. Send it '
      'elsewhere.'
    ) from problem
