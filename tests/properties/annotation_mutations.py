"""Ways to spoil what a SavedModel says of its columns, features and outputs.

A kind is a function of (`random.Random`, `SavedModel`), which returns in a few
words what it has done; `None` if there is nothing to do it to.
"""

import json

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tests.properties import byte_mutations
from tests.properties import graph_mutations
from tf_dnn_annotations.annotations import names

_NAMES = names.LayerAnnotationsCollectionNames
_COLUMNS, _FEATURES = _NAMES.PROCESSED_FEATURES, _NAMES.UNPROCESSED_FEATURES
_COLLECTIONS = [
  name_fn(name)
  for name in (_COLUMNS, _FEATURES)
  for name_fn in (_NAMES.keys, _NAMES.values)
] + [_NAMES.FEATURE_COLUMNS]


def _items(meta_graph, name):
  """Returns the list of a collection's items, whatever they are."""
  collection = meta_graph.collection_def[name]
  return getattr(collection, collection.WhichOneof('kind')).value


def _collection(rng, meta_graph, least=1):
  found = [
    name
    for name in _COLLECTIONS
    if name in meta_graph.collection_def
    and len(_items(meta_graph, name)) >= least
  ]
  return rng.choice(found) if found else None


def _exchange_items(rng, meta_graph):
  name = _collection(rng, meta_graph, 2)
  if name is None:
    return None
  items = list(_items(meta_graph, name))
  i, j = rng.sample(range(len(items)), 2)
  items[i], items[j] = items[j], items[i]
  graph_mutations.replace(_items(meta_graph, name), items)
  return f'{name}: items {i} and {j} exchanged'


def _delete_item(rng, meta_graph):
  name = _collection(rng, meta_graph)
  if name is None:
    return None
  i = rng.randrange(len(_items(meta_graph, name)))
  del _items(meta_graph, name)[i]
  return f'{name}: item {i} deleted'


def _delete_pair(rng, meta_graph):
  """Deletes a column's or a feature's name together with its value."""
  kind = rng.choice((_COLUMNS, _FEATURES))
  if _NAMES.keys(kind) not in meta_graph.collection_def:
    return None
  i = rng.randrange(len(_items(meta_graph, _NAMES.keys(kind))))
  del _items(meta_graph, _NAMES.keys(kind))[i]
  del _items(meta_graph, _NAMES.values(kind))[i]
  return f'{kind}: pair {i} deleted'


def _duplicate_item(rng, meta_graph):
  name = _collection(rng, meta_graph)
  if name is None:
    return None
  items = list(_items(meta_graph, name))
  i = rng.randrange(len(items))
  items.insert(rng.randrange(len(items) + 1), items[i])
  graph_mutations.replace(_items(meta_graph, name), items)
  return f'{name}: item {i} duplicated'


def _rename_item(rng, meta_graph):
  name = _NAMES.keys(rng.choice((_COLUMNS, _FEATURES)))
  if name not in meta_graph.collection_def:
    return None
  items = list(_items(meta_graph, name))
  i, text = rng.randrange(len(items)), rng.choice(graph_mutations.TEXTS)
  items[i] = text.encode()
  graph_mutations.replace(_items(meta_graph, name), items)
  return f'{name}: item {i} renamed {text[:20]!r}'


def _spoil_value(rng, meta_graph):
  """Changes what a collection's value, a packed TensorInfo, says."""
  name = _NAMES.values(rng.choice((_COLUMNS, _FEATURES)))
  if name not in meta_graph.collection_def:
    return None
  packed = rng.choice(list(_items(meta_graph, name)))
  what = rng.choice(('url', 'bytes', 'tensor', 'empty'))
  if what == 'url':
    packed.type_url = rng.choice(('', 'type.googleapis.com/tensorflow.NodeDef'))
  elif what == 'bytes':
    data = bytearray(packed.value)
    byte_mutations.flip_bits(rng, data)
    packed.value = bytes(data)
  elif what == 'empty':
    packed.Clear()
  else:
    return f'{name}: ' + _spoil_packed(rng, meta_graph, packed)
  return f'{name}: {what}'


def _spoil_packed(rng, meta_graph, packed):
  info = meta_graph_pb2.TensorInfo()
  packed.Unpack(info)
  description = _spoil_info(rng, meta_graph, info)
  packed.Pack(info)
  return description


