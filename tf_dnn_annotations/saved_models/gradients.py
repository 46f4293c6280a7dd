"""Gradients of a model's outputs, which are derivatives or are refused.

Integrated Gradients are a sum of the derivatives of what the model computes.
TensorFlow's gradients serve training: they are zero upstream of
tf.stop_gradient, which computes the identity, and None upstream of operations
that have no gradient.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.saved_models import gradient_tensors
from tf_dnn_annotations.saved_models import stopped_gradients

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
# Operations whose results depend on the shape of a tensor alone.
_OF_SHAPES = ('OnesLike', 'Rank', 'Shape', 'ShapeN', 'Size', 'ZerosLike')


class PathGradients(object):
  """Gradients of a model's outputs with respect to the points of a path.

  Their tensors are added to the graph when they are first needed.
  """

  def __init__(self, session, library, outputs, space):
    """Takes the graph that is differentiated.

    Args:
      session: the `model_session.ModelSession` that runs the graph.
      library: the graph's `FunctionDefLibrary`.
      outputs: {name of an output: `Tensor` [batch, num_outputs]}.
      space: the `processed_space.ProcessedSpace` in which paths are followed.
    """
    self._session, self._library = session, library
    self._outputs, self._space = outputs, space
    self._tensors = {}

  def compute(self, output, path, targets):
    """Computes gradients at points of a path.

    Args:
      output: 'logits' or 'probabilities'.
      path: float [n, size], as in `Points.path`.
      targets: int [n], the output of each row; None for all outputs.

    Returns:
      [n, T, size] with T = 1 or num_outputs.

    Raises:
      ValueError: TensorFlow has no gradient for what the model computes.
    """
    feed = self._space.feed_of_path(path)
    num_outputs = self._outputs[output].shape.as_list()[-1]
    if targets is not None:
      weights, tensors = self._of(output, None)
      selection = np.zeros((len(targets), num_outputs))
      selection[np.arange(len(targets)), targets] = 1
      feed[weights] = selection
      fetched = self._session.run(tensors, feed)
      return self._space.path_of(fetched)[:, np.newaxis]
    # One run: the outputs share the forward pass.
    fetched = self._session.run(
      [self._of(output, target)[1] for target in range(num_outputs)], feed
    )
    return np.stack(list(map(self._space.path_of, fetched)), axis=1)

  def _of(self, output, target):
    """Returns (weights, list of gradients) of an output, as `_made` does."""
    # A graph is changed by one thread at a time.
    with self._session.graph_lock:
      if (output, target) not in self._tensors:
        self._tensors[output, target] = self._made(output, target)
      return self._tensors[output, target]

  def _made(self, output, target):
    """Adds the gradients of an output to the graph.

    Args:
      output: name of an output.
      target: index of one of its columns; None for the sum of all of them by
        weights.

    Returns:
      (placeholder of the weights [batch, num_outputs] or None, list of the
      gradients with respect to each of the path's tensors)

    Raises:
      ValueError: TensorFlow has no gradient for what the model computes.
    """
    points, outputs = self._space.path_tensors, self._outputs[output]
    _check_smooth(points, outputs)
    weights = None
    with self._session.graph.as_default():
      if target is None:
        weights = tf.placeholder(outputs.dtype, [None, None])
      else:
        outputs = outputs[:, target]
      gradients = gradient_tensors.gradients(
        outputs, list(points.values()), weights, self._library
      )
    if self._session.is_changed_by_gradients:
      self._session.renew()
    return weights, gradients


def _check_smooth(points, outputs):
  """Raises ValueError where all ways to the outputs lead over steps."""
  calls = stopped_gradients.within_calls(list(points.values()), [outputs])
  if calls:
    raise ValueError(
      'The model cannot be explained by its gradients: the function called '
      f'by the operation {calls[0].name!r} stops them (tf.stop_gradient), so '
      'that they are not the derivatives of the output. Export the model '
      'without that, or with it outside of a tf.function.'
    )
  for name, tensor in points.items():
    if not _reaches(tensor, outputs):
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


def _reaches(tensor, outputs):
  """Whether the outputs depend on a tensor, by whatever operations."""
  return outputs.name in graph_walks.descendants(
    [tensor], lambda op, _: op.type not in _OF_SHAPES
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
