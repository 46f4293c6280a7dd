"""Serialized tf.Examples: where a graph takes them, and what they lack."""

import tensorflow.compat.v1 as tf

from tf_dnn_annotations import feature_values

# What a bad example raises. TensorFlow quotes bytes that it cannot parse, which
# Python then may not be able to decode.
ROW_ERRORS = (
  tf.errors.InvalidArgumentError,
  tf.errors.DataLossError,
  UnicodeDecodeError,
)

_PARSE_OPS = ('ParseExample', 'ParseExampleV2')


def input_tensor(features):
  """Returns the tensor of the serialized tf.Examples, None if there is none.

  That is what the one op that parses the features takes; what else they may
  depend on is not fed.
  """
  stack = [
    tensor.op
    for feature in features.values()
    for tensor in tf.nest.flatten(feature, expand_composites=True)
  ]
  seen, serialized = set(stack), []
  while stack:
    op = stack.pop()
    if op.type in _PARSE_OPS:
      serialized.append(op.inputs[0])
      continue
    if op.type in ('Placeholder', 'PlaceholderWithDefault'):
      return None
    new = {tensor.op for tensor in op.inputs} - seen
    seen |= new
    stack.extend(new)
  return serialized[0] if len(set(map(id, serialized))) == 1 else None


def parsing_spec(feature):
  """Returns how a feature of a model of raw features stands in a tf.Example."""
  dtype = tf.int64 if feature.dtype.is_integer else feature.dtype
  dtype = tf.float32 if feature.dtype.is_floating else dtype
  if feature.is_sparse:
    return tf.io.VarLenFeature(dtype)
  if feature.shape == [None]:
    # Any number of values, which the shorter examples are filled up to.
    padding = feature_values.PADDING.get(dtype, -1)
    return tf.io.FixedLenSequenceFeature([], dtype, True, padding)
  if feature.shape is None or None in feature.shape:
    raise ValueError(
      f'feature {feature.key!r} has the shape {feature.shape} in this model of '
      'raw features, which is not known well enough to parse tf.Examples. Give '
      '`examples` as a dict of arrays.'
    )
  return tf.io.FixedLenFeature(feature.shape, dtype)


def checked(examples):
  """Returns `examples` as a list of bytes."""
  remedy = (
    'Give a list of serialized tf.Examples (bytes), or a dict of feature key '
    'to array.'
  )
  if isinstance(examples, (str, bytes)) or not hasattr(examples, '__iter__'):
    raise TypeError(
      f'`examples` must be a list; got {examples!r:.80}. {remedy}'
    )
  examples = list(examples)
  for row, example in enumerate(examples):
    if not isinstance(example, bytes):
      raise TypeError(
        f'`examples` must hold bytes; got {type(example).__name__} at row '
        f'{row}. {remedy}'
      )
  return examples


def reason(error):
  """Returns what a TensorFlow error says, without the graph's stack trace."""
  message = getattr(error, 'message', 'Could not parse example input')
  lines = message.strip().splitlines()
  lines = [line.strip() for line in lines if line.strip()]
  skipped = ('Graph execution error', 'Detected at', 'File ', 'Node:', '[[')
  lines = [line for line in lines if not line.startswith(skipped)]
  return (lines[0] if lines else str(error)).rstrip('.') + (
    '. Check the example against the features of the model (the command '
    'inspect lists them).'
  )
