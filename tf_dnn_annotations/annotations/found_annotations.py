"""The annotations of a loaded graph, as the writer's collections and signature.

Both hold the same, and either may be missing: tools drop collections, and
contrib wrote no signature. What is there has to be whole and to agree.
"""

import collections
import json

from google.protobuf import any_pb2
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import recorder

_CollectionNames = names.LayerAnnotationsCollectionNames

# How deep the JSON of a column may be nested: a crossed column of a user's own
# columns has some twenty levels.
_MAX_DEPTH = 100

# The fields of a column's JSON, and the types of their values.
_FIELDS = {
  'name': str,
  'class_name': str,
  'feature_keys': list,
  'width': int,
  'config': (dict, type(None)),
}


class AnnotationError(ValueError):
  """Annotations that are broken, or contradict each other or the graph."""


class Found(
  collections.namedtuple(
    'Found',
    [
      'columns',
      'features',
      'descriptions',
      'hidden_layers',
      'logits',
      'is_signed',
    ],
  )
):
  """The annotations of a graph.

  Attributes:
    columns: {column name: `Tensor` [batch, width]}, in the model's order.
    features: {feature key: `Tensor` or `SparseTensor`}.
    descriptions: {column name: what `annotations.column_description` returned};
      made from the graph where the writer left none.
    hidden_layers: list of the layers' pre-activations, input side first.
    logits: `Tensor` [batch, logits_dimension].
    is_signed: whether they have a signature; without, contrib wrote them.
  """

  __slots__ = ()


def find(graph, signature_def=None):
  """Returns the annotations of a loaded graph, or None if it has none.

  Args:
    graph: the `tf.Graph`.
    signature_def: its signature `layer_annotations`, if it has that one.
      Without it, the layers are found by the names of the canned DNN's ops.

  Raises:
    AnnotationError: they are broken, or the collections contradict the
      signature.
  """
  columns = _read_annotations(graph, _CollectionNames.PROCESSED_FEATURES)
  respelled = _read_annotations(graph, names.PROCESSED_FEATURES_RESPELLED)
  if columns and respelled:
    _check_same(
      'column',
      columns,
      respelled,
      _CollectionNames.PROCESSED_FEATURES,
      names.PROCESSED_FEATURES_RESPELLED,
    )
  columns = columns or respelled
  features = _read_annotations(graph, _CollectionNames.UNPROCESSED_FEATURES)
  if signature_def is None:
    if not columns:
      return None
    try:
      hidden_layers, logits = recorder.find_layers(
        graph.get_operations(), columns.values()
      )
    except RuntimeError as error:
      raise AnnotationError(str(error).rstrip('.')) from error
  else:
    outputs = tensors_of_signature(graph, names.SIGNATURE, signature_def)
    columns = _agreed(
      'column', columns, _outputs(outputs, names.PROCESSED_FEATURES_OUTPUT)
    )
    features = _agreed(
      'feature',
      features,
      _outputs(outputs, names.UNPROCESSED_FEATURES_OUTPUT),
    )
    if not columns:
      raise AnnotationError(
        f'the signature {names.SIGNATURE!r} has no columns among its outputs '
        f'{sorted(outputs)}'
      )
    hidden_layers = _hidden_layers(outputs)
    logits = outputs.get(names.LOGITS_OUTPUT)
    if not isinstance(logits, tf.Tensor):
      raise AnnotationError(
        f'the signature {names.SIGNATURE!r} has no output '
        f'{names.LOGITS_OUTPUT!r}, only {sorted(outputs)}'
      )
  # In the model's order, which is the names'. A signature's outputs have none,
  # and contrib's collections have that of a dict, which Python 2 gave none.
  columns = dict(sorted(columns.items()))
  return Found(
    columns,
    features,
    _descriptions(graph, columns, features, signature_def is not None),
    hidden_layers,
    logits,
    signature_def is not None,
  )


def tensors_of_signature(graph, name, signature_def):
  """Returns {name of an output: its tensor} of a signature.

  Raises:
    AnnotationError: a tensor is not in the graph.
  """
  return {
    key: _tensor(graph, f'the output {key!r} of the signature {name!r}', info)
    for key, info in sorted(signature_def.outputs.items())
  }


