"""The commands' arguments: what there is, help on it, and usage errors."""

import argparse
import re
import sys

from absl import flags
from absl.flags import argparse_flags

import tf_dnn_annotations
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.results import files as attribution_files
from tf_dnn_annotations.text import plain_text
from tf_dnn_annotations.text import suggestions

# Nothing here may load TensorFlow: see cli.py.

COMMANDS = ('inspect', 'attribute')
USAGE_ERROR = 2  # The exit code.

# argparse is not told, as it would miss the flag where it was misspelt.
_REQUIRED = ('examples', 'output')

_DESCRIPTION = """\
Explains the predictions of a SavedModel that was exported from a
DNNClassifierWithLayerAnnotations or one of its siblings: how much did each
feature move the model's output away from its output at a baseline
(Integrated Gradients)?
"""

_EPILOG = """\
commands:
  inspect     what a model reads, computes and predicts
  attribute   attributions of the examples in files, as JSON lines or CSV

A first look:
  tf_dnn_annotations inspect export/1700000000
  tf_dnn_annotations attribute export/1700000000 \\
      --examples='data/*.csv' --output=attributions.csv

`tf_dnn_annotations COMMAND --help` tells the flags of a command.

Exit codes: 0, done; 1, a model, a file or an argument does not fit; 2, the
command line is wrong; 130, interrupted; 128 + n, ended by the signal n.
"""

_INSPECT = """\
Shows which features the model in EXPORT_DIR reads, the columns it makes of
them, what it predicts, its hidden layers and its signatures.
"""

_ATTRIBUTE = """\
Explains the output of the model in EXPORT_DIR for each example: writes a row
each with the explained output, the output at the baseline, and how much of the
difference is due to each feature. These attributions sum to the difference,
but for the gap, the error of the numerical integral. At the end prints which
features matter most.
"""

_ATTRIBUTE_EPILOG = """\
A row has:
  row              number of the example, from 0, in the order of the files;
                   one that --on_error=skip left out is missing
  target           the class that is explained: its label, or its id if the
                   model has no labels (absent where there is one output)
  target_id        its id (the same)
  output           the model's output for the target
  baseline_output  the same at the baseline; the mean if there are several
  gap              output - baseline_output - the sum of the attributions
  attributions     one number each; in CSV, columns attributions.<name>
In CSV, a label that begins with = + - @ or a tab has an apostrophe before it.

Examples:
  tf_dnn_annotations attribute export/1700000000 \\
      --examples='eval-*.tfrecord.gz' --output=why.jsonl --targets=all
  tf_dnn_annotations attribute export/1700000000 --examples=clients.csv \\
      --missing=NA --baselines=mean --baseline_examples=train.csv \\
      --explain=probabilities --output=why.csv.gz
"""

# What may be said for files of baselines: `computed_baselines.STRATEGIES`,
# which cannot be had here.
STRATEGIES = ('mean', 'median', 'sample')
# Of examples that are left out: as many are soon looked at, and a wrong file is
# soon found.
DEFAULT_MAX_ERRORS = 100
_METHODS = (
  'auto',
  'exact',
  'gausslegendre',
  'midpoint',
  'trapezoid',
  'left',
  'right',
)


# Flags that look like others and would be something else.
_ALL_ROWS = (
  'all rows of the files are explained. For some, name a file of those: with '
  'the header of a CSV file, as of `head`'
)
_NOT_FLAGS = {'--rows': _ALL_ROWS, '--num_rows': _ALL_ROWS}

# What the arguments that the API's errors name are called here.
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


