"""tf.estimator on TensorFlow 2.16 and newer, which no longer has it.

A pipeline needs one more line, above everything that imports TensorFlow:

    from tf_dnn_annotations import modern_tf; modern_tf.install()

tensorflow_estimator 2.15.0, the last version there will be, runs on newer
TensorFlow except for a few modules, which stand-ins replace in `sys.modules`;
no file is edited. It also needs Keras 2, which is now the package tf_keras.
TensorFlow is imported by the functions and not by this module, since it chooses
its Keras when it is imported.
"""

import functools
import importlib
import importlib.util
import os
import sys
import threading
import types
from typing import Dict
import warnings

from tf_dnn_annotations.modern_tf import stand_ins

_LINE = 'from tf_dnn_annotations import modern_tf; modern_tf.install()'
_API = 'tensorflow_estimator.python.estimator.api'
# What the canned estimators use of Keras. Only Keras 2 has the last one.
_OF_KERAS = (
  'keras.layers.Layer',
  'keras.optimizers.Optimizer',
  'keras.losses.Loss',
  'keras.metrics.Metric',
  'compat.v1.layers.Dense',
)

_lock = threading.RLock()
# Module name to module, once they are in `sys.modules`.
_stand_ins: Dict[str, types.ModuleType] = {}


def install() -> None:
  """Gives TensorFlow 2.16 and newer the `tf.estimator` of TensorFlow 2.15.

  Sets `tf.estimator`, `tf.compat.v1.estimator` and `tf.compat.v2.estimator`;
  does nothing where TensorFlow is older than 2.16. Call it before TensorFlow is
  first imported, in every process. Further calls have no effect.

  Warns with a `RuntimeWarning` if the versions of tf_keras and TensorFlow
  differ.

  Raises:
    ImportError: tf_keras or tensorflow_estimator is not installed, or one of
      TensorFlow and tensorflow_estimator was imported before, in a way that
      cannot be undone. The error lists everything to be done: what to run, and
      which line to put where.
  """
  with _lock:
    if not make_importable():
      return
    import tensorflow as tf

    v1 = importlib.import_module(f'{_API}._v1.estimator')
    v2 = importlib.import_module(f'{_API}._v2.estimator')
    for namespace in (tf, tf.compat.v1, tf.compat.v2):
      namespace.compat.v1.estimator = v1
      namespace.compat.v2.estimator = v2
    tf.estimator = v2
    # For `from tensorflow.compat.v1.estimator import DNNClassifier`.
    sys.modules['tensorflow.estimator'] = v2
    sys.modules['tensorflow.compat.v1.estimator'] = v1
    sys.modules['tensorflow.compat.v2.estimator'] = v2


def make_importable() -> bool:
  """Makes `import tensorflow_estimator` work; leaves the tf namespace alone.

  The part of `install` that this package's estimators call.

  Returns:
    Whether there are stand-ins: False where TensorFlow is older than 2.16, in
    which case nothing was done.

  Raises:
    ImportError: as `install`.
  """
  with _lock:
    if _has_estimator():
      return False
    if not _stand_ins:
      _check_installed()
      _check_estimator()
      _load_keras_2()
      _stand_ins.update(stand_ins.make())
      sys.modules.update(_stand_ins)
    return True


def _has_estimator():
  """Returns whether TensorFlow has tf.estimator; does not import it."""
  if sys.version_info < (3, 9):
    return True  # TensorFlow 2.16 and newer need a newer Python.
  spec = importlib.util.find_spec('tensorflow')
  if spec is None:
    raise ImportError('TensorFlow is not installed: pip install tensorflow')
  path = os.path.join(*stand_ins.TRAINING.split('.')[1:]) + '.py'
  return any(
    os.path.exists(os.path.join(directory, path))
    for directory in spec.submodule_search_locations
  )


