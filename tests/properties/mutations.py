"""Ways to spoil a SavedModel: bits of its files, and parts of its proto.

A kind is a function of (`random.Random`, what it changes), which returns in a
few words what it has done; `None` if there is nothing to do it to.
"""

import json
import os
import random

from tensorflow.core.framework import tensor_pb2
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tf_dnn_annotations import names

_NAMES = names.LayerAnnotationsCollectionNames
_COLUMNS, _FEATURES = _NAMES.PROCESSED_FEATURES, _NAMES.UNPROCESSED_FEATURES
_COLLECTIONS = [
  name_fn(name)
  for name in (_COLUMNS, _FEATURES)
  for name_fn in (_NAMES.keys, _NAMES.values)
] + [_NAMES.FEATURE_COLUMNS]
# Names and texts that a stranger might choose.
_TEXTS = (
  '',
  'age',
  'color',
  'layer_annotation',
  'x' * 5000,
  'a/b/../../c',
  '\x1b[31mred\x1b[0m\n\r',
  '=1+1',
  '\u2028\u0085',
  '\u00e9\u4e2d',
  '0',
)
_OPS = (
  'Identity',
  'StopGradient',
  'Neg',
  'Relu',
  'Tanh',
  'Floor',
  'Round',
  'Sign',
  'Softplus',
  'Square',
  'Exp',
  'Log',
  'Reciprocal',
  'ZerosLike',
  'OnesLike',
  'IsNan',
  'Shape',
  'Print',
  'PyFunc',
  'ReadFile',
  'WriteFile',
  'Add',
  'AddV2',
  'Sub',
  'Mul',
  'RealDiv',
  'Maximum',
  'MatMul',
  'RandomUniform',
  'Placeholder',
  'NoOp',
  'NoSuchOp',
)


def mutate(base_dir, seed, number):
  """Spoils a copy of a SavedModel.

  Args:
    base_dir: the copy's directory.
    seed: int.
    number: int, which of the mutants of the seed.

  Returns:
    (kind, description), both str.
  """
  rng = random.Random(f'{seed}/{number}')
  kinds = sorted(_OF_FILES) + sorted(_OF_PROTO)
  while True:
    kind = rng.choice(kinds)
    if kind in _OF_FILES:
      description = _OF_FILES[kind](rng, base_dir)
    else:
      description = _edited(rng, base_dir, _OF_PROTO[kind])
    if description is not None:
      return kind, description


# Files.


def _files(directory):
  return sorted(
    os.path.join(parent, name)
    for parent, _, names_ in os.walk(directory)
    for name in names_
  )


def _read(path):
  with open(path, 'rb') as file:
    return bytearray(file.read())


def _write(path, data):
  with open(path, 'wb') as file:
    file.write(data)


def _of_file(change_fn):
  """Returns a kind that changes the bytes of one file that has some."""

  def kind(rng, directory):
    paths = [path for path in _files(directory) if os.path.getsize(path)]
    path = rng.choice(paths)
    data = _read(path)
    description = change_fn(rng, data)
    _write(path, data)
    return f'{os.path.relpath(path, directory)}: {description}'

  return kind


def _flip_bits(rng, data):
  places = [rng.randrange(8 * len(data)) for _ in range(rng.choice((1, 1, 8)))]
  for place in places:
    data[place // 8] ^= 1 << place % 8
  return f'flipped bits {places}'


def _truncate(rng, data):
  length = rng.randrange(len(data))
  del data[length:]
  return f'cut to {length} bytes'


def _insert_bytes(rng, data):
  place = rng.randrange(len(data) + 1)
  new = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 64))))
  data[place:place] = new
  return f'inserted {len(new)} bytes at {place}'


def _delete_bytes(rng, data):
  place, length = rng.randrange(len(data)), rng.choice((1, 4, 64))
  del data[place : place + length]
  return f'deleted {length} bytes at {place}'


def _overwrite(rng, data):
  place, length = rng.randrange(len(data)), rng.choice((4, 16, 256))
  byte = rng.choice((0, 255))
  length = min(length, len(data) - place)
  data[place : place + length] = bytes([byte]) * length
  return f'{length} bytes at {place} are {byte}'


def _remove_file(rng, directory):
  path = rng.choice(_files(directory))
  os.remove(path)
  return f'removed {os.path.relpath(path, directory)}'


def _exchange_files(rng, directory):
  one, other = rng.sample(_files(directory), 2)
  data = _read(one), _read(other)
  _write(one, data[1])
  _write(other, data[0])
  return f'exchanged {os.path.basename(one)} and {os.path.basename(other)}'


