"""A build of a graph leaves no trace, and no other build sees it."""

import threading

from absl.testing import absltest
from absl.testing import parameterized
import tensorflow.compat.v1 as tf
from tensorflow.python.feature_column import feature_column as fc_v1
from tensorflow.python.feature_column import feature_column_v2 as fc_v2
from tensorflow_estimator.python.estimator import estimator as estimator_lib
from tensorflow_estimator.python.estimator.canned import dnn

from tests.support import directories
from tests.support import model_cases
import tf_dnn_annotations as tfda

_NAMES = tfda.LayerAnnotationsCollectionNames
_PREDICT = tf.estimator.ModeKeys.PREDICT


def _state_of_tensorflow():
  """Returns {name: object} of what a patch could have replaced."""
  modules = (fc_v1, fc_v2, dnn, estimator_lib)
  owners = list(modules) + [
    value
    for module in modules
    for value in vars(module).values()
    if isinstance(value, type)
  ]
  owners += [tf.keras.layers.DenseFeatures, tf.feature_column]
  return {
    (owner.__name__, name): id(value)
    for owner in owners
    for name, value in vars(owner).items()
    # Caches of abstract base classes.
    if not name.startswith('_abc')
  }


def _estimator(columns, version=1, annotated=True):
  return model_cases.estimator_class('binary', version, annotated)(
    hidden_units=[2],
    feature_columns=columns,
    model_dir=directories.new_dir(),
  )


def _columns_of_predict_graph(estimator, features):
  """Builds a PREDICT graph; returns the names of its annotated columns."""
  with tf.Graph().as_default() as graph:
    tensors = {key: tf.constant(value) for key, value in features.items()}
    estimator.model_fn(tensors, None, _PREDICT, estimator.config)
    return graph.get_collection(_NAMES.keys(_NAMES.PROCESSED_FEATURES))


class IsolationOfBuildsTest(parameterized.TestCase):
  @parameterized.parameters(1, 2)
  def test_nothing_is_patched_during_or_after_a_build(self, version):
    case = model_cases.CASES['numeric']
    _columns_of_predict_graph(
      _estimator(case.columns(), version), case.dense_features()
    )  # Whatever TensorFlow loads late is loaded.
    before = _state_of_tensorflow()
    during = []

    def normalizer_fn(tensor):
      during.append(_state_of_tensorflow())
      return tensor

    columns = [
      tf.feature_column.numeric_column('age', normalizer_fn=normalizer_fn)
    ]
    _columns_of_predict_graph(
      _estimator(columns, version), case.dense_features()
    )
    self.assertEqual(during, [before])
    self.assertEqual(_state_of_tensorflow(), before)

  @parameterized.parameters(1, 2)
  def test_an_exception_leaves_no_trace(self, version):
    fails = [True]

    def normalizer_fn(tensor):
      if fails[0]:
        raise RuntimeError('from normalizer_fn')
      return tensor

    case = model_cases.CASES['numeric']
    features = case.dense_features(('pair',))
    columns = [
      tf.feature_column.numeric_column('pair', shape=(2,)),
      tf.feature_column.numeric_column('age', normalizer_fn=normalizer_fn),
    ]
    annotated = _estimator(columns, version)
    ordinary = _estimator(columns, version, annotated=False)
    with self.assertRaisesRegex(Exception, 'from normalizer_fn'):
      _columns_of_predict_graph(annotated, features)
    before = _state_of_tensorflow()
    with self.assertRaisesRegex(Exception, 'from normalizer_fn'):
      _columns_of_predict_graph(annotated, features)
    self.assertEqual(_state_of_tensorflow(), before)
    fails[0] = False
    # The ordinary estimator of the same columns is none the wiser, and the
    # annotated one records each column once.
    self.assertEqual(_columns_of_predict_graph(ordinary, features), [])
    self.assertCountEqual(
      _columns_of_predict_graph(annotated, features), ['age', 'pair']
    )

  @parameterized.parameters(
    name for name, case in model_cases.CASES.items() if case.is_v2
  )
  def test_columns_are_left_as_they_are(self, name):
    case = model_cases.CASES[name]
    columns = case.columns()
    before = [(type(c), dict(getattr(c, '__dict__', {}))) for c in columns]
    keys = _columns_of_predict_graph(_estimator(columns), case.dense_features())
    self.assertCountEqual(keys, [column.name for column in columns])
    self.assertEqual(
      [(type(c), dict(getattr(c, '__dict__', {}))) for c in columns], before
    )

  @parameterized.parameters(
    (1, 1, True), (2, 2, True), (1, 2, True), (1, 1, False), (2, 2, False)
  )
  def test_two_threads(self, first, second, second_is_annotated):
    """Both builds are in the middle of their columns at the same time."""
    barrier = threading.Barrier(2, timeout=300)
    case = model_cases.CASES['numeric']
    features = case.dense_features(('weight',))
    collected = {}

    def normalizer_fn(tensor):
      barrier.wait()
      return tensor

    def build(key, version, annotated):
      columns = [
        tf.feature_column.numeric_column(key, normalizer_fn=normalizer_fn),
        tf.feature_column.bucketized_column(
          tf.feature_column.numeric_column(key), [0.0]
        ),
      ]
      estimator = _estimator(columns, version, annotated)
      collected[key] = _columns_of_predict_graph(estimator, features)

    threads = [
      threading.Thread(target=build, args=('age', first, True)),
      threading.Thread(
        target=build, args=('weight', second, second_is_annotated)
      ),
    ]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    self.assertCountEqual(collected['age'], ['age', 'age_bucketized'])
    self.assertCountEqual(
      collected['weight'],
      ['weight', 'weight_bucketized'] if second_is_annotated else [],
    )

  def test_one_estimator_in_two_graphs(self):
    case = model_cases.CASES['mixed']
    estimator = _estimator(case.columns())
    first = _columns_of_predict_graph(estimator, case.dense_features())
    second = _columns_of_predict_graph(estimator, case.dense_features())
    self.assertEqual(first, second)
    self.assertLen(first, 7)


if __name__ == '__main__':
  absltest.main()
