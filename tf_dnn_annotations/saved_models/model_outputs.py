"""The outputs that a model computes from its logits, and its predictions."""

import collections

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import contract
from tf_dnn_annotations.annotations import prediction_checks


class Prediction(collections.namedtuple('Prediction', ['ids', 'is_largest'])):
  """The outputs that a model predicts.

  Attributes:
    ids: `Tensor` [batch], their indices.
    is_largest: whether each is known to be that of the largest logit.
  """

  __slots__ = ()


def kind(predict):
  """Returns 'classifier' or 'regressor'.

  Args:
    predict: {name of an output of the signature `predict`: `Tensor`}; empty if
      there is none.

  Raises:
    AnnotationError: it gives classes without probabilities.
  """
  if 'probabilities' in predict:
    return 'classifier'
  if 'class_ids' in predict or 'classes' in predict:
    raise contract.AnnotationError(
      "the signature 'predict' gives classes and no probabilities"
    )
  return 'regressor'


def tensors(kind, logits, predict):
  """Returns {name of an output: its `Tensor` [batch, num_outputs]}.

  Args:
    kind: as `kind` returns it.
    logits: `Tensor` [batch, num_logits].
    predict: as for `kind`.
  """
  if kind == 'regressor':
    return {'logits': predict.get('predictions', logits)}
  if logits.shape.as_list()[-1] == 1:
    # The logit of a binary model is class 1's log-odds; class 0's is its
    # negative.
    logits = tf.concat([-logits, logits], axis=-1)
    return {'logits': logits, 'probabilities': tf.sigmoid(logits)}
  return {'logits': logits, 'probabilities': tf.nn.softmax(logits)}


def prediction(kind, outputs, logits, predict):
  """Returns the `Prediction` of a model.

  Args:
    kind: as `kind` returns it.
    outputs: as `tensors` returns them.
    logits, predict: as for `tensors`.

  Raises:
    AnnotationError: its class ids are not integers, one for each row.
  """
  if kind == 'regressor' or 'class_ids' not in predict:
    return Prediction(tf.argmax(outputs['logits'], axis=-1), True)
  class_ids = predict['class_ids']
  if not class_ids.dtype.is_integer or class_ids.shape.as_list()[1:] != [1]:
    raise contract.AnnotationError(
      "the output 'class_ids' of the signature 'predict' must be an integer "
      f'for each row, and is {class_ids.dtype.name} of shape {class_ids.shape}'
    )
  is_largest = prediction_checks.is_largest(class_ids, logits)
  return Prediction(class_ids[:, 0], is_largest)
