"""The contents of a GraphDef: nodes, their inputs, the functions they call."""

from tensorflow.python.framework import op_def_registry

# Operations that call the function in their attribute 'f', and nothing else.
CALLS = ('PartitionedCall', 'StatefulPartitionedCall')


def op_def(name):
  """Returns the `OpDef` of an operation, None where TensorFlow has none."""
  get = getattr(op_def_registry, 'get', None)
  if get is not None:
    return get(name)
  return op_def_registry.get_registered_ops().get(name)  # TensorFlow 1.


def producer(reference):
  """Returns the name of the node that an input of a node refers to.

  Args:
    reference: 'node', 'node:output', 'node:argument:output' or '^node'.
  """
  return reference.lstrip('^').split(':')[0]


def ancestors(nodes, references, ends=()):
  """Returns the names of the nodes that something is computed from.

  Args:
    nodes: {name: `NodeDef`}.
    references: iterable of what is computed, as `producer` takes it; part of
      the result, too.
    ends: names of the nodes whose tensors are fed, which the walk does not
      enter by these. TensorFlow runs one still if another waits for it.
  """
  found, stack = set(), list(references)
  while stack:
    reference = stack.pop()
    name = producer(reference)
    is_fed = name in ends and not reference.startswith('^')
    if name in nodes and name not in found and not is_fed:
      found.add(name)
      stack += nodes[name].input
  return found


def descendants(nodes, names):
  """Returns the names of the nodes that depend on some, and of these.

  Args:
    nodes: {name: `NodeDef`}.
    names: iterable of names of nodes.
  """
  consumers = {}
  for node in nodes.values():
    for reference in node.input:
      consumers.setdefault(producer(reference), []).append(node.name)
  found, stack = set(), list(names)
  while stack:
    name = stack.pop()
    if name not in found:
      found.add(name)
      stack += consumers.get(name, ())
  return found


def called_functions(node, functions):
  """Returns the names of the functions that a node may call.

  Args:
    node: `NodeDef`.
    functions: {name: `FunctionDef`}.
  """
  names = {node.op} & set(functions)
  for value in node.attr.values():
    kind = value.WhichOneof('value')
    if kind == 'func':
      names |= _names(value.func)
    elif kind == 'list':
      for function in value.list.func:
        names |= _names(function)
  return names


def _names(function):
  """Returns the name of a `NameAttrList`, and those in its attributes."""
  names, stack = set(), [function]
  while stack:
    function = stack.pop()
    names.add(function.name)
    for value in function.attr.values():
      if value.HasField('func'):
        stack.append(value.func)
      stack += value.list.func
  return names


def function_calls(functions):
  """Returns {name of a function: names of the functions that it calls}."""
  return {
    name: set().union(
      *(called_functions(node, functions) for node in function.node_def)
    )
    for name, function in functions.items()
  }


def reachable(calls, names):
  """Returns the names of functions that calls of some lead to, theirs too.

  Args:
    calls: what `function_calls` returned.
    names: iterable of names of functions.
  """
  found, stack = set(), list(names)
  while stack:
    name = stack.pop()
    if name not in found:
      found.add(name)
      stack += calls.get(name, ())
  return found


def num_outputs(node, argument):
  """Returns how many tensors an output argument of a node is.

  Args:
    node: `NodeDef`.
    argument: its `OpDef.ArgDef`.
  """
  if argument.number_attr:
    return node.attr[argument.number_attr].i
  if argument.type_list_attr:
    return len(node.attr[argument.type_list_attr].list.type)
  return 1