_OF_FILES = {
  'bits flipped': _of_file(_flip_bits),
  'file cut': _of_file(_truncate),
  'bytes inserted': _of_file(_insert_bytes),
  'bytes deleted': _of_file(_delete_bytes),
  'bytes overwritten': _of_file(_overwrite),
  'file removed': _remove_file,
  'files exchanged': _exchange_files,
}


# The proto.


def _edited(rng, directory, edit_fn):
  path = os.path.join(directory, 'saved_model.pb')
  saved_model = saved_model_pb2.SavedModel()
  saved_model.ParseFromString(bytes(_read(path)))
  description = edit_fn(rng, saved_model)
  _write(path, saved_model.SerializeToString(deterministic=True))
  return description


def _of_graph(edit_fn):
  """Returns a kind that edits the one MetaGraphDef."""
  return lambda rng, saved_model: edit_fn(rng, saved_model.meta_graphs[0])


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


def _replace(items, new):
  new = list(new)
  del items[:]
  items.extend(new)


def _exchange_items(rng, meta_graph):
  name = _collection(rng, meta_graph, 2)
  if name is None:
    return None
  items = list(_items(meta_graph, name))
  i, j = rng.sample(range(len(items)), 2)
  items[i], items[j] = items[j], items[i]
  _replace(_items(meta_graph, name), items)
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
  _replace(_items(meta_graph, name), items)
  return f'{name}: item {i} duplicated'


def _rename_item(rng, meta_graph):
  name = _NAMES.keys(rng.choice((_COLUMNS, _FEATURES)))
  if name not in meta_graph.collection_def:
    return None
  items = list(_items(meta_graph, name))
  i, text = rng.randrange(len(items)), rng.choice(_TEXTS)
  items[i] = text.encode()
  _replace(_items(meta_graph, name), items)
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
    _flip_bits(rng, data)
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
    info.name = _tensor_name(rng, meta_graph)
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
  info.coo_sparse.values_tensor_name = _tensor_name(rng, meta_graph)
  return 'coo_sparse'


