"""Puts the functions that a graph calls into the graph itself.

TensorFlow differentiates a called function in C++, where a third of the
operations have no gradient (Softplus) or are taken for constants, with zeros
(StatelessWhile). Of the function's own operations, put in place of the call,
it knows every gradient.
"""

import collections

import tensorflow.compat.v1 as tf
from tensorflow.core.framework import node_def_pb2

from tf_dnn_annotations.saved_models import graph_defs

# Most nodes that calls may become; a function that calls another twice, which
# calls a third one twice, ... is as many as it likes.
_MAX_NODES = 100000
# The names in a call's place of what its function is made of.
_SCOPE = 'inlined'


class _UnclearError(Exception):
  """A call whose function cannot be put in its place."""


def inline(graph_def):
  """Replaces calls of functions by the functions' operations.

  Only calls that take a float and give one are replaced, in the graph and in
  the functions themselves, as others have no gradient. The tensors of a call
  keep their names.

  Args:
    graph_def: `GraphDef`, changed in place.
  """
  inliner = _Inliner(graph_def)
  for name in inliner.functions:
    inliner.inline_in_function(name)
  inliner.inline_in_graph(graph_def)


class _Inliner(object):
  """Replaces calls.

  Attributes:
    functions: {name: `FunctionDef`} of a library.
  """

  def __init__(self, graph_def):
    self.functions = {
      function.signature.name: function
      for function in graph_def.library.function
    }
    self._done, self._num_nodes = set(), 0

  def inline_in_function(self, name, callers=()):
    """Replaces the calls in a function, those of what it calls first."""
    if name in self._done:
      return
    self._done.add(name)
    function = self.functions[name]
    names = {node.name for node in function.node_def}
    names |= {argument.name for argument in function.signature.input_arg}
    outputs = {}
    for node in list(function.node_def):
      body = self._body(node, names, (*callers, name))
      if body is not None:
        node.CopyFrom(body.result)
        function.node_def.extend(body.nodes)
        outputs.update(body.outputs)
    if outputs:
      for node in function.node_def:
        for i, reference in enumerate(node.input):
          node.input[i] = outputs.get(reference, reference)
      for key, reference in function.ret.items():
        function.ret[key] = outputs.get(reference, reference)

  def inline_in_graph(self, graph_def):
    """Replaces the calls in the graph."""
    names = {node.name for node in graph_def.node}
    for node in list(graph_def.node):
      body = self._body(node, names, ())
      if body is not None:
        self._to_graph_syntax(body, outer=set(node.input))
        node.CopyFrom(body.result)
        graph_def.node.extend(body.nodes)

  def _to_graph_syntax(self, body, outer):
    """Makes 'node:output' of 'node:argument:output' in a body's inputs.

    Args:
      body: `_Body`.
      outer: set of the inputs of the call, which are in that syntax.
    """
    produced = {node.name: node for node in body.nodes}
    for node in [*body.nodes, body.result]:
      for i, reference in enumerate(node.input):
        if reference.startswith('^') or reference in outer:
          continue
        name, argument, position = reference.split(':')
        index = int(position)
        for output in self._signature(produced[name]).output_arg:
          if output.name == argument:
            break
          index += graph_defs.num_outputs(produced[name], output)
        node.input[i] = f'{name}:{index}' if index else name

  def _signature(self, node):
    """Returns the `OpDef` of a node or of the function that it calls."""
    if node.op in self.functions:
      return self.functions[node.op].signature
    return graph_defs.op_def(node.op)

  def _body(self, call, names, callers):
    """Returns the `_Body` to put in place of a node; None to leave it.

    Args:
      call: `NodeDef`.
      names: set of the names of the nodes there are, to which those of the body
        are added.
      callers: names of the functions that the node is in.
    """
    function_name, attributes = call.op, call.attr
    if call.op in graph_defs.CALLS:
      function_name = call.attr['f'].func.name
      attributes = call.attr['f'].func.attr
    function = self.functions.get(function_name)
    if function is None or function_name in callers:
      return None
    try:
      types = [
        [_type(argument, attributes) for argument in arguments]
        for arguments in (
          function.signature.input_arg,
          function.signature.output_arg,
        )
      ]
      if not all(
        any(tf.as_dtype(dtype).is_floating for dtype in dtypes)
        for dtypes in types
      ):
        return None
      self.inline_in_function(function_name, callers)
      self._num_nodes += len(function.node_def)
      if self._num_nodes > _MAX_NODES or not all(
        map(self._signature, function.node_def)
      ):
        return None
      return _made_body(call, function, attributes, types[1], names)
    except _UnclearError:
      return None