class _Parser(argparse_flags.ArgumentParser):
  """Parses a command line; an error is a line on stderr and exit code 2."""

  def __init__(self, **kwargs):
    super().__init__(
      # absl's own flags are for its developers; its two help flags as well.
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
    # What argparse says has no full stop.
    end = '' if message.endswith(('.', '?')) else '.'
    self.exit(
      USAGE_ERROR,
      f'{self.prog}: error: {message}{end} See {self.prog} --help.\n',
    )

  def _print_message(self, message, file=None):
    # argparse writes all through this; it would fail where nobody reads.
    if message:
      messages.write(file or sys.stderr, plain_text.escaped_lines(message))


class _Version(argparse.Action):
  """Prints the version and how exact sums are computed, and exits."""

  def __init__(self, **kwargs):
    super().__init__(nargs=0, **kwargs)

  def __call__(self, parser, namespace, values, option_string=None):
    # Not sooner, since it loads numpy and the library.
    from tf_dnn_annotations.integrals import path_sweep

    why_not = path_sweep.why_not_built()
    how = f'numpy; {why_not}' if why_not else 'compiled'
    messages.show(
      f'{messages.PROGRAM} {tf_dnn_annotations.__version__} (exact sums: {how})'
    )
    parser.exit()


def _parser():
  parser = _Parser(
    prog=messages.PROGRAM,
    usage='%(prog)s COMMAND EXPORT_DIR [flags]',
    description=_DESCRIPTION,
    epilog=_EPILOG,
  )
  parser.add_argument(
    '--version',
    action=_Version,
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
    description=_ATTRIBUTE,
    epilog=_ATTRIBUTE_EPILOG,
  )
  _add_export_dir(attribute)
  _add_attribute_flags(attribute)

  for command in (inspect, attribute):
    command.add_argument(
      '--trust_model',
      action='store_true',
      help=(
        'load a model even if it does more than compute: it may write files, '
        'say; only if you trust whoever made it'
      ),
    )
    command.add_argument(
      '--debug',
      action='store_true',
      help='show tracebacks and what TensorFlow logs',
    )
  return parser


def _add_export_dir(parser):
  parser.add_argument(
    'export_dir',
    metavar='EXPORT_DIR',
    help='directory of a SavedModel with layer annotations',
  )


def _add_attribute_flags(parser):
  files = parser.add_argument_group('files')
  files.add_argument(
    '--examples',
    metavar='FILES',
    help=(
      'paths or globs, separated by commas (quote globs): *.csv or *.tsv with '
      'a header of feature keys, or TFRecords of tf.Examples; gzipped or not'
    ),
  )
  files.add_argument(
    '--output',
    metavar='FILE',
    type=_output_path,
    help=(
      f'file to write, *{", *".join(attribution_files.EXTENSIONS)}; it '
      'appears when complete, and replaces a file or a link of that name'
    ),
  )
  files.add_argument(
    '--baselines',
    metavar='FILES',
    help=(
      'examples to compare with, as for --examples (default: zero in every '
      'column); of several, the mean of the attributions is taken. Or, of '
      "--baseline_examples: 'mean', of each column's values; 'median', of a "
      "numeric column's values, and the mean of another's; or 'sample', 100 "
      'examples taken at random'
    ),
  )
  files.add_argument(
    '--baseline_examples',
    metavar='FILES',
    help=(
      'examples that the mean, the median or the sample is of (default: those '
      'of --examples)'
    ),
  )
  files.add_argument(
    '--missing',
    metavar='TEXTS',
    default='',
    help=(
      'texts, separated by commas, that mean "no value" in a CSV cell, as NA; '
      'an empty cell always does'
    ),
  )
  files.add_argument(
    '--allow_missing',
    metavar='FEATURES',
    default='',
    help=(
      'features, separated by commas, that CSV files need not have a column '
      'of; every example is then explained without a value'
    ),
  )
  files.add_argument(
    '--list_separator',
    metavar='TEXT',
    default='|',
    help=(
      'separates the values in a CSV cell of a feature that takes several '
      '(default: %(default)s)'
    ),
  )

  files.add_argument(
    '--on_error',
    choices=('raise', 'skip'),
    default='raise',
    help=(
      "what becomes of an example that cannot be used: 'raise' ends the run "
      "without output (default); 'skip' goes on, and writes where it is and "
      'what is wrong to <output>.rejects.jsonl'
    ),
  )
  files.add_argument(
    '--max_errors',
    metavar='N',
    type=_whole_number,
    help=(
      'most examples that --on_error=skip leaves out; one more ends the run '
      f'without output, with exit code 1 (default: {DEFAULT_MAX_ERRORS}). '
      'Where the rest of a file cannot be read, the output is written and the '
      'exit code is 1'
    ),
  )

  explained = parser.add_argument_group('what is explained')
  explained.add_argument(
    '--targets',
    metavar='TARGET',
    default='predicted',
    help=(
      "'predicted' for the class each example is predicted to be (default), "
      "the label or id of a class, or 'all' for a row for each class; for a "
      'binary model name a class, as an attribution to one has the opposite '
      'sign for the other'
    ),
  )
  explained.add_argument(
    '--explain',
    choices=('logits', 'probabilities'),
    default='logits',
    help=(
      "which output: logits (log-odds; a regressor's prediction; default) or "
      'probabilities'
    ),
  )
  explained.add_argument(
    '--by',
    choices=('feature', 'column', 'element'),
    default='feature',
    help=(
      'one attribution for each feature (default), each feature column, or '
      'each element of a column, as a word of a vocabulary'
    ),
  )

  integral = parser.add_argument_group('the integral')
  integral.add_argument(
    '--method',
    choices=_METHODS,
    default='auto',
    help=(
      "'exact' for ReLU and what else is piecewise linear; a rule with "
      "--num_steps points; or 'auto', exact where it can be, otherwise points "
      'are added until --tolerance is met (default: %(default)s)'
    ),
  )
  integral.add_argument(
    '--num_steps',
    metavar='N',
    type=_positive_int,
    help=(
      "points of a rule on each example's path (default: 128); with --method="
      'auto the most it takes (default: 1025); without effect if exact'
    ),
  )
  integral.add_argument(
    '--tolerance',
    metavar='SHARE',
    type=_positive_number,
    default=1e-3,
    help=(
      "error at which 'auto' adds no more points, as a share of the sum of "
      'absolute attributions (default: %(default)s); without effect if exact'
    ),
  )
  integral.add_argument(
    '--max_rows',
    metavar='N',
    type=_positive_int,
    help=(
      'most points (examples times steps) evaluated at once; fewer take less '
      'memory (default: chosen by the size of the model)'
    ),
  )
  integral.add_argument(
    '--batch_size',
    metavar='N',
    type=_positive_int,
    default=512,
    help='examples read, explained and written at once (default: %(default)s)',
  )


def _output_path(text):
  try:
    attribution_files.check_path(text)
  except ValueError as error:
    raise argparse.ArgumentTypeError(str(error).rstrip('.')) from error
  return text


def _positive_number(text):
  try:
    value = float(text)
  except ValueError:
    value = 0.0
  if not 0 < value < float('inf'):
    raise argparse.ArgumentTypeError(f'must be a number above 0; got {text!r}')
  return value


def _whole_number(text):
  if not re.fullmatch('[0-9]+', text):
    raise argparse.ArgumentTypeError(
      f'must be a whole number from 0 up; got {text!r}'
    )
  return int(text)


def _positive_int(text):
  try:
    value = int(text)
  except ValueError:
    value = 0
  if value < 1:
    raise argparse.ArgumentTypeError(
      f'must be a whole number from 1 up; got {text!r}'
    )
  return value


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
    parser.exit(USAGE_ERROR)
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
    # Of what is parsed, these are no flags; and help is not parsed.
    names = set(vars(arguments)) - {'command', 'export_dir'} | {'help'}
    known = [f'--{name}' for name in sorted(names)]
    if flag in _NOT_FLAGS:
      parser.error(f'no flag {flag}; {_NOT_FLAGS[flag]}')
    parser.error(
      f'no flag {flag}; ' + _suggestion(flag, known, 'check the spelling')
      if flag.startswith('-')
      else f'one EXPORT_DIR is enough; got {unknown[0]!r} too. Quote globs'
    )
  absent = [
    f'--{name}' for name in _REQUIRED if getattr(arguments, name, '') is None
  ]
  if absent:
    parser.error(f'the following arguments are required: {", ".join(absent)}')
  if (
    getattr(arguments, 'baseline_examples', None)
    and arguments.baselines not in STRATEGIES
  ):
    parser.error(
      '--baseline_examples is for --baselines='
      f'{" or --baselines=".join(STRATEGIES)}. Name files of baselines with '
      '--baselines'
    )
  if arguments.command == 'attribute':
    if arguments.max_errors is None:
      arguments.max_errors = DEFAULT_MAX_ERRORS
    elif arguments.on_error != 'skip':
      parser.error('--max_errors is for --on_error=skip. Say both, or neither')
  return arguments


def _suggestion(word, known, otherwise):
  close = suggestions.closest(word, known)
  return f'did you mean {close}?' if close else otherwise


def in_flags(text):
  """Returns a message of the API in terms of the command line's flags."""
  return re.sub(
    r'`([\w=]+)`', lambda match: _FLAGS.get(match[1], match[0]), text
  )
