"""The command line: `tf_dnn_annotations inspect` and `... attribute`.

Exit codes: 0, done; 1, the SavedModel or the files cannot be used; 2, the
command line is wrong; 130, interrupted by Ctrl-C; 128 and the number of another
signal that asks for the end, such as 143 for SIGTERM.

Either the output has its name, and from then on no signal ends the run, or a
run that is ended leaves no file.
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

# Nothing else up here: what is loaded before `interrupts.install` cannot be
# interrupted with an exit code of ours.

# How the lines of code begin that a refusal may end with.
_CODE = '\n    import tf_dnn_annotations'
_OK, _BAD_DATA = 0, 1


def run():
  """Runs the command that `sys.argv` tells, and exits."""
  messages.open_standard_files()
  # Its own number, since the other is elsewhere while TensorFlow is loaded.
  interrupts.install(functools.partial(_end, os.dup(2)))
  from absl import app

  from tf_dnn_annotations.cli import flags

  try:
    app.run(main, flags_parser=flags.parsed)
  except OSError as error:  # Of help or the version, for a full disk.
    messages.error(f'{messages.PROGRAM}: error: {error}')
    sys.exit(_BAD_DATA)


def _end(stderr, number):
  """Cleans up after a signal, in whatever state the process is."""
  pending_file.discard_all()
  # Over the progress bar.
  start = '\r\x1b[K' if os.isatty(stderr) else ''
  by = '' if number == signal.SIGINT else f' by {signal.Signals(number).name}'
  # Not by sys.stderr, which the main thread may hold.
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
  except Exception as error:  # One line for a person, whatever it was.
    interrupts.finish()
    if arguments.debug:
      messages.error(traceback.format_exc().rstrip('\n'))
    program = f'{messages.PROGRAM} {arguments.command}'
    messages.error(f'{program}: error: {_line(error)}')
    return _BAD_DATA
  return _OK


def _command(name):
  """Returns the function of a command's arguments that runs it."""
  # Not sooner: it takes TensorFlow seconds to load, which help and usage errors
  # do without.
  if name == 'inspect':
    from tf_dnn_annotations.cli import inspect_command

    return inspect_command.run
  from tf_dnn_annotations.cli import attribute_command

  return attribute_command.run


def _line(error):
  """Returns what an exception says, in a line and in terms of the flags."""
  from tf_dnn_annotations.cli import flags

  if isinstance(error, OSError) and error.strerror:
    text = f'{error.filename or ""}: {error.strerror}'.lstrip(': ')
  else:
    # The errors of TensorFlow have a message without the graph's tracebacks.
    text = str(getattr(error, 'message', error))
    if _CODE not in text:  # Lines of code are left as they are.
      text = ' '.join(text.split())
    text = flags.in_flags(text)
  if isinstance(error, (ValueError, TypeError, OSError)):
    return text
  return f'{type(error).__name__}: {text} (--debug shows where it comes from)'


def _silence_tensorflow():
  """Loads TensorFlow without the notes that it prints for developers."""
  warnings.filterwarnings('ignore')
  # 3, not 2: builds for GPUs report as errors that there is none.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  # What TensorFlow's libraries log while they are loaded keeps to no level, and
  # does not go through Python.
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
  except OSError:  # There is no room, or nowhere to write.
    return open(os.devnull, 'w+b')
