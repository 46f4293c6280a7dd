"""Exports random models twice, and computes in float64 what they compute.

The ordinary estimator and the annotated one are given the same checkpoint. The
columns' values are TensorFlow's, by an input layer of its own over the features
of the same receiver; what follows the columns is numpy's.
"""

import collections
import functools
import os

import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2
from tensorflow_estimator.python.estimator.canned import dnn

from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

ACTIVATION_FNS = {
  'identity': None,
  'relu': tf.nn.relu,
  'relu6': tf.nn.relu6,
  'leaky_relu': tf.nn.leaky_relu,
  'tanh': tf.nn.tanh,
  'sigmoid': tf.nn.sigmoid,
  'elu': tf.nn.elu,
  'selu': tf.nn.selu,
  'softplus': tf.nn.softplus,
  'softsign': tf.nn.softsign,
  'swish': tf.nn.swish,
  'mish': lambda z: z * tf.tanh(tf.nn.softplus(z)),
}
# Where the derivative of an activation jumps.
_JUMPS = {
  'relu': (0.0,),
  'leaky_relu': (0.0,),
  'relu6': (0.0, 6.0),
  'selu': (0.0,),
}


class Exported(
  collections.namedtuple(
    'Exported', ['annotated_dir', 'ordinary_dir', 'network', 'values_fn']
  )
):
  """A model, exported.

  Attributes:
    annotated_dir, ordinary_dir: str, the SavedModels' directories.
    network: `Network`.
    values_fn: function of {feature key: list of n lists of values} that returns
      {column name: [n, width]}, by TensorFlow.
  """

  __slots__ = ()


def export(model):
  """Returns a `strategies.Model` as `Exported`, with random weights."""
  columns = model.columns()
  make_spec = tf.feature_column.make_parse_example_spec
  if model.version == 2:
    make_spec = tf2.feature_column.make_parse_example_spec
  spec = make_spec(columns)
  receiver_fn = network_export.receiver_fn(spec, model.receiver)
  annotated, ordinary = (
    _estimator(model, columns, is_annotated) for is_annotated in (True, False)
  )
  checkpoint = _random_checkpoint(model, ordinary, receiver_fn)
  annotated_dir, ordinary_dir = (
    tf.compat.as_str_any(
      estimator.export_saved_model(
        directories.new_dir(), receiver_fn, checkpoint_path=checkpoint
      )
    )
    for estimator in (annotated, ordinary)
  )
  variables = tf.train.load_checkpoint(
    os.path.join(ordinary_dir, 'variables', 'variables')
  )
  return Exported(
    annotated_dir,
    ordinary_dir,
    _network(model, variables.get_tensor),
    functools.partial(_values, model, columns, receiver_fn, variables),
  )


def _estimator(model, columns, is_annotated):
  name = 'DNNClassifier' if model.num_classes else 'DNNRegressor'
  suffix = 'V2' if model.version == 2 else ''
  if is_annotated:
    cls = getattr(tfda, f'{name}WithLayerAnnotations{suffix}')
  else:
    cls = getattr(dnn, name + suffix)
  arguments = (
    {'n_classes': model.num_classes, 'label_vocabulary': model.labels}
    if model.num_classes
    else {'label_dimension': model.num_predicted}
  )
  return cls(
    hidden_units=model.hidden_units,
    feature_columns=columns,
    activation_fn=ACTIVATION_FNS[model.activation],
    batch_norm=model.batch_norm,
    model_dir=directories.new_dir(),
    config=tf.estimator.RunConfig(
      tf_random_seed=model.seed, save_summary_steps=None
    ),
    **arguments,
  )


def _random_checkpoint(model, estimator, receiver_fn):
  """Returns a checkpoint of random values for an estimator's variables."""
  rng = np.random.RandomState(model.seed)
  with tf.Graph().as_default():
    estimator.model_fn(
      receiver_fn().features,
      None,
      tf.estimator.ModeKeys.PREDICT,
      estimator.config,
    )
    shapes = {
      # Those of V1 are slices, each of one whole.
      variable.op.name.replace('/part_0', ''): variable.shape.as_list()
      for variable in tf.global_variables()
    }
  return network_export.write_checkpoint(
    {
      name: _random_value(name.split('/')[-1], shape, model.scale, rng)
      for name, shape in sorted(shapes.items())
      if name != 'global_step'
    }
  )


def _random_value(kind, shape, scale, rng):
  if kind == 'kernel':
    return rng.randn(*shape) * scale / np.sqrt(shape[0])
  if kind in ('gamma', 'moving_variance'):
    return rng.uniform(0.5, 2, shape)
  return rng.randn(*shape) / 2


