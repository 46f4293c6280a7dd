"""Records in a graph the tensors of each feature and each feature column.

A column is recorded by a double of it whose class is a subclass of its own: the
double lets the original compute its dense tensor and notes the result. Nothing
in TensorFlow is patched, so v1 and v2 columns and columns of a user's own class
are all recorded, and nothing outlives the graph.
"""

import json
import math
import re
import types

from google.protobuf import any_pb2
import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import names

_CollectionNames = names.LayerAnnotationsCollectionNames

# Hidden layer i of the canned DNN adds its bias in an op of this name.
_HIDDEN_LAYER_OP = re.compile(r'(?:^|/)hiddenlayer_(\d+)(?:_\d+)?/BiasAdd$')
_LOGITS_OP = re.compile(r'(?:^|/)logits(?:_\d+)?/BiasAdd$')


class Recorder(object):
  """Records the columns of one model while its graph is built.

  Attributes:
    columns: dict of column name to (column, its [batch, width] tensor), in the
      order in which the model lays the columns side by side.
  """

  def __init__(self):
    self.columns = {}

  def recorded(self, column):
    """Returns a double of `column` that reports its dense tensor to this.

    Args:
      column: a feature column. What is no dense column is returned as it is:
        the model refuses it with a message of its own.
    """
    # A v2 column has both methods; which one is called depends on whether
    # every column of the model is v2.
    method_names = [
      name
      for name in ('get_dense_tensor', '_get_dense_tensor')
      if callable(getattr(column, name, None))
    ]
    if not method_names:
      return column
    cls = type(column)
    attributes = {
      name: self._recording_method(getattr(column, name), column)
      for name in method_names
    }
    if callable(getattr(column, 'create_state', None)):
      attributes['create_state'] = lambda _, *args: column.create_state(*args)
    # Without __slots__ the double of a column that has no __dict__ would have
    # one.
    attributes['__slots__'] = ()
    attributes['__module__'] = cls.__module__
    return _double(column, type(cls)(cls.__name__, (cls,), attributes))

  def _recording_method(self, original_method, column):
    # Bound to the original: variables are kept by column, and another column
    # that shares them knows the original only.
    def get_dense_tensor(_, *args, **kwargs):
      # A call with arguments that the column does not take raises here,
      # before anything is recorded: DenseFeatures tries `training` so.
      tensor = original_method(*args, **kwargs)
      # The reshape isolates the column: its tensor is the only output of an
      # op of its own, so that it can be fed, or cut at, without touching what
      # else reads the feature.
      tensor = tf.reshape(
        tensor, [-1, column_width(column)], name='layer_annotation'
      )
      self.columns[column.name] = (column, tensor)
      return tensor

    return get_dense_tensor


def _double(column, cls):
  """Returns an object of `cls` with the attributes of `column`.

  Calls nothing of a user's own: __new__ can take fewer arguments than a tuple
  has fields, and __setattr__ can refuse, as that of a frozen dataclass does.

  Args:
    column: a feature column.
    cls: a subclass of its class.
  """
  if isinstance(column, tuple):  # As every column of TensorFlow.
    double = tuple.__new__(cls, column)
  else:
    double = object.__new__(cls)
  if hasattr(column, '__dict__'):
    # The same dict: what one of them sets while the model is built, the other
    # has too.
    object.__setattr__(double, '__dict__', column.__dict__)
  for owner in type(column).__mro__:
    for slot in vars(owner).values():
      if isinstance(slot, types.MemberDescriptorType):
        try:
          slot.__set__(double, slot.__get__(column))
        except AttributeError:
          continue  # Not set.
  return double


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


def annotate(graph, recorder, features, num_operations):
  """Writes the annotations of a model that was just built in `graph`.

  Args:
    graph: the `tf.Graph` of the model.
    recorder: the `Recorder` of its columns.
    features: dict of feature key to the isolated tensor that the model reads.
    num_operations: how many operations `graph` had before the model.

  Returns:
    dict of output name to `Tensor`: the outputs of the annotations' signature.

  Raises:
    RuntimeError: the model has columns, layers or logits that were not found;
      rather than that they are missing silently.
  """
  feature_keys = feature_keys_of_columns(
    {name: tensor for name, (_, tensor) in recorder.columns.items()}, features
  )
  # Only what some column reads is annotated: a weight or a forwarded key is
  # no input of the network.
  used = {
    key: feature
    for key, feature in features.items()
    if any(key in keys for keys in feature_keys.values())
  }
  outputs = {}
  for key, feature in used.items():
    _add_annotation(_CollectionNames.UNPROCESSED_FEATURES, key, feature)
    outputs.update(
      components(f'{names.UNPROCESSED_FEATURES_OUTPUT}/{key}', feature)
    )
  for name, (column, tensor) in recorder.columns.items():
    _add_annotation(_CollectionNames.PROCESSED_FEATURES, name, tensor)
    tf.add_to_collection(
      _CollectionNames.FEATURE_COLUMNS,
      json.dumps(
        column_description(column, feature_keys[name]), ensure_ascii=False
      ),
    )
    outputs[f'{names.PROCESSED_FEATURES_OUTPUT}/{name}'] = tensor
  hidden_layers, logits = find_layers(
    graph.get_operations()[num_operations:],
    [tensor for _, tensor in recorder.columns.values()],
  )
  for i, pre_activation in enumerate(hidden_layers):
    outputs[f'{names.HIDDEN_LAYERS_OUTPUT}/{i}'] = pre_activation
  outputs[names.LOGITS_OUTPUT] = logits
  return outputs


