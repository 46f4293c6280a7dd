"""The annotations of a graph: `annotate` writes them, `find` reads them.

They are in collections and in a signature. Both hold the same tensors, and
either may be missing from a SavedModel: tools drop collections, and contrib
wrote no signature. Whatever is there must be whole and must agree.
"""

import collections
import json

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import annotation_error
from tf_dnn_annotations.annotations import columns as feature_columns
from tf_dnn_annotations.annotations import features as raw_features
from tf_dnn_annotations.annotations import layers
from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import tensor_infos

_CollectionNames = names.LayerAnnotationsCollectionNames

AnnotationError = annotation_error.AnnotationError


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
    RuntimeError: columns, layers or logits of the model were not found; they
      are never left out silently.
  """
  keys_read = raw_features.keys_read(
    {name: tensor for name, (_, tensor) in recorder.columns.items()}, features
  )
  # Only features that some column reads are annotated: a weight or a forwarded
  # key is not an input of the network.
  used = {
    key: feature
    for key, feature in features.items()
    if any(key in keys for keys in keys_read.values())
  }
  outputs = {}
  for key, feature in used.items():
    _add_to_collections(_CollectionNames.UNPROCESSED_FEATURES, key, feature)
    outputs.update(
      raw_features.components(
        f'{names.UNPROCESSED_FEATURES_OUTPUT}/{key}', feature
      )
    )
  for name, (column, tensor) in recorder.columns.items():
    _add_to_collections(_CollectionNames.PROCESSED_FEATURES, name, tensor)
    tf.add_to_collection(
      _CollectionNames.FEATURE_COLUMNS,
      json.dumps(
        feature_columns.describe(column, keys_read[name]), ensure_ascii=False
      ),
    )
    outputs[f'{names.PROCESSED_FEATURES_OUTPUT}/{name}'] = tensor
  hidden_layers, logits = layers.find(
    graph.get_operations()[num_operations:],
    [tensor for _, tensor in recorder.columns.values()],
  )
  for i, pre_activation in enumerate(hidden_layers):
    outputs[f'{names.HIDDEN_LAYERS_OUTPUT}/{i}'] = pre_activation
  outputs[names.LOGITS_OUTPUT] = logits
  return outputs


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
    descriptions: {column name: dict, as `columns.describe` returned it}; made
      from the graph where the writer left none.
    hidden_layers: list of the layers' pre-activations, input side first.
    logits: `Tensor` [batch, logits_dimension].
    is_signed: whether they have a signature; without one, contrib wrote them.
  """

  __slots__ = ()


def find(graph, signature_def=None):
  """Returns the annotations of a loaded graph, or None if it has none.

  Args:
    graph: the `tf.Graph`.
    signature_def: its signature `layer_annotations`, None if it has none. The
      layers are then found by the names of the canned DNN's ops.

  Raises:
    AnnotationError: they are broken, or the collections contradict the
      signature.
  """
  columns = _read_collections(graph, _CollectionNames.PROCESSED_FEATURES)
  respelled = _read_collections(graph, names.PROCESSED_FEATURES_RESPELLED)
  if columns and respelled:
    _check_same(
      'column',
      columns,
      respelled,
      _CollectionNames.PROCESSED_FEATURES,
      names.PROCESSED_FEATURES_RESPELLED,
    )
  columns = columns or respelled
  features = _read_collections(graph, _CollectionNames.UNPROCESSED_FEATURES)
  if signature_def is None:
    if not columns:
      return None
    try:
      hidden_layers, logits = layers.find(
        graph.get_operations(), columns.values()
      )
    except RuntimeError as error:
      raise AnnotationError(str(error).rstrip('.')) from error
  else:
    outputs = tensor_infos.outputs(graph, names.SIGNATURE, signature_def)
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
  # In the model's order, which is that of the names. The outputs of a signature
  # have no order, and contrib's collections that of a dict in Python 2.
  columns = dict(sorted(columns.items()))
  return Found(
    columns,
    features,
    _descriptions(graph, columns, features, signature_def is not None),
    hidden_layers,
    logits,
    signature_def is not None,
  )


def _add_to_collections(collection_name, key, tensor):
  """Adds a key and its tensor to a pair of collections."""
  tf.add_to_collection(_CollectionNames.keys(collection_name), key)
  tf.add_to_collection(
    _CollectionNames.values(collection_name), tensor_infos.packed(tensor)
  )


def _read_collections(graph, collection_name):
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
    key: tensor_infos.tensor_of(
      graph,
      f'{key!r} in {collection_name!r}',
      tensor_infos.unpacked(key, value),
    )
    for key, value in zip(keys, values)
  }


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
  found = _outputs(outputs, names.HIDDEN_LAYERS_OUTPUT)
  wanted = [str(i) for i in range(len(found))]
  if set(found) != set(wanted):
    raise AnnotationError(
      f'the hidden layers must be numbered {wanted}, and are {sorted(found)}'
    )
  return [found[i] for i in wanted]


def _agreed(kind, collected, outputs):
  """Returns {name: tensor} of two sources, either of which may have none."""
  if collected and outputs:
    parts = {}
    for key, tensor in collected.items():
      parts.update(raw_features.components(key, tensor))
    _check_same(kind, parts, outputs, 'collections', names.SIGNATURE)
  return collected or raw_features.of_components(outputs)


def _check_same(kind, first, second, first_source, second_source):
  """Raises `AnnotationError` unless two dicts have the same tensors."""
  if set(first) != set(second):
    raise AnnotationError(
      f'the {kind}s are {sorted(first)} in {first_source!r}, and '
      f'{sorted(second)} in {second_source!r}'
    )
  for name, tensor in first.items():
    one, other = map(tensor_infos.name_of, (tensor, second[name]))
    if one != other:
      raise AnnotationError(
        f'the {kind} {name!r} is {one!r} in {first_source!r}, and {other!r} in '
        f'{second_source!r}'
      )


def _descriptions(graph, columns, features, is_signed):
  """Returns {column name: its description}."""
  descriptions = {}
  for item in graph.get_collection(_CollectionNames.FEATURE_COLUMNS):
    description = feature_columns.parse(item)
    if description is None:
      if is_signed:
        raise AnnotationError(
          f'{item!r:.80} in {_CollectionNames.FEATURE_COLUMNS!r} is not JSON'
        )
      continue  # A pickle, from contrib.
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
  keys_read = raw_features.keys_read(columns, features)
  for name, tensor in columns.items():
    if name not in descriptions:
      width = tensor.shape.as_list()[-1] if tensor.shape.rank else None
      descriptions[name] = {
        'name': name,
        'class_name': None,
        'feature_keys': sorted(keys_read[name]),
        'width': width,
        'config': None,
      }
  return descriptions
