"""Resource variables or those of TF 1: the same exports and attributions."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import model_cases
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_CASE = model_cases.CASES['mixed']
_VARIABLES = {True: 'VarHandleOp', False: 'VariableV2'}


def _use_resources(use_resources):
  if use_resources:
    tf.enable_resource_variables()
  else:
    tf.disable_resource_variables()


def _estimator(annotated, model_dir):
  # Embeddings follow the switch; of these, dense layers on TF 1.15 too.
  return model_cases.estimator_class('multi_class', annotated=annotated)(
    hidden_units=[4, 3],
    feature_columns=_CASE.columns(),
    n_classes=3,
    model_dir=model_dir,
    batch_norm=True,
    config=tf.estimator.RunConfig(tf_random_seed=3),
  )


def _ops(export_dir):
  """Returns the types of the operations of a SavedModel."""
  graph_def = saved_model_files.meta_graph(export_dir).graph_def
  return {node.op for node in graph_def.node}


class ResourceVariablesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.addCleanup(_use_resources, tf.resource_variables_enabled())

  @parameterized.parameters(True, False)
  def test_checkpoints_of_both_are_exported_with_both(self, trained_with):
    model_dir = directories.new_dir()
    _use_resources(trained_with)
    ordinary = _estimator(False, model_dir)
    ordinary.train(_CASE.input_fn('multi_class', repeat=True), steps=3)
    expected = [row['logits'] for row in ordinary.predict(_CASE.input_fn(None))]
    results = []
    for exported_with in (True, False):
      _use_resources(exported_with)
      export_dir = tf.compat.as_str_any(
        _estimator(True, model_dir).export_saved_model(
          directories.new_dir(), _CASE.serving_input_receiver_fn()
        )
      )
      self.assertIn(_VARIABLES[exported_with], _ops(export_dir))
      with tfda.IntegratedGradients(export_dir) as ig:
        results.append(ig.attribute(_CASE.serialized_examples(), targets='all'))
      np.testing.assert_array_equal(results[-1].outputs, expected)
    self.assertNotEmpty(results[0].values)
    for name, values in results[0].values.items():
      np.testing.assert_array_equal(values, results[1].values[name])


if __name__ == '__main__':
  absltest.main()
