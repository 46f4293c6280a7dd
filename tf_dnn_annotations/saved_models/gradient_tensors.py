"""Gradients in a graph: complete, or an error that names the obstacle."""

import contextlib

import tensorflow.compat.v1 as tf

# They register the gradients of If and While; TensorFlow 1 loads them only
# once it makes such an operation itself.
from tensorflow.python.ops import cond_v2  # noqa: F401
from tensorflow.python.ops import while_v2  # noqa: F401

from tf_dnn_annotations.saved_models import graph_defs

# Operations of branches and loops that are functions. To differentiate one
# TensorFlow changes it, and a session that has run its graph does not notice.
_BRANCHES_AND_LOOPS = (
  'Case',
  'If',
  'StatelessCase',
  'StatelessIf',
  'StatelessWhile',
  'While',
)
# Their gradients depend on a context which import restores, if it is there.
_OF_CONTEXT = ('Enter', 'Exit', 'NextIteration')
# Their results do not depend on the values of their inputs.
_OF_SHAPES = ('OnesLike', 'Rank', 'Shape', 'ShapeN', 'Size', 'ZerosLike')


def changes_graph(outputs, tensors):
  """Whether sessions of a graph are useless once gradients are made.

  Args:
    outputs, tensors: as `gradients` accepts them.
  """
  between = _operations_between(outputs, tensors)
  return any(op.type in _BRANCHES_AND_LOOPS for op in between)


def gradients(outputs, tensors, weights, library):
  """Returns the gradients of outputs.

  Args:
    outputs: `Tensor` [batch] or [batch, num_outputs].
    tensors: list of `Tensor`, with respect to which the gradients are.
    weights: `Tensor` of the shape of `outputs` by which its elements are
      summed, None for ones.
    library: the graph's `FunctionDefLibrary`.

  Returns:
    List of `Tensor`, of zeros where nothing depends on a tensor.

  Raises:
    ValueError: the gradient cannot be computed; names the operation.
  """
  between = _operations_between(outputs, tensors)
  for op in between:
    if _is_call(op) or (
      op.type in _OF_CONTEXT and op._get_control_flow_context() is None
    ):
      raise _not_differentiable(op)
  functions = {f.signature.name: f for f in library.function}
  for op in between:
    if op.type in _BRANCHES_AND_LOOPS and _calls_in_functions(op, functions):
      raise _not_differentiable(op)
  try:
    with _loops_as_in(between):
      results = tf.gradients(
        outputs, tensors, grad_ys=weights, stop_gradients=tensors
      )
  except LookupError as error:
    (name,) = _named(str(error), between)[:1] or [None]
    raise _not_differentiable(name, error) from error
  for i, tensor in enumerate(tensors):
    if results[i] is None:
      blocking = _without_gradient(outputs, tensor)
      if blocking is not None:
        raise _not_differentiable(blocking)
      results[i] = tf.zeros_like(tensor)
  return results


@contextlib.contextmanager
def _loops_as_in(operations):
  """Makes gradients of the loops of TensorFlow 1 where there are any.

  TensorFlow 2 takes their arrays for those of its own loops otherwise. It has
  one setting for all threads; this keeps it for as short as can be.
  """
  changes = tf.control_flow_v2_enabled() and any(
    op.type.startswith('TensorArray') for op in operations
  )
  if changes:
    tf.disable_control_flow_v2()
  try:
    yield
  finally:
    if changes:
      tf.enable_control_flow_v2()


def _operations_between(outputs, tensors):
  """Returns the operations by which outputs depend on tensors, the last first.

  Args:
    outputs: `Tensor`.
    tensors: list of `Tensor`.
  """
  ends = {tensor.op for tensor in tensors}
  behind, stack = {}, [outputs.op]
  while stack:
    op = stack.pop()
    if op not in behind and op not in ends:
      behind[op] = None  # A set that keeps the order.
      if op.type not in _OF_SHAPES:
        stack += [source.op for source in op.inputs]
  dependent, stack = set(), list(tensors)
  while stack:
    for op in stack.pop().consumers():
      if op in behind and op not in dependent and op.type not in _OF_SHAPES:
        dependent.add(op)
        stack += op.outputs
  return [op for op in behind if op in dependent]


def _is_call(op):
  """Whether an operation calls a function, whose gradients may be wrong."""
  return op.type in graph_defs.CALLS or graph_defs.op_def(op.type) is None


def _calls_in_functions(op, functions):
  """Whether the functions of a branch or a loop call others by operations."""
  calls = graph_defs.function_calls(functions)
  names = graph_defs.called_functions(op.node_def, functions)
  return any(
    node.op in graph_defs.CALLS or node.op in functions
    for name in graph_defs.reachable(calls, names)
    if name in functions  # Others are those that TensorFlow made of them.
    for node in functions[name].node_def
  )


def _without_gradient(outputs, tensor):
  """Returns the operation that keeps a gradient from a tensor, or None."""
  between = _operations_between(outputs, [tensor])
  dependent = {tensor.op, *between}
  for op in reversed(between):
    sources = [source for source in op.inputs if source.op in dependent]
    try:
      if all(g is None for g in tf.gradients(op.outputs, sources)):
        return op
    except LookupError:
      return op
  return between[0] if between else None


def _named(text, operations):
  """Returns the names of the operations that a message names."""
  return [op for op in operations if f"'{op.name}'" in text]


def _not_differentiable(op, error=None):
  """Returns the ValueError of an operation without a gradient.

  Args:
    op: `tf.Operation`, None if it is not known which.
    error: TensorFlow's error, if it raised one.
  """
  which = f'the operation {op.name!r} ({op.type})' if op is not None else None
  return ValueError(
    f'The model cannot be explained: between its columns and its output, '
    f'{which or str(error).splitlines()[0]} has no gradient. Export it with '
    'another activation_fn, one of operations that TensorFlow differentiates.'
  )
