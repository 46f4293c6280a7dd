"""Makes an annotated class of a canned estimator class.

TRAIN and EVAL graphs are built by the ordinary estimator itself. The PREDICT
graph, which is exported, is built with recorded columns, and annotated.
tensorflow_estimator is frozen for good at 2.15.0, so the private name that is
used here, the `_model_fn` of an `Estimator`, will not change.
"""

import collections
import functools
import inspect
from typing import Any, Callable

import tensorflow.compat.v1 as tf
from tensorflow_estimator.python.estimator import mode_keys
from tensorflow_estimator.python.estimator.export import export_output

from tf_dnn_annotations.annotations import contract
from tf_dnn_annotations.annotations import features as raw_features
from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import recorder as recording
from tf_dnn_annotations.estimators import checkpoint_mismatch

_V1_REDUCTIONS = frozenset(tf.losses.Reduction.all())
# tf.keras.losses.Reduction belongs to Keras, which would have to be loaded.
_V2_REDUCTIONS = frozenset(('auto', 'none', 'sum', 'sum_over_batch_size'))


def constructor(base: Any) -> Callable[..., None]:
  """Returns the constructor of an annotated class derived from an estimator.

  It accepts the arguments of `base`, with the defaults that they have in the
  installed TensorFlow.

  Args:
    base: class of canned estimators whose constructor has `hidden_units` and
      `feature_columns`.
  """
  signature = inspect.signature(base.__init__)

  @functools.wraps(base.__init__)
  def __init__(self, *args, **kwargs):
    try:
      bound = signature.bind(self, *args, **kwargs)
    except TypeError:
      # Raises the ordinary estimator's own error.
      base.__init__(self, *args, **kwargs)
      raise
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    arguments.pop('self')
    # Every call of the model_fn needs them; an iterator yields them only once.
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
    # The saver that the ordinary estimator has by default, but for its error
    # message.
    saver = checkpoint_mismatch.ExplainingSaver(
      sharded=True, allow_empty=True, defer_build=True
    )
    return spec._replace(scaffold=tf.train.Scaffold(saver=saver))

  return model_fn


def _annotated_spec(base, arguments, features, labels, config):
  """Builds the PREDICT graph with annotations and returns its EstimatorSpec."""
  graph = tf.get_default_graph()
  recorder = recording.Recorder()
  features = raw_features.isolated(features)
  num_operations = len(graph.get_operations())
  # This estimator serves one call, so no other graph and no other thread sees
  # the recorder. Its directory is that of `config`; it does not create one.
  recorded = dict(arguments)
  recorded.update(
    feature_columns=[
      recorder.recorded(column) for column in arguments['feature_columns']
    ],
    model_dir=None,
    config=config,
    warm_start_from=None,
  )
  # Constructors check their arguments with operations, which the ordinary graph
  # does not have.
  with tf.Graph().as_default():
    estimator = base(**recorded)
  spec = estimator.model_fn(
    features, labels, mode_keys.ModeKeys.PREDICT, config
  )
  outputs = contract.annotate(graph, recorder, features, num_operations)
  export_outputs = dict(spec.export_outputs)
  # Estimator drops outputs of classes other than its own from an export.
  export_outputs[names.SIGNATURE] = export_output.PredictOutput(outputs)
  return spec._replace(export_outputs=export_outputs)


def _raise_if_of_the_other_version(base, arguments, name, error):
  """Raises if V1 was given an argument that is for V2, or the reverse."""
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
      f'`{name}` must be one that {class_name}{here} accepts; got {value!r}, '
      f'which is for the {"V1" if is_v2 else "V2"} estimators. Use '
      f'{class_name}{other}.'
    ) from error


def _checked_columns(feature_columns):
  """Returns `feature_columns` as a tuple; raises if a name is not unique."""
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
