"""Writes SavedModels of networks with every activation function there is.

    python -m testdata.make_activations          # in the directory above

writes testdata/foreign/activations_<version>.zip, of those in `KEPT`, for
readers of other TensorFlows: kept are those of 1.15.5 and 2.15.1.

    python -m testdata.make_activations DIR      # all of them

writes DIR/<name>, the SavedModels of `activation_fns`, and prints the names.
"""

import os
import shutil
import sys
import tempfile
import zipfile

import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2
from tensorflow.python.framework import function as functions_of_tf1

from testdata import make_foreign
from tests.support import network_export
from tests.support import numpy_network

KEPT = {  # To the name of what they compute, in `numpy_network`.
  'own.swish': 'swish',
  'own.mish_in_function': 'mish',
  'own.relu_in_function': 'relu',
  'own.custom_gradient': 'swish',
  'own.map_fn': 'swish',
  'own.loop_in_function': 'softplus',
  'own.cond_in_function': 'tanh',
}
VERSIONS = ('tf1.15', 'tf2.15')
_MODULES = {
  'nn': tf.nn,
  'nn_v2': tf2.nn,
  'keras': tf.keras.activations,
}
# Not functions of a row's tensor, whatever they accept: l2_normalize divides by
# the norm of the whole batch.
_NOT_ACTIVATIONS = ('deserialize', 'get', 'l2_normalize', 'serialize')
_WIDTH = 3


def network(activation='swish'):
  """Returns the `numpy_network.Network` of all models but its activation."""
  rng = np.random.RandomState(5)
  sizes = (_WIDTH, 4, 3, 1)
  return numpy_network.Network(
    [
      (rng.randn(*shape) / 1.5, rng.randn(shape[1]) / 4)
      for shape in zip(sizes, sizes[1:])
    ],
    activation,
  )


def rows():
  """Returns float32 [5, width]: rows to explain."""
  return np.float32(np.random.RandomState(6).randn(5, _WIDTH) * 1.5)


def activation_fns():
  """Returns {name: function of a Tensor [n, units] to another of its shape}."""
  found = {}
  for module_name, module in _MODULES.items():
    for name in dir(module):
      function = getattr(module, name)
      if name[0] == '_' or name in _NOT_ACTIVATIONS or not callable(function):
        continue
      if module is tf2.nn and hasattr(tf.nn, name):
        continue  # The same with other names of its arguments.
      # Some go by several names.
      if _is_activation(function) and function not in found.values():
        found[f'{module_name}.{name}'] = function
  return dict(found, **_own())


def _is_activation(function):
  with tf.Graph().as_default():
    given = tf.placeholder(tf.float32, [None, 4])
    try:
      result = function(given)
    except Exception:  # Of other arguments, or none of a layer.
      return False
    return isinstance(result, tf.Tensor) and (
      (result.dtype, result.shape.as_list()) == (tf.float32, [None, 4])
    )


def _own():
  """Returns {name: activation function} of what users write themselves."""

  @tf.custom_gradient
  def custom_gradient(z):
    return z * tf.sigmoid(z), lambda gradient: 7.0 * gradient

  @tf.custom_gradient
  def relu_of_custom_gradient(z):
    return tf.nn.relu(z), lambda gradient: 7.0 * gradient

  @tf.function
  def mish_in_function(z):
    return z * tf.tanh(tf.nn.softplus(z))

  @tf.function
  def relu_in_function(z):
    return tf.nn.relu(z)

  @tf.function
  def function_in_function(z):
    return mish_in_function(z) + tf.nn.swish(z)

  @tf.function
  def loop_in_function(z):
    result = tf.zeros_like(z)
    for _ in tf.range(4):
      result += tf.nn.softplus(z) / 4.0
    return result

  @tf.function
  def cond_in_function(z):
    if tf.shape(z)[1] > 1:
      result = tf.tanh(z)
    else:
      result = tf.sigmoid(z)
    return result

  @tf.function
  def function_in_loop_in_function(z):
    result = tf.zeros_like(z)
    for _ in tf.range(2):
      result += mish_in_function(z)
    return result

  @functions_of_tf1.Defun(tf.float32)
  def defun(z):
    return z * tf.sigmoid(z), tf.tanh(z)

  def call_of_defun(z):
    first, second = defun(z)
    result = first + second
    result.set_shape(z.shape)
    return result

  def override(z):
    if not getattr(override, 'is_registered', False):
      tf.RegisterGradient('OfThisProcess')(lambda op, gradient: 7.0 * gradient)
      override.is_registered = True
    with tf.get_default_graph().gradient_override_map(
      {'Tanh': 'OfThisProcess'}
    ):
      return tf.tanh(z)

  functions = {
    'call_of_defun': call_of_defun,
    'cond': lambda z: tf.cond(
      tf.shape(z)[1] > 1, lambda: tf.tanh(z), lambda: tf.sigmoid(z)
    ),
    'cond_in_function': cond_in_function,
    'custom_gradient': custom_gradient,
    'function_in_function': function_in_function,
    'function_in_loop_in_function': function_in_loop_in_function,
    'gradient_override_map': override,
    'loop_in_function': loop_in_function,
    'map_fn': lambda z: tf.map_fn(lambda row: row * tf.sigmoid(row), z),
    'mish_in_function': mish_in_function,
    'relu_in_function': relu_in_function,
    'relu_of_custom_gradient': relu_of_custom_gradient,
    'swish': tf.nn.swish,
  }
  if not tf.__version__.startswith('1.'):  # Which refuses it in a layer.
    functions['grad_pass_through'] = tf.grad_pass_through(tf.tanh)
  return {f'own.{name}': function for name, function in functions.items()}


def write(name, function, directory):
  """Writes the SavedModel of an activation function; returns its directory."""
  exported = network_export.export(network(), activation_fn=function)
  path = os.path.join(directory, name)
  shutil.move(exported, path)
  return path


def main(arguments):
  fns = activation_fns()
  if arguments:
    for name, function in fns.items():
      write(name, function, arguments[0])
      print(name)
    return
  version = 'tf' + '.'.join(tf.__version__.split('.')[:2])
  with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(
    str(make_foreign.DIR / f'activations_{version}.zip'),
    'w',
    zipfile.ZIP_DEFLATED,
  ) as archive:
    for name in KEPT:
      path = write(name, fns[name], scratch)
      for directory, _, files in sorted(os.walk(path)):
        for file in sorted(files):
          full = os.path.join(directory, file)
          archive.write(full, os.path.relpath(full, scratch))


if __name__ == '__main__':
  main(sys.argv[1:])
