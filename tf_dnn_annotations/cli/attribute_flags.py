"""The flags of the command `attribute`, and the help on them."""

from tf_dnn_annotations.cli import flag_values
from tf_dnn_annotations.explainers import choices
from tf_dnn_annotations.results import files as attribution_files
from tf_dnn_annotations.results import row_values

# Nothing here may load TensorFlow: help comes at once.

DESCRIPTION = """\
Explains the output of the model in EXPORT_DIR for each example. Writes a row
per example with the explained output, the output at the baseline, and how much
of the difference is due to each feature. These attributions sum to the
difference, but for the gap, the error of the numerical integral. A summary at
the end ranks the features.
"""

EPILOG = """\
A row has:
  row              number of the example, from 0, in the order of the files;
                   numbers that --on_error=skip left out are missing
  id               in place of row: the value that --id names
  target           the explained class: its label, or its id if the model has no
                   labels (absent if the model has a single output)
  target_id        its id (likewise)
  output           the model's output for the target
  baseline_output  the same at the baseline; the mean over several baselines
  gap              output - baseline_output - the sum of the attributions
  attributions     one number each; in CSV, columns attributions.<name>
  features         with --with_features, the value of each feature; in CSV,
                   columns features.<key>
In CSV, a text that begins with = + - @ or a tab has an apostrophe before it.

Examples:
  tf_dnn_annotations attribute export/1700000000 \\
      --examples='eval-*.tfrecord.gz' --output=why.jsonl --targets=all
  tf_dnn_annotations attribute export/1700000000 --examples=clients.csv \\
      --missing=NA --baselines=mean --baseline_examples=train.csv \\
      --id=client --explain=probabilities --output=why.csv.gz
"""

# The most examples left out by default: few enough to be looked at, and a wrong
# file is soon found.
DEFAULT_MAX_ERRORS = 100

# argparse does not check these, since it would report one that was misspelt as
# missing.
REQUIRED = ('examples', 'output')


def add(parser):
  """Adds the flags to a `FlagParser`."""
  _add_files(parser.add_argument_group('files'))
  _add_explained(parser.add_argument_group('what is explained'))
  _add_written(parser.add_argument_group('what is written'))
  _add_integral(parser.add_argument_group('the integral'))


def check(parser, arguments):
  """Sets what depends on several flags; exits where they contradict."""
  if arguments.baseline_examples and (
    arguments.baselines not in choices.STRATEGIES
  ):
    parser.error(
      '--baseline_examples is for --baselines='
      f'{" or --baselines=".join(choices.STRATEGIES)}. Name files of baselines '
      'with --baselines'
    )
  if arguments.max_errors is None:
    arguments.max_errors = DEFAULT_MAX_ERRORS
  elif arguments.on_error != 'skip':
    parser.error('--max_errors is for --on_error=skip. Give both, or neither')


