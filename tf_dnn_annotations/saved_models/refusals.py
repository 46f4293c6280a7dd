"""Errors of SavedModels that cannot be explained, with remedies."""

import contextlib
import os
import re

from google.protobuf import message
import tensorflow.compat.v1 as tf
from tensorflow.python.saved_model import loader_impl

from tf_dnn_annotations.annotations import contract
from tf_dnn_annotations.saved_models import trust
from tf_dnn_annotations.text import plain_text

# Found in TensorFlow's errors about graphs of another version.
_OF_GRAPHS = ('Op type not registered', 'NodeDef', 'GraphDef')
# Found in its errors about missing, truncated or changed variable files.
_OF_VARIABLES = (
  'variables/variables',
  'checkpoint',
  'Checksum',
  'checksum',
  'restore',
  'Restore',
  'TensorBundle',
  'BundleReader',
  'sstable',
)

_REMEDY = (
  'Copy the SavedModel again from where it was exported, or export it again.'
)


class Refused(ValueError):
  """A SavedModel that is not explained, in words of our own.

  Text quoted from the SavedModel or from TensorFlow cannot act on a terminal.
  """

  def __init__(self, text):
    super().__init__(plain_text.escaped_lines(text))


@contextlib.contextmanager
def explained(export_dir):
  """Raises what loading a SavedModel raises, as an error with a remedy.

  Args:
    export_dir: str.
  """
  try:
    yield
  except (FileNotFoundError, Refused, trust.UntrustedModelError):
    raise
  except contract.AnnotationError as error:
    raise contradictory(export_dir, error) from error
  except Exception as error:
    raise unreadable(export_dir, error) from error


def check_is_saved_model(export_dir):
  """Raises FileNotFoundError unless the directory holds a SavedModel."""
  if tf.saved_model.contains_saved_model(export_dir):
    return
  if tf.io.gfile.exists(export_dir) and not tf.io.gfile.isdir(export_dir):
    raise FileNotFoundError(
      f'`export_dir` must be the directory of a SavedModel; got '
      f'{export_dir!r}, which is a file. Give its directory, '
      f'{os.path.dirname(export_dir) or "."!r}.'
    )
  if not tf.io.gfile.isdir(export_dir):
    raise FileNotFoundError(
      f'`export_dir` must be the directory of a SavedModel; got '
      f'{export_dir!r}, which does not exist. Give what export_saved_model '
      'returned.'
    )
  inner = sorted(
    os.path.join(export_dir, entry.rstrip('/'))
    for entry in tf.io.gfile.listdir(export_dir)
  )
  inner = [path for path in inner if tf.saved_model.contains_saved_model(path)]
  raise FileNotFoundError(
    f'`export_dir` must be the directory of a SavedModel; got {export_dir!r}, '
    'which holds no saved_model.pb or saved_model.pbtxt. '
    + (
      f'The newest SavedModel in it is {inner[-1]!r}.'
      if inner
      else 'Give what export_saved_model returned.'
    )
  )


def without_annotations(export_dir, signatures):
  """Returns the ValueError of a SavedModel that has no layer annotations.

  Args:
    export_dir: str.
    signatures: dict of name to `SignatureDef`.
  """
  outputs = signatures['predict'].outputs if 'predict' in signatures else {}
  is_regressor = 'predictions' in outputs and 'probabilities' not in outputs
  ordinary = 'DNNRegressor' if is_regressor else 'DNNClassifier'
  annotated = ordinary + 'WithLayerAnnotations'
  # First that of the tf.estimator at hand.
  of_tf_1 = f"tf.compat.v1.estimator.{ordinary}'s"
  of_tf_2 = f"TF 2's tf.estimator.{ordinary}'s"
  this, whose, other = annotated + 'V2', of_tf_2, f'{annotated} takes {of_tf_1}'
  if tf.__version__.startswith('1.'):
    this, whose = annotated, f"tf.estimator.{ordinary}'s"
    other = f'{annotated}V2 takes {of_tf_2}'
  return Refused(
    f'No layer annotations in {export_dir!r}; its signatures are '
    f'{sorted(signatures)}. Export it from {this}: the checkpoint of a '
    f'{ordinary} is exported again without training, by\n\n'
    '    import tf_dnn_annotations as tfda\n'
    f'    estimator = tfda.{this}(**arguments)\n'
    '    estimator.export_saved_model(export_dir_base, '
    'serving_input_receiver_fn, checkpoint_path=checkpoint_path)\n\n'
    f'where `arguments` are {whose} ({other}) and `checkpoint_path` is what '
    'its latest_checkpoint() returns.'
  )


