"""Serialized tf.Examples: where a graph receives them, and what they need."""

import re

from google.protobuf import message
import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.saved_models import feature_arrays
from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import row_errors

# Errors that a bad example raises. TensorFlow quotes bytes that it cannot
# parse, which Python then may not be able to decode.
ROW_ERRORS = (
  tf.errors.InvalidArgumentError,
  tf.errors.DataLossError,
  UnicodeDecodeError,
)

_REMEDY = (
  '. Check the example against the features of the model (the command inspect '
  'lists them).'
)

_PARSE_OPS = ('ParseExample', 'ParseExampleV2')
# Operations that call functions; tf.map_fn is such a loop.
_CALLS = {
  'If',
  'PartitionedCall',
  'StatefulPartitionedCall',
  'StatelessIf',
  'StatelessWhile',
  'While',
}


def find(features):
  """Finds where a graph receives serialized tf.Examples, as it is served.

  Args:
    features: {feature key: `Tensor` or `SparseTensor`}.

  Returns:
    (string `Tensor` to feed, list of the `tf.Operation`s that parse a batch of
    it); (None, []) where features are received as they are, or from several
    placeholders.
  """
  tensors = [
    tensor
    for feature in features.values()
    for tensor in tf.nest.flatten(feature, expand_composites=True)
  ]
  behind = graph_walks.ancestors(tensors)
  parsers = [op for op in behind if op.type in _PARSE_OPS]
  inputs = [_source(op.inputs[0]) for op in parsers]
  candidates = list({tensor.name: tensor for tensor in inputs}.values())
  # What is parsed once, whatever it is made of, holds tf.Examples; otherwise
  # what is received may.
  if len(candidates) != 1 or _placeholders(
    graph_walks.ancestors(tensors, end=_outputs(candidates[0]))
  ):
    candidates = _placeholders(behind)
  if len(candidates) != 1 or not _has_parser(behind):
    return None, []
  (serialized,) = candidates
  # A feature may be received as it is, and parsed into another.
  if (
    serialized.dtype != tf.string
    or serialized.shape.rank not in (None, 1)
    or any(_source(tensor) is serialized for tensor in tensors)
  ):
    return None, []
  return serialized, parsers


def _outputs(tensor):
  return {output.name for output in tensor.op.outputs}


def _placeholders(operations):
  return [op.outputs[0] for op in operations if op.type == 'Placeholder']


def _source(tensor):
  while tensor.op.type == 'Identity':
    tensor = tensor.op.inputs[0]
  return tensor


def _has_parser(operations):
  """Whether tf.Examples are parsed, in a function of the graph perhaps."""
  types = {op.type for op in operations}
  if types & _CALLS:
    library = operations[0].graph.as_graph_def().library
    types |= {node.op for f in library.function for node in f.node_def}
  return bool(types & {*_PARSE_OPS, 'ParseSingleExample'})


def parsed_features(parsers, run_fn):
  """Returns {key: `feature_values.Feature`} of what is parsed of an example.

  Args:
    parsers: list of `tf.Operation`, as `find` returns.
    run_fn: function of a list of `Tensor`s that depend on no input; returns
      their values.
  """
  features = {}
  for op in parsers:
    sparse_keys, ragged_keys, dense_keys = (
      [tf.compat.as_str(key) for key in keys] for keys in _keys(op, run_fn)
    )
    dtypes = list(op.get_attr('sparse_types'))
    if ragged_keys:
      dtypes += op.get_attr('ragged_value_types')
    for key, dtype in zip(sparse_keys + ragged_keys, dtypes):
      dtype = tf.as_dtype(dtype)
      features[key] = feature_values.Feature(key, dtype, None, True)
    for key, dtype, shape in zip(
      dense_keys, op.get_attr('Tdense'), op.get_attr('dense_shapes')
    ):
      shape = tf.TensorShape(shape)
      features[key] = feature_values.Feature(
        key,
        tf.as_dtype(dtype),
        shape.as_list() if shape.rank is not None else None,
        False,
      )
  return dict(sorted(features.items()))


