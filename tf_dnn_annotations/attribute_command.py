"""The command `attribute`: the examples in files to attributions in a file."""

import itertools
import os
import re
import sys
import time
import warnings

import numpy as np

from tf_dnn_annotations import annotated_model
from tf_dnn_annotations import attribution_files
from tf_dnn_annotations import attribution_summary
from tf_dnn_annotations import cli_parser
from tf_dnn_annotations import column_descriptions
from tf_dnn_annotations import example_files
from tf_dnn_annotations import integrated_gradients
from tf_dnn_annotations import messages
from tf_dnn_annotations import plain_text

_warn = messages.note


def run(arguments):
  """Writes the attributions of all examples and prints a summary.

  Memory does not grow with the number of examples.

  Args:
    arguments: `argparse.Namespace` of the flags in cli_parser.py.

  Raises:
    ValueError, TypeError, OSError: the model, a file or an argument cannot be
      used; names the file and the record of a bad example.
  """
  paths = example_files.find_files(arguments.examples)
  strategy, baseline_paths = None, None
  if arguments.baselines in cli_parser.STRATEGIES:
    strategy = arguments.baselines
    baseline_paths = example_files.find_files(
      arguments.baseline_examples or arguments.examples
    )
  elif arguments.baselines is not None:
    baseline_paths = _baseline_files(arguments.baselines)
  inputs = {os.path.realpath(path) for path in paths + (baseline_paths or [])}
  if os.path.realpath(arguments.output) in inputs:
    raise ValueError(
      f'--output={arguments.output} is one of the files to read. Give it '
      'another name.'
    )
  with integrated_gradients.IntegratedGradients(arguments.export_dir) as ig:
    csv_format = example_files.CsvFormat(
      ig.model.example_features,
      arguments.list_separator,
      [text.strip() for text in arguments.missing.split(',')],
      _warn,
    )
    if arguments.explain == 'probabilities' and ig.model.kind == 'regressor':
      raise ValueError(
        '--explain=probabilities is for classifiers; the model predicts '
        'numbers. Leave it out to have the prediction explained.'
      )
    # Before anything is read or written: an argument that does not fit this
    # model, as a label that it has not, is found without an example.
    notes = _Notes()
    empty = _attribute_fn(ig, arguments, notes)([])
    baselines, baseline_records = None, []
    if baseline_paths:
      baseline_records = example_files.read_records(baseline_paths, csv_format)
    if strategy:
      batches = _batches(baseline_records, arguments.batch_size)
      baselines, baseline_records = _computed(ig, strategy, batches), []
    elif baseline_paths:
      baseline_records = list(baseline_records)
      baselines = [record.example for record in baseline_records]
    attribute_fn = _attribute_fn(
      ig, arguments, notes, baselines, baseline_records
    )
    attribute_fn([])  # The baselines are good.
    records = example_files.read_records(paths, csv_format)
    batches = _batches(records, arguments.batch_size)
    started = time.monotonic()
    summary = _written(
      ig.model, arguments, empty, batches, attribute_fn, _progress(paths)
    )
    seconds = time.monotonic() - started
  if not summary.num_examples:
    _warn(f'no examples in {_listed(paths)}')
  notes.warn_of_rows(summary.num_examples, arguments.tolerance)
  remedy = _remedy(arguments.method, ig.model, notes.not_converged.count)
  _print_summary(arguments, ig.model, summary, seconds, remedy)


def _baseline_files(patterns):
  """Returns the paths of the files of baselines."""
  try:
    return example_files.find_files(patterns)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f"{error} Or say 'mean', 'median' or 'sample' to have baselines computed "
      'of examples.'
    ) from error


def _listed(paths, most=10):
  more = f', and {len(paths) - most} more' if len(paths) > most else ''
  return ', '.join(paths[:most]) + more


class _Places(object):
  """How many examples something is true of, and where the first is."""

  def __init__(self):
    self.count = 0
    self.first = None

  def add(self, records):
    if not self.count and records:
      self.first = records[0].place
    self.count += len(records)

  def where(self):
    """Returns the end of a sentence that names the first place."""
    return f'; the first: {self.first}' if self.count > 1 else f': {self.first}'


