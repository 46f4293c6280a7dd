"""The kept checkpoint is read by the estimators of today.

TensorFlow's ordinary estimator wrote it; see testdata/make_golden.py.
"""

import json

from absl.testing import absltest
import numpy as np
import tensorflow.compat.v1 as tf

from testdata import make_golden
from tests.support import directories
from tests.support import numpy_network
import tf_dnn_annotations as tfda


class GoldenCheckpointTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    expected = json.loads(make_golden.EXPECTED.read_text('utf-8'))
    cls.cases = expected['cases']
    cls.examples = make_golden.serialized_examples()

  def test_the_annotated_estimator_exports_it(self):
    estimator = tfda.DNNClassifierWithLayerAnnotations(
      model_dir=directories.new_dir(), **make_golden.estimator_arguments()
    )
    export_dir = estimator.export_saved_model(
      directories.new_dir(),
      make_golden.receiver_fn(),
      checkpoint_path=make_golden.CHECKPOINT,
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertEqual(ig.model.labels, list(make_golden.LABELS))
      for case in self.cases[:2]:
        self.assertEqual(case['output'], 'logits')
        row = case['baseline_row']
        result = ig.attribute(
          self.examples,
          None if row is None else self.examples[row],
          targets='all',
          method='exact',
        )
        self.assertCountEqual(result.values, case['values'])
        for name, value in case['values'].items():
          # Some 100 roundings of the largest attribution's size.
          atol = 100 * numpy_network.ROUNDOFF * np.abs(value).max()
          np.testing.assert_allclose(
            result.values[name], value, rtol=0, atol=atol
          )

  def test_the_ordinary_estimator_predicts_from_it(self):
    estimator = tf.estimator.DNNClassifier(
      model_dir=directories.new_dir(), **make_golden.estimator_arguments()
    )

    def input_fn():
      spec = tf.feature_column.make_parse_example_spec(make_golden.columns())
      parsed = tf.io.parse_example(tf.constant(self.examples), spec)
      return tf.data.Dataset.from_tensors(parsed)

    logits = [
      prediction['logits']
      for prediction in estimator.predict(
        input_fn, checkpoint_path=make_golden.CHECKPOINT
      )
    ]
    np.testing.assert_allclose(
      logits, self.cases[0]['outputs'], rtol=1e-5, atol=1e-5
    )


if __name__ == '__main__':
  absltest.main()