def required_keys(parsers, run_fn):
  """Returns the keys that an example must have: dense, without a default.

  Args:
    parsers, run_fn: as for `parsed_features`.
  """
  required = set()
  for op in parsers:
    _, _, dense_keys = _keys(op, run_fn)
    num_dense = len(dense_keys)
    defaults = list(op.inputs)[-num_dense:] if num_dense else []
    for key, default in zip(dense_keys, run_fn(defaults)):
      # An empty tensor means that there is no default.
      if not np.size(default):
        required.add(tf.compat.as_str(key))
  return required


def unread_keys(parsers, features, run_fn):
  """Returns the keys of what is parsed, but not read by a model.

  Args:
    parsers, run_fn: as for `parsed_features`.
    features: {feature key: `Tensor` or `SparseTensor`}, what the model reads.
  """
  tensors = [
    tensor
    for feature in features.values()
    for tensor in tf.nest.flatten(feature, expand_composites=True)
  ]
  reading, read = set(graph_walks.ancestors(tensors)), set()
  results = {tensor.name for tensor in tensors}
  parsed = set()
  for op in parsers:
    sparse_keys, ragged_keys, dense_keys = _keys(op, run_fn)
    # The outputs: three for the sparse ones, one kind after the other; then the
    # dense ones; then two for the ragged ones.
    keys = 3 * list(sparse_keys) + list(dense_keys) + 2 * list(ragged_keys)
    for key, output in zip(keys, op.outputs):
      key = tf.compat.as_str(key)
      parsed.add(key)
      if output.name in results or reading & set(output.consumers()):
        read.add(key)
  return parsed - read


def _keys(op, run_fn):
  """Returns the arrays (sparse, ragged, dense) of the keys of a parser."""
  inputs = list(op.inputs)
  if op.type == 'ParseExampleV2':  # serialized, names, keys of the kinds
    sparse, dense, ragged = run_fn(inputs[2:5])
    return sparse, ragged, dense
  last_sparse = 2 + op.get_attr('Nsparse')
  last_dense = last_sparse + op.get_attr('Ndense')
  return (
    run_fn(inputs[2:last_sparse]),
    [],
    run_fn(inputs[last_sparse:last_dense]),
  )


def parsing_spec(feature):
  """Returns how a feature of a model of raw features stands in a tf.Example."""
  is_integer = feature.dtype.is_integer or feature.dtype == tf.bool
  dtype = tf.int64 if is_integer else feature.dtype
  dtype = tf.float32 if feature.dtype.is_floating else dtype
  if feature.is_sparse:
    return tf.io.VarLenFeature(dtype)
  if feature.shape == [None]:
    # Any number of values, which the shorter examples are filled up to.
    padding = feature_arrays.PADDING.get(dtype, -1)
    return tf.io.FixedLenSequenceFeature([], dtype, True, padding)
  if feature.shape is None or None in feature.shape:
    raise ValueError(
      f'feature {feature.key!r} has the shape {feature.shape} in this model of '
      'raw features, which is not known well enough to parse tf.Examples. Give '
      'raw features, as a dict of arrays.'
    )
  return tf.io.FixedLenFeature(feature.shape, dtype)


def check_parse(examples):
  """Raises `RowError` at the first of a list of bytes that is not a tf.Example.

  For TensorFlow 1, which ends the process where its message quotes bytes that
  are not UTF-8, so that it must not see them.
  """
  if not tf.__version__.startswith('1.'):
    return
  for row, example in enumerate(examples):
    parsed(example, row)


def parsed(example, row):
  """Returns the `tf.train.Example` of bytes; raises `RowError` of their row."""
  try:
    return tf.train.Example.FromString(example)
  except message.DecodeError as error:
    raise row_errors.RowError(
      row, 'Could not parse example input' + _REMEDY
    ) from error


def reason(error):
  """Returns the message of a TensorFlow error, without its stack trace."""
  text = getattr(error, 'message', 'Could not parse example input')
  lines = text.strip().splitlines()
  lines = [line.strip() for line in lines if line.strip()]
  skipped = ('Graph execution error', 'Detected at', 'File ', 'Node:', '[[')
  lines = [line for line in lines if not line.startswith(skipped)]
  text = lines[0] if lines else str(error)
  # Examples have no names here, and the index is that in a batch of our own
  # making.
  text = text.replace('Name: <unknown>, ', '')
  text = re.sub(r', Index: \d+\. +', ': ', text)
  return text.rstrip('.') + _REMEDY