def find_layers(operations, columns):
  """Returns the layers of the canned DNN model among `operations`.

  Args:
    operations: iterable of `tf.Operation`.
    columns: iterable of the columns' `Tensor`s. Only what is computed from
      them is a layer of the DNN: a column or an input function can have a small
      network of its own, with layers of the same names.

  Returns:
    (hidden_layers, logits): the list of the hidden layers' pre-activations
    [batch, units], input side first, and the [batch, logits_dimension] tensor
    of the logits, in log-odds for a classifier.

  Raises:
    RuntimeError: there are no such operations, or several for a layer.
  """
  hidden_layers, logits = {}, []
  from_columns = _operations_after(columns)
  for operation in operations:
    if operation.name not in from_columns:
      continue
    match = _HIDDEN_LAYER_OP.search(operation.name)
    if match:
      hidden_layers.setdefault(int(match.group(1)), []).append(operation)
    elif _LOGITS_OP.search(operation.name):
      logits.append(operation)
  layers = [hidden_layers.get(i, []) for i in range(len(hidden_layers))]
  if any(len(layer) != 1 for layer in layers + [logits]):
    raise RuntimeError(
      'The layers of the DNN were not found in the graph; got '
      f'{[op.name for layer in layers + [logits] for op in layer]}. The '
      'operations hiddenlayer_<i>/BiasAdd and logits/BiasAdd of one canned DNN '
      'model must be there.'
    )
  return [layer[0].outputs[0] for layer in layers], logits[0].outputs[0]


def _operations_after(tensors):
  """Returns the names of the operations that are computed from tensors.

  By what consumes what: TensorFlow 1 puts inputs between the operations of a
  branch and what they read, so that some come after their operation.
  """
  found, stack = set(), list(tensors)
  while stack:
    for operation in stack.pop().consumers():
      if operation.name not in found:
        found.add(operation.name)
        stack += operation.outputs
  return found


def column_width(column):
  """Returns the number of elements that `column` gives an example."""
  # Columns of the classes before TF 1.13 have the underscored name alone.
  shape = getattr(column, 'variable_shape', None)
  if shape is None:
    shape = column._variable_shape
  return tf.TensorShape(shape).num_elements()


def column_description(column, feature_keys):
  """Returns what the wire contract says of a column, as a JSON object.

  Args:
    column: a feature column.
    feature_keys: the keys of the features that it reads.
  """
  return {
    'name': column.name,
    'class_name': type(column).__name__,
    'feature_keys': sorted(feature_keys),
    'width': column_width(column),
    'config': _json_value(_config(column)),
  }


def _add_annotation(collection_name, key, tensor):
  packed = any_pb2.Any()
  packed.Pack(tf.saved_model.build_tensor_info(tensor))
  tf.add_to_collection(_CollectionNames.keys(collection_name), key)
  tf.add_to_collection(_CollectionNames.values(collection_name), packed)


def components(name, feature):
  """Returns {output name: tensor} of a feature's component tensors."""
  if isinstance(feature, tf.SparseTensor):
    return {
      f'{name}/{component}': getattr(feature, component)
      for component in names.SPARSE_COMPONENTS
    }
  if isinstance(feature, tf.Tensor):
    return {name: feature}
  return {
    f'{name}/component_{i}': tensor
    for i, tensor in enumerate(tf.nest.flatten(feature, expand_composites=True))
  }


def feature_keys_of_columns(columns, features):
  """Returns {column name: set of the keys of the features it reads}.

  Read off the graph, since a user's own column need not declare them.

  Args:
    columns: {column name: `Tensor`}.
    features: {feature key: `Tensor` or composite tensor}.
  """
  # By tensor: contrib annotated those of one parser, which is one op.
  key_of_tensor = {
    tensor.name: key
    for key, feature in features.items()
    for tensor in tf.nest.flatten(feature, expand_composites=True)
    if isinstance(tensor, tf.Tensor)
  }

  def keys_read(tensor):
    keys, seen, stack = set(), set(), [tensor]
    while stack:
      tensor = stack.pop()
      if tensor.name in key_of_tensor:
        keys.add(key_of_tensor[tensor.name])
      elif tensor.op not in seen:
        seen.add(tensor.op)
        stack.extend(tensor.op.inputs)
    return keys

  return {name: keys_read(tensor) for name, tensor in columns.items()}


def _config(value):
  """Returns the arguments that made a column or an initializer, or None."""
  try:
    # Every column of TensorFlow is a namedtuple.
    if hasattr(value, '_asdict'):
      return dict(value._asdict())
    return value.get_config()
  except Exception:  # A user's own; no config is no reason not to export.
    return None


def _json_value(value):
  """Returns the JSON form of anything that a column's arguments may hold."""
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)  # JSON has no such numbers.
  if value is None or isinstance(value, (bool, int, float, str)):
    return value
  if isinstance(value, bytes):
    return value.decode('utf-8', 'replace')
  if isinstance(value, np.generic):
    return _json_value(value.item())
  if isinstance(value, np.ndarray):
    return _json_value(value.tolist())
  if isinstance(value, tf.DType):
    return value.name
  if isinstance(value, tf.TensorShape):
    return value.as_list() if value.rank is not None else None
  if isinstance(value, dict):
    return {str(k): _json_value(v) for k, v in value.items()}
  if isinstance(value, (list, tuple)) and not hasattr(value, '_asdict'):
    return [_json_value(item) for item in value]
  config = _config(value)
  if config is not None:
    return {
      'class_name': type(value).__name__,
      'config': _json_value(config),
    }
  # A function or an object without a config: its name is what can be told.
  described = value if hasattr(value, '__qualname__') else type(value)
  return f'{described.__module__}.{described.__qualname__}'
