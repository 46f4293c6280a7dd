"""TensorFlow's own tests of DNN estimators, run on the annotated ones.

Where TensorFlow has no estimators any more, `modern_tf` answers for its
ordinary ones too: so they are run on both there.
"""

import inspect
import types

from absl.testing import absltest
import pytest
import tensorflow as tf
from tensorflow.python.feature_column import feature_column as fc_v1
from tensorflow.python.feature_column import feature_column_v2 as fc_v2
from tensorflow_estimator.python.estimator.canned import dnn
from tensorflow_estimator.python.estimator.canned import dnn_testing_utils
from tensorflow_estimator.python.estimator.canned.v1 import dnn_testing_utils_v1

import tf_dnn_annotations as tfda
from tf_dnn_annotations import modern_tf

# TensorFlow's own suites. What they hold for is in parity_test too: the graphs
# of both estimators are the same.
pytestmark = pytest.mark.slow

# The suites call the columns before TF 1.13 by the names they had.
_PRIVATE_COLUMNS = types.SimpleNamespace(
  **{
    name[1:]: getattr(fc_v1, name)
    for name in dir(fc_v1)
    if name.startswith('_') and '_column' in name
  }
)

# Name, suites, classifier, regressor, columns.
_RUNS = [
  (
    'V1',
    dnn_testing_utils_v1,
    tfda.DNNClassifierWithLayerAnnotations,
    tfda.DNNRegressorWithLayerAnnotations,
    fc_v2,
  ),
  (
    'V1OfPrivateColumns',
    dnn_testing_utils_v1,
    tfda.DNNClassifierWithLayerAnnotations,
    tfda.DNNRegressorWithLayerAnnotations,
    _PRIVATE_COLUMNS,
  ),
  (
    'V2',
    dnn_testing_utils,
    tfda.DNNClassifierWithLayerAnnotationsV2,
    tfda.DNNRegressorWithLayerAnnotationsV2,
    fc_v2,
  ),
]
_ORDINARY_RUNS = [
  (
    'V1Ordinary',
    dnn_testing_utils_v1,
    dnn.DNNClassifier,
    dnn.DNNRegressor,
    fc_v2,
  ),
  (
    'V2Ordinary',
    dnn_testing_utils,
    dnn.DNNClassifierV2,
    dnn.DNNRegressorV2,
    fc_v2,
  ),
]
if modern_tf.make_importable():
  _RUNS += _ORDINARY_RUNS
# The suites that take an estimator, as against a part of one.
_SUITES = {
  'BaseDNNWarmStartingTest': ('classifier', 'regressor'),
  'BaseDNNClassifierEvaluateTest': ('classifier',),
  'BaseDNNClassifierPredictTest': ('classifier',),
  'BaseDNNClassifierTrainTest': ('classifier',),
  'BaseDNNRegressorEvaluateTest': ('regressor',),
  'BaseDNNRegressorPredictTest': ('regressor',),
  'BaseDNNRegressorTrainTest': ('regressor',),
}


def _test_case(name, suite, factories, fc_impl):
  def __init__(self, methodName='runTest'):  # noqa: N803
    tf.test.TestCase.__init__(self, methodName)
    suite.__init__(self, *factories, fc_impl=fc_impl)

  def setUp(self):
    # The suites do not call the other setUp, which makes the graph anew.
    tf.test.TestCase.setUp(self)
    suite.setUp(self)

  return type(
    name,
    (suite, tf.test.TestCase),
    {
      '__init__': __init__,
      'setUp': setUp,
      'test_session': None,  # A deprecated helper and not a test.
      'assertEquals': tf.test.TestCase.assertEqual,  # Python 3.12 has it not.
      '__module__': __name__,
    },
  )


for _version, _module, _classifier, _regressor, _columns in _RUNS:
  for _suite, _heads in _SUITES.items():
    _factories = {'classifier': _classifier, 'regressor': _regressor}
    _name = _suite.replace('Base', '').replace('Test', _version + 'Test')
    globals()[_name] = _test_case(
      _name,
      getattr(_module, _suite),
      [_factories[head] for head in _heads],
      _columns,
    )


class AllSuitesTest(absltest.TestCase):
  def test_no_suite_that_takes_an_estimator_is_left_out(self):
    for module in (dnn_testing_utils, dnn_testing_utils_v1):
      suites = {
        name
        for name, suite in inspect.getmembers(module, inspect.isclass)
        if name.startswith('Base')
        and {'dnn_classifier_fn', 'dnn_regressor_fn'}
        & {p.strip('_') for p in inspect.signature(suite.__init__).parameters}
      }
      self.assertEqual(suites, set(_SUITES))


if __name__ == '__main__':
  absltest.main()
