"""The command `attribute`: the examples in files to attributions in a file."""

import re
import sys
import time
import warnings

import numpy as np

from tf_dnn_annotations.annotations import columns
from tf_dnn_annotations.cli import attribution_notes
from tf_dnn_annotations.cli import command_inputs
from tf_dnn_annotations.cli import example_files
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.cli import progress_bar
from tf_dnn_annotations.cli import rejected_rows
from tf_dnn_annotations.explainers import bad_rows
from tf_dnn_annotations.explainers import integrated_gradients
from tf_dnn_annotations.results import files
from tf_dnn_annotations.results import summary as attribution_summary
from tf_dnn_annotations.saved_models import annotated_model
from tf_dnn_annotations.text import plain_text


def run(arguments):
  """Writes the attributions of all examples and prints a summary.

  Memory does not grow with the number of examples.

  Args:
    arguments: `argparse.Namespace` of the flags in cli_parser.py.

  Raises:
    ValueError, TypeError, OSError: the model, a file or an argument cannot be
      used; names the file and the record of a bad example.
  """
  paths, strategy, baseline_paths = command_inputs.find(arguments)
  with integrated_gradients.IntegratedGradients(
    arguments.export_dir, arguments.trust_model
  ) as ig:
    csv_format = command_inputs.csv_format_of(ig.model, arguments)
    if arguments.explain == 'probabilities' and ig.model.kind == 'regressor':
      raise ValueError(
        '--explain=probabilities is for classifiers; the model predicts '
        'numbers. Leave it out to have the prediction explained.'
      )
    # Before anything is read or written: an argument that does not fit this
    # model, as a label that it has not, is found without an example.
    notes = attribution_notes.Notes()
    empty, _, _ = _attribute_fn(ig, arguments, notes)([])
    baselines, baseline_records = None, []
    if strategy:
      # Rows that are left out are reported when they are to be explained.
      skips = arguments.on_error == 'skip' and not arguments.baseline_examples
      records = example_files.read_records(baseline_paths, csv_format, skips)
      batches = command_inputs.batches(records, arguments.batch_size)
      baselines = _computed(ig, strategy, batches, skips)
    elif baseline_paths:
      baseline_records = list(
        example_files.read_records(baseline_paths, csv_format)
      )
      baselines = [record.example for record in baseline_records]
    attribute_fn = _attribute_fn(
      ig, arguments, notes, baselines, baseline_records
    )
    attribute_fn([])  # The baselines are good.
    csv_format.missing_texts.clear()  # Those of baselines.
    absent = attribution_notes.AbsentFeatures(
      set(ig.model.example_features)
      - csv_format.allow_missing
      - csv_format.unread
    )
    rejected = rejected_rows.RejectedRows(
      arguments.output, arguments.max_errors
    )
    started = time.monotonic()
    summary = _written(
      ig.model,
      arguments,
      empty,
      command_inputs.batches(
        command_inputs.records(paths, csv_format, arguments),
        arguments.batch_size,
      ),
      attribute_fn,
      absent,
      rejected,
      progress_bar.over(paths),
    )
    seconds = time.monotonic() - started
  if not summary.num_examples:
    messages.note(f'no examples in {command_inputs.listed(paths)}')
  notes.warn_of_rows(summary.num_examples, arguments.tolerance)
  notes.warn_of_categories(ig.model.vocabularies, csv_format.missing_texts)
  if summary.num_examples > 1:
    notes.warn_of_absent(
      absent, ig.model.example_features, summary.num_examples
    )
  if arguments.targets == 'predicted':
    labels = ig.model.labels or list(range(ig.model.num_outputs))
    notes.warn_of_signs(labels, summary.num_by_target)
  remedy = _remedy(arguments.method, ig.model, notes.not_converged.count)
  _print_summary(arguments, ig.model, summary, rejected, seconds, remedy)
  rejected.check_no_rests(arguments.output)


def _attribute_fn(ig, arguments, notes, baselines=None, baseline_records=()):
  """Returns a function that explains a list of `Record`s.

  It returns (`Attributions` of those that can be explained, their indices in
  the list, {index: reason} of the others).

  Args:
    ig: `IntegratedGradients`.
    arguments: `argparse.Namespace`.
    notes: `attribution_notes.Notes` that take what the API warns of.
    baselines: as `ig.attribute` takes it.
    baseline_records: list of the `Record`s that are the baselines, if any.
  """
  target = arguments.targets
  # A label may look like a number; then it is the label that is meant.
  is_number = re.fullmatch('-?[0-9]+', target)
  if is_number and target not in (ig.model.labels or ()):
    target = int(target)

  def attribute(records):
    reasons = {}

    def leave_out(_, __, errors):
      reasons.update((error.row, error.reason) for error in errors)

    try:
      with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('ignore')
        warnings.simplefilter('always', RuntimeWarning)
        (result,) = ig.attribute_batches(
          [[record.example for record in records]],
          on_error=leave_out if arguments.on_error == 'skip' else 'raise',
          baselines=baselines,
          targets=target,
          output=arguments.explain,
          method=arguments.method,
          num_steps=arguments.num_steps,
          max_rows=arguments.max_rows,
          tolerance=arguments.tolerance,
        )
      good = [row for row in range(len(records)) if row not in reasons]
      for warning in caught:
        notes.add(warning.message, [records[row] for row in good])
      return result, good, reasons
    except annotated_model.RowError as error:
      if error.of == 'examples':
        record, remedy = records[error.row], command_inputs.SKIP
      elif baseline_records:
        record, remedy = baseline_records[error.row], ''
      else:  # They are computed.
        raise
      raise ValueError(f'{record.place}: {error.reason}{remedy}') from error

  return attribute


