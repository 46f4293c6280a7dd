"""Ways to spoil the graph of a SavedModel, and what else is in its proto.

A kind is a function of (`random.Random`, `SavedModel`), which returns in a few
words what it has done; `None` if there is nothing to do it to.
"""

from tensorflow.core.framework import tensor_pb2
from tensorflow.core.framework import types_pb2

from tests.properties import byte_mutations

# Names and texts that a stranger might choose.
TEXTS = (
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


def of_graph(edit_fn):
  """Returns a kind that edits the one MetaGraphDef."""
  return lambda rng, saved_model: edit_fn(rng, saved_model.meta_graphs[0])


def replace(items, new):
  """Puts new items into a repeated field."""
  new = list(new)
  del items[:]
  items.extend(new)


def tensor_name(rng, meta_graph):
  if rng.random() < 0.15:
    return rng.choice(TEXTS + ('no_such_op:0', 'a:b', ':0'))
  return rng.choice(list(meta_graph.graph_def.node)).name + rng.choice(
    (':0', ':0', ':0', ':0', ':1', '')
  )


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
  name, new = node.name, rng.choice(TEXTS + ('renamed',))
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
    value.s = rng.choice(TEXTS).encode()
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
    description = byte_mutations.flip_bits(rng, data)
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
      replace(values, list(values)[::-1])
    else:
      values[i] = rng.choice(TEXTS).encode()
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
    setattr(saver, what, tensor_name(rng, meta_graph))
  return f'saver: {what}'


def _change_assets(rng, meta_graph):
  assets = meta_graph.asset_file_def
  if not assets:
    if rng.random() < 0.8:
      return None
    assets.add(filename='no_such_file')
    assets[0].tensor_info.name = tensor_name(rng, meta_graph)
    return 'an asset more'
  asset = rng.choice(list(assets))
  what = rng.choice(('delete', 'filename', 'tensor'))
  if what == 'delete':
    assets.remove(asset)
  elif what == 'filename':
    asset.filename = rng.choice(TEXTS + ('../saved_model.pb', '/dev/null'))
  else:
    asset.tensor_info.name = tensor_name(rng, meta_graph)
  return f'asset: {what}'


def _change_meta_info(rng, meta_graph):
  info = meta_graph.meta_info_def
  what = rng.choice(('tags', 'more tags', 'version', 'ops', 'clear'))
  if what == 'tags':
    del info.tags[:]
  elif what == 'more tags':
    info.tags.append(rng.choice(TEXTS + ('serve', 'gpu')))
  elif what == 'version':
    info.tensorflow_version = rng.choice(('', 'x', '99.1.0', '0.1') + TEXTS)
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


KINDS = {
  'node deleted': of_graph(_delete_node),
  'node twice': of_graph(_duplicate_node),
  'node renamed': of_graph(_rename_node),
  'node of another op': of_graph(_change_op),
  'node: input changed': of_graph(_change_input),
  'node inserted': of_graph(_insert_op),
  'node: attribute changed': of_graph(_change_attr),
  'node: constant changed': of_graph(_change_const),
  'function changed': of_graph(_change_library),
  'saver changed': of_graph(_change_saver),
  'asset changed': of_graph(_change_assets),
  'meta info changed': of_graph(_change_meta_info),
  'versions changed': of_graph(_change_versions),
  'meta graphs changed': _change_meta_graphs,
}