def _spoil_info(rng, meta_graph, info):
  """Changes a TensorInfo; returns what is other."""
  what = rng.choice(('name', 'name', 'dtype', 'shape', 'encoding'))
  if what == 'name':
    info.name = graph_mutations.tensor_name(rng, meta_graph)
    return f'tensor is {info.name[:60]!r}'
  if what == 'dtype':
    info.dtype = rng.choice(list(types_pb2.DataType.values()))
    return f'dtype is {info.dtype}'
  if what == 'shape':
    del info.tensor_shape.dim[:]
    for _ in range(rng.randrange(4)):
      size = rng.choice((-1, 0, 1, 3, 20000, 2**40))
      info.tensor_shape.dim.add(size=size)
    return f'shape is {[d.size for d in info.tensor_shape.dim]}'
  info.coo_sparse.values_tensor_name = graph_mutations.tensor_name(
    rng, meta_graph
  )
  return 'coo_sparse'


def _delete_collection(rng, meta_graph):
  name = rng.choice(sorted(meta_graph.collection_def))
  del meta_graph.collection_def[name]
  return f'{name}: deleted'


def _retype_collection(rng, meta_graph):
  name = _collection(rng, meta_graph)
  if name is None:
    return None
  collection = meta_graph.collection_def[name]
  kind = rng.choice(
    ('bytes_list', 'node_list', 'int64_list', 'float_list', 'any_list')
  )
  collection.Clear()
  items = getattr(collection, kind).value
  if kind == 'any_list':
    items.add()
  else:
    values = {'bytes_list': b'\xff\x00', 'node_list': 'age', 'int64_list': 7}
    items.append(values.get(kind, 0.5))
  return f'{name}: is a {kind}'


def _edit_json(edit_fn):
  """Returns a kind that edits the columns' descriptions, a list of dicts."""

  def kind(rng, meta_graph):
    if _NAMES.FEATURE_COLUMNS not in meta_graph.collection_def:
      return None
    items = _items(meta_graph, _NAMES.FEATURE_COLUMNS)
    try:
      descriptions = [json.loads(item.decode()) for item in items]
    except ValueError:  # contrib's pickles.
      return None
    description = edit_fn(rng, descriptions)
    if description is not None:
      graph_mutations.replace(
        items,
        [
          d if isinstance(d, bytes) else json.dumps(d).encode()
          for d in descriptions
        ],
      )
    return description

  return kind


_FIELDS = ('name', 'class_name', 'feature_keys', 'width', 'config')


def _exchange_fields(rng, descriptions):
  one, other = rng.sample(range(len(descriptions)), 2)
  field = rng.choice(_FIELDS)
  a, b = descriptions[one], descriptions[other]
  if a[field] == b[field]:
    return None
  a[field], b[field] = b[field], a[field]
  return f'{field} of columns {one} and {other} exchanged'


_VALUES = (
  None,
  True,
  -1,
  0,
  1,
  3,
  10**9,
  1e308,
  'age',
  '',
  '\x1b[2J',
  [],
  ['age'],
  ['age', 'color'],
  [1, 2],
  [20000, 20000],
  {},
  {'name': 'age'},
  {'class_name': 7, 'config': []},
)


def _set_field(rng, descriptions):
  i, field = rng.randrange(len(descriptions)), rng.choice(_FIELDS)
  value = rng.choice(_VALUES)
  descriptions[i][field] = value
  return f'{field} of column {i} is {value!r}'


def _delete_field(rng, descriptions):
  i, field = rng.randrange(len(descriptions)), rng.choice(_FIELDS)
  del descriptions[i][field]
  return f'{field} of column {i} deleted'


def _set_config(rng, descriptions):
  """Changes one value, however deep, of what made a column."""
  i = rng.randrange(len(descriptions))
  places, stack = [], [descriptions[i]['config']]
  while stack:
    value = stack.pop()
    if isinstance(value, dict):
      keys = sorted(value)
    else:
      keys = range(len(value)) if isinstance(value, list) else ()
    for key in keys:
      places.append((value, key))
      stack.append(value[key])
  if not places:
    return None
  where, key = rng.choice(places)
  value = where[key]
  if isinstance(value, list) and len(value) > 1 and rng.random() < 0.5:
    where[key] = value[::-1]
  else:
    where[key] = rng.choice(_VALUES)
  return f'config of column {i}: {key!r} is {str(where[key])[:40]}'


def _spoil_text(rng, descriptions):
  i = rng.randrange(len(descriptions))
  texts = {
    'no JSON': b'{',
    'no text': b'\xff\xfe{}',
    'a list': b'[]',
    'a number': b'7',
    'null': b'null',
    'deep': b'[' * 5000 + b']' * 5000,
    'deep config': (
      b'{"name": "%s", "class_name": "NumericColumn", "feature_keys": ["age"],'
      b' "width": 1, "config": %s}'
    )
    % (
      descriptions[i]['name'].encode(),
      b'{"categorical_column":' * 400 + b'7' + b'}' * 400,
    ),
    'a long number': b'9' * 5000,
  }
  what = rng.choice(sorted(texts))
  descriptions[i] = texts[what]
  return f'description of column {i} is {what}'


