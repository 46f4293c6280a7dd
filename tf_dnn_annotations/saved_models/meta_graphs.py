"""The names in a MetaGraphDef: of tensors, assets, and what loading runs."""

from google.protobuf import message
from tensorflow.core.protobuf import meta_graph_pb2

# Signature of the operation that loading runs; older ones are in collections.
INIT_SIGNATURE = '__saved_model_init_op'
_INIT_COLLECTIONS = ('saved_model_main_op', 'legacy_init_op')
_ASSETS_COLLECTION = 'saved_model_assets'


def init_operations(meta_graph):
  """Returns the names of the operations that loading runs."""
  found = []
  if INIT_SIGNATURE in meta_graph.signature_def:
    for info in meta_graph.signature_def[INIT_SIGNATURE].outputs.values():
      found += tensor_names(info)
  for name in _INIT_COLLECTIONS:
    if name in meta_graph.collection_def:
      found += meta_graph.collection_def[name].node_list.value
  return found


def tensor_names(info):
  """Returns the names of the tensors of a `TensorInfo`."""
  kind = info.WhichOneof('encoding')
  if kind == 'coo_sparse':
    sparse = info.coo_sparse
    return [
      sparse.values_tensor_name,
      sparse.indices_tensor_name,
      sparse.dense_shape_tensor_name,
    ]
  if kind == 'composite_tensor':
    return [
      name
      for component in info.composite_tensor.components
      for name in tensor_names(component)
    ]
  return [info.name]


def tensors_in_collection(meta_graph, name):
  """Returns the names of the tensors that a collection lists."""
  found = []
  if name in meta_graph.collection_def:
    for packed in meta_graph.collection_def[name].any_list.value:
      info = _unpacked(packed, meta_graph_pb2.TensorInfo)
      found += tensor_names(info) if info is not None else []
  return found


def assets(meta_graph):
  """Returns the list of the `AssetFileDef`s of a SavedModel."""
  found = list(meta_graph.asset_file_def)
  if not found and _ASSETS_COLLECTION in meta_graph.collection_def:
    for packed in meta_graph.collection_def[_ASSETS_COLLECTION].any_list.value:
      asset = _unpacked(packed, meta_graph_pb2.AssetFileDef)
      found += [asset] if asset is not None else []
  return found


def _unpacked(packed, cls):
  """Returns the message in an `Any`, None if it is another or damaged."""
  result = cls()
  try:
    return result if packed.Unpack(result) else None
  except message.DecodeError:
    return None