def _check_installed():
  """Raises unless the packages that TensorFlow does not require are there."""
  missing = [
    name
    for name in ('tensorflow_estimator', 'tf_keras')
    if importlib.util.find_spec(name) is None
  ]
  if not missing:
    return
  # The error lists everything to be done at once: later checks would raise
  # only after this one passes.
  is_too_late = _was_tensorflow_loaded() and not _is_keras_2_asked_for()
  import tensorflow as tf

  requirements = {
    'tensorflow_estimator': 'tensorflow-estimator==2.15.0',
    'tf_keras': f'"tf_keras=={_minor_version(tf)}.*"',
  }
  steps = ['Then start anew']
  if 'TF_USE_LEGACY_KERAS' in os.environ and not _is_keras_2_asked_for():
    steps.append('without TF_USE_LEGACY_KERAS in the environment')
  if is_too_late or _loaded_of_estimator():
    steps.append(
      'with this line at the top of the program, above all that imports '
      f'TensorFlow: {_LINE}'
    )
  raise ImportError(
    f'tf.estimator on TensorFlow {tf.__version__} needs what TensorFlow 2.16 '
    f'and newer do not bring; not installed: {" and ".join(missing)}. Run: pip '
    'install --no-deps '
    f'{" ".join(requirements[name] for name in missing)} (without --no-deps, '
    'tf_keras brings a `tensorflow` over a `tensorflow-cpu`). '
    f'{", ".join(steps)}'
  )


def _check_estimator():
  """Raises if tensorflow_estimator was imported."""
  imported = _loaded_of_estimator()
  if imported:
    raise ImportError(
      'tensorflow_estimator was imported, which cannot work on this TensorFlow '
      f'without preparation ({min(imported)} is loaded). Move this line to the '
      f'top of the program, above all other imports, and start anew: {_LINE}'
    )


def _loaded_of_estimator():
  # A failed import leaves behind the modules that it loaded before it failed.
  return [
    name for name in sys.modules if name.startswith('tensorflow_estimator.')
  ]


@functools.lru_cache(maxsize=None)
def _was_tensorflow_loaded():
  """Returns whether TensorFlow was imported before this was first called."""
  return 'tensorflow' in sys.modules


def _load_keras_2():
  """Imports TensorFlow with Keras 2; raises if it has Keras 3."""
  if 'tensorflow' not in sys.modules:
    asked_for = os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
    if not _is_keras_2_asked_for():
      raise ImportError(
        'tf.estimator needs Keras 2, and the environment says otherwise: '
        f'TF_USE_LEGACY_KERAS is {asked_for!r}. Unset it, or set it to 1.'
      )
  import tensorflow as tf

  if not _is_keras_2(tf):
    raise ImportError(
      'tf.estimator needs Keras 2, and TensorFlow was imported with Keras 3; '
      'it cannot change that later. Move this line to the top of the program, '
      f'above all that imports TensorFlow, and start anew: {_LINE}'
    )
  import tf_keras

  if _minor_version(tf_keras) != _minor_version(tf):
    # Not an error: release candidates of TensorFlow lack a tf_keras of their
    # own.
    warnings.warn(
      'tf_keras must be of the version of TensorFlow; got tf_keras '
      f'{tf_keras.__version__} with TensorFlow {tf.__version__}. Run: pip '
      f'install --no-deps "tf_keras=={_minor_version(tf)}.*"',
      RuntimeWarning,
      stacklevel=2,
    )


def _minor_version(package):
  """Returns the major and minor version of a package, such as '2.16'."""
  return '.'.join(package.__version__.split('.')[:2])


def _is_keras_2_asked_for():
  return os.environ.get('TF_USE_LEGACY_KERAS') in ('1', 'true', 'True')


def _is_keras_2(tf):
  """Returns whether tf.keras is tf_keras, however it is reached."""
  # First where `import tensorflow.keras` looks, which was settled when
  # TensorFlow was imported: to ask for tf.keras could load Keras 3 for good.
  spec = importlib.util.find_spec('tensorflow.keras')
  if spec is None or os.path.join('tf_keras', 'api') not in spec.origin:
    return False
  symbols = (
    functools.reduce(getattr, name.split('.'), tf) for name in _OF_KERAS
  )
  return all(
    symbol.__module__.split('.')[0] == 'tf_keras' for symbol in symbols
  )
