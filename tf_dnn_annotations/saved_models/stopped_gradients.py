"""Operations that stop gradients in training, and compute the identity."""

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import graph_walks

# They return their input, and TensorFlow gives them no gradient on purpose.
_STOPPED = ('StopGradient', 'PreventGradient')


def find(sources, sinks):
  """Returns the `tf.Operation`s that stop gradients between tensors.

  Args:
    sources, sinks: lists of `Tensor`.
  """
  return [
    op for op in graph_walks.between(sources, sinks) if op.type in _STOPPED
  ]


def within_calls(sources, sinks):
  """Returns the `tf.Operation`s that call a function which stops gradients.

  Args:
    sources, sinks: as in `find`.
  """
  library = {
    function.signature.name: function
    for function in sources[0].graph.as_graph_def().library.function
  }
  if not library:
    return []
  return [
    op
    for op in graph_walks.between(sources, sinks)
    if _is_stop_within(op, library)
  ]


def unstop(operations):
  """Gives operations that stop gradients that of the identity they compute."""
  for op in operations:
    op._set_attr('_gradient_op_type', tf.AttrValue(s=b'Identity'))


def _is_stop_within(op, library):
  """Whether an operation calls a function in which gradients are stopped."""
  stack, seen = _functions_of(op.node_def), set()
  while stack:
    name = stack.pop()
    if name in seen or name not in library:
      continue
    seen.add(name)
    for node in library[name].node_def:
      if node.op in _STOPPED:
        return True
      stack += _functions_of(node)
  return False


def _functions_of(node):
  """Returns the names of the functions that a node calls."""
  names = [node.op]
  for value in node.attr.values():
    names += [value.func.name] if value.HasField('func') else []
    names += [function.name for function in value.list.func]
  return names
