"""The command `inspect`: what a SavedModel reads, computes and predicts."""

import json
import sys

from tf_dnn_annotations.annotations import columns
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.saved_models import annotated_model
from tf_dnn_annotations.text import plain_text


def run(arguments):
  """Prints what the model is.

  Args:
    arguments: `argparse.Namespace` with `export_dir`, `trust_model` and `json`,
      bools.

  Raises:
    FileNotFoundError, ValueError: it is no SavedModel with annotations.
  """
  with annotated_model.AnnotatedModel(
    arguments.export_dir, arguments.trust_model
  ) as model:
    if arguments.json:
      text = _json(_description(model))
    else:
      text = _report(arguments.export_dir, model)
  messages.show(text)


def _json(value):
  """Returns the JSON text of a value; stdout has all its characters."""
  text = plain_text.json_text(json.dumps(value, indent=2, ensure_ascii=False))
  try:
    text.encode(sys.stdout.encoding or 'utf-8')
  except UnicodeEncodeError:
    text = json.dumps(value, indent=2)  # Its escapes are JSON's own.
  return text


def _description(model):
  """Returns what `inspect` tells, as a JSON object."""
  return {
    'kind': model.kind,
    'num_outputs': model.num_outputs,
    'num_classes': model.num_classes,
    'labels': model.labels,
    'hidden_units': model.hidden_units,
    'takes_examples': model.takes_examples,
    'signatures': model.signatures,
    'stopped': model.stopped,
    'features': _features(model.features),
    'example_features': _features(model.example_features),
    'columns': [dict(column._asdict()) for column in model.columns],
  }


def _report(export_dir, model):
  """Returns what `inspect` tells, for a person."""
  if model.kind == 'classifier':
    predicts = f'one of {model.num_classes} classes'
    if model.labels:
      predicts += ': ' + _shortened(model.labels)
  else:
    count = model.num_outputs
    predicts = 'a number' if count == 1 else f'{count} numbers'
  receives = (
    'serialized tf.Examples' if model.takes_examples else 'raw features'
  )
  units = ', '.join(map(str, model.hidden_units)) or 'not annotated'
  width = sum(column.width for column in model.columns)
  sections = [
    _table(
      [
        ('SavedModel', export_dir),
        ('predicts', predicts),
        ('receives', receives),
        ('hidden layers', units + (' units' if model.hidden_units else '')),
        ('signatures', ', '.join(model.signatures)),
      ]
      + [('stops gradients at', name) for name in model.stopped]
    ),
    f'Features ({len(model.features)})',
    _table(
      [('  key', 'type', 'values')]
      + [
        ('  ' + feature.key, feature.dtype.name, _values(feature))
        for feature in model.features.values()
      ]
    )
    + _also_parsed(model),
    f'Feature columns ({len(model.columns)}), {width} elements wide together',
    _table(
      [('  column', 'width', 'kind', 'of features')]
      + [
        (
          '  ' + column.name,
          str(column.width),
          columns.kind(column),
          ', '.join(column.feature_keys),
        )
        for column in model.columns
      ]
    ),
  ]
  return '{}\n\n{}\n{}\n\n{}\n{}'.format(*sections)


def _features(features):
  return [
    {
      'key': feature.key,
      'dtype': feature.dtype.name,
      'shape': feature.shape,
      'is_sparse': feature.is_sparse,
    }
    for feature in features.values()
  ]


def _also_parsed(model):
  """Returns a line on what tf.Examples hold besides the features."""
  keys = sorted(set(model.example_features) - set(model.features))
  if not keys:
    return ''
  return '\n' + plain_text.escaped(
    f'  also parsed of tf.Examples: {", ".join(keys)}'
  )


def _shortened(labels, most=12):
  if len(labels) <= most:
    return ', '.join(labels)
  return ', '.join(labels[:most]) + f', and {len(labels) - most} more'


def _values(feature):
  if feature.is_sparse:
    return 'any number'
  if feature.shape is None:
    return 'unknown shape'
  dimensions = ['?' if size is None else str(size) for size in feature.shape]
  return ' x '.join(dimensions) or '1'


def _table(rows):
  """Returns rows of str as lines with the cells below each other."""
  # A line feed in a name is not one of the table.
  rows = [[plain_text.escaped(cell) for cell in row] for row in rows]
  widths = [max(map(len, cells)) for cells in zip(*rows)]
  return '\n'.join(
    '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
    for row in rows
  )
