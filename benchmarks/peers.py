"""Integrated Gradients of a network by this package and by others.

A peer is a class whose constructor takes a `cases.Case` and the directory of
the SavedModel of its network:

  SETTINGS: list of dicts of further arguments of `attribute`; the fastest is
    measured.
  attribute(x, targets, num_steps, **setting): float32 [n, width], the
    attributions of rows [n, width] against zeros, of the logits of `targets`.

Libraries are imported when they are used: each runs in a process of its own.
"""

import os
import warnings

import numpy as np

# Points (rows times steps) of one call of a model: small ones stay in the
# cache, large ones cost fewer calls.
_NUM_POINTS = (512, 4096)


class Ours(object):
  """This package, by default exact and without a number of steps."""

  SETTINGS = [{}]

  def __init__(self, case, export_dir):
    import tf_dnn_annotations as tfda

    # Some outputs of random networks are near those of the baseline.
    warnings.simplefilter('ignore', RuntimeWarning)
    self._ig = tfda.IntegratedGradients(export_dir)
    self._first_logit = 1 if case.num_logits == 1 else 0

  def attribute(self, x, targets, num_steps, method='auto', is_all=False):
    result = self._ig.attribute(
      {'x': x},
      targets='all' if is_all else targets + self._first_logit,
      method=method,
      num_steps=None if method == 'auto' else num_steps,
    )
    return result.values['x']

  def close(self):
    self._ig.close()


class Captum(object):
  """captum, on a torch.nn.Sequential."""

  SETTINGS = [{'num_points': num_points} for num_points in _NUM_POINTS]

  def __init__(self, case, export_dir):
    del export_dir  # It takes the weights.
    from captum import attr
    import torch

    layers = []
    for kernel, bias in case.layers():
      layer = torch.nn.Linear(*kernel.shape)
      layer.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.T))
      layer.bias.data = torch.from_numpy(bias)
      layers += [layer, torch.nn.ReLU()]
    self._from_numpy = torch.from_numpy
    self._ig = attr.IntegratedGradients(torch.nn.Sequential(*layers[:-1]))

  def attribute(self, x, targets, num_steps, num_points):
    return self._ig.attribute(
      self._from_numpy(x),
      target=self._from_numpy(targets),
      n_steps=num_steps,
      internal_batch_size=num_points,
    ).numpy()


class Alibi(object):
  """alibi, on a Keras model."""

  SETTINGS = [{'num_points': num_points} for num_points in _NUM_POINTS]

  def __init__(self, case, export_dir):
    del export_dir
    from alibi import explainers

    self._ig = explainers.IntegratedGradients
    self._model = _keras_model(case)
    # With a single logit, it is much faster without a target.
    self._takes_target = case.num_logits > 1

  def attribute(self, x, targets, num_steps, num_points):
    ig = self._ig(
      self._model, n_steps=num_steps, internal_batch_size=num_points
    )
    targets = targets if self._takes_target else None
    return ig.explain(x, target=targets).attributions[0]


class Saliency(object):
  """saliency, which takes one row at a time, on a compiled tf.function."""

  SETTINGS = [{}]

  def __init__(self, case, export_dir):
    del export_dir
    from saliency import core
    import tensorflow as tf

    self._ig = core.IntegratedGradients()
    model = _keras_model(case)

    @tf.function
    def gradients(points, target):
      with tf.GradientTape() as tape:
        tape.watch(points)
        output = model(points)[:, target]
      return tape.gradient(output, points)

    def call_model(points, call_model_args, expected_keys):
      del expected_keys  # It asks for gradients alone.
      points = tf.constant(points, tf.float32)
      return {
        core.INPUT_OUTPUT_GRADIENTS: gradients(points, call_model_args).numpy()
      }

    self._call_model = call_model
    self._constant = tf.constant

  def attribute(self, x, targets, num_steps):
    return np.stack(
      [
        self._ig.GetMask(
          row,
          self._call_model,
          self._constant(target),
          x_steps=num_steps,
          batch_size=num_steps,
        )
        for row, target in zip(x, targets)
      ]
    )