def not_loaded(export_dir, error):
  """Returns the ValueError of a SavedModel of a newer TensorFlow, or None.

  Args:
    export_dir: str.
    error: what TensorFlow raised when it loaded the SavedModel. None is
      returned if it is not that of an operation or an attribute that a newer
      one wrote and that is not known here.
  """
  unknown = getattr(error, 'unknown', ())  # Of a `trust.UntrustedModelError`.
  if not unknown and not any(words in str(error) for words in _OF_GRAPHS):
    return None  # Of files that are missing or damaged, say.
  versions = {
    meta_graph.meta_info_def.tensorflow_version
    for meta_graph in loader_impl.parse_saved_model(export_dir).meta_graphs
  }
  newest = max(versions, key=_numbers, default='')
  if _numbers(newest) <= _numbers(tf.__version__):
    return None
  reason = str(getattr(error, 'message', error)).strip()
  if unknown:
    reason = f'Op type not registered {unknown[0]!r}'
  minor = '.'.join(newest.split('.')[:2])
  return Refused(
    f'{export_dir!r} was written by TensorFlow {newest}, and {tf.__version__}, '
    'the one at hand, is too old to load it. Read it with TensorFlow '
    f'{minor} or newer, or export its checkpoint with {tf.__version__}. '
    f'TensorFlow says: {reason}'
  )


def unreadable(export_dir, error):
  """Returns the ValueError of a SavedModel that is damaged, or is not one.

  Args:
    export_dir: str.
    error: what was raised while it was loaded and read.
  """
  reason = _reason(error)
  return Refused(
    f'`export_dir` {export_dir!r} cannot be read: {reason}. {_REMEDY}'
  )


def contradictory(export_dir, contradiction):
  """Returns the ValueError of annotations that cannot be true.

  Args:
    export_dir: str.
    contradiction: str, the two facts that contradict each other.
  """
  return Refused(
    f'The layer annotations of {export_dir!r} are not those of its graph: '
    f'{contradiction}. {_REMEDY}'
  )


def not_run(export_dir, error):
  """Returns the ValueError of a model that was loaded but cannot be run."""
  remedy = _REMEDY
  if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
    remedy = 'Give a smaller `max_rows`.'
  elif isinstance(error, (TypeError, ValueError)):
    # Of Python, about what is fed.
    remedy = (
      'Compare the examples with the features of the model (the command '
      'inspect lists them), or export it again.'
    )
  return Refused(
    f'The model of {export_dir!r} cannot be run: {_described(error)}. {remedy}'
  )


def of_another_process(export_dir, process):
  """Returns the ValueError of a model in a fork of the process that loaded it.

  Args:
    export_dir: str.
    process: int, the id of the process that loaded a model.
  """
  return Refused(
    f'The model of {export_dir!r} cannot be used in process {os.getpid()}, a '
    f'fork of process {process}, which has used a model: the threads of '
    'TensorFlow do not survive a fork. Start processes by the method '
    "'spawn' (multiprocessing.get_context('spawn')), or fork before the first "
    'model is loaded, and load it in each process.'
  )


def _reason(error):
  """Returns why a SavedModel could not be read, without a full stop."""
  text = str(getattr(error, 'message', error))
  if isinstance(error, UnicodeDecodeError):
    # TensorFlow quotes bytes that it could not parse.
    return 'it holds bytes where there must be text'
  if isinstance(error, tf.errors.PermissionDeniedError) or isinstance(
    error, PermissionError
  ):
    return 'its files may not be read by this user (check their permissions)'
  if isinstance(error, (IOError, message.DecodeError)):
    name = 'saved_model.pbtxt' if '.pbtxt' in text else 'saved_model.pb'
    return f'its {name} is damaged or was cut short'
  if 'valid checkpoint' in text or (
    isinstance(error, tf.errors.OpError)
    and any(words in text for words in _OF_VARIABLES)
  ):
    return (
      'its variables are missing, damaged or those of another model '
      '(variables/variables.*)'
    )
  if 'Op type not registered' in text:
    return (
      'it is damaged, or has an operation that is not in TensorFlow '
      f'{tf.__version__} ({_described(error)}); if that is a custom one, load '
      'its library first, by tf.load_op_library'
    )
  return (
    f'it is damaged, or of a TensorFlow that {tf.__version__} cannot read '
    f'({_described(error)})'
  )


def _described(error):
  """Returns the first line of an error of another library, and its class."""
  text = str(getattr(error, 'message', None) or error).strip()
  lines = text.splitlines()
  line = ' '.join(lines[0].split()) if lines else ''
  name = type(error).__name__
  return f'{name}, {line:.200}'.rstrip('.,: ') if line else name


def _numbers(version):
  """Returns (major, minor) of a version; (0, 0) if it cannot be parsed."""
  match = re.match(r'(\d+)\.(\d+)', version)
  return tuple(map(int, match.groups())) if match else (0, 0)
