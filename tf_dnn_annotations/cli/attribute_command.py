"""The command `attribute`: the examples in files to attributions in a file."""

import re
import sys
import time
import warnings

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
from tf_dnn_annotations.saved_models import row_errors
from tf_dnn_annotations.text import plain_text


def run(arguments):
  """Writes the attributions of all examples and prints a summary.

  Memory does not grow with the number of examples.

  Args:
    arguments: `argparse.Namespace` of the flags of `attribute_flags`.

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
        'numbers. Leave it out to explain the prediction.'
      )
    # Before anything is read or written: arguments that do not fit this model,
    # such as an unknown label, are found without an example.
    notes = attribution_notes.Notes()
    empty, _, _ = _attribute_fn(ig, arguments, notes)([])
    baselines, baseline_records = None, []
    if strategy:
      # Rows that are left out are reported when they are to be explained.
      is_same = not arguments.baseline_examples
      skips = is_same and arguments.on_error == 'skip'
      records = example_files.read_records(
        baseline_paths, csv_format, skips, arguments.id if is_same else None
      )
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
      arguments.output, arguments.max_errors, _id_field(arguments)
    )
    started = time.monotonic()
    summary = _written(
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
    labels = empty.labels or list(range(empty.num_outputs))
    notes.warn_of_signs(labels, summary.num_by_target)
  remedy = _remedy(arguments.method, ig.model, notes.not_converged.count)
  _print_summary(arguments, empty, summary, rejected, seconds, remedy)
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
          with_features=arguments.with_features,
        )
      good = [row for row in range(len(records)) if row not in reasons]
      for warning in caught:
        notes.add(warning.message, [records[row] for row in good])
      return result, good, reasons
    except row_errors.RowError as error:
      if error.of == 'examples':
        record, remedy = records[error.row], command_inputs.SKIP
      elif baseline_records:
        record, remedy = baseline_records[error.row], ''
      else:  # They are computed.
        raise
      raise ValueError(f'{record.place}: {error.reason}{remedy}') from error

  return attribute


def _computed(ig, strategy, batches, skips):
  """Returns the baselines that `ig.baselines_of` computes from `Record`s.

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
  except row_errors.RowError as error:
    place = batch[error.row].place
    raise ValueError(f'{place}: {error.reason}') from error


def _id_field(arguments):
  """Returns the name of the field that identifies an example in a row."""
  return 'row' if arguments.id is None else 'id'


def _written(
  arguments, empty, batches, attribute_fn, absent, rejected, progress
):
  """Writes the attributions of batches and returns their summary.

  Args:
    arguments: `argparse.Namespace`.
    empty: `Attributions` of no examples.
    batches: iterable of lists of `Record`s.
    attribute_fn: what `_attribute_fn` returned.
    absent: `attribution_notes.AbsentFeatures`.
    rejected: `rejected_rows.RejectedRows`.
    progress: context manager with `update`.
  """
  summary = attribution_summary.AttributionSummary()
  first = 0
  with progress, files.AttributionWriter(
    arguments.output, empty, arguments.by, _id_field(arguments)
  ) as writer, rejected:
    for batch in batches:
      ids = (
        list(range(first, first + len(batch)))
        if arguments.id is None
        else [record.id for record in batch]
      )
      first += len(batch)
      result, ids = _explained(batch, ids, attribute_fn, rejected, absent)
      writer.write(result, ids)
      summary.add(result, ids)
      progress.update(len(batch))
    rejected.check_is_not_all(summary.num_examples)
  return summary


def _explained(batch, ids, attribute_fn, rejected, absent):
  """Explains those of a batch of `Record`s that can be.

  Args:
    batch: list of `Record`s.
    ids: list of what identifies them.
    attribute_fn, rejected, absent: as for `_written`.

  Returns:
    (`Attributions`, list of the ids of its examples)
  """
  places = [i for i, record in enumerate(batch) if record.error is None]
  readable = [batch[i] for i in places]
  result, good, reasons = attribute_fn(readable)
  absent.look([readable[i].example for i in good])
  reasons = {places[i]: reason for i, reason in reasons.items()}
  is_rest = set()
  for i, record in enumerate(batch):
    if record.error is not None:
      reasons[i] = record.error.reason
      is_rest.update([i] if record.error.is_rest else [])
  for i, reason in sorted(reasons.items()):
    rejected.add(ids[i], batch[i].place, reason, i in is_rest)
  return result, [ids[places[i]] for i in good]


def _print_summary(arguments, empty, summary, rejected, seconds, remedy):
  bar = '\N{FULL BLOCK}'
  try:
    bar.encode(sys.stdout.encoding or 'ascii')
  except UnicodeEncodeError:
    bar = '#'
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
  messages.show(summary.text(bar, remedy))
  is_binary = empty.kind == 'classifier' and empty.num_outputs == 2
  if is_binary and arguments.targets == 'predicted':
    label = plain_text.escaped(str((empty.labels or range(2))[1]))
    messages.show(
      'Each row explains the class that it is predicted to be; '
      f'--targets={label} explains the same class in every row'
    )


def _remedy(method, model, has_capped):
  """Returns how to make the gap smaller; '' if it is rounding.

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