def assets(meta_graph):
  """Returns {name of a tensor of a file's name: file among the assets}.

  Args:
    meta_graph: `MetaGraphDef`.
  """
  files = list(meta_graph.asset_file_def)
  collection_defs = meta_graph.collection_def
  # Where builders of TensorFlow 1 put them.
  if 'saved_model_assets' in collection_defs:
    for packed in collection_defs['saved_model_assets'].any_list.value:
      files.append(
        _unpacked('saved_model_assets', packed, meta_graph_pb2.AssetFileDef)
      )
  return {file.tensor_info.name: file.filename for file in files}


def name_of(tensor):
  """Returns the name of a tensor, of a sparse one those of its components."""
  if isinstance(tensor, tf.Tensor):
    return tensor.name
  parts = tf.nest.flatten(tensor, expand_composites=True)
  return ', '.join(part.name for part in parts)


def _tensor(graph, what, info):
  """Returns the tensor of `graph` that a `TensorInfo` names.

  Args:
    graph: the `tf.Graph`.
    what: str, whose tensor that is.
    info: the `TensorInfo`.
  """
  try:
    tensor = tf.saved_model.get_tensor_from_tensor_info(info, graph)
    dtype = tf.as_dtype(info.dtype)
  except Exception as error:
    raise AnnotationError(f'{what} names a tensor not in the graph') from error
  if tensor.dtype.base_dtype != dtype.base_dtype:
    raise AnnotationError(
      f'{what} is said to be of {dtype.name}, but {name_of(tensor)!r} is of '
      f'{tensor.dtype.name}'
    )
  shape = tf.TensorShape(info.tensor_shape)
  if isinstance(tensor, tf.Tensor) and not tensor.shape.is_compatible_with(
    shape
  ):
    raise AnnotationError(
      f'{what} is said to have the shape {shape}, but {tensor.name!r} has '
      f'{tensor.shape}'
    )
  return tensor


def _read_annotations(graph, collection_name):
  """Returns {key: tensor} of a pair of collections."""
  keys_name = _CollectionNames.keys(collection_name)
  keys = [_text(keys_name, key) for key in graph.get_collection(keys_name)]
  values = graph.get_collection(_CollectionNames.values(collection_name))
  if len(keys) != len(values) or len(keys) != len(set(keys)):
    raise AnnotationError(
      f'the collections {collection_name!r} have {len(values)} values for the '
      f'keys {keys}'
    )
  return {
    key: _tensor(
      graph,
      f'{key!r} in {collection_name!r}',
      _unpacked(key, packed, meta_graph_pb2.TensorInfo),
    )
    for key, packed in zip(keys, values)
  }


def _unpacked(key, packed, message_class):
  """Returns the message that an `Any`, the value of a key, holds."""
  unpacked = message_class()
  try:
    is_right = isinstance(packed, any_pb2.Any) and packed.Unpack(unpacked)
  except Exception:  # Of bytes that are not a message; the class varies.
    is_right = False
  if not is_right:
    raise AnnotationError(
      f'the value of {key!r} is {type(packed).__name__} without '
      f'{message_class.__name__}'
    )
  return unpacked


def _text(what, item):
  if isinstance(item, bytes):
    try:
      return item.decode('utf-8')
    except UnicodeDecodeError as error:
      raise AnnotationError(f'{item!r:.80} in {what!r} is not UTF-8') from error
  if not isinstance(item, str):
    raise AnnotationError(f'{item!r:.80} in {what!r} is not text')
  return item


def _outputs(outputs, kind):
  """Returns the outputs '<kind>/<name>' of the signature, as {name: tensor}."""
  prefix = kind + '/'
  return {
    name[len(prefix) :]: tensor
    for name, tensor in outputs.items()
    if name.startswith(prefix)
  }


def _hidden_layers(outputs):
  layers = _outputs(outputs, names.HIDDEN_LAYERS_OUTPUT)
  wanted = [str(i) for i in range(len(layers))]
  if set(layers) != set(wanted):
    raise AnnotationError(
      f'the hidden layers must be numbered {wanted}, and are {sorted(layers)}'
    )
  return [layers[i] for i in wanted]


