"""What a caller can get wrong with the estimators, and what is said of it."""

import functools
import itertools
import os

from absl.testing import absltest
from absl.testing import parameterized
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2

from tests.support import directories
from tests.support import model_cases

_CASE = model_cases.CASES['two_of_one_feature']
_EMBEDDING = model_cases.CASES['embedding_mean']
_REMEDY = 'Build this estimator with the `hidden_units`'

# Name, case and arguments of what wrote the checkpoint, the same of what
# reads it, and what the message says.
_MISMATCHES = [
  (
    'hidden_units',
    (_CASE, {}),
    (_CASE, {'hidden_units': [5, 3]}),
    r'hidden layer 0: .*kernel is \[4, 5\] here and \[4, 4\].*`hidden_units`',
  ),
  (
    'fewer_layers',
    (_CASE, {}),
    (_CASE, {'hidden_units': [4]}),
    r'hidden layer 1: .*kernel \[4, 3\] is in the checkpoint but not here',
  ),
  (
    # Of the same width: all that is left differs in no shape.
    'fewer_layers_of_one_width',
    (_CASE, {'hidden_units': [3, 3]}),
    (_CASE, {'hidden_units': [3]}),
    r'hidden layer 1: .*kernel \[3, 3\] is in the checkpoint but not here',
  ),
  (
    'more_layers',
    (_CASE, {}),
    (_CASE, {'hidden_units': [4, 3, 2]}),
    r'hidden layer 2: .*kernel \[3, 2\] is not in the checkpoint',
  ),
  (
    'columns',
    (_CASE, {}),
    (model_cases.CASES['numeric'], {}),
    # Columns are named where they are known: in PREDICT graphs.
    r'layer 0: .*1 elements here( \(age 1\))?, those of the checkpoint 4',
  ),
  (
    'embedding_missing',
    (_CASE, {}),
    (_EMBEDDING, {}),
    r"column 'color_embedding': .*\[4, 3\] is not in the checkpoint",
  ),
  (
    'embedding_left_out',
    (_EMBEDDING, {}),
    (_CASE, {}),
    r"column 'color_embedding': .*\[4, 3\] is in the checkpoint but not here",
  ),
  (
    'n_classes',
    (_CASE, {'n_classes': 4}),
    (_CASE, {'n_classes': 3}),
    r'logits: dnn/logits/kernel is \[3, 3\] here and \[3, 4\].*`n_classes`',
  ),
  (
    'batch_norm_on',
    (_CASE, {}),
    (_CASE, {'batch_norm': True}),
    r'hidden layer 0 \(batch norm\): .*gamma \[4\] is not in the checkpoint',
  ),
  (
    'batch_norm_off',
    (_CASE, {'batch_norm': True}),
    (_CASE, {}),
    r'hidden layer 0 \(batch norm\): .*gamma \[4\] is in the checkpoint but',
  ),
]


def _estimator(annotated, version, case, **kwargs):
  arguments = {'hidden_units': [4, 3], 'n_classes': 3}
  arguments.update(kwargs)
  return model_cases.estimator_class('multi_class', version, annotated)(
    feature_columns=case.columns(),
    model_dir=directories.new_dir(),
    **arguments,
  )


@functools.lru_cache(maxsize=None)
def _checkpoint(version, case, items):
  estimator = _estimator(
    False,
    version,
    case,
    **{k: list(v) if k == 'hidden_units' else v for k, v in items},
  )
  estimator.train(case.input_fn('multi_class', repeat=True), steps=1)
  return estimator.latest_checkpoint()


class ForeignCheckpointTest(parameterized.TestCase):
  @parameterized.named_parameters(
    (f'{mismatch[0]}_v{version}',) + mismatch[1:] + (version,)
    for mismatch, version in itertools.product(_MISMATCHES, (1, 2))
  )
  def test_mismatch_is_explained(self, wrote, reads, message, version):
    case, arguments = wrote
    items = tuple(
      (key, tuple(value) if isinstance(value, list) else value)
      for key, value in sorted(arguments.items())
    )
    path = _checkpoint(version, case, items)
    case, arguments = reads
    estimator = _estimator(True, version, case, **arguments)
    calls = (
      lambda: list(estimator.predict(case.input_fn(), checkpoint_path=path)),
      lambda: estimator.evaluate(
        case.input_fn('multi_class'), checkpoint_path=path
      ),
      lambda: estimator.export_saved_model(
        directories.new_dir(),
        case.serving_input_receiver_fn(),
        checkpoint_path=path,
      ),
    )
    for call in calls:
      with self.assertRaises(ValueError) as raised:
        call()
      self.assertRegex(str(raised.exception), message)
      self.assertRegex(str(raised.exception), _REMEDY)
      self.assertIn(path, str(raised.exception))

  @parameterized.parameters((1, 2), (2, 1))
  def test_shared_embeddings_of_the_other_version(self, wrote, reads):
    """TensorFlow has two names for their variable, so they do not fit."""
    case = model_cases.CASES['shared_v2']
    path = _checkpoint(wrote, case, ())
    estimator = _estimator(True, reads, case)
    with self.assertRaisesRegex(
      ValueError, f'its name in V{wrote} estimators: use one'
    ):
      list(estimator.predict(case.input_fn(), checkpoint_path=path))

  @parameterized.product(
    version=(1, 2),
    # What follows the path of a checkpoint, or its directory's.
    wrong=(
      ('.index', None, 'is one of its files'),
      ('.data-00000-of-00001', None, 'is one of its files'),
      (None, '', 'is a directory'),
      (None, '/checkpoint', 'only names the latest'),
    ),
  )
  def test_path_of_no_checkpoint(self, version, wrong):
    extension, name, message = wrong
    right = _checkpoint(version, _CASE, ())
    path = right + extension if extension else os.path.dirname(right) + name
    estimator = _estimator(True, version, _CASE)
    with self.assertRaisesRegex(
      ValueError, f'`checkpoint_path` .*which {message}.*Give {right!r}'
    ):
      list(estimator.predict(_CASE.input_fn(), checkpoint_path=path))

  @parameterized.parameters('model.ckpt-1', 'model.ckpt-1.index', '')
  def test_no_such_checkpoint(self, name):
    path = os.path.join(directories.new_dir(), name)
    estimator = _estimator(True, 1, _CASE)
    with self.assertRaisesRegex(
      ValueError, '`checkpoint_path` .*Give the value of estimator.latest_check'
    ):
      list(estimator.predict(_CASE.input_fn(), checkpoint_path=path))


