"""What the command `attribute` reads: files, and the examples in them."""

import collections
import os

from tf_dnn_annotations.cli import csv_cells
from tf_dnn_annotations.cli import example_files
from tf_dnn_annotations.cli import input_files
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.cli import rejected_rows
from tf_dnn_annotations.explainers import choices
from tf_dnn_annotations.text import suggestions

# The end of the error of a single example.
SKIP = ' Or leave such examples out with --on_error=skip.'


def find(arguments):
  """Finds the files that arguments name.

  Args:
    arguments: `argparse.Namespace` of the flags of `attribute_flags`.

  Returns:
    (paths of the examples, strategy that computes the baselines or None, paths
    of the baselines or of the examples that they are computed from)

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: a file would be overwritten, or a pipe read twice.
  """
  paths = example_files.find_files(arguments.examples)
  strategy, baseline_paths = None, []
  if arguments.baselines in choices.STRATEGIES:
    strategy = arguments.baselines
    baseline_paths = example_files.find_files(
      arguments.baseline_examples or arguments.examples
    )
  elif arguments.baselines is not None:
    baseline_paths = _baseline_files(arguments.baselines)
  _check_paths(arguments, paths, baseline_paths)
  return paths, strategy, baseline_paths


def csv_format_of(model, arguments):
  """Returns the `csv_cells.CsvFormat` of the examples of a model."""
  return csv_cells.CsvFormat(
    model.example_features,
    arguments.list_separator,
    [text.strip() for text in arguments.missing.split(',')],
    _allowed_missing(model, arguments.allow_missing),
    model.required_features,
    model.unread_features,
    messages.note,
  )


def _allowed_missing(model, texts):
  """Returns the set of keys of the features that --allow_missing names."""
  keys = {key for key in map(str.strip, texts.split(',')) if key}
  for key in sorted(keys):
    if key not in model.example_features:
      raise ValueError(
        '--allow_missing must name features of the model, '
        f'{sorted(model.example_features)}; got {key!r}.'
        + (
          suggestions.did_you_mean(key, model.example_features)
          or ' Leave it out.'
        )
      )
  return keys


def records(paths, csv_format, arguments):
  """Yields the `Record`s to explain, the bad ones too if they are skipped."""
  for record in example_files.read_records(
    paths, csv_format, keep_bad=True, id_key=arguments.id
  ):
    if record.error is not None and arguments.on_error != 'skip':
      raise ValueError(f'{record.error}{SKIP}') from record.error
    yield record


def batches(records, size):
  """Yields lists of records, fewer than `size` where they are large."""
  batch, num_bytes = [], 0
  for record in records:
    batch.append(record)
    num_bytes += len(record.example or b'')
    if len(batch) >= size or num_bytes >= input_files.MAX_EXAMPLE_BYTES:
      yield batch
      batch, num_bytes = [], 0
  if batch:
    yield batch


def _check_paths(arguments, paths, baseline_paths):
  """Raises a ValueError where a file is to be read twice, or overwritten."""
  twice = collections.Counter(paths + baseline_paths)
  for path, count in twice.items():
    if count > 1 and input_files.is_pipe(path):
      raise ValueError(
        f'{path}: a pipe can be read only once, and is needed {count} times '
        '(baselines are computed from --examples, too). Write it to a file, '
        'and name that.'
      )
  written = [(f'--output={arguments.output}', arguments.output)]
  if arguments.on_error == 'skip':
    rejects = rejected_rows.path_for(arguments.output)
    written.append((f'{rejects}, which --on_error=skip writes,', rejects))
  inputs = set(map(os.path.realpath, twice))
  for what, path in written:
    if os.path.realpath(path) in inputs:
      raise ValueError(
        f'{what} is one of the files to read. Give --output another name.'
      )


def _baseline_files(patterns):
  """Returns the paths of the files of baselines."""
  try:
    return example_files.find_files(patterns)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f'{error} Or compute baselines from examples: '
      f'--baselines={" or --baselines=".join(choices.STRATEGIES)}.'
    ) from error


def listed(paths, most=10):
  """Returns the first of some paths, and how many more there are."""
  more = f', and {len(paths) - most} more' if len(paths) > most else ''
  return ', '.join(paths[:most]) + more