class _Notes(object):
  """What the API warns of, told to a person.

  Of rows it is told once, after the last batch. Memory does not grow with them.

  Attributes:
    not_converged: `_Places` of the examples that did not meet --tolerance.
    near_baseline: `_Places` of those whose attributions cancel.
  """

  def __init__(self):
    self.not_converged = _Places()
    self.near_baseline = _Places()
    self._texts = set()

  def add(self, message, records):
    """Takes a warning, an exception, that came with a list of `Record`s."""
    rows = getattr(message, 'rows', None)
    if rows is None:
      self._warn_once(message, records)
    elif isinstance(message, integrated_gradients.NotConverged):
      self.not_converged.add([records[row] for row in rows])
    elif isinstance(message, integrated_gradients.NearBaseline):
      self.near_baseline.add([records[row] for row in rows])
    else:
      self._warn_once(message, [records[row] for row in rows])

  def _warn_once(self, message, records):
    text = cli_parser.in_flags(str(message))
    if text not in self._texts:
      self._texts.add(text)
      place = f'{records[0].place} and following: ' if records else ''
      _warn(place + text)

  def warn_of_rows(self, num_examples, tolerance):
    """Prints what is true of some of the examples, if it is of any."""
    of_all = f'of {num_examples} example{"s" * (num_examples != 1)}'
    if self.not_converged.count:
      _warn(
        f'{self.not_converged.count} {of_all} did not meet '
        f'--tolerance={tolerance:g}{self.not_converged.where()}. More '
        '--num_steps may.'
      )
    if self.near_baseline.count:
      has, its = 'has', 'its'
      if self.near_baseline.count > 1:
        has, its = 'have', 'their'
      _warn(
        f'{self.near_baseline.count} {of_all} {has} an output nearly that of '
        f'{its} baseline, so that {its} attributions cancel or are rounding, '
        f'and mean little{self.near_baseline.where()}. Another baseline tells '
        'more.'
      )


def _attribute_fn(ig, arguments, notes, baselines=None, baseline_records=()):
  """Returns a function from a list of `Record`s to `Attributions`.

  Args:
    ig: `IntegratedGradients`.
    arguments: `argparse.Namespace`.
    notes: `_Notes` that take what the API warns of.
    baselines: as `ig.attribute` takes it.
    baseline_records: list of the `Record`s that are the baselines, if any.
  """
  target = arguments.targets
  # A label may look like a number; then it is the label that is meant.
  is_number = re.fullmatch('-?[0-9]+', target)
  if is_number and target not in (ig.model.labels or ()):
    target = int(target)

  def attribute(records):
    try:
      with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('ignore')
        warnings.simplefilter('always', RuntimeWarning)
        result = ig.attribute(
          [record.example for record in records],
          baselines=baselines,
          targets=target,
          output=arguments.explain,
          method=arguments.method,
          num_steps=arguments.num_steps,
          max_rows=arguments.max_rows,
          tolerance=arguments.tolerance,
        )
      for warning in caught:
        notes.add(warning.message, records)
      return result
    except ValueError as error:
      # That of a baseline is the cause of another error.
      is_baseline = isinstance(error.__cause__, annotated_model.RowError)
      row_error = error.__cause__ if is_baseline else error
      if not isinstance(row_error, annotated_model.RowError):
        raise
      if is_baseline and not baseline_records:
        raise
      record = (baseline_records if is_baseline else records)[row_error.row]
      raise ValueError(f'{record.place}: {row_error.reason}') from error

  return attribute


def _computed(ig, strategy, batches):
  """Returns `ig.baselines_of` the examples of batches of `Record`s."""
  batch = []

  def examples():
    for records in batches:
      batch[:] = records
      yield [record.example for record in records]

  try:
    return ig.baselines_of(examples(), strategy)
  except annotated_model.RowError as error:
    place = batch[error.row].place
    raise ValueError(f'{place}: {error.reason}') from error


