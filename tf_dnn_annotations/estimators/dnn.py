"""Canned DNN estimators whose SavedModels carry layer annotations.

The only module that imports tensorflow_estimator, but for `modern_tf`. That
package is frozen for good at 2.15.0, so what is private in it and used here,
the path of `dnn` and the `_model_fn` of an `Estimator`, is there to stay.
"""

import collections
import functools
import inspect

from tf_dnn_annotations import modern_tf

# Before TensorFlow is loaded, which then takes the Keras that is needed.
modern_tf.make_importable()

# ruff: noqa: E402
import tensorflow.compat.v1 as tf
from tensorflow_estimator.python.estimator import mode_keys
from tensorflow_estimator.python.estimator.canned import dnn
from tensorflow_estimator.python.estimator.export import export_output

from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import recorder as recording
from tf_dnn_annotations.estimators import checkpoint_mismatch

_V1_REDUCTIONS = frozenset(tf.losses.Reduction.all())
# tf.keras.losses.Reduction, which is Keras's and would have to be loaded.
_V2_REDUCTIONS = frozenset(('auto', 'none', 'sum', 'sum_over_batch_size'))


def _annotated(base):
  """Returns the constructor of a class derived from `base`, an estimator.

  It takes the arguments of `base` with the defaults that they have in the
  TensorFlow at hand. TRAIN and EVAL graphs are built by `base` itself; only the
  PREDICT graph, which is what is exported, is built with recorded columns.
  """
  signature = inspect.signature(base.__init__)

  @functools.wraps(base.__init__)
  def __init__(self, *args, **kwargs):
    try:
      bound = signature.bind(self, *args, **kwargs)
    except TypeError:
      base.__init__(self, *args, **kwargs)  # Says what is wrong as ever.
      raise
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    arguments.pop('self')
    # Every model_fn call needs them again; an iterator gives them once.
    arguments['hidden_units'] = list(arguments['hidden_units'])
    arguments['feature_columns'] = _checked_columns(
      arguments['feature_columns']
    )
    try:
      base.__init__(self, **arguments)
    except ValueError as error:
      _raise_if_of_the_other_version(base, arguments, 'loss_reduction', error)
      raise
    self._model_fn = _annotating_model_fn(base, self._model_fn, arguments)

  return __init__


def _annotating_model_fn(base, ordinary_model_fn, arguments):
  """Returns `ordinary_model_fn` with annotations added to PREDICT graphs."""

  def model_fn(features, labels, mode, config):
    if mode == mode_keys.ModeKeys.PREDICT and isinstance(features, dict):
      spec = _annotated_spec(base, arguments, features, labels, config)
    else:
      try:
        spec = ordinary_model_fn(
          features=features, labels=labels, mode=mode, config=config
        )
      except ValueError as error:
        _raise_if_of_the_other_version(base, arguments, 'optimizer', error)
        raise
    if mode == mode_keys.ModeKeys.TRAIN or tf.distribute.has_strategy():
      return spec
    # The same saver as the ordinary estimator gets by default, but for its
    # error message.
    saver = checkpoint_mismatch.ExplainingSaver(
      sharded=True, allow_empty=True, defer_build=True
    )
    return spec._replace(scaffold=tf.train.Scaffold(saver=saver))

  return model_fn


def _annotated_spec(base, arguments, features, labels, config):
  """Builds the PREDICT graph with annotations and returns its EstimatorSpec."""
  graph = tf.get_default_graph()
  recorder = recording.Recorder()
  features = recording.isolated(features)
  num_operations = len(graph.get_operations())
  # An estimator of this call alone: the recorder is seen by no other graph and
  # no other thread. Its directory is that of `config`, so it makes none.
  recorded = dict(arguments)
  recorded.update(
    feature_columns=[
      recorder.recorded(column) for column in arguments['feature_columns']
    ],
    model_dir=None,
    config=config,
    warm_start_from=None,
  )
  # Constructors check their arguments with ops, which the ordinary graph has
  # not.
  with tf.Graph().as_default():
    estimator = base(**recorded)
  spec = estimator.model_fn(
    features, labels, mode_keys.ModeKeys.PREDICT, config
  )
  outputs = recording.annotate(graph, recorder, features, num_operations)
  export_outputs = dict(spec.export_outputs)
  # Estimator drops outputs of other kinds than its own from an export.
  export_outputs[names.SIGNATURE] = export_output.PredictOutput(outputs)
  return spec._replace(export_outputs=export_outputs)