class VersionTest(parameterized.TestCase):
  """What only the other version's class takes is met with its name."""

  def _estimator(self, version, **arguments):
    return _estimator(True, version, _CASE, **arguments)

  @parameterized.parameters(
    (1, 'sum_over_batch_size', 'Use DNNClassifierWithLayerAnnotationsV2'),
    (2, 'weighted_sum', r'Use DNNClassifierWithLayerAnnotations\.'),
    (1, 'average', 'Invalid loss_reduction: average'),
  )
  def test_loss_reduction(self, version, loss_reduction, message):
    with self.assertRaisesRegex(ValueError, message):
      self._estimator(version, loss_reduction=loss_reduction)

  def test_optimizer(self):
    keras = tf2.keras.optimizers.get('SGD')
    ours = tf.train.GradientDescentOptimizer(0.1)
    input_fn = _CASE.input_fn('multi_class')
    with self.assertRaisesRegex(
      ValueError, 'Use DNNClassifierWithLayerAnnotationsV2'
    ):
      self._estimator(1, optimizer=keras).train(input_fn, steps=1)
    with self.assertRaisesRegex(
      ValueError, r'Use DNNClassifierWithLayerAnnotations\.'
    ):
      self._estimator(2, optimizer=ours).train(input_fn, steps=1)
    self._estimator(1, optimizer=ours).train(input_fn, steps=1)

  @parameterized.parameters(1, 2)
  def test_misspelt_argument(self, version):
    with self.assertRaisesRegex(TypeError, 'hiden_units'):
      model_cases.estimator_class('binary', version, True)(
        hiden_units=[2], feature_columns=_CASE.columns()
      )


@parameterized.named_parameters(
  (f'{head}_v{version}', head, version)
  for head, version in itertools.product(('binary', 'regression'), (1, 2))
)
class FeatureColumnsTest(parameterized.TestCase):
  def _assert_refused(self, head, version, columns, message):
    with self.assertRaisesRegex(ValueError, message):
      model_cases.estimator_class(head, version, annotated=True)(
        hidden_units=[2], feature_columns=columns
      )

  def test_no_columns(self, head, version):
    for columns in ([], None, iter([])):
      self._assert_refused(
        head, version, columns, 'Give at least one dense feature column'
      )

  def test_name_twice(self, head, version):
    columns = _CASE.columns()
    self._assert_refused(
      head,
      version,
      columns + columns[:1],
      r"got \['age'\] more than once\. Leave one out, or give the feature",
    )

  def test_single_column(self, head, version):
    self._assert_refused(
      head, version, _CASE.columns()[0], r'got .*age.*\. Put it in a list'
    )

  def test_dict_of_columns(self, head, version):
    columns = {column.name: column for column in _CASE.columns()}
    self._assert_refused(head, version, columns, 'Put it in a list')

  def test_no_column_in_the_list(self, head, version):
    self._assert_refused(
      head,
      version,
      _CASE.columns() + ['age'],
      "got the item 'age'. Make columns with tf.feature_column",
    )

  def test_categorical_column_is_refused_as_ordinary(self, head, version):
    """As late as by the ordinary estimator, and in the same words."""
    case = model_cases.CASES['indicator']
    columns = [case.columns()[0].categorical_column]
    messages = []
    for annotated in (False, True):
      for mode in ('train', 'predict'):
        estimator = model_cases.estimator_class(head, version, annotated)(
          hidden_units=[2],
          feature_columns=columns,
          model_dir=directories.new_dir(),
        )
        with self.assertRaises(ValueError) as raised, tf.Graph().as_default():
          estimator.model_fn(
            case.features(),
            tf.constant(model_cases.HEADS[head][0])
            if mode == 'train'
            else None,
            tf.estimator.ModeKeys.TRAIN
            if mode == 'train'
            else tf.estimator.ModeKeys.PREDICT,
            estimator.config,
          )
        messages.append(str(raised.exception))
    self.assertEqual(messages[:2], messages[2:])


if __name__ == '__main__':
  absltest.main()
