"""Gradients of a model's outputs, which are derivatives or are refused.

Integrated Gradients are a sum of the derivatives of what the model computes.
TensorFlow's gradients are what training wants: zero behind tf.stop_gradient,
which computes the identity, and None behind operations that have none.
"""

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.saved_models import gradient_tensors

# They hand on their input, and TensorFlow gives them no gradient on purpose.
_STOPPED = ('StopGradient', 'PreventGradient')
# Steps: their derivative is zero wherever they have one.
_STEPS = (
  'Ceil',
  'Floor',
  'FloorDiv',
  'OnesLike',
  'Rint',
  'Round',
  'Sign',
  'ZerosLike',
)
# What depends on the shape of a tensor alone.
_OF_SHAPES = ('OnesLike', 'Rank', 'Shape', 'ShapeN', 'Size', 'ZerosLike')


def stops(sources, sinks):
  """Finds where gradients are stopped between tensors.

  Args:
    sources, sinks: lists of `Tensor`.

  Returns:
    (list of the `tf.Operation`s that stop them, list of those that call a
    function in which that is done).
  """
  found = graph_walks.between(sources, sinks)
  library = {
    function.signature.name: function
    for function in sources[0].graph.as_graph_def().library.function
  }
  return (
    [op for op in found if op.type in _STOPPED],
    [op for op in found if library and _is_stop_within(op, library)],
  )


def unstop(operations):
  """Gives operations that stop gradients that of the identity they compute."""
  for op in operations:
    op._set_attr('_gradient_op_type', tf.AttrValue(s=b'Identity'))


class OutputGradients(object):
  """Tensors of gradients in a graph, each made when it is first needed."""

  def __init__(self, graph, library, runner, outputs, points):
    """Takes what is differentiated.

    Args:
      graph: the `tf.Graph`.
      library: its `FunctionDefLibrary`.
      runner: the `model_session.ModelSession` that runs the graph.
      outputs: {name of an output: `Tensor` [batch, num_outputs]}.
      points: {name: `Tensor` [batch, size]}, with respect to which.
    """
    self._graph, self._library, self._runner = graph, library, runner
    self._outputs, self._points = outputs, points
    self._made = {}

  def tensors(self, output, target):
    """Returns (weights, {name: gradient}) of an output.

    The gradient is that of one output, or of the sum of all of them by the
    placeholder `weights` [batch, num_outputs] if `target` is None.

    Args:
      output: name of an output.
      target: index of one of its columns, or None.

    Raises:
      ValueError: TensorFlow has no gradient for what the model computes.
    """
    key = output, target
    # A graph is changed by one thread at a time.
    with self._runner.graph_lock:
      if key not in self._made:
        self._made[key] = self._make(output, target)
      return self._made[key]

  def _make(self, output, target):
    sources = list(self._points.values())
    self._check_smooth(self._outputs[output])
    with self._graph.as_default():
      outputs, weights = self._outputs[output], None
      if target is None:
        weights = tf.placeholder(outputs.dtype, [None, None])
      else:
        outputs = outputs[:, target]
      gradients = gradient_tensors.gradients(
        outputs, sources, weights, self._library
      )
    if self._runner.is_changed_by_gradients:
      self._runner.renew()
    return weights, dict(zip(self._points, gradients))

  def _check_smooth(self, outputs):
    """Raises ValueError where all ways to the outputs lead over steps."""
    _, calls = stops(list(self._points.values()), [outputs])
    if calls:
      raise ValueError(
        'The model cannot be explained by its gradients: the function called '
        f'by the operation {calls[0].name!r} stops them (tf.stop_gradient), so '
        'that they are not the derivatives of the output. Export the model '
        'without that, or with it outside of a tf.function.'
      )
    for name, tensor in self._points.items():
      if not self._reaches(name, outputs):
        continue
      if outputs.name in graph_walks.descendants([tensor], _is_smooth):
        continue
      steps = [
        op
        for op in graph_walks.between([tensor], [outputs])
        if op.type not in _OF_SHAPES
        and (op.type in _STEPS or not any(map(_is_real, op.outputs)))
      ]
      raise _not_differentiable(name, steps)

  def _reaches(self, name, outputs):
    """Whether the outputs depend on a point, by whatever operations."""
    return outputs.name in graph_walks.descendants(
      [self._points[name]], lambda op, _: op.type not in _OF_SHAPES
    )


def _not_differentiable(name, steps):
  by = ', '.join(f'{op.name!r} ({op.type})' for op in steps[:3])
  what = 'first layer' if name == 'first_layer' else f'column {name!r}'
  return ValueError(
    f'The model cannot be explained by its gradients: the output depends on '
    f'its {what} only by steps, whose derivative is zero or not known'
    + (f', those of {by}' if by else '')
    + '. Train and export the model with an `activation_fn` that has a '
    'derivative.'
  )


def _is_real(tensor):
  """Whether a tensor may hold numbers that change by small amounts."""
  dtype = tensor.dtype.base_dtype
  return not (dtype.is_integer or dtype in (tf.bool, tf.string))


def _is_smooth(op, tensor):
  return _is_real(tensor) and op.type not in _STEPS


def _functions_of(node):
  """Returns the names of the functions that a node calls."""
  names = [node.op]
  for value in node.attr.values():
    names += [value.func.name] if value.HasField('func') else []
    names += [function.name for function in value.list.func]
  return names


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