def _tensor_name(rng, meta_graph):
  if rng.random() < 0.15:
    return rng.choice(_TEXTS + ('no_such_op:0', 'a:b', ':0'))
  return rng.choice(list(meta_graph.graph_def.node)).name + rng.choice(
    (':0', ':0', ':0', ':0', ':1', '')
  )


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
      _replace(
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
  name = prefix + rng.choice(_TEXTS + ('probabilities', 'logits', '7', 'x'))
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
    signatures[name].method_name = rng.choice(_TEXTS)
  else:
    other = rng.choice(_TEXTS + ('predict', names.SIGNATURE))
    if other == name:
      return None
    signatures[other].CopyFrom(signatures[name])
    if what == 'rename':
      del signatures[name]
    return f'{name}: {what} to {other[:20]!r}'
  return f'{name}: {what}'


# The graph.


def _node(rng, meta_graph):
  """Returns a node; most often one on the way to the logits."""
  nodes = list(meta_graph.graph_def.node)
  if rng.random() < 0.7:
    nodes = [n for n in nodes if not n.name.startswith('save')] or nodes
  if rng.random() < 0.5:
    parts = ('layer', 'logits', 'Concat', 'concat', 'Parse', 'head', 'norm')
    nodes = [n for n in nodes if any(p in n.name for p in parts)] or nodes
  return rng.choice(nodes)


def _delete_node(rng, meta_graph):
  node = _node(rng, meta_graph)
  description = f'{node.name} deleted'
  meta_graph.graph_def.node.remove(node)
  return description


def _duplicate_node(rng, meta_graph):
  node = _node(rng, meta_graph)
  copied = meta_graph.graph_def.node.add()
  copied.CopyFrom(node)
  if rng.random() < 0.5:
    copied.name += '_again'
  return f'{node.name} again as {copied.name}'


def _rename_node(rng, meta_graph):
  node = _node(rng, meta_graph)
  name, new = node.name, rng.choice(_TEXTS + ('renamed',))
  node.name = new
  return f'{name} renamed {new[:20]!r}'


def _change_op(rng, meta_graph):
  node = _node(rng, meta_graph)
  op, node.op = node.op, rng.choice(_OPS)
  return None if node.op == op else f'{node.name}: {op} is {node.op}'


def _change_input(rng, meta_graph):
  node = _node(rng, meta_graph)
  if not node.input:
    return None
  i = rng.randrange(len(node.input))
  old = node.input[i]
  what = rng.choice(('other', 'other', 'exchange', 'delete', 'again', 'self'))
  if what == 'other':
    node.input[i] = rng.choice(list(meta_graph.graph_def.node)).name
  elif what == 'exchange':
    j = rng.randrange(len(node.input))
    node.input[i], node.input[j] = node.input[j], node.input[i]
  elif what == 'delete':
    del node.input[i]
  elif what == 'again':
    node.input.insert(i, old)
  else:
    node.input[i] = node.name
  return f'{node.name}: input {old}: {what}, {list(node.input)}'


def _insert_op(rng, meta_graph):
  """Puts an operation of one input between two others."""
  node = _node(rng, meta_graph)
  inputs = [i for i in range(len(node.input)) if node.input[i][0] != '^']
  if not inputs or 'T' not in node.attr:
    return None
  i = rng.choice(inputs)
  new = meta_graph.graph_def.node.add(
    name=node.name + '/inserted', op=rng.choice(_OPS[:15])
  )
  new.input.append(node.input[i])
  new.attr['T'].CopyFrom(node.attr['T'])
  node.input[i] = new.name
  return f'{new.op} before input {i} of {node.name}'


def _change_attr(rng, meta_graph):
  node = _node(rng, meta_graph)
  attrs = [key for key in sorted(node.attr) if key != '_class']
  if not attrs:
    return None
  key = rng.choice(attrs)
  what = rng.choice(('delete', 'other', 'other', 'other', 'add'))
  value = node.attr[key]
  kind = value.WhichOneof('value')
  if what == 'delete':
    del node.attr[key]
  elif what == 'add':
    node.attr['no_such_attr'].CopyFrom(value)
  elif kind == 'type':
    value.type = rng.choice(list(types_pb2.DataType.values()))
  elif kind == 'b':
    value.b = not value.b
  elif kind == 'i':
    value.i = rng.choice((-1, 0, 1, 2, 5, 2**31, 2**62))
  elif kind == 'f':
    value.f = rng.choice((-1.0, 0.0, 0.5, 1e30, float('nan')))
  elif kind == 's':
    value.s = rng.choice(_TEXTS).encode()
  elif kind == 'shape':
    value.shape.Clear()
    for _ in range(rng.randrange(3)):
      value.shape.dim.add(size=rng.choice((-1, 0, 1, 6, 2**40)))
  elif kind == 'list' and value.list.f:
    value.list.f[rng.randrange(len(value.list.f))] = rng.choice((-5.0, 1.0))
  else:
    value.Clear()
  return f'{node.name}: {key}: {what} {kind}'


def _change_const(rng, meta_graph):
  """Changes numbers or strings in a Const; the model is then another one."""
  consts = [
    node
    for node in meta_graph.graph_def.node
    if node.op == 'Const' and not node.name.startswith('save')
  ]
  if rng.random() < 0.2:
    consts = [n for n in meta_graph.graph_def.node if n.op == 'Const']
  node = rng.choice(consts)
  return f'{node.name}: ' + _spoil_constant(rng, node.attr['value'].tensor)


def _spoil_constant(rng, tensor):
  what = rng.choice(('values', 'values', 'values', 'shape', 'dtype'))
  if what == 'shape':
    size = rng.choice((-1, 0, 2, 20000, 2**40))
    tensor.tensor_shape.dim.add(size=size)
    return f'a dimension of {size} more'
  if what == 'dtype':
    tensor.dtype = rng.choice(list(types_pb2.DataType.values()))
    return f'dtype is {tensor.dtype}'
  if tensor.tensor_content:
    data = bytearray(tensor.tensor_content)
    description = _flip_bits(rng, data)
    tensor.tensor_content = bytes(data)
    return description
  fields = [
    (field.name, getattr(tensor, field.name))
    for field, _ in tensor.ListFields()
    if field.name.endswith('_val')
  ]
  if not fields:
    tensor.CopyFrom(tensor_pb2.TensorProto())
    return 'empty'
  name, values = rng.choice(fields)
  i = rng.randrange(len(values))
  if name == 'string_val':
    if len(values) > 1 and rng.random() < 0.5:
      _replace(values, list(values)[::-1])
    else:
      values[i] = rng.choice(_TEXTS).encode()
  elif name == 'bool_val':
    values[i] = not values[i]
  elif name in ('float_val', 'double_val', 'half_val'):
    values[i] = rng.choice((0.0, -1.0, 2.5, 1e30)) if name[0] != 'h' else 7
  else:
    values[i] = rng.choice((-1, 0, 1, 2, 5, 2**31 - 1))
  return f'{name}[{i}] is {str(values[i])[:20]}'


def _change_library(rng, meta_graph):
  functions = meta_graph.graph_def.library.function
  if not functions:
    return None
  function = rng.choice(list(functions))
  name = function.signature.name
  what = rng.choice(('delete', 'empty', 'op'))
  if what == 'delete':
    functions.remove(function)
  elif what == 'empty':
    del function.node_def[:]
  elif function.node_def:
    rng.choice(list(function.node_def)).op = rng.choice(_OPS)
  return f'function {name}: {what}'


# What else there is.


def _change_saver(rng, meta_graph):
  saver = meta_graph.saver_def
  what = rng.choice(
    ('filename_tensor_name', 'save_tensor_name', 'restore_op_name', 'clear')
  )
  if what == 'clear':
    meta_graph.ClearField('saver_def')
  elif what == 'restore_op_name':
    saver.restore_op_name = rng.choice(list(meta_graph.graph_def.node)).name
  else:
    setattr(saver, what, _tensor_name(rng, meta_graph))
  return f'saver: {what}'


def _change_assets(rng, meta_graph):
  assets = meta_graph.asset_file_def
  if not assets:
    if rng.random() < 0.8:
      return None
    assets.add(filename='no_such_file')
    assets[0].tensor_info.name = _tensor_name(rng, meta_graph)
    return 'an asset more'
  asset = rng.choice(list(assets))
  what = rng.choice(('delete', 'filename', 'tensor'))
  if what == 'delete':
    assets.remove(asset)
  elif what == 'filename':
    asset.filename = rng.choice(_TEXTS + ('../saved_model.pb', '/dev/null'))
  else:
    asset.tensor_info.name = _tensor_name(rng, meta_graph)
  return f'asset: {what}'


def _change_meta_info(rng, meta_graph):
  info = meta_graph.meta_info_def
  what = rng.choice(('tags', 'more tags', 'version', 'ops', 'clear'))
  if what == 'tags':
    del info.tags[:]
  elif what == 'more tags':
    info.tags.append(rng.choice(_TEXTS + ('serve', 'gpu')))
  elif what == 'version':
    info.tensorflow_version = rng.choice(('', 'x', '99.1.0', '0.1') + _TEXTS)
  elif what == 'ops':
    info.ClearField('stripped_op_list')
  else:
    meta_graph.ClearField('meta_info_def')
  return f'meta info: {what}'


def _change_versions(rng, meta_graph):
  versions = meta_graph.graph_def.versions
  what = rng.choice(('producer', 'min_consumer', 'bad_consumers'))
  value = rng.choice((-1, 0, 20, 27, 10**6))
  if what == 'bad_consumers':
    versions.bad_consumers.append(versions.producer)
  else:
    setattr(versions, what, value)
  return f'versions: {what} {value}'


def _change_meta_graphs(rng, saved_model):
  what = rng.choice(('none', 'twice', 'other tags', 'schema', 'empty'))
  graphs = saved_model.meta_graphs
  if what == 'none':
    del graphs[:]
  elif what == 'schema':
    saved_model.saved_model_schema_version = rng.choice((-1, 0, 2, 10**6))
  elif what == 'empty':
    graphs[0].ClearField('graph_def')
  else:
    graphs.add().CopyFrom(graphs[0])
    if what == 'other tags':
      graphs[rng.randrange(2)].meta_info_def.tags.append('gpu')
  return f'meta graphs: {what}'


_OF_PROTO = {
  'collection: items exchanged': _of_graph(_exchange_items),
  'collection: item deleted': _of_graph(_delete_item),
  'collection: pair deleted': _of_graph(_delete_pair),
  'collection: item twice': _of_graph(_duplicate_item),
  'collection: item renamed': _of_graph(_rename_item),
  'collection: value spoilt': _of_graph(_spoil_value),
  'collection deleted': _of_graph(_delete_collection),
  'collection of another type': _of_graph(_retype_collection),
  'JSON: fields exchanged': _of_graph(_edit_json(_exchange_fields)),
  'JSON: field set': _of_graph(_edit_json(_set_field)),
  'JSON: field deleted': _of_graph(_edit_json(_delete_field)),
  'JSON: config set': _of_graph(_edit_json(_set_config)),
  'JSON: text spoilt': _of_graph(_edit_json(_spoil_text)),
  'signature: tensors exchanged': _of_graph(_exchange_tensors),
  'signature: tensor spoilt': _of_graph(_spoil_tensor),
  'signature: tensor deleted': _of_graph(_delete_tensor),
  'signature: tensor added': _of_graph(_add_tensor),
  'signature changed': _of_graph(_change_signature),
  'node deleted': _of_graph(_delete_node),
  'node twice': _of_graph(_duplicate_node),
  'node renamed': _of_graph(_rename_node),
  'node of another op': _of_graph(_change_op),
  'node: input changed': _of_graph(_change_input),
  'node inserted': _of_graph(_insert_op),
  'node: attribute changed': _of_graph(_change_attr),
  'node: constant changed': _of_graph(_change_const),
  'function changed': _of_graph(_change_library),
  'saver changed': _of_graph(_change_saver),
  'asset changed': _of_graph(_change_assets),
  'meta info changed': _of_graph(_change_meta_info),
  'versions changed': _of_graph(_change_versions),
  'meta graphs changed': _change_meta_graphs,
}
