"""Stand-ins for modules that tensorflow_estimator lacks on TensorFlow >= 2.16.

They do what tensorflow_estimator 2.15.0 needs in training, evaluation,
prediction and export; the rest raises NotImplementedError when it is used.
Nothing here is imported from TensorFlow.
"""

import types

TRAINING = 'tensorflow.python.distribute.estimator_training'
_ESTIMATOR = 'tensorflow_estimator.python.estimator'
_EXPORT = f'{_ESTIMATOR}.estimator_export'
_TPU_ESTIMATOR = f'{_ESTIMATOR}.tpu.tpu_estimator'
_TPU_EMBEDDING = f'{_ESTIMATOR}.tpu._tpu_estimator_embedding'
# All of them; a guard against newer TensorFlow skips these modules.
NAMES = (TRAINING, _EXPORT, _TPU_ESTIMATOR, _TPU_EMBEDDING)


def make():
  """Returns {module name: module}, for `sys.modules`."""
  return {
    TRAINING: _module(
      TRAINING,
      init_run_config=_init_run_config,
      # Strategies for one machine, and parameter servers, do not need it.
      should_run_distribute_coordinator=lambda config: False,
      train_and_evaluate=_refuse_coordinator,
      estimator_train=_refuse_coordinator,
      estimator_evaluate=_refuse_coordinator,
    ),
    _EXPORT: _module(_EXPORT, estimator_export=_ExportedSymbol),
    _TPU_ESTIMATOR: _module(
      _TPU_ESTIMATOR,
      TPUEstimator=_refusing_class('TPUEstimator'),
      TPUEstimatorSpec=_refusing_class('TPUEstimatorSpec'),
    ),
    _TPU_EMBEDDING: _module(
      _TPU_EMBEDDING, EmbeddingConfigSpec=_refusing_class('EmbeddingConfigSpec')
    ),
  }


def _module(name, **symbols):
  module = types.ModuleType(name, 'Stand-in, made by tf_dnn_annotations.')
  vars(module).update(symbols)
  return module


def _init_run_config(config, tf_config):
  """Completes a RunConfig that was given a distribution strategy.

  Args:
    config: `RunConfig` that holds what its constructor was given.
    tf_config: dict, the environment's TF_CONFIG.
  """
  given = config._experimental_distribute
  for mode in ('train_distribute', 'eval_distribute'):
    strategy = getattr(given, mode, None)
    if strategy and getattr(config, f'_{mode}'):
      raise ValueError(
        f'`{mode}` must be given once; got it in RunConfig and in '
        '`experimental_distribute` too. Leave one out.'
      )
    if strategy:
      setattr(config, f'_{mode}', strategy)
  cluster = tf_config.get('cluster', {})
  if config._train_distribute and (
    getattr(given, 'remote_cluster', None)
    # With a master, TensorFlow 2.15 did without the coordinator too.
    or (cluster and 'master' not in cluster)
  ):
    _refuse_coordinator()
  config._distribute_coordinator_mode = None
  config._init_distributed_setting_from_environment_var(tf_config)
  config._maybe_overwrite_session_config_for_distributed_training()


def _refuse_coordinator(*args, **kwargs):
  del args, kwargs
  raise NotImplementedError(
    '`train_distribute` over several machines needs the distribute coordinator '
    'for Estimator, which TensorFlow lost in 2.16. Leave `train_distribute` '
    'out, to train with the parameter servers of TF_CONFIG; or stay on '
    'TensorFlow 2.15.'
  )


class _ExportedSymbol(object):
  """The decorator that exports a symbol under a name; here it does nothing."""

  def __init__(self, *names, **kwargs):
    del names, kwargs

  def __call__(self, symbol):
    return symbol

  def export_constant(self, module_name, name):
    del module_name, name


def _refusing_class(name):
  """Returns a class that can be subclassed and compared, not instantiated."""

  def __new__(cls, *args, **kwargs):
    del cls, args, kwargs
    raise NotImplementedError(
      f'{name} needs parts of TensorFlow that were removed in 2.16. Use the '
      'estimator without TPU, or stay on TensorFlow 2.15.'
    )

  return type(name, (object,), {'__new__': __new__, '__doc__': 'A stand-in.'})
