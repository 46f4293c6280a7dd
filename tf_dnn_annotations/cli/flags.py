"""The command line: its commands and flags, help, and usage errors."""

import argparse
import re
import sys

from absl import flags

from tf_dnn_annotations.cli import attribute_flags
from tf_dnn_annotations.cli import flag_parser
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.text import suggestions

# Nothing here may load TensorFlow: help and usage errors come at once.

COMMANDS = ('inspect', 'attribute')

_DESCRIPTION = """\
Explains the predictions of a SavedModel that was exported from a
DNNClassifierWithLayerAnnotations or one of its siblings: how far each feature
moved the model's output from its output at a baseline (Integrated Gradients).
"""

_EPILOG = """\
commands:
  inspect     what a model reads, computes and predicts
  attribute   attributions of the examples in files, as JSON lines or CSV

A first look:
  tf_dnn_annotations inspect export/1700000000
  tf_dnn_annotations attribute export/1700000000 \\
      --examples='data/*.csv' --output=attributions.csv

`tf_dnn_annotations COMMAND --help` lists the flags of a command.

Exit codes: 0, done; 1, a model, a file or an argument does not fit; 2, the
command line is wrong; 130, interrupted; 128 + n, ended by the signal n.
"""

_INSPECT = """\
Shows which features the model in EXPORT_DIR reads, the columns made of them,
what it predicts, its hidden layers and its signatures.
"""

# Flags that look like ours and mean something else.
_ALL_ROWS = (
  'all rows of the files are explained. To explain some, name a file of those: '
  'with the header of a CSV file, as `head` writes it'
)
_NOT_FLAGS = {'--rows': _ALL_ROWS, '--num_rows': _ALL_ROWS}

# The flags for the arguments that the API's errors name.
_FLAGS = {
  'baselines': '--baselines',
  'batches': '--baseline_examples',
  'examples': '--examples',
  'export_dir': 'EXPORT_DIR',
  'max_rows': '--max_rows',
  'method': '--method',
  'num_steps': '--num_steps',
  'output': '--explain',
  'targets': '--targets',
  'tolerance': '--tolerance',
  'trust_model=True': '--trust_model',
}


def _parser():
  parser = flag_parser.FlagParser(
    prog=messages.PROGRAM,
    usage='%(prog)s COMMAND EXPORT_DIR [flags]',
    description=_DESCRIPTION,
    epilog=_EPILOG,
  )
  parser.add_argument(
    '--version',
    action=flag_parser.Version,
    help='show the version, and whether exact sums are compiled, and exit',
  )
  # The epilog lists them, more legibly than argparse would.
  commands = parser.add_subparsers(
    prog=messages.PROGRAM, dest='command', help=argparse.SUPPRESS
  )

  inspect = commands.add_parser(
    'inspect',
    usage='%(prog)s EXPORT_DIR [flags]',
    description=_INSPECT,
  )
  _add_export_dir(inspect)
  inspect.add_argument(
    '--json', action='store_true', help='as one JSON object, for programs'
  )

  attribute = commands.add_parser(
    'attribute',
    usage='%(prog)s EXPORT_DIR --examples=FILES --output=FILE',
    description=attribute_flags.DESCRIPTION,
    epilog=attribute_flags.EPILOG,
  )
  _add_export_dir(attribute)
  attribute_flags.add(attribute)

  for command in (inspect, attribute):
    command.add_argument(
      '--trust_model',
      action='store_true',
      help=(
        'load a model even if it does more than compute: it may write files, '
        'for example; only if you trust whoever made it'
      ),
    )
    command.add_argument(
      '--debug',
      action='store_true',
      help="show tracebacks and TensorFlow's log",
    )
  return parser


def _add_export_dir(parser):
  parser.add_argument(
    'export_dir',
    metavar='EXPORT_DIR',
    help='directory of a SavedModel with layer annotations',
  )


def parsed(argv):
  """Returns the `argparse.Namespace` of a command line; exits if it is wrong.

  Args:
    argv: list of str, the program's name first, as absl's `app.run` gives it.
  """
  flags.FLAGS.mark_as_parsed()
  parser = _parser()
  words = argv[1:]
  if not words:
    parser.print_help(sys.stderr)
    parser.exit(flag_parser.USAGE_ERROR)
  if words[0] not in COMMANDS + ('-h', '--help', '--version'):
    there_are = f'there are {" and ".join(COMMANDS)}'
    parser.error(
      f'the command comes first, {" or ".join(COMMANDS)}; got {words[0]!r}'
      if words[0].startswith('-')
      else f'no command {words[0]!r}; '
      + _suggestion(words[0], COMMANDS, there_are)
    )
  arguments, unknown = parser.parse_known_args(words)
  parser.prog += f' {arguments.command}'
  if unknown:
    flag = unknown[0].split('=')[0]
    # Of what is parsed, these are not flags; and help is not parsed.
    names = set(vars(arguments)) - {'command', 'export_dir'} | {'help'}
    known = [f'--{name}' for name in sorted(names)]
    if flag in _NOT_FLAGS:
      parser.error(f'no flag {flag}; {_NOT_FLAGS[flag]}')
    parser.error(
      f'no flag {flag}; ' + _suggestion(flag, known, 'check the spelling')
      if flag.startswith('-')
      else f'one EXPORT_DIR is enough; got {unknown[0]!r} too. Quote globs'
    )
  if arguments.command == 'attribute':
    absent = [
      f'--{name}'
      for name in attribute_flags.REQUIRED
      if getattr(arguments, name) is None
    ]
    if absent:
      parser.error(f'the following arguments are required: {", ".join(absent)}')
    attribute_flags.check(parser, arguments)
  return arguments


def _suggestion(word, known, otherwise):
  close = suggestions.closest(word, known)
  return f'did you mean {close}?' if close else otherwise


def in_flags(text):
  """Returns a message of the API with the flags in place of its arguments.

  The API's errors have the names of arguments in backquotes, so that nothing
  else of a message is touched, and the words are the API's own.
  """
  return re.sub(
    r'`([\w=]+)`', lambda match: _FLAGS.get(match[1], match[0]), text
  )
