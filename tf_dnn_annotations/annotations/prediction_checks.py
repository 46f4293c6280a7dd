"""Checks of the served predictions against the annotated logits."""

import numpy as np
from tensorflow.python.framework import tensor_util

from tf_dnn_annotations.annotations import annotation_error
from tf_dnn_annotations.annotations import class_labels
from tf_dnn_annotations.annotations import graph_walks

AnnotationError = annotation_error.AnnotationError


def check_logits(logits, predict):
  """Checks the logits against the outputs of the signature `predict`.

  Args:
    logits: `Tensor` [batch, num_logits].
    predict: {name of an output of the signature `predict`: `Tensor`}; empty if
      there is none.

  Raises:
    AnnotationError: they are not its logits, or its predictions are not
      computed from them.
  """
  if 'logits' in predict and not _is_same(predict['logits'], logits):
    raise AnnotationError(
      f'the logits are {logits.name!r}, and those of the signature '
      f"'predict' are {predict['logits'].name!r}"
    )
  downstream = graph_walks.descendants([logits])
  for name in ('predictions', 'probabilities', 'class_ids', 'classes'):
    if name in predict and predict[name].name not in downstream:
      raise AnnotationError(
        f"the output {name!r} of the signature 'predict' is not computed from "
        f'the logits, {logits.name!r}'
      )


def check_probabilities(run_fn, logits, served, computed):
  """Checks that the served probabilities are those of the logits.

  Args:
    run_fn: function of a list of `Tensor`s and {`Tensor`: array} that runs the
      model.
    logits: `Tensor` [batch, num_logits], which is fed.
    served: the output 'probabilities' of the signature `predict`.
    computed: `Tensor` [batch, num_classes], softmax or sigmoid of the logits.

  Raises:
    AnnotationError: they differ.
  """
  is_alike = (
    served.dtype == computed.dtype
    and served.shape.as_list()[1:] == computed.shape.as_list()[1:]
  )
  if is_alike:
    rising = np.linspace(-2.0, 2.0, logits.shape.as_list()[-1] + 1)[1:]
    values = run_fn([served, computed], {logits: [rising, rising[::-1]]})
    # Every implementation of softmax and sigmoid is good to a few roundings.
    is_alike = np.allclose(*values, rtol=1e-4, atol=1e-6)
  if not is_alike:
    raise AnnotationError(
      "the output 'probabilities' of the signature 'predict', "
      f'{served.name!r}, is not the probabilities of its logits'
    )


def check_labels(run_fn, logits, all_classes, labels):
  """Checks that the listed labels are those that are predicted.

  Args:
    run_fn, logits: as in `check_probabilities`.
    all_classes: the output of the signature `predict`, [batch, num_classes].
    labels: list of str, read off the predictions.

  Raises:
    AnnotationError: they differ.
  """
  zeros = np.zeros((1, logits.shape.as_list()[-1]))
  listed = class_labels.texts(run_fn(all_classes, {logits: zeros}))
  if listed != labels:
    raise AnnotationError(
      "the output 'all_classes' of the signature 'predict' lists the labels "
      f'{listed[:10]}, and those that it predicts are {labels[:10]}'
    )


def is_largest(class_ids, logits):
  """Returns whether a tensor is known to be the index of the largest logit.

  Args:
    class_ids: integer `Tensor` [batch, 1].
    logits: `Tensor` [batch, num_logits]; of a single one, the other is 0.
  """
  tensor = graph_walks.skip(class_ids, graph_walks.IDENTITIES + ('ExpandDims',))
  if tensor.op.type != 'ArgMax':
    return False
  if tensor_util.constant_value(tensor.op.inputs[1]) not in (1, -1):
    return False
  tensor = graph_walks.skip(tensor.op.inputs[0], graph_walks.IDENTITIES)
  if logits.shape.as_list()[1] > 1:
    return _is_same(tensor, logits)
  parts = list(tensor.op.inputs)[:-1]
  return (
    tensor.op.type == 'ConcatV2'
    and len(parts) == 2
    and parts[0].op.type == 'ZerosLike'
    and _is_same(parts[1], logits)
  )


def _is_same(tensor, other):
  """Returns whether two tensors are one, but for identities between them."""
  tensor, other = (
    graph_walks.skip(each, graph_walks.IDENTITIES) for each in (tensor, other)
  )
  return tensor.name == other.name
