"""Checks of annotations against the graph that carries them.

A SavedModel may have been edited, or put together from two. Annotations that
are trusted blindly then give wrong numbers, or right numbers under a wrong
name.
"""

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import annotation_error
from tf_dnn_annotations.annotations import column_checks
from tf_dnn_annotations.annotations import features as raw_features
from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import prediction_checks

AnnotationError = annotation_error.AnnotationError


def check(found, predict, assets, value_fn):
  """Raises `AnnotationError` if annotations contradict the graph.

  Args:
    found: `contract.Found`.
    predict: {name of an output of the signature `predict`: `Tensor`}; empty if
      there is none.
    assets: {name of the tensor that holds a file's name: name of the file among
      the SavedModel's assets}.
    value_fn: function of a `Tensor` that depends on no input; returns its
      value.
  """
  _check_layers(found)
  prediction_checks.check_logits(found.logits, predict)
  _check_paths(found)
  keys_read = raw_features.keys_read(found.columns, found.features)
  for name in found.descriptions:
    column_checks.check(found, name, sorted(keys_read[name]), assets, value_fn)
  unread = set(found.features).difference(*keys_read.values())
  if found.is_signed and unread:
    raise AnnotationError(
      f'the features {sorted(unread)} are annotated, but no column reads them'
    )


def check_inputs(signatures):
  """Raises `AnnotationError` if the annotations' signature has other inputs.

  Args:
    signatures: {name: `SignatureDef`}.
  """
  inputs = [
    {
      key: info.SerializeToString(deterministic=True)
      for key, info in signatures[name].inputs.items()
    }
    for name in (names.SIGNATURE, 'predict')
    if name in signatures
  ]
  if inputs[1:] and inputs[0] != inputs[1]:
    raise AnnotationError(
      f'the inputs of the signature {names.SIGNATURE!r}, {sorted(inputs[0])}, '
      f"are not those of 'predict', {sorted(inputs[1])}"
    )


def _check_layers(found):
  """Checks the type and shape of each column's and each layer's tensor."""
  for what, tensor in (
    [(f'column {name!r}', column) for name, column in found.columns.items()]
    + [(f'hidden layer {i}', t) for i, t in enumerate(found.hidden_layers)]
    + [('layer of the logits', found.logits)]
  ):
    if not isinstance(tensor, tf.Tensor) or not tensor.dtype.is_floating:
      raise AnnotationError(
        f'the {what} must hold floats, and is {tensor.dtype.name}'
      )
    if tensor.shape.rank != 2 or tensor.shape.as_list()[1] is None:
      raise AnnotationError(
        f'the {what} must have the shape [batch, width] with a known width, '
        f'and {tensor.name!r} has {tensor.shape}'
      )
  dtypes = {tensor.dtype.name for tensor in found.columns.values()}
  if len(dtypes) > 1:
    raise AnnotationError(f'the columns are of several types, {sorted(dtypes)}')


def _check_paths(found):
  """Checks that all paths from features to logits pass columns and layers."""
  columns = {tensor.name: name for name, tensor in found.columns.items()}
  if found.is_signed and len(columns) < len(found.columns):
    raise AnnotationError('several columns have the same tensor')
  layer, what = list(found.columns.values()), 'the columns'
  for i, pre_activation in enumerate(found.hidden_layers + [found.logits]):
    downstream = graph_walks.descendants(layer)
    is_logits = i == len(found.hidden_layers)
    name = 'the layer of the logits' if is_logits else f'hidden layer {i}'
    if pre_activation.name not in downstream or pre_activation.name in {
      tensor.name for tensor in layer
    }:
      raise AnnotationError(f'{name} is not computed from {what}')
    layer, what = [pre_activation], name
  behind = graph_walks.ancestors([found.logits], end=columns)
  inputs = [op.name for op in behind if op.type == 'Placeholder']
  if inputs:
    raise AnnotationError(
      f'the logits depend on the input {inputs[0]!r} by other ways than the '
      f'columns {sorted(found.columns)}'
    )
  read = {tensor.name for op in behind for tensor in op.inputs}
  for tensor_name, name in columns.items():
    if tensor_name not in read:
      raise AnnotationError(
        f'the logits do not depend on the column {name!r}, {tensor_name!r}'
      )