class _Body(collections.namedtuple('_Body', ['nodes', 'result', 'outputs'])):
  """What stands in place of a call.

  Attributes:
    nodes: list of `NodeDef`, inputs as in a function, 'node:argument:output'.
    result: `NodeDef` of the call's name and with its tensors.
    outputs: {how a function refers to a tensor of the call: how to that of
      `result`}, where they differ.
  """

  __slots__ = ()


def _made_body(call, function, attributes, types, names):
  """Returns the `_Body` of a call of a function."""
  signature = function.signature
  data = [name for name in call.input if not name.startswith('^')]
  controls = [name for name in call.input if name.startswith('^')]
  arguments = dict(zip([a.name for a in signature.input_arg], data))
  scope = _unused(f'{call.name}/{_SCOPE}', names)
  # Flat, as layers are found by the last two parts of a name.
  renamed = {
    node.name: _unused(f'{scope}/{node.name.replace("/", ".")}', names)
    for node in function.node_def
  }

  def moved(reference):
    name, *position = reference.lstrip('^').split(':')
    if name in arguments:
      if reference.startswith('^'):
        return '^' + graph_defs.producer(arguments[name])
      return arguments[name]
    prefix = '^' if reference.startswith('^') else ''
    return prefix + ':'.join([renamed[name], *position])

  nodes = []
  for original in function.node_def:
    node = node_def_pb2.NodeDef()
    node.CopyFrom(original)
    node.name = renamed[node.name]
    inputs = [moved(reference) for reference in node.input] + controls
    del node.input[:]
    # Control inputs come last, each once.
    node.input.extend(name for name in inputs if not name.startswith('^'))
    node.input.extend(sorted({name for name in inputs if name.startswith('^')}))
    if not node.device:
      node.device = call.device
    # It names nodes by the function's names.
    node.attr.pop('_class', None)
    for value in node.attr.values():
      _bind(value, attributes)
    if 'frame_name' in node.attr:  # Of a loop, which is unique to it.
      node.attr['frame_name'].s = tf.compat.as_bytes(scope) + (
        b'/' + node.attr['frame_name'].s
      )
    nodes.append(node)

  result = node_def_pb2.NodeDef(name=call.name, device=call.device)
  results = [moved(function.ret[a.name]) for a in signature.output_arg]
  result.input.extend(results)
  effects = {'^' + renamed[name] for name in function.control_ret.values()}
  result.input.extend(sorted(effects | set(controls)))
  result.op = 'Identity' if len(results) == 1 else 'IdentityN'
  if len(results) == 1:
    result.attr['T'].type = types[0]
  else:
    result.attr['T'].list.type.extend(types)
  outputs = {}
  if call.op not in graph_defs.CALLS:
    for i, argument in enumerate(signature.output_arg):
      outputs[f'{call.name}:{argument.name}:0'] = f'{call.name}:output:{i}'
  return _Body(nodes, result, outputs)


def _type(argument, attributes):
  """Returns the type of an `ArgDef` of a function that is called."""
  if argument.number_attr or argument.type_list_attr:
    raise _UnclearError
  if argument.type_attr:
    return attributes[argument.type_attr].type
  return argument.type


def _bind(value, attributes):
  """Puts a call's attributes into an `AttrValue` that stands for one."""
  if value.placeholder:
    if value.placeholder not in attributes:
      raise _UnclearError
    value.CopyFrom(attributes[value.placeholder])
  for function in [value.func] if value.HasField('func') else value.list.func:
    for inner in function.attr.values():
      _bind(inner, attributes)


def _unused(name, names):
  """Returns `name`, or it with a number that makes it new; adds it."""
  result, number = name, 0
  while result in names:
    number += 1
    result = f'{name}_{number}'
  names.add(result)
  return result


def strip_gradients(graph_def):
  """Removes a graph's own definitions of its operations' gradients.

  A gradient of a user's own is a function of the process that wrote the
  graph, under a name that is a number: elsewhere it is unknown, or another
  function. What is differentiated then is the operation itself.

  Args:
    graph_def: `GraphDef`, changed in place.
  """
  nodes = list(graph_def.node)
  for function in graph_def.library.function:
    nodes += function.node_def
    function.attr.pop('_gradient_op_type', None)
  for node in nodes:
    node.attr.pop('_gradient_op_type', None)
  del graph_def.library.gradient[:]
