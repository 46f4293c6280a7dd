"""The labels of a classifier's classes, read off its predictions."""

import numpy as np

from tf_dnn_annotations.integrals import memory

# Logits per call. Memory thus grows with the number of classes, not with its
# square.
_NUMBERS_PER_CALL = 1 << 20


def read(run_fn, logits, classes, num_classes):
  """Returns the labels as a list of str, or None without a label vocabulary.

  Args:
    run_fn: function of a `Tensor` and {`Tensor`: array} that runs the model.
    logits: `Tensor` [batch, num_classes], or [batch, 1] of a binary model.
    classes: `Tensor` [batch, 1], the label of the predicted class.
    num_classes: int.

  Raises:
    ValueError: the model predicts fewer or more labels than it has classes.
  """
  labels = []
  rows = memory.rows_within(_NUMBERS_PER_CALL, num_classes)
  for first in range(0, num_classes, rows):
    last = min(first + rows, num_classes)
    # One row per class, in which that class is the predicted one.
    fed = np.full((last - first, num_classes), -1, np.float32)
    fed[np.arange(last - first), np.arange(first, last)] = 1
    if logits.shape.as_list()[-1] == 1:
      fed = fed[:, 1:]
    labels += texts(run_fn(classes, {logits: fed}))
  if len(labels) != num_classes:
    raise ValueError(f'it has {num_classes} classes and {len(labels)} labels')
  return None if labels == list(map(str, range(num_classes))) else labels


def texts(labels):
  """Returns the labels in an array of bytes, as a list of str."""
  return list(map(_text, labels.ravel().tolist()))


def _text(label):
  # Bytes that are not UTF-8 are escaped.
  if isinstance(label, bytes):
    return label.decode('utf-8', 'backslashreplace')
  return str(label)