class Xplique(object):
  """xplique, on a Keras model."""

  SETTINGS = [{'num_points': num_points} for num_points in _NUM_POINTS]

  def __init__(self, case, export_dir):
    del export_dir
    from xplique import attributions

    self._ig = attributions.IntegratedGradients
    self._model = _keras_model(case)
    self._one_hot = np.eye(case.num_logits, dtype=np.float32)
    self._made = {}

  def attribute(self, x, targets, num_steps, num_points):
    key = num_steps, num_points
    if key not in self._made:
      self._made[key] = self._ig(
        self._model, steps=num_steps, batch_size=num_points
      )
    return self._made[key].explain(x, self._one_hot[targets]).numpy()


class PlainFunction(object):
  """A compiled tf.function over steps and rows, as an engineer may write it.

  The midpoint rule, in chunks of rows of one shape.
  """

  SETTINGS = [
    {'num_points': num_points, 'jit_compile': jit_compile}
    for num_points in _NUM_POINTS
    for jit_compile in (False, True)
  ]

  def __init__(self, case, export_dir):
    del export_dir
    import tensorflow as tf

    layers = [
      (tf.constant(kernel), tf.constant(bias)) for kernel, bias in case.layers()
    ]

    def integrated_gradients(x, targets, positions):
      num_rows, width = x.shape
      points = positions[:, tf.newaxis, tf.newaxis] * x
      points = tf.reshape(points, [-1, width])
      with tf.GradientTape() as tape:
        tape.watch(points)
        z = points
        for i, (kernel, bias) in enumerate(layers):
          z = tf.matmul(tf.nn.relu(z) if i else z, kernel) + bias
        outputs = tf.gather(
          z, tf.tile(targets, [len(positions)]), axis=1, batch_dims=1
        )
      gradients = tape.gradient(outputs, points)
      gradients = tf.reshape(gradients, [-1, num_rows, width])
      return x * tf.reduce_mean(gradients, axis=0)

    self._functions = {
      jit_compile: tf.function(
        integrated_gradients, jit_compile=jit_compile, reduce_retracing=False
      )
      for jit_compile in (False, True)
    }
    self._constant = tf.constant

  def attribute(self, x, targets, num_steps, num_points, jit_compile):
    function = self._functions[jit_compile]
    positions = (np.arange(num_steps, dtype=np.float32) + 0.5) / num_steps
    positions = self._constant(positions)
    chunk = min(len(x), max(1, num_points // num_steps))
    values = np.empty_like(x)
    for first in range(0, len(x), chunk):
      # The last chunk is as long as the others: one shape, one compilation.
      rows = slice(max(0, min(first, len(x) - chunk)), first + chunk)
      values[rows] = function(
        self._constant(x[rows]), self._constant(targets[rows]), positions
      ).numpy()
    return values


def _keras_model(case):
  """Returns the network of a case as a Keras model that gives its logits."""
  import tensorflow as tf

  layers = [tf.keras.Input([case.width])]
  for i, (kernel, _) in enumerate(case.layers()):
    is_hidden = i < len(case.hidden_units)
    layers.append(
      tf.keras.layers.Dense(
        kernel.shape[1], activation='relu' if is_hidden else None
      )
    )
  model = tf.keras.Sequential(layers)
  model.set_weights([array for layer in case.layers() for array in layer])
  return model


# In the order of the tables.
PEERS = {
  'ours': Ours,
  'plain tf.function': PlainFunction,
  'captum': Captum,
  'alibi': Alibi,
  'saliency': Saliency,
  'xplique': Xplique,
}
LIBRARIES = ('captum', 'alibi', 'saliency', 'xplique')
# Notes of TensorFlow on CPU features would drown the rest.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
