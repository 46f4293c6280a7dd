"""Why a SavedModel cannot be explained, and the remedy."""

import re

import tensorflow.compat.v1 as tf
from tensorflow.python.saved_model import loader_impl

# In what TensorFlow says of graphs that are not of this version.
_OF_GRAPHS = ('Op type not registered', 'NodeDef', 'GraphDef')


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
  return ValueError(
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
  if not any(words in str(error) for words in _OF_GRAPHS):
    return None  # Of files that are missing or damaged, say.
  versions = {
    meta_graph.meta_info_def.tensorflow_version
    for meta_graph in loader_impl.parse_saved_model(export_dir).meta_graphs
  }
  newest = max(versions, key=_numbers)
  if _numbers(newest) <= _numbers(tf.__version__):
    return None
  reason = str(getattr(error, 'message', error)).strip()
  minor = '.'.join(newest.split('.')[:2])
  return ValueError(
    f'{export_dir!r} was written by TensorFlow {newest}, and {tf.__version__}, '
    'the one at hand, is too old to load it. Read it with TensorFlow '
    f'{minor} or newer, or export its checkpoint with {tf.__version__}. '
    f'TensorFlow says: {reason}'
  )


def _numbers(version):
  """Returns (major, minor) of a version; (0, 0) of what is none."""
  match = re.match(r'(\d+)\.(\d+)', version)
  return tuple(map(int, match.groups())) if match else (0, 0)