def _add_files(group):
  group.add_argument(
    '--examples',
    metavar='FILES',
    help=(
      'paths or globs, separated by commas (quote globs): *.csv or *.tsv with '
      'a header of feature keys, or TFRecords of tf.Examples; gzipped or not'
    ),
  )
  group.add_argument(
    '--output',
    metavar='FILE',
    type=flag_values.output_path,
    help=(
      f'file to write, *{", *".join(attribution_files.EXTENSIONS)}; it '
      'appears when complete, and replaces a file or a link of that name'
    ),
  )
  group.add_argument(
    '--baselines',
    metavar='FILES',
    help=(
      'examples to compare with, as for --examples (default: zero in every '
      'column); the attributions are the mean over several baselines. Or '
      "computed from --baseline_examples: 'mean', of each column's values; "
      "'median', of a numeric column's values, and the mean of another's; or "
      "'sample', 100 examples taken at random"
    ),
  )
  group.add_argument(
    '--baseline_examples',
    metavar='FILES',
    help=(
      'the examples of which the mean, the median or the sample is taken '
      '(default: those of --examples)'
    ),
  )
  group.add_argument(
    '--missing',
    metavar='TEXTS',
    default='',
    help=(
      'texts, separated by commas, that mean "no value" in a CSV cell, such as '
      'NA; an empty cell always does'
    ),
  )
  group.add_argument(
    '--allow_missing',
    metavar='FEATURES',
    default='',
    help=(
      'features, separated by commas, for which CSV files need not have a '
      'column; every example is then explained without a value'
    ),
  )
  group.add_argument(
    '--list_separator',
    metavar='TEXT',
    default='|',
    help=(
      'separates the values in a CSV cell of a feature that takes several '
      '(default: %(default)s)'
    ),
  )
  group.add_argument(
    '--on_error',
    choices=('raise', 'skip'),
    default='raise',
    help=(
      "how to treat an example that cannot be used: 'raise' ends the run "
      "without output (default); 'skip' leaves it out, and writes its place "
      'and what is wrong with it to <output>.rejects.jsonl'
    ),
  )
  group.add_argument(
    '--max_errors',
    metavar='N',
    type=flag_values.whole_number,
    help=(
      'most examples that --on_error=skip leaves out; one more ends the run '
      f'without output, with exit code 1 (default: {DEFAULT_MAX_ERRORS}). '
      'Where the rest of a file cannot be read, the output is written and the '
      'exit code is 1'
    ),
  )


def _add_explained(group):
  group.add_argument(
    '--targets',
    metavar='TARGET',
    default='predicted',
    help=(
      "'predicted' for the class each example is predicted to be (default), "
      "the label or id of a class, or 'all' for a row per class; for a binary "
      'model name a class, as an attribution to one has the opposite sign for '
      'the other'
    ),
  )
  group.add_argument(
    '--explain',
    choices=choices.OUTPUTS,
    default='logits',
    help=(
      "which output: logits (log-odds; a regressor's prediction; default) or "
      'probabilities'
    ),
  )


def _add_written(group):
  group.add_argument(
    '--by',
    choices=row_values.BY,
    default='feature',
    help=(
      'one attribution per feature (default), per feature column, or per '
      'element of a column, such as a word of a vocabulary'
    ),
  )
  group.add_argument(
    '--id',
    metavar='KEY',
    type=flag_values.key,
    help=(
      'the feature (read by the model or not) or CSV column that identifies an '
      'example: a row has its value, as id, in place of its number. Every '
      'example must have exactly one value'
    ),
  )
  group.add_argument(
    '--with_features',
    action='store_true',
    help="write each row's feature values too",
  )


def _add_integral(group):
  group.add_argument(
    '--method',
    choices=choices.METHODS,
    default='auto',
    help=(
      "'exact' for ReLU and other piecewise linear networks; a rule of "
      "--num_steps steps; or 'auto', exact where possible, otherwise steps are "
      'added until --tolerance is met (default: %(default)s)'
    ),
  )
  group.add_argument(
    '--num_steps',
    metavar='N',
    type=flag_values.positive_int,
    help=(
      "steps of a rule along each example's path (default: 128); with "
      '--method=auto the most it takes (default: 1025); without effect if exact'
    ),
  )
  group.add_argument(
    '--tolerance',
    metavar='SHARE',
    type=flag_values.positive_number,
    default=1e-3,
    help=(
      "the error at which 'auto' stops adding steps, as a share of the sum of "
      'absolute attributions (default: %(default)s); without effect if exact'
    ),
  )
  group.add_argument(
    '--max_rows',
    metavar='N',
    type=flag_values.positive_int,
    help=(
      'most rows (examples times steps) in one call of the model; fewer take '
      'less memory (default: chosen by the size of the model)'
    ),
  )
  group.add_argument(
    '--batch_size',
    metavar='N',
    type=flag_values.positive_int,
    default=512,
    help='examples read, explained and written at once (default: %(default)s)',
  )
