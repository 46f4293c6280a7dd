"""Jobs under strategies of tf.distribute.

Two replicas in one process, and two workers of a replica each: in both, each
replica is given the same batch at every step, so that the same numbers are
added up in both, and all jobs of a version end with the same bits.

CentralStorageStrategy is not here: the ordinary V2 estimator fails with it.
"""

import functools

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from tests.support import directories
from tests.support import finished_job
from tests.support import local_cluster
from tests.support import saved_model_files
import tf_dnn_annotations as tfda
from tf_dnn_annotations import modern_tf

# Eight jobs, of one to three processes each.
pytestmark = pytest.mark.slow

_TASKS = {'replicas': None, 'workers': {'worker': 2, 'evaluator': 1}}
# TensorFlow 2.16 has lost what estimators need for several workers, and a
# RunConfig of such a job is refused (modern_tf_test).
_STRATEGIES = (
  ('replicas',) if modern_tf.make_importable() else ('replicas', 'workers')
)
_JOBS = parameterized.product(version=(1, 2), strategy=_STRATEGIES)
# Differences of logits below 10, summed over 12 elements in float32.
_TOLERANCE = 12 * 10 * 2.0**-23


@functools.lru_cache(maxsize=None)
def _job(annotated, version, strategy):
  return finished_job.FinishedJob(
    annotated, version, _TASKS[strategy], strategy
  )


class DistributionTest(parameterized.TestCase):
  def _assert_explains(self, job, export_dir, logits):
    """Attributions of each row against the first add up to the difference."""
    np.testing.assert_array_equal(job.served_logits(export_dir), logits)
    examples = job.case.serialized_examples()
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute(examples, baselines=examples[:1], targets='all')
    self.assertCountEqual(
      result.values, [column.name for column in job.case.columns()]
    )
    np.testing.assert_allclose(
      sum(value.sum(axis=-1) for value in result.values.values()),
      logits - logits[:1],
      rtol=0,
      atol=_TOLERANCE,
    )
    self.assertLess(np.abs(logits).max(), 10)
    self.assertGreater(np.abs(logits - logits[:1]).max(), 0.1)

  @_JOBS
  def test_same_bits_as_an_ordinary_job(self, version, strategy):
    # V2 writes an optimizer's slots once for each replica of the process.
    expected, actual = (
      job.variables(name for name in job.shapes() if '/replica_' not in name)
      for job in (
        _job(False, version, 'replicas'),
        _job(True, version, strategy),
      )
    )
    self.assertEqual(actual['global_step'], local_cluster.MAX_STEPS)
    self.assertCountEqual(expected, actual)
    for name, value in expected.items():
      np.testing.assert_array_equal(value, actual[name], name)

  @parameterized.parameters(1, 2)
  def test_evaluation_of_replicas(self, version):
    expected, actual = (
      list(_job(annotated, version, 'replicas').evaluations().values())
      for annotated in (False, True)
    )
    self.assertEqual(expected[-1]['global_step'], local_cluster.MAX_STEPS)
    self.assertEqual(expected, actual)

  @_JOBS
  def test_exports(self, version, strategy):
    job = _job(True, version, strategy)
    for exporter in local_cluster.EXPORTERS:
      export_dirs = job.export_dirs(exporter)
      self.assertNotEmpty(export_dirs)
      for export_dir in export_dirs:
        self.assertIn(
          'layer_annotations', saved_model_files.signatures(export_dir)
        )
    self._assert_explains(
      job, job.export_dirs('final')[-1], job.ordinary_logits()
    )

  @parameterized.parameters(1, 2)
  def test_checkpoint_of_an_ordinary_job(self, version):
    """Explained without training, on a machine without replicas."""
    job = _job(False, version, 'replicas')
    export_dir = job.estimator(annotated=True).export_saved_model(
      directories.new_dir(), job.case.serving_input_receiver_fn()
    )
    self._assert_explains(job, export_dir, job.ordinary_logits())


if __name__ == '__main__':
  absltest.main()