def _batches(records, size):
  while True:
    batch = list(itertools.islice(records, size))
    if not batch:
      return
    yield batch


def _written(model, arguments, empty, batches, attribute_fn, progress):
  """Writes the attributions of batches and returns their summary."""
  summary = attribution_summary.AttributionSummary()
  names, attributions_fn = _attributions_by(arguments, model, empty)
  is_all = arguments.targets == 'all'
  has_targets = model.num_outputs > 1
  target_fields = ['target', 'target_id'] if has_targets else []
  fields = ['row', *target_fields, 'output', 'baseline_output', 'gap']
  with progress, attribution_files.AttributionWriter(
    arguments.output, fields, names
  ) as writer:
    for batch in batches:
      result = attribute_fn(batch)
      num_targets = model.num_outputs if is_all else 1
      first = summary.num_examples
      rows = [first + i for i in range(len(batch)) for _ in range(num_targets)]
      values = [rows]
      if has_targets:
        ids = result.targets.ravel().tolist()
        labels = model.labels or range(model.num_outputs)
        values += [[labels[i] for i in ids], ids]
      values += [
        attribution_files.numbers(part.ravel())
        for part in (result.outputs, result.baseline_outputs, result.gap)
      ]
      writer.write(
        [list(row) for row in zip(*values)],
        attributions_fn(result).reshape(len(rows), len(names)),
      )
      summary.add(result)
      progress.update(len(batch))
  return summary


def _attributions_by(arguments, model, empty):
  """Returns (names, function from a result to an array [..., len(names)])."""
  if arguments.by == 'column':
    return empty.columns, lambda result: result.per_column()
  if arguments.by == 'feature':
    names = list(empty.per_feature())

    def per_feature(result):
      values = result.per_feature()
      return np.stack([values[name] for name in names], axis=-1)

    return names, per_feature

  by_column = column_descriptions.element_names(
    model.columns, arguments.export_dir
  )
  return (
    [name for column in empty.columns for name in by_column[column]],
    lambda result: np.concatenate(
      [result.values[name] for name in result.columns], axis=-1
    ),
  )


class _NoProgress(object):
  """Stands in where no progress is shown."""

  def __enter__(self):
    return self

  def __exit__(self, *exc_info):
    pass

  def update(self, count):
    pass


def _progress(paths):
  """Returns a context manager with `update`: a bar, if someone can see it."""
  if not sys.stderr.isatty():
    return _NoProgress()
  try:
    import tqdm
  except ImportError:  # An extra.
    return _NoProgress()
  # A pass more over the files, cheap beside the attributions, tells how long
  # it will take; over a network it is not cheap.
  is_local = all(map(os.path.isfile, paths))
  total = example_files.count_records(paths) if is_local else None
  return tqdm.tqdm(total=total, unit=' examples', leave=False)


def _print_summary(arguments, model, summary, seconds, remedy):
  bar = '\N{FULL BLOCK}'
  try:
    bar.encode(sys.stdout.encoding or 'ascii')
  except UnicodeEncodeError:
    bar = '#'
  unit = ''
  if model.kind == 'classifier':
    unit = 'probability' if arguments.explain == 'probabilities' else 'log-odds'
  count = summary.num_examples
  rate = f' ({count / seconds:,.0f} rows/s)' if count else ''
  messages.show(
    f'Explained {count} example{"s" * (count != 1)} in {seconds:.1f} s{rate}\n'
    f'Wrote {plain_text.escaped(arguments.output)}\n'
  )
  messages.show(summary.text(unit, bar, remedy))


def _remedy(method, model, has_capped):
  """Returns what makes the gap smaller; nothing does if it is rounding.

  Args:
    method: --method.
    model: the `annotated_model.AnnotatedModel`.
    has_capped: whether --num_steps kept examples from meeting --tolerance.
  """
  if has_capped:
    return 'more --num_steps make it smaller'
  if method == 'auto' and model.network is None:
    return 'a smaller --tolerance makes it smaller'
  if method in ('auto', 'exact'):
    return ''
  return 'more --num_steps make it smaller'
