"""The command line: `tf_dnn_annotations inspect` and `... attribute`.

Exit codes: 0, done; 1, the SavedModel or the files cannot be used; 2, the
command line is wrong; 130, interrupted.
"""

import os
import sys
import tempfile
import traceback
import warnings

from absl import app

from tf_dnn_annotations import cli_parser

_OK, _BAD_DATA, _INTERRUPTED = 0, 1, 130


def run():
  """Runs the command that `sys.argv` tells, and exits."""
  if sys.stdout:
    # A label may hold what the terminal's encoding has no character for.
    sys.stdout.reconfigure(errors='backslashreplace')
  app.run(main, flags_parser=cli_parser.parsed)


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
    sys.stdout.flush()
  except KeyboardInterrupt:
    print(f'{cli_parser.PROGRAM}: interrupted', file=sys.stderr)
    return _INTERRUPTED
  except BrokenPipeError:
    # What reads our output, `head` say, has enough. Python would complain when
    # it closes stdout at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  except Exception as error:  # One line for a person, whatever it was.
    if arguments.debug:
      traceback.print_exc()
    program = f'{cli_parser.PROGRAM} {arguments.command}'
    print(f'{program}: error: {_line(error)}', file=sys.stderr)
    return _BAD_DATA
  return _OK


def _command(name):
  """Returns the function of a command's arguments that runs it."""
  # Not sooner: it takes TensorFlow seconds to load, which help and usage errors
  # do without.
  if name == 'inspect':
    from tf_dnn_annotations import inspect_command

    return inspect_command.run
  from tf_dnn_annotations import attribute_command

  return attribute_command.run


def _line(error):
  """Returns what an exception says, in a line and in terms of the flags."""
  if isinstance(error, OSError) and error.strerror:
    text = f'{error.filename or ""}: {error.strerror}'.lstrip(': ')
  else:
    # The errors of TensorFlow have a message without the graph's tracebacks.
    text = str(getattr(error, 'message', error))
    if '\n    ' not in text:  # Lines of code are left as they are.
      text = ' '.join(text.split())
    text = cli_parser.in_flags(text)
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
  with tempfile.TemporaryFile() as log:
    try:
      os.dup2(log.fileno(), 2)
      import tensorflow.compat.v1 as tf
    except BaseException:
      log.seek(0)
      os.write(stderr, log.read())
      raise
    finally:
      os.dup2(stderr, 2)
      os.close(stderr)
  tf.logging.set_verbosity(tf.logging.ERROR)
