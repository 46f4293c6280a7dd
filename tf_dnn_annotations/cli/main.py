"""The command line: `tf_dnn_annotations inspect` and `... attribute`.

Exit codes: 0, done; 1, the SavedModel or the files cannot be used; 2, the
command line is wrong; 130, interrupted by Ctrl-C; 128 plus the number of
another signal that ends the run, such as 143 for SIGTERM.

A run that is ended by a signal leaves no file. Once the output has its name, no
signal ends the run any more.
"""

import functools
import os
import signal
import sys
import tempfile
import traceback
import warnings

from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.system import interrupts
from tf_dnn_annotations.system import pending_file

# Nothing else is imported up here: until `interrupts.install` has run, a signal
# does not end in one of our exit codes.

# The start of the lines of code with which a refusal may end. Every other error
# is put in one line: names in it, which the author of a model chose, may hold
# line ends.
_CODE = '\n    import tf_dnn_annotations'
_OK, _BAD_DATA = 0, 1


def run():
  """Runs the command in `sys.argv`, and exits."""
  messages.open_standard_files()
  # A duplicate of stderr, which is redirected while TensorFlow is loaded.
  interrupts.install(functools.partial(_end, os.dup(2)))
  from absl import app

  from tf_dnn_annotations.cli import flags

  try:
    app.run(main, flags_parser=flags.parsed)
  except OSError as error:  # Help or the version, on a full disk.
    messages.error(f'{messages.PROGRAM}: error: {error}')
    sys.exit(_BAD_DATA)


def _end(stderr, number):
  """Cleans up after a signal, in whatever state the process is."""
  pending_file.discard_all()
  # Overwrites the progress bar.
  start = '\r\x1b[K' if os.isatty(stderr) else ''
  by = '' if number == signal.SIGINT else f' by {signal.Signals(number).name}'
  # Not through sys.stderr, whose lock the main thread may hold.
  text = f'{start}{messages.PROGRAM}: interrupted{by}\n'
  os.write(stderr, text.encode('ascii'))


def main(arguments):
  """Runs a command.

  Args:
    arguments: `argparse.Namespace` of the command's arguments.

  Returns:
    The exit code.
  """
  try:
    if not arguments.debug:
      _silence_tensorflow()
    _command(arguments.command)(arguments)
    interrupts.finish()
  except Exception as error:  # Every failure is a line of its own.
    interrupts.finish()
    if arguments.debug:
      messages.error(traceback.format_exc().rstrip('\n'))
    program = f'{messages.PROGRAM} {arguments.command}'
    messages.error(f'{program}: error: {_line(error)}')
    return _BAD_DATA
  return _OK


def _command(name):
  """Returns the function that runs a command, of its arguments."""
  # Imported here: TensorFlow takes seconds to load, and help and usage errors
  # do without it.
  if name == 'inspect':
    from tf_dnn_annotations.cli import inspect_command

    return inspect_command.run
  from tf_dnn_annotations.cli import attribute_command

  return attribute_command.run


def _line(error):
  """Returns the message of an exception, in a line and with flags' names."""
  from tf_dnn_annotations.cli import flags

  if isinstance(error, OSError) and error.strerror:
    text = f'{error.filename or ""}: {error.strerror}'.lstrip(': ')
  else:
    # TensorFlow's errors have a `message` without the tracebacks of the graph.
    text = str(getattr(error, 'message', error))
    if _CODE not in text:
      text = ' '.join(text.split())
    text = flags.in_flags(text)
  if isinstance(error, (ValueError, TypeError, OSError)):
    return text
  return f'{type(error).__name__}: {text} (--debug shows where it comes from)'


def _silence_tensorflow():
  """Loads TensorFlow without the log that it prints for developers."""
  warnings.filterwarnings('ignore')
  # 3, not 2: builds for GPUs log an error where there is no GPU.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  # TensorFlow's libraries log at any level while they are loaded, and not
  # through Python.
  stderr = os.dup(2)
  with _temporary_file() as log:
    try:
      os.dup2(log.fileno(), 2)
      import tensorflow.compat.v1 as tf
    except Exception:
      log.seek(0)
      os.write(stderr, log.read())
      raise
    finally:
      os.dup2(stderr, 2)
      os.close(stderr)
  tf.logging.set_verbosity(tf.logging.ERROR)


def _temporary_file():
  try:
    return tempfile.TemporaryFile()
  except OSError:  # No room, or no directory for temporary files.
    return open(os.devnull, 'w+b')
