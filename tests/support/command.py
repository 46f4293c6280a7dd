"""The command, run in the process of a test."""

import contextlib
import io

from tf_dnn_annotations.cli import flags
from tf_dnn_annotations.cli import main


def run(*words):
  """Runs the command as `main` does, without the seconds of a new process.

  Args:
    *words: of the command line, after the name of the program.

  Returns:
    (exit code, stdout, stderr)
  """
  stdout, stderr = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
    code = main.main(flags.parsed(['', *words]))
  return code, stdout.getvalue(), stderr.getvalue()