# Signatures.


def _signature(rng, meta_graph):
  signatures = sorted(meta_graph.signature_def)
  # The two that are read are changed as often as all others.
  read = [n for n in signatures if n in ('predict', names.SIGNATURE)]
  if not signatures:
    return None
  return rng.choice(read if read and rng.random() < 0.7 else signatures)


def _infos(rng, meta_graph):
  """Returns (description, map) of a signature's inputs or outputs, or None."""
  name = _signature(rng, meta_graph)
  if name is None:
    return None
  what = rng.choice(('inputs', 'outputs', 'outputs', 'outputs'))
  infos = getattr(meta_graph.signature_def[name], what)
  return (f'{what} of {name}', infos) if infos else None


def _exchange_tensors(rng, meta_graph):
  found = _infos(rng, meta_graph)
  if found is None or len(found[1]) < 2:
    return None
  where, infos = found
  one, other = rng.sample(sorted(infos), 2)
  kept = meta_graph_pb2.TensorInfo()
  kept.CopyFrom(infos[one])
  infos[one].CopyFrom(infos[other])
  infos[other].CopyFrom(kept)
  return f'{where}: {one} and {other} exchanged'


def _spoil_tensor(rng, meta_graph):
  found = _infos(rng, meta_graph)
  if found is None:
    return None
  where, infos = found
  name = rng.choice(sorted(infos))
  return f'{where}: {name} ' + _spoil_info(rng, meta_graph, infos[name])


def _delete_tensor(rng, meta_graph):
  found = _infos(rng, meta_graph)
  if found is None:
    return None
  where, infos = found
  name = rng.choice(sorted(infos))
  del infos[name]
  return f'{where}: {name} deleted'


def _add_tensor(rng, meta_graph):
  found = _infos(rng, meta_graph)
  if found is None:
    return None
  where, infos = found
  copied = rng.choice(sorted(infos))
  prefix = rng.choice(('', 'hidden_layers/', 'processed_features/'))
  name = prefix + rng.choice(
    graph_mutations.TEXTS + ('probabilities', 'logits', '7', 'x')
  )
  infos[name].CopyFrom(infos[copied])
  return f'{where}: {copied} again as {name[:40]!r}'


def _change_signature(rng, meta_graph):
  name = _signature(rng, meta_graph)
  if name is None:
    return None
  what = rng.choice(('delete', 'rename', 'method', 'copy'))
  signatures = meta_graph.signature_def
  if what == 'delete':
    del signatures[name]
  elif what == 'method':
    signatures[name].method_name = rng.choice(graph_mutations.TEXTS)
  else:
    other = rng.choice(graph_mutations.TEXTS + ('predict', names.SIGNATURE))
    if other == name:
      return None
    signatures[other].CopyFrom(signatures[name])
    if what == 'rename':
      del signatures[name]
    return f'{name}: {what} to {other[:20]!r}'
  return f'{name}: {what}'


KINDS = {
  'collection: items exchanged': graph_mutations.of_graph(_exchange_items),
  'collection: item deleted': graph_mutations.of_graph(_delete_item),
  'collection: pair deleted': graph_mutations.of_graph(_delete_pair),
  'collection: item twice': graph_mutations.of_graph(_duplicate_item),
  'collection: item renamed': graph_mutations.of_graph(_rename_item),
  'collection: value spoilt': graph_mutations.of_graph(_spoil_value),
  'collection deleted': graph_mutations.of_graph(_delete_collection),
  'collection of another type': graph_mutations.of_graph(_retype_collection),
  'JSON: fields exchanged': graph_mutations.of_graph(
    _edit_json(_exchange_fields)
  ),
  'JSON: field set': graph_mutations.of_graph(_edit_json(_set_field)),
  'JSON: field deleted': graph_mutations.of_graph(_edit_json(_delete_field)),
  'JSON: config set': graph_mutations.of_graph(_edit_json(_set_config)),
  'JSON: text spoilt': graph_mutations.of_graph(_edit_json(_spoil_text)),
  'signature: tensors exchanged': graph_mutations.of_graph(_exchange_tensors),
  'signature: tensor spoilt': graph_mutations.of_graph(_spoil_tensor),
  'signature: tensor deleted': graph_mutations.of_graph(_delete_tensor),
  'signature: tensor added': graph_mutations.of_graph(_add_tensor),
  'signature changed': graph_mutations.of_graph(_change_signature),
}
