"""The space between a model's columns and its logits, where paths are followed.

A path is followed in the pre-activation of the first dense layer where that is
known, since the layer is affine, and otherwise in the columns side by side.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import dense_layers
from tf_dnn_annotations.annotations import graph_walks


class ProcessedSpace(object):
  """The columns of a model, and the first dense layer if it is known.

  Attributes:
    columns: {column name: `Tensor` [batch, width]}, in the model's order.
    slices: {column name: slice of the columns side by side}.
    side_by_side: `Tensor` [batch, width of all columns].
    width: number of elements of all columns together.
    dtype: numpy dtype of the columns.
    first_layer: `Tensor` [batch, units], the pre-activation of the first dense
      layer, or None.
    kernel: float [width of all columns, units], its kernel; None without
      `first_layer`.
    network: `piecewise_linear.Network` from the first layer to the logits, or
      None.
    unrecognized: None, or the reason for having no `network`.
  """

  def __init__(self, columns, first_layer, kernel, network, unrecognized):
    """Takes the attributes of these names, of which the others follow."""
    self.columns, self.slices, self.width = columns, {}, 0
    for name, tensor in columns.items():
      stop = self.width + tensor.shape.as_list()[-1]
      self.slices[name] = slice(self.width, stop)
      self.width = stop
    self.side_by_side = tf.concat(list(columns.values()), axis=-1)
    self.dtype = self.side_by_side.dtype.as_numpy_dtype
    self.first_layer, self.kernel = first_layer, kernel
    self.network, self.unrecognized = network, unrecognized

  @property
  def path_size(self):
    """The number of dimensions of the space in which paths are followed."""
    return self.width if self.kernel is None else self.kernel.shape[1]

  @property
  def path_tensors(self):
    """{name: `Tensor`}, which side by side are the points of a path."""
    if self.first_layer is None:
      return self.columns
    return {'first_layer': self.first_layer}

  def feed_of_columns(self, columns):
    """Returns the feed of columns side by side, [n, width of all columns]."""
    return {
      tensor: columns[:, self.slices[name]]
      for name, tensor in self.columns.items()
    }

  def feed_of_path(self, path):
    """Returns the feed of points of a path, [n, path_size]."""
    if self.first_layer is None:
      return self.feed_of_columns(path)
    return {self.first_layer: path}

  def path_of(self, gradients):
    """Returns one array [n, path_size] of those of `path_tensors`, in order."""
    if len(gradients) == 1:
      return gradients[0]
    return np.concatenate(gradients, axis=-1)


def read(found, outputs, is_of_logits, value_fn):
  """Returns the `ProcessedSpace` of a model.

  Args:
    found: `contract.Found`.
    outputs: list of the `Tensor`s of the model's outputs.
    is_of_logits: whether the logits as they are annotated decide the outputs.
    value_fn: function of a `Tensor` that depends on no input; returns its
      value.
  """
  columns = list(found.columns.values())
  network = unrecognized = kernel = None
  first_layer = found.hidden_layers[0] if found.hidden_layers else None
  if first_layer is not None and _is_bypassed(first_layer, columns, outputs):
    first_layer = None
  try:
    if not is_of_logits:
      raise dense_layers.UnrecognizedError(
        'the prediction is not the logits themselves'
      )
    network, first_layer, kernel = dense_layers.read(
      columns, found.logits, value_fn
    )
  except dense_layers.UnrecognizedError as error:
    unrecognized = str(error)
    if first_layer is not None:
      try:
        kernel = dense_layers.first_kernel(columns, first_layer)
      except dense_layers.UnrecognizedError:
        first_layer = None
  if kernel is not None:
    kernel = value_fn(kernel)
  return ProcessedSpace(
    found.columns, first_layer, kernel, network, unrecognized
  )


def _is_bypassed(layer, columns, outputs):
  """Whether a column reaches the outputs by another way than a layer."""
  names_of_columns = {column.name for column in columns}
  return any(
    tensor.name in names_of_columns
    for op in graph_walks.ancestors(outputs, end=[layer.name])
    for tensor in op.inputs
  )
