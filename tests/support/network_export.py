"""Annotated SavedModels of networks whose weights a test chooses."""

import os

import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
import tf_dnn_annotations as tfda

_ACTIVATION_FNS = {
  'identity': tf.identity,
  'relu': tf.nn.relu,
  'leaky_relu': tf.nn.leaky_relu,
  'relu6': tf.nn.relu6,
  'tanh': tf.nn.tanh,
  'sigmoid': tf.nn.sigmoid,
  'elu': tf.nn.elu,
}


def export(
  network,
  columns=None,
  variables=None,
  receiver='examples',
  activation_fn=None,
  **arguments,
):
  """Exports a network through the annotated V1 estimator.

  Nothing is trained: the checkpoint is written here.

  Args:
    network: `numpy_network.Network`.
    columns: feature columns that are `network.width` wide together, laid side
      by side in the order of their names; one numeric column 'x' if None.
    variables: {name: array} of the columns' own variables.
    receiver: the form of the SavedModel's inputs: 'examples'; 'raw', dense
      tensors of the features, as TensorFlow's own raw receiver has them;
      'sparse', the same with sparse tensors for features of any length; or a
      serving_input_receiver_fn.
    activation_fn: function for the estimator in place of the network's
      activation, or None.
    **arguments: further arguments of the estimator.

  Returns:
    The SavedModel's directory, str.
  """
  columns = columns or [
    tf.feature_column.numeric_column('x', shape=(network.width,))
  ]
  if network.is_classifier:
    estimator_class = tfda.DNNClassifierWithLayerAnnotations
    num_logits = len(network.layers[-1][1])
    arguments.setdefault('n_classes', max(2, num_logits))
  else:
    estimator_class = tfda.DNNRegressorWithLayerAnnotations
    arguments.setdefault('label_dimension', len(network.layers[-1][1]))
  estimator = estimator_class(
    hidden_units=network.hidden_units,
    feature_columns=columns,
    activation_fn=activation_fn or _ACTIVATION_FNS[network.activation],
    batch_norm=bool(network.batch_norms),
    model_dir=directories.new_dir(),
    **arguments,
  )
  checkpoint = write_checkpoint(dict(variables or {}, **_variables(network)))
  export_dir = estimator.export_saved_model(
    directories.new_dir(),
    receiver_fn(tf.feature_column.make_parse_example_spec(columns), receiver),
    checkpoint_path=checkpoint,
  )
  return tf.compat.as_str_any(export_dir)


def receiver_fn(spec, receiver):
  """Returns a serving_input_receiver_fn.

  Args:
    spec: {feature key: tf.io feature}.
    receiver: as in `export`.
  """
  if callable(receiver):
    return receiver
  if receiver == 'examples':
    return tf.estimator.export.build_parsing_serving_input_receiver_fn(spec)

  def placeholders():
    return {
      key: tf.sparse_placeholder(feature.dtype, [None, None])
      if isinstance(feature, tf.VarLenFeature)
      else tf.placeholder(feature.dtype, (None,) + tuple(feature.shape))
      for key, feature in spec.items()
    }

  def sparse_receiver_fn():
    features = placeholders()
    return tf.estimator.export.ServingInputReceiver(features, features)

  if receiver == 'sparse':
    return sparse_receiver_fn
  with tf.Graph().as_default():
    return tf.estimator.export.build_raw_serving_input_receiver_fn(
      placeholders()
    )


def write_checkpoint(variables):
  """Writes {name: array} and a global step; returns the checkpoint's path."""
  with tf.Graph().as_default(), tf.Session() as session:
    made = [
      tf.get_variable(name, initializer=np.float32(value))
      for name, value in sorted(variables.items())
    ]
    made.append(tf.get_variable('global_step', initializer=np.int64(0)))
    session.run(tf.global_variables_initializer())
    return tf.train.Saver(made).save(
      session,
      os.path.join(directories.new_dir(), 'model.ckpt'),
      write_meta_graph=False,
    )


def examples(**features):
  """Returns serialized tf.Examples of {key: n lists of values}.

  Floats become a float list, integers an int64 list, bytes a bytes list.
  """
  num_rows = len(next(iter(features.values())))
  return [
    tf.train.Example(
      features=tf.train.Features(
        feature={key: _feature(rows[i]) for key, rows in features.items()}
      )
    ).SerializeToString(deterministic=True)
    for i in range(num_rows)
  ]


def _feature(values):
  values = np.ravel(np.array(values, object)).tolist()
  if not values:
    return tf.train.Feature()
  if isinstance(values[0], bytes):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
  if isinstance(values[0], (int, np.integer)):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _variables(network):
  """Returns {name in a checkpoint: array} of a network."""
  variables = {}
  for i, (kernel, bias) in enumerate(network.layers):
    is_hidden = i < len(network.layers) - 1
    layer = f'dnn/hiddenlayer_{i}' if is_hidden else 'dnn/logits'
    variables[layer + '/kernel'] = kernel
    variables[layer + '/bias'] = bias
    if is_hidden and network.batch_norms:
      for name, value in network.batch_norms[i].items():
        variables[f'{layer}/batchnorm_{i}/{name}'] = value
  return variables