def _sparse_again(components):
  """Returns {feature key: tensor} with sparse features put together."""
  features, suffixes = {}, ['/' + c for c in names.SPARSE_COMPONENTS]
  for name, tensor in components.items():
    key = name.rpartition('/')[0]
    parts = [components.get(key + suffix) for suffix in suffixes]
    if all(part is not None for part in parts):
      try:
        features[key] = tf.SparseTensor(*parts)
      except (TypeError, ValueError) as error:
        raise AnnotationError(
          f'the parts of the sparse feature {key!r} do not fit together'
        ) from error
    else:
      features[name] = tensor
  return features


def _agreed(kind, collected, outputs):
  """Returns {name: tensor} of two sources, either of which may have none."""
  if collected and outputs:
    parts = {}
    for key, tensor in collected.items():
      parts.update(recorder.components(key, tensor))
    _check_same(kind, parts, outputs, 'collections', names.SIGNATURE)
  return collected or _sparse_again(outputs)


def _check_same(kind, first, second, first_source, second_source):
  """Raises `AnnotationError` unless two dicts have the same tensors."""
  if set(first) != set(second):
    raise AnnotationError(
      f'the {kind}s are {sorted(first)} in {first_source!r}, and '
      f'{sorted(second)} in {second_source!r}'
    )
  for name, tensor in first.items():
    if name_of(tensor) != name_of(second[name]):
      raise AnnotationError(
        f'the {kind} {name!r} is {name_of(tensor)!r} in {first_source!r}, and '
        f'{name_of(second[name])!r} in {second_source!r}'
      )


def _descriptions(graph, columns, features, is_signed):
  """Returns {column name: its description}."""
  items = graph.get_collection(_CollectionNames.FEATURE_COLUMNS)
  descriptions = {}
  for item in items:
    description = _description(item)
    if description is None:
      if is_signed:
        raise AnnotationError(
          f'{item!r:.80} in {_CollectionNames.FEATURE_COLUMNS!r} is not JSON'
        )
      continue  # A pickle, from contrib. Never loaded: it could run anything.
    if description['name'] in descriptions:
      raise AnnotationError(
        f'the column {description["name"]!r} is described twice'
      )
    descriptions[description['name']] = description
  if descriptions and set(descriptions) != set(columns):
    raise AnnotationError(
      f'the columns {sorted(descriptions)} are described, and '
      f'{sorted(columns)} are annotated'
    )
  feature_keys = recorder.feature_keys_of_columns(columns, features)
  for name, tensor in columns.items():
    if name not in descriptions:
      width = tensor.shape.as_list()[-1] if tensor.shape.rank else None
      descriptions[name] = {
        'name': name,
        'class_name': None,
        'feature_keys': sorted(feature_keys[name]),
        'width': width,
        'config': None,
      }
  return descriptions


def _description(item):
  """Returns the JSON object of a column, None if `item` is not JSON."""
  try:
    description = json.loads(tf.compat.as_text(item))
  except RecursionError as error:
    raise AnnotationError(
      f'the JSON of a column is nested deeper than {_MAX_DEPTH} levels'
    ) from error
  except (ValueError, TypeError):
    return None
  if not isinstance(description, dict):
    raise AnnotationError(
      f'the JSON of a column is a {type(description).__name__} and not an '
      'object'
    )
  for field, types in _FIELDS.items():
    value = description.get(field)
    is_right = field in description and isinstance(value, types)
    if not is_right or isinstance(value, bool):
      raise AnnotationError(
        f'the JSON of the column {description.get("name")!r:.80} has '
        f'{value!r:.80} for {field!r}'
      )
  if not all(isinstance(key, str) for key in description['feature_keys']):
    raise AnnotationError(
      f'the JSON of the column {description["name"]!r:.80} has feature keys '
      'that are not text'
    )
  _check_depth(description)
  return description


def _check_depth(value):
  level = [value]
  for _ in range(_MAX_DEPTH):
    level = [
      inner
      for outer in level
      for inner in (outer.values() if isinstance(outer, dict) else outer)
      if isinstance(inner, (dict, list))
    ]
    if not level:
      return
  raise AnnotationError(
    f'the JSON of a column is nested deeper than {_MAX_DEPTH} levels'
  )