def _network(model, variable):
  """Returns the `Network` of a SavedModel's variables."""
  layers = [f'dnn/hiddenlayer_{i}' for i in range(len(model.hidden_units))]
  norms = None
  if model.batch_norm:
    names = ('gamma', 'beta', 'moving_mean', 'moving_variance')
    norms = [
      {
        name: variable(f'{layer}/batchnorm_{i}/{name}').astype(np.float64)
        for name in names
      }
      for i, layer in enumerate(layers)
    ]
  return Network(
    [
      (variable(f'{layer}/kernel'), variable(f'{layer}/bias'))
      for layer in layers + ['dnn/logits']
    ],
    model.activation,
    norms,
    bool(model.num_classes),
  )


def _values(model, columns, receiver_fn, variables, rows):
  """Returns {column name: [n, width]}, by TensorFlow's own input layer."""
  with tf.Graph().as_default(), tf.Session() as session:
    receiver = receiver_fn()
    tensors = {}
    if model.version == 2 or 'shared' not in model.kinds:
      layer = tf.keras.layers.DenseFeatures(columns)
      layer(receiver.features, cols_to_output_tensors=tensors)
    else:
      tf.feature_column.input_layer(
        receiver.features, columns, cols_to_output_tensors=tensors
      )
    session.run(tf.tables_initializer())
    for variable in tf.global_variables():
      variable.load(_saved(variable.op.name, variables), session)
    return session.run(
      {column.name: tensor for column, tensor in tensors.items()},
      feed(
        {
          name: tf.saved_model.build_tensor_info(tensor)
          for name, tensor in receiver.receiver_tensors.items()
        },
        rows,
      ),
    )


def _saved(name, variables):
  """Returns the value of the variable that ends with most of a name's parts."""
  parts = name.split('/')

  def num_equal(saved):
    pairs = zip(reversed(saved.split('/')), reversed(parts))
    return next((i for i, (a, b) in enumerate(pairs) if a != b), len(parts))

  names = sorted(variables.get_variable_to_shape_map())
  return variables.get_tensor(max(names, key=num_equal))


def feed(inputs, rows):
  """Returns what is fed for rows, given a signature's inputs.

  Args:
    inputs: {key: `TensorInfo`}.
    rows: {feature key: list of n lists of values}.
  """
  fed = {}
  for key, info in inputs.items():
    if key not in rows:
      fed[info.name] = network_export.examples(**rows)
      continue
    width = max(map(len, rows[key]))
    if info.WhichOneof('encoding') == 'coo_sparse':
      sparse, values = info.coo_sparse, rows[key]
      places = [(i, j) for i, row in enumerate(values) for j in range(len(row))]
      flat = [value for row in values for value in row]
      dtype = tf.as_dtype(info.dtype).as_numpy_dtype
      fed[sparse.indices_tensor_name] = np.int64(places).reshape(-1, 2)
      fed[sparse.values_tensor_name] = np.array(flat, dtype)
      fed[sparse.dense_shape_tensor_name] = np.int64([len(values), width])
      continue
    shape = [dim.size for dim in info.tensor_shape.dim]
    padding = {tf.string: b'', tf.int64: -1}.get(tf.as_dtype(info.dtype), 0.0)
    padded = [row + [padding] * (width - len(row)) for row in rows[key]]
    if -1 in shape[1:]:
      shape = [0, width]
    fed[info.name] = np.reshape(
      np.array(padded, object), [len(padded)] + shape[1:]
    )
  return fed


def served(export_dir, rows):
  """Returns what the predict signature of a SavedModel gives for rows."""
  with tf.Graph().as_default(), tf.Session() as session:
    meta_graph = tf.saved_model.load(session, ['serve'], export_dir)
    signature = meta_graph.signature_def['predict']
    return session.run(
      {name: info.name for name, info in signature.outputs.items()},
      feed(signature.inputs, rows),
    )


class Network(numpy_network.Network):
  """A `numpy_network.Network`, and how far float32 may be from it."""

  def is_near_a_kink(self, positions, x, baseline):
    """Whether a unit is so near one somewhere that rounding can switch it."""
    zs = self._on_path(positions, x, baseline)
    return any(
      np.any(np.abs(z - threshold) <= 1e-5 * max(1, np.max(np.abs(z))))
      for z in zs[:-1]
      for threshold in _JUMPS.get(self.activation, ())
    )

  def sizes(self, x, baseline, output):
    """Returns how large what is added up to an attribution is.

    Returns:
      float [num_outputs, width]: |x - x'| times the sum over the first layer's
      units of |kernel| |integral of dF/dz|, and the sum of the attributions'
      absolute values on these units.
    """
    kernel, bias = self.layers[0]
    rest = Network(
      [(np.eye(len(bias)), np.zeros(len(bias)))] + self.layers[1:],
      self.activation,
      self.batch_norms,
      self.is_classifier,
    )
    z, z_baseline = x @ kernel + bias, baseline @ kernel + bias
    positions = (np.arange(256) + 0.5) / 256
    integrals = np.abs(
      rest.mean(positions, np.full(256, 1 / 256), z, z_baseline, output)
    )
    of_units = integrals @ np.abs(z - z_baseline)
    return (
      np.abs(x - baseline) * (integrals @ np.abs(kernel.T))
      + of_units[:, np.newaxis]
    )