def _raise_if_of_the_other_version(base, arguments, name, error):
  """Raises where an argument is what V2 takes in V1, or the other way round."""
  value, is_v2 = arguments[name], base.__name__.endswith('V2')
  if name == 'loss_reduction':
    here, other = _V1_REDUCTIONS, _V2_REDUCTIONS
    if is_v2:
      here, other = other, here
    is_of_other = isinstance(value, str) and value in other - here
  elif isinstance(value, str) or callable(value):
    is_of_other = False
  else:
    is_of_other = isinstance(value, tf.train.Optimizer) == is_v2
  if is_of_other:
    class_name = base.__name__.replace('V2', '') + 'WithLayerAnnotations'
    here, other = 'V2' * is_v2, 'V2' * (not is_v2)
    raise ValueError(
      f'`{name}` must be one that {class_name}{here} takes; got {value!r}, '
      f'which is for the {"V1" if is_v2 else "V2"} estimators. Use '
      f'{class_name}{other}.'
    ) from error


def _checked_columns(feature_columns):
  """Returns `feature_columns` as a tuple; raises where a name is not unique."""
  if isinstance(feature_columns, dict) or hasattr(feature_columns, 'name'):
    raise ValueError(
      '`feature_columns` must be a list of feature columns; got '
      f'{feature_columns!r}. Put it in a list.'
    )
  columns = tuple(feature_columns or ())
  if not columns:
    raise ValueError(
      f'`feature_columns` must not be empty; got {feature_columns!r}. Give at '
      'least one dense feature column.'
    )
  for column in columns:
    if not hasattr(column, 'name'):
      raise ValueError(
        '`feature_columns` must be a list of feature columns; got the item '
        f'{column!r}. Make columns with tf.feature_column.'
      )
  counts = collections.Counter(column.name for column in columns)
  repeated = sorted(name for name, count in counts.items() if count > 1)
  if repeated:
    raise ValueError(
      f'`feature_columns` must have distinct names; got {repeated} more than '
      'once. Leave one out, or give the feature a second key in the input_fn.'
    )
  return columns


class DNNClassifierWithLayerAnnotations(dnn.DNNClassifier):
  """A `tf.compat.v1.estimator.DNNClassifier` with annotated exports.

  In TensorFlow 2 `tf.estimator.DNNClassifier` is another class, whose drop-in
  is `DNNClassifierWithLayerAnnotationsV2`.

  Takes the arguments of `DNNClassifier` with the same defaults, trains,
  evaluates and predicts the same, and reads and writes the same checkpoints.
  What `export_saved_model` writes (and every exporter of `train_and_evaluate`)
  carries in addition, in collections and in the signature
  `layer_annotations`, the tensors that `IntegratedGradients` needs: every
  feature, every feature column, every hidden layer and the logits. The names
  are in `LayerAnnotationsCollectionNames`.

  To explain a model that is already trained, construct this with the same
  arguments and export the ordinary checkpoint:

      estimator.export_saved_model(
          export_dir_base, serving_input_receiver_fn,
          checkpoint_path=ordinary_estimator.latest_checkpoint())

  Args:
    hidden_units: iterable of the number of units of each hidden layer, input
      side first.
    feature_columns: iterable of dense feature columns, v1 or v2, with distinct
      names.
    model_dir: directory of checkpoints and summaries; a temporary one if None.
    n_classes: number of classes, at least 2.
    weight_column: None, the key of a feature or a numeric column: the weight
      of an example in the loss.
    label_vocabulary: None, or the list of the `n_classes` labels, as strings,
      in the order of the class ids.
    optimizer: name, `tf.compat.v1.train.Optimizer` or callable that makes one.
    activation_fn: activation function of the hidden layers.
    dropout: None, or the share in [0, 1) of each hidden layer's units that is
      dropped in training.
    input_layer_partitioner: partitioner of the input layer's variables.
    config: `tf.estimator.RunConfig`.
    warm_start_from: checkpoint path or `tf.estimator.WarmStartSettings`.
    loss_reduction: one of `tf.compat.v1.losses.Reduction`, not NONE.
    batch_norm: whether each hidden layer is followed by batch normalization.

  Raises:
    ValueError: `feature_columns` is empty, no list of columns, or has a name
      twice; and all that `DNNClassifier` raises. Exporting, predicting or
      evaluating a checkpoint of another configuration raises one that names
      the columns and layers that differ.

  Source: tf.contrib.estimator.DNNClassifierWithLayerAnnotations, TF 1.15.
  """

  __init__ = _annotated(dnn.DNNClassifier)


