"""Checkpoints written by other TensorFlows are restored on this one.

They are the variables of the SavedModels in testdata/foreign, which hold what
an estimator restores; expected is what float64 numpy makes of them.
"""

import json
import pathlib
import zipfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow_estimator.python.estimator.canned import dnn

from testdata import make_foreign
from tests.support import directories
import tf_dnn_annotations as tfda

_PARAMETERS = dict(
  version=make_foreign.VERSIONS,
  name=tuple(make_foreign.MODELS),
  annotated=(False, True),
)


class ForeignCheckpointsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.dir = directories.new_dir()
    for version in make_foreign.VERSIONS:
      with zipfile.ZipFile(str(make_foreign.DIR / f'{version}.zip')) as archive:
        archive.extractall(str(pathlib.Path(cls.dir, version)))

  def _checkpoint(self, version, name):
    return str(pathlib.Path(self.dir, version, name, 'variables', 'variables'))

  def _estimator(self, name, annotated, **arguments):
    model = make_foreign.MODELS[name]
    if annotated:
      estimator_class = getattr(tfda, model.class_name)
    else:
      ordinary = model.class_name.replace('WithLayerAnnotations', '')
      estimator_class = getattr(dnn, ordinary)
    return estimator_class(
      feature_columns=make_foreign.columns(),
      model_dir=directories.new_dir(),
      **dict(model.arguments, **arguments),
    )

  def _input_fn(self, labels=None):
    def input_fn():
      features = tf.io.parse_example(
        tf.constant(make_foreign.serialized_examples()),
        tf.feature_column.make_parse_example_spec(make_foreign.columns()),
      )
      if labels is None:
        return tf.data.Dataset.from_tensors(features)
      return tf.data.Dataset.from_tensors((features, labels))

    return input_fn

  @parameterized.product(**_PARAMETERS)
  def test_predict(self, version, name, annotated):
    kept = (make_foreign.DIR / f'{version}.json').read_text('utf-8')
    case = json.loads(kept)[name]['cases'][0]
    self.assertEqual(case['output'], 'logits')
    is_classifier = make_foreign.MODELS[name].is_classifier
    rows = self._estimator(name, annotated).predict(
      self._input_fn(), checkpoint_path=self._checkpoint(version, name)
    )
    outputs = np.array(
      [row['logits' if is_classifier else 'predictions'] for row in rows]
    )
    expected = np.array(case['outputs'])
    if expected.shape[1] == 2 and outputs.shape[1] == 1:
      # Of two classes, a model has the logit of class 1 alone.
      expected = expected[:, 1:]
    # A few roundings to float32, whichever TensorFlow adds up.
    np.testing.assert_allclose(
      outputs, expected, rtol=0, atol=1e-6 * np.abs(expected).max()
    )

  @parameterized.product(version=make_foreign.VERSIONS, annotated=(False, True))
  def test_warm_start(self, version, annotated):
    checkpoint = self._checkpoint(version, 'classifier')
    estimator = self._estimator(
      'classifier',
      annotated,
      optimizer=tf.train.GradientDescentOptimizer(0.0),
      warm_start_from=checkpoint,
    )
    labels = np.array([[b'once']] * len(make_foreign.serialized_examples()))
    estimator.train(self._input_fn(labels), steps=1)
    names = [name for name in estimator.get_variable_names() if 'dnn' in name]
    self.assertLen(names, 7)  # Kernels and biases of three layers, a table.
    for name in names:
      np.testing.assert_array_equal(
        estimator.get_variable_value(name),
        tf.train.load_variable(checkpoint, name),
      )


if __name__ == '__main__':
  absltest.main()
