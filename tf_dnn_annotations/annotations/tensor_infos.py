"""`TensorInfo` messages: made of tensors, and looked up in a graph."""

from google.protobuf import any_pb2
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tf_dnn_annotations.annotations import annotation_error


def packed(tensor):
  """Returns the `TensorInfo` of a tensor or composite tensor, in an `Any`."""
  result = any_pb2.Any()
  result.Pack(tf.saved_model.build_tensor_info(tensor))
  return result


def unpacked(key, value, message_class=meta_graph_pb2.TensorInfo):
  """Returns the message in an `Any`.

  Args:
    key: str, the key whose value it is, for errors.
    value: the `Any`, or whatever a file has in its place.
    message_class: class of the message.

  Raises:
    AnnotationError: there is no such message in it.
  """
  message = message_class()
  try:
    is_right = isinstance(value, any_pb2.Any) and value.Unpack(message)
  except Exception:  # The bytes are not a message; the class of this varies.
    is_right = False
  if not is_right:
    raise annotation_error.AnnotationError(
      f'the value of {key!r} is {type(value).__name__} without '
      f'{message_class.__name__}'
    )
  return message


def tensor_of(graph, what, info):
  """Returns the tensor of `graph` that a `TensorInfo` names.

  Args:
    graph: the `tf.Graph`.
    what: str, the owner of the `TensorInfo`, for errors.
    info: the `TensorInfo`.

  Raises:
    AnnotationError: there is no such tensor, or it has another type or shape.
  """
  try:
    tensor = tf.saved_model.get_tensor_from_tensor_info(info, graph)
    dtype = tf.as_dtype(info.dtype)
  except Exception as error:
    raise annotation_error.AnnotationError(
      f'{what} names a tensor not in the graph'
    ) from error
  if tensor.dtype.base_dtype != dtype.base_dtype:
    raise annotation_error.AnnotationError(
      f'{what} is said to be of {dtype.name}, but {name_of(tensor)!r} is of '
      f'{tensor.dtype.name}'
    )
  shape = tf.TensorShape(info.tensor_shape)
  if isinstance(tensor, tf.Tensor) and not tensor.shape.is_compatible_with(
    shape
  ):
    raise annotation_error.AnnotationError(
      f'{what} is said to have the shape {shape}, but {tensor.name!r} has '
      f'{tensor.shape}'
    )
  return tensor


def outputs(graph, name, signature_def):
  """Returns {name of an output: its tensor} of a signature.

  Args:
    graph: the `tf.Graph`.
    name: str, the signature's, for errors.
    signature_def: its `SignatureDef`.

  Raises:
    AnnotationError: a tensor is not in the graph.
  """
  return {
    key: tensor_of(graph, f'the output {key!r} of the signature {name!r}', info)
    for key, info in sorted(signature_def.outputs.items())
  }


def assets(meta_graph):
  """Returns {name of the tensor that holds a file's name: file in assets/}.

  Args:
    meta_graph: `MetaGraphDef`.

  Raises:
    AnnotationError: the collection of assets is damaged.
  """
  files = list(meta_graph.asset_file_def)
  collection_defs = meta_graph.collection_def
  # Where builders of TensorFlow 1 put them.
  if 'saved_model_assets' in collection_defs:
    for value in collection_defs['saved_model_assets'].any_list.value:
      files.append(
        unpacked('saved_model_assets', value, meta_graph_pb2.AssetFileDef)
      )
  return {file.tensor_info.name: file.filename for file in files}


def name_of(tensor):
  """Returns the name of a tensor, or those of a composite one's components."""
  if isinstance(tensor, tf.Tensor):
    return tensor.name
  parts = tf.nest.flatten(tensor, expand_composites=True)
  return ', '.join(part.name for part in parts)
