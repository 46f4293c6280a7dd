"""Which output of a model is explained for each row."""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import raw_values
from tf_dnn_annotations.saved_models import row_errors
from tf_dnn_annotations.text import suggestions


def plain(targets):
  """Returns targets as one scalar or an array or list of them.

  Args:
    targets: a scalar, also as an array or a Tensor, or an array, a list, a
      pandas Series, or an eager Tensor.

  Raises:
    ValueError: a target is missing.
    TypeError: `targets` is a Tensor without values.
  """
  if isinstance(targets, (tf.Tensor, tf.Variable)):
    targets = raw_values.concrete('`targets`', targets)
  is_frame = raw_values.is_frame(targets) and targets.shape[1] == 1
  if is_frame or raw_values.is_series(targets):
    targets = raw_values.plain('`targets`', targets)
  if isinstance(targets, np.ma.MaskedArray) and targets.ndim:
    targets = raw_values.plain('`targets`', targets)
  if isinstance(targets, np.ndarray) and not targets.ndim:
    targets = targets[()]
  # As TensorFlow has strings.
  if isinstance(targets, bytes) and targets in (b'all', b'predicted'):
    targets = targets.decode()
  return targets


def ids(model, targets, num_rows):
  """Returns the class id of each row's target.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    targets: 'predicted', a class id, a class label, or an array [n] of either,
      as `plain` returns them.
    num_rows: n.

  Returns:
    int64 [n], in [0, num_outputs); None for 'predicted', which only the
    outputs know.

  Raises:
    ValueError: an unknown class or label, or not one per row.
    TypeError: a target is neither an integer nor a string.
  """
  if isinstance(targets, str) and targets == 'predicted':
    if model.kind == 'regressor' and model.num_outputs > 1:
      raise ValueError(
        "`targets` must name an output; got 'predicted' for a regressor "
        f'of {model.num_outputs} outputs. Give an index in [0, '
        f"{model.num_outputs}), or 'all'."
      )
    return None
  shape = _shape(targets)
  if shape == ():
    return np.full(num_rows, _id(model, targets), np.int64)
  if shape != (num_rows,):
    raise ValueError(
      f'`targets` must have the shape [{num_rows}], one for each row; got '
      f'{list(shape)}. Give one class for all rows, or an array.'
    )
  if getattr(targets, 'dtype', np.dtype(object)).kind in 'iu':
    for extreme in {targets.min(), targets.max()} if num_rows else ():
      _id(model, extreme)
    return targets.astype(np.int64)
  for row, target in enumerate(targets):
    if raw_values.is_missing(target):
      raise row_errors.RowError(
        row,
        f'`targets` must have a class for each row; got {target!r}. Leave the '
        'row out, or give it the class to be explained.',
      )
  return np.array([_id(model, t) for t in targets], np.int64)


def outputs(points, ids, num_rows=None):
  """Returns the outputs of the targets of rows.

  Args:
    points: `Points` of n rows, or a single one for all rows.
    ids: int [n], the target of each row, or None for all outputs.
    num_rows: n; None if that is the number of points.

  Returns:
    float64 [n, T] with T = 1 or num_outputs.
  """
  values = points.outputs.astype(np.float64)
  if num_rows is not None:
    values = np.broadcast_to(values, (num_rows, values.shape[1]))
  if ids is None:
    return values
  return np.take_along_axis(values, ids[:, np.newaxis], axis=1)


def _shape(targets):
  """Returns the shape of targets, with '?' where lists differ in length."""
  if isinstance(targets, (list, tuple)):
    if any(isinstance(target, (list, tuple)) for target in targets):
      lengths = {len(t) if hasattr(t, '__len__') else 1 for t in targets}
      return len(targets), lengths.pop() if len(lengths) == 1 else '?'
  return np.shape(targets)


def _id(model, target):
  if isinstance(target, (str, bytes)):
    label = str(target)
    if isinstance(target, bytes):
      label = target.decode('utf-8', 'backslashreplace')
    labels = model.labels
    if model.kind == 'regressor':
      raise ValueError(
        f"`targets` must be 'predicted', 'all' or an index in [0, "
        f'{model.num_outputs}), since the model predicts numbers; got '
        f'{label!r}. Leave it out for the only one.'
      )
    if labels is None:
      # As TensorFlow names the classes of a model without a vocabulary.
      labels = [str(i) for i in range(model.num_outputs)]
    if label not in labels:
      some = repr(labels[:20])[:-1] + (', ...]' if len(labels) > 20 else ']')
      raise ValueError(
        f"`targets` must be 'predicted', 'all', a class id or one of the "
        f'labels {some}; got {label!r}. Check the spelling.'
        + suggestions.did_you_mean(label, [*labels, 'predicted', 'all'])
      )
    if labels.count(label) > 1:
      raise ValueError(
        f'`targets` must name one class; got {label!r}, the label of '
        f'{labels.count(label)} of them. Give a class id.'
      )
    return labels.index(label)
  if isinstance(target, (bool, np.bool_)) or not isinstance(
    target, (int, np.integer)
  ):
    raise TypeError(
      f"`targets` must be 'predicted', 'all', class ids (integers) or labels "
      f'(strings); got {target!r}. Convert it with int().'
    )
  if not 0 <= target < model.num_outputs:
    raise ValueError(
      f'`targets` must be in [0, {model.num_outputs}); got {target}. '
      + (
        'For a binary model, 1 is the positive class.'
        if model.num_outputs == 2 and model.kind == 'classifier'
        else 'Count from 0.'
      )
    )
  return int(target)
