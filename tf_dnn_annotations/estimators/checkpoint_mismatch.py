"""Explains, in terms of columns and layers, why a checkpoint does not fit."""

import json
import os
import re

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import names

_COLUMN = re.compile(r'(?:^|/)input_layer/(.+?)/[^/]+$')
_HIDDEN_LAYER = re.compile(r'(?:^|/)hiddenlayer_(\d+)/(.+)$')
_LOGITS = re.compile(r'(?:^|/)logits/[^/]+$')
# A variable of the model itself, as opposed to an optimizer's slot for it.
_MODEL_VARIABLE = re.compile(
  r'^dnn/hiddenlayer_\d+/(?:kernel|bias|batchnorm_\d+/\w+)$'
  r'|^dnn/input_from_feature_columns/input_layer/[^/]+/embedding_weights$'
)
_FILE_OF_CHECKPOINT = re.compile(r'\.(?:index|meta|data-\d+-of-\d+)$')
_OBJECT_GRAPH = '_CHECKPOINTABLE_OBJECT_GRAPH'


class ExplainingSaver(tf.train.Saver):
  """A `Saver` that explains why a checkpoint cannot be restored."""

  def restore(self, sess, save_path):
    """Restores `save_path`.

    Raises:
      ValueError: there is no such checkpoint, or a model of another
        configuration wrote it. The error names each column and layer that
        differs.
    """
    _check_path(save_path)
    # Deferred until now, as a model_fn around ours may have added variables.
    self.build()
    # Compared before the restore and not after it has failed, since it does not
    # always fail: a resource variable accepts another shape, and a layer that
    # only the checkpoint has is ignored.
    differences = _differences(sess.graph, save_path)
    if differences:
      raise ValueError(
        '`checkpoint_path` must come from an estimator of the same '
        f'configuration; got {save_path!r}, which differs:\n  '
        + '\n  '.join(differences)
        + '\nBuild this estimator with the `hidden_units`, '
        '`feature_columns`, `n_classes` (or `label_dimension`) and '
        '`batch_norm` of the one that wrote the checkpoint.'
      )
    super().restore(sess, save_path)


def _check_path(path):
  """Raises ValueError if `path` is not that of a checkpoint."""
  path = tf.compat.as_str_any(path)
  found, prefix = None, _FILE_OF_CHECKPOINT.sub('', path)
  if prefix != path and tf.train.checkpoint_exists(prefix):
    problem, found = 'is one of its files', prefix
  elif tf.io.gfile.isdir(path):
    problem, found = 'is a directory', tf.train.latest_checkpoint(path)
  elif os.path.basename(path) == 'checkpoint' and tf.io.gfile.exists(path):
    problem = 'only names the latest one'
    found = tf.train.latest_checkpoint(os.path.dirname(path))
  elif not tf.train.checkpoint_exists(path):
    problem = 'does not exist'
  else:
    return
  raise ValueError(
    "`checkpoint_path` must be a checkpoint's path, such as "
    f"'model/model.ckpt-100'; got {path!r}, which {problem}. Give "
    + (repr(found) if found else 'the value of estimator.latest_checkpoint()')
    + '.'
  )


def _differences(graph, checkpoint_path):
  """Returns a line per variable that does not fit."""
  saved = dict(tf.train.list_variables(checkpoint_path))
  if _OBJECT_GRAPH in saved:
    return []  # It is keyed by objects and not by variables; Saver reads it.
  variables = _variables(graph)
  lines = []
  for name, shape in sorted(variables.items()):
    if name not in saved:
      lines.append(
        f'{_part(name)}: {name} {shape} is not in the checkpoint.'
        f'{_hint_of_version(name, saved)}'
      )
    elif list(saved[name]) != shape:
      lines.append(
        f'{_part(name)}: {name} is {shape} here and {list(saved[name])} in '
        f'the checkpoint.{_hint(graph, name, shape, list(saved[name]))}'
      )
  for name in sorted(set(saved) - set(variables)):
    if _MODEL_VARIABLE.search(name):
      lines.append(
        f'{_part(name)}: {name} {list(saved[name])} is in the checkpoint but '
        'not here.'
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
  """Returns a user's name for the part of the model that owns a variable."""
  match = _HIDDEN_LAYER.search(name)
  if match:
    norm = ' (batch norm)' if 'batchnorm' in match.group(2) else ''
    return f'hidden layer {match.group(1)}{norm}'
  match = _COLUMN.search(name)
  if match:
    return f'column {match.group(1)!r}'
  return 'logits' if _LOGITS.search(name) else 'variable'


def _hint_of_version(name, saved):
  """Returns a sentence on a variable that V1 and V2 name differently.

  `tf.feature_column.shared_embeddings` alone has such variables.
  """
  for other in sorted(saved):
    if other.endswith('/' + name) or name.endswith('/' + other):
      return (
        f' There it is {other}, its name in '
        f'{"V1" if len(other) > len(name) else "V2"} estimators: use one of '
        'those.'
      )
  return ''


def _hint(graph, name, shape, saved_shape):
  """Returns a sentence on the argument that makes a kernel's shape differ."""
  if not name.endswith('/kernel') or len(shape) != 2 or len(saved_shape) != 2:
    return ''
  hint = ''
  if shape[0] != saved_shape[0] and _part(name) == 'hidden layer 0':
    widths = [
      '{name} {width}'.format(**json.loads(description))
      for description in graph.get_collection(
        names.LayerAnnotationsCollectionNames.FEATURE_COLUMNS
      )
    ]
    hint += (
      f' The columns give {shape[0]} elements here'
      + (f' ({", ".join(widths)})' if widths else '')
      + f', those of the checkpoint {saved_shape[0]}.'
    )
  if shape[1] != saved_shape[1]:
    hint += (
      ' `n_classes` or `label_dimension` differs.'
      if _LOGITS.search(name)
      else ' `hidden_units` differs.'
    )
  return hint
