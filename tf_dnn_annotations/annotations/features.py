"""The raw features of a graph: isolated, taken apart and put together again."""

import re

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import annotation_error
from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.annotations import names


def isolated(features):
  """Returns `features` with an op of its own behind every tensor.

  Args:
    features: dict of feature key to `Tensor` or composite tensor
      (`SparseTensor`, `RaggedTensor`) of any dtype and shape.
  """

  def isolated_feature(key, feature):
    name = 'layer_annotation_of_' + re.sub(r'[^A-Za-z0-9_.\-]', '_', str(key))
    with tf.name_scope(name):
      return tf.nest.map_structure(
        lambda tensor: (
          tf.identity(tensor) if isinstance(tensor, tf.Tensor) else tensor
        ),
        feature,
        expand_composites=True,
      )

  return {key: isolated_feature(key, value) for key, value in features.items()}


def components(name, feature):
  """Returns {output name: `Tensor`} of a feature's component tensors.

  Args:
    name: the name that the outputs are to have, or to begin with.
    feature: `Tensor` or composite tensor.
  """
  if isinstance(feature, tf.SparseTensor):
    return {
      f'{name}/{component}': getattr(feature, component)
      for component in names.SPARSE_COMPONENTS
    }
  if isinstance(feature, tf.Tensor):
    return {name: feature}
  return {
    f'{name}/component_{i}': tensor for i, tensor in enumerate(_parts(feature))
  }


def of_components(outputs):
  """Returns {feature key: tensor} with sparse features put together again.

  Args:
    outputs: {output name: `Tensor`}, as `components` returns it.

  Raises:
    AnnotationError: three components do not make a `SparseTensor`.
  """
  found, suffixes = {}, ['/' + c for c in names.SPARSE_COMPONENTS]
  for name, tensor in outputs.items():
    key = name.rpartition('/')[0]
    parts = [outputs.get(key + suffix) for suffix in suffixes]
    if all(part is not None for part in parts):
      try:
        found[key] = tf.SparseTensor(*parts)
      except (TypeError, ValueError) as error:
        raise annotation_error.AnnotationError(
          f'the parts of the sparse feature {key!r} do not fit together'
        ) from error
    else:
      found[name] = tensor
  return found


def tensor_names(features):
  """Returns {name of a tensor: key of the feature that it is a part of}.

  Args:
    features: {feature key: `Tensor` or composite tensor}.
  """
  return {
    tensor.name: key
    for key, feature in features.items()
    for tensor in _parts(feature)
    if isinstance(tensor, tf.Tensor)
  }


def keys_read(columns, features):
  """Returns {column name: set of the keys of the features that it reads}.

  They are read off the graph, since a user's own column need not declare them.

  Args:
    columns: {column name: `Tensor`}.
    features: {feature key: `Tensor` or composite tensor}.
  """
  # By tensor and not by operation: those that contrib annotated are outputs of
  # one operation, the parser.
  key_of_tensor = tensor_names(features)

  def keys_of(column):
    read = {column.name}.union(
      source.name
      for op in graph_walks.ancestors([column], end=key_of_tensor)
      for source in op.inputs
    )
    return {key_of_tensor[name] for name in read & set(key_of_tensor)}

  return {name: keys_of(tensor) for name, tensor in columns.items()}


def _parts(feature):
  return tf.nest.flatten(feature, expand_composites=True)