class DNNRegressorWithLayerAnnotations(dnn.DNNRegressor):
  """A `tf.compat.v1.estimator.DNNRegressor` with annotated exports.

  As `DNNClassifierWithLayerAnnotations`, for regression. In TensorFlow 2,
  `tf.estimator.DNNRegressor` is another class, whose drop-in is
  `DNNRegressorWithLayerAnnotationsV2`.

  Args:
    hidden_units: iterable of the number of units of each hidden layer, input
      side first.
    feature_columns: iterable of dense feature columns, v1 or v2, with distinct
      names.
    model_dir: directory of checkpoints and summaries; a temporary one if None.
    label_dimension: number of values that are predicted per example, all of
      them in the unit of the labels.
    weight_column: None, the key of a feature or a numeric column: the weight
      of an example in the loss.
    optimizer: name, `tf.compat.v1.train.Optimizer` or callable that returns
      one.
    activation_fn: activation function of the hidden layers.
    dropout: None, or the share in [0, 1) of each hidden layer's units that are
      dropped in training.
    input_layer_partitioner: partitioner of the input layer's variables.
    config: `tf.estimator.RunConfig`.
    warm_start_from: checkpoint path or `tf.estimator.WarmStartSettings`.
    loss_reduction: one of `tf.compat.v1.losses.Reduction`, not NONE.
    batch_norm: whether each hidden layer is followed by batch normalization.

  Raises:
    ValueError: as `DNNClassifierWithLayerAnnotations`.
  """

  __init__ = _annotated(dnn.DNNRegressor)


class DNNClassifierWithLayerAnnotationsV2(dnn.DNNClassifierV2):
  """A TensorFlow 2 `tf.estimator.DNNClassifier` with annotated exports.

  As `DNNClassifierWithLayerAnnotations`, with the arguments and defaults of
  TensorFlow 2: Keras optimizers, a loss that is a mean over the batch, v2
  feature columns, and no `input_layer_partitioner`. A model that is already
  trained is exported again without training:

      estimator.export_saved_model(
          export_dir_base, serving_input_receiver_fn,
          checkpoint_path=ordinary_estimator.latest_checkpoint())

  Args:
    hidden_units: iterable of the number of units of each hidden layer, input
      side first.
    feature_columns: iterable of dense feature columns, v2, with distinct names.
    model_dir: directory of checkpoints and summaries; a temporary one if None.
    n_classes: number of classes, at least 2.
    weight_column: None, the key of a feature or a numeric column: the weight
      of an example in the loss.
    label_vocabulary: None, or the list of the `n_classes` labels, as strings,
      in the order of the class ids.
    optimizer: name, Keras optimizer or callable that returns one.
    activation_fn: activation function of the hidden layers.
    dropout: None, or the share in [0, 1) of each hidden layer's units that are
      dropped in training.
    config: `tf.estimator.RunConfig`.
    warm_start_from: checkpoint path or `tf.estimator.WarmStartSettings`.
    loss_reduction: one of `tf.keras.losses.Reduction`, not NONE.
    batch_norm: whether each hidden layer is followed by batch normalization.

  Raises:
    ValueError: as `DNNClassifierWithLayerAnnotations`.
  """

  __init__ = _annotated(dnn.DNNClassifierV2)


class DNNRegressorWithLayerAnnotationsV2(dnn.DNNRegressorV2):
  """A TensorFlow 2 `tf.estimator.DNNRegressor` with annotated exports.

  As `DNNClassifierWithLayerAnnotationsV2`, for regression.

  Args:
    hidden_units: iterable of the number of units of each hidden layer, input
      side first.
    feature_columns: iterable of dense feature columns, v2, with distinct names.
    model_dir: directory of checkpoints and summaries; a temporary one if None.
    label_dimension: number of values that are predicted per example, all of
      them in the unit of the labels.
    weight_column: None, the key of a feature or a numeric column: the weight
      of an example in the loss.
    optimizer: name, Keras optimizer or callable that returns one.
    activation_fn: activation function of the hidden layers.
    dropout: None, or the share in [0, 1) of each hidden layer's units that are
      dropped in training.
    config: `tf.estimator.RunConfig`.
    warm_start_from: checkpoint path or `tf.estimator.WarmStartSettings`.
    loss_reduction: one of `tf.keras.losses.Reduction`, not NONE.
    batch_norm: whether each hidden layer is followed by batch normalization.

  Raises:
    ValueError: as `DNNClassifierWithLayerAnnotations`.
  """

  __init__ = _annotated(dnn.DNNRegressorV2)
