"""An argparse parser whose errors are one line and whose help is harmless."""

import argparse
import sys

from absl.flags import argparse_flags

import tf_dnn_annotations
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.text import plain_text

USAGE_ERROR = 2  # The exit code.


class FlagParser(argparse_flags.ArgumentParser):
  """Parses a command line; an error is a line on stderr and exit code 2."""

  def __init__(self, **kwargs):
    super().__init__(
      # absl's own flags, its two help flags among them, are for developers.
      inherited_absl_flags=None,
      add_help=False,
      allow_abbrev=False,
      formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
        prog, max_help_position=26
      ),
      **kwargs,
    )
    self.add_argument(
      '-h', '--help', action='help', help='show this help and exit'
    )

  def error(self, message):
    # argparse's own messages have no full stop.
    end = '' if message.endswith(('.', '?')) else '.'
    self.exit(
      USAGE_ERROR,
      f'{self.prog}: error: {message}{end} See {self.prog} --help.\n',
    )

  def _print_message(self, message, file=None):
    # argparse prints everything by this; its own fails if nobody reads.
    if message:
      messages.write(file or sys.stderr, plain_text.escaped_lines(message))


class Version(argparse.Action):
  """Prints the version and how exact sums are computed, and exits."""

  def __init__(self, **kwargs):
    super().__init__(nargs=0, **kwargs)

  def __call__(self, parser, namespace, values, option_string=None):
    # Imported here, since it loads the compiled library.
    from tf_dnn_annotations.integrals import path_sweep

    why_not = path_sweep.why_not_built()
    how = f'numpy; {why_not}' if why_not else 'compiled'
    messages.show(
      f'{messages.PROGRAM} {tf_dnn_annotations.__version__} (exact sums: {how})'
    )
    parser.exit()
