"""Says in the terms of a model what a foreign checkpoint does not fit."""

import re

import tensorflow.compat.v1 as tf

_COLUMN = re.compile(r'(?:^|/)input_layer/(.+?)/[^/]+$')
_HIDDEN_LAYER = re.compile(r'(?:^|/)hiddenlayer_(\d+)/(.+)$')
_LOGITS = re.compile(r'(?:^|/)logits/[^/]+$')


class ExplainingSaver(tf.train.Saver):
  """A `Saver` that explains why a checkpoint cannot be restored."""

  def restore(self, sess, save_path):
    """Restores `save_path`.

    Raises:
      ValueError: the checkpoint was written by a model of another
        configuration; names each column and layer that differs.
    """
    # Deferred until now, as a model_fn around ours may have added variables.
    self.build()
    try:
      super().restore(sess, save_path)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
      differences = _differences(sess.graph, save_path)
      if not differences:
        raise
      raise ValueError(
        f'`checkpoint_path` must come from an estimator of the same '
        f'configuration; got {save_path!r}, which differs in '
        f'{len(differences)} variable(s):\n  '
        + '\n  '.join(differences)
        + '\nBuild this estimator with the `hidden_units`, `feature_columns`, '
        '`n_classes` (or `label_dimension`) and `batch_norm` of the one that '
        'wrote the checkpoint.'
      ) from error


def _differences(graph, checkpoint_path):
  """Returns a line for each variable of `graph` that does not fit."""
  saved = dict(tf.train.list_variables(checkpoint_path))
  lines = []
  for name, shape in sorted(_variables(graph).items()):
    if name not in saved:
      lines.append(
        f'{_part(name)}: {name} {shape} is not in the checkpoint.'
      )
    elif list(saved[name]) != shape:
      lines.append(
        f'{_part(name)}: {name} is {shape} here and {list(saved[name])} in '
        f'the checkpoint.{_hint(name, shape, list(saved[name]))}'
      )
  return lines


def _variables(graph):
  """Returns {name in a checkpoint: shape} of the variables of `graph`."""
  variables = {}
  for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
    # The slices of a partitioned variable are saved under one name.
    part = variable._get_save_slice_info()
    name = part.full_name if part else variable.op.name
    variables[name] = list(part.full_shape if part else variable.shape)
  return {
    name: [int(dimension) for dimension in shape]
    for name, shape in variables.items()
  }


def _part(name):
  """Returns what a user calls the part of the model that owns a variable."""
  match = _HIDDEN_LAYER.search(name)
  if match:
    norm = ' (batch norm)' if 'batchnorm' in match.group(2) else ''
    return f'hidden layer {match.group(1)}{norm}'
  match = _COLUMN.search(name)
  if match:
    return f'column {match.group(1)!r}'
  return 'logits' if _LOGITS.search(name) else 'variable'


def _hint(name, shape, saved_shape):
  if not name.endswith('/kernel') or len(shape) != 2 or len(saved_shape) != 2:
    return ''
  if shape[1] != saved_shape[1]:
    argument = (
      '`n_classes` or `label_dimension`' if _LOGITS.search(name)
      else '`hidden_units`'
    )
    return f' {argument} differs.'
  if _part(name) == 'hidden layer 0':
    return (
      f' The columns here give {shape[0]} elements together, those of the '
      f'checkpoint {saved_shape[0]}.'
    )
  return ''