def _computed(ig, strategy, batches, skips):
  """Returns `ig.baselines_of` the examples of batches of `Record`s.

  Args:
    ig: `IntegratedGradients`.
    strategy: as `ig.baselines_of` takes it.
    batches: iterable of lists of `Record`s.
    skips: whether examples that cannot be used are left out.
  """
  batch = []

  def examples():
    for records in batches:
      batch[:] = [record for record in records if record.error is None]
      serialized = [record.example for record in batch]
      bad = bad_rows.find(ig.model, serialized, {}) if skips else ()
      yield [example for i, example in enumerate(serialized) if i not in bad]

  try:
    return ig.baselines_of(examples(), strategy)
  except annotated_model.RowError as error:
    place = batch[error.row].place
    raise ValueError(f'{place}: {error.reason}') from error


def _written(
  model, arguments, empty, batches, attribute_fn, absent, rejected, progress
):
  """Writes the attributions of batches and returns their summary."""
  summary = attribution_summary.AttributionSummary()
  names, attributions_fn = _attributions_by(arguments, model, empty)
  num_targets = model.num_outputs if arguments.targets == 'all' else 1
  has_targets = model.num_outputs > 1
  target_fields = ['target', 'target_id'] if has_targets else []
  fields = ['row', *target_fields, 'output', 'baseline_output', 'gap']
  first = 0
  with progress, files.AttributionWriter(
    arguments.output, fields, names
  ) as writer, rejected:
    for batch in batches:
      result, numbers = _explained(batch, first, attribute_fn, rejected, absent)
      first += len(batch)
      values = [[number for number in numbers for _ in range(num_targets)]]
      if has_targets:
        ids = result.targets.ravel().tolist()
        labels = model.labels or range(model.num_outputs)
        values += [[labels[i] for i in ids], ids]
      values += [
        files.numbers(part.ravel())
        for part in (result.outputs, result.baseline_outputs, result.gap)
      ]
      writer.write(
        [list(row) for row in zip(*values)],
        attributions_fn(result).reshape(len(values[0]), len(names)),
      )
      summary.add(result, numbers)
      progress.update(len(batch))
    rejected.check_is_not_all(summary.num_examples)
  return summary


def _explained(batch, first, attribute_fn, rejected, absent):
  """Explains those of a batch of `Record`s that can be.

  Returns:
    (`Attributions`, list of the examples' numbers, of which that of the first
    of the batch is `first`)
  """
  numbers = [i for i, record in enumerate(batch) if record.error is None]
  readable = [batch[i] for i in numbers]
  result, good, reasons = attribute_fn(readable)
  absent.look([readable[i].example for i in good])
  reasons = {numbers[i]: reason for i, reason in reasons.items()}
  for i, record in enumerate(batch):
    if record.error is not None:
      reason = str(record.error)
      if reason.startswith(record.place):  # It is not said twice.
        reason = reason[len(record.place) :].lstrip(',: ')
      reasons[i] = reason
  for i, reason in sorted(reasons.items()):
    rejected.add(first + i, batch[i].place, reason, batch[i].is_rest)
  return result, [first + numbers[i] for i in good]


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

  by_column = columns.element_names(model.columns, arguments.export_dir)
  return (
    [name for column in empty.columns for name in by_column[column]],
    lambda result: np.concatenate(
      [result.values[name] for name in result.columns], axis=-1
    ),
  )


def _print_summary(arguments, model, summary, rejected, seconds, remedy):
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
    f'Wrote {plain_text.escaped(arguments.output)}'
  )
  if rejected.count:
    messages.show(
      f'Left out {rejected.count}: see {plain_text.escaped(rejected.path)}'
    )
  messages.show('')
  messages.show(summary.text(unit, bar, remedy))
  if model.num_classes == 2 and arguments.targets == 'predicted':
    label = plain_text.escaped(str((model.labels or range(2))[1]))
    messages.show(
      'Each row explains the class that it is predicted to be; '
      f'--targets={label} explains the same one in every row'
    )


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
