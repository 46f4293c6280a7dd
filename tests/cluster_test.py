"""Jobs of a chief, a worker, two parameter servers and an evaluator."""

import functools
import os

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import finished_job
from tests.support import local_cluster
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

# Three jobs of five processes each.
pytestmark = pytest.mark.slow

_TASKS = {'chief': 1, 'worker': 1, 'ps': 2, 'evaluator': 1}
_TABLE = 'dnn/input_from_feature_columns/input_layer/%s/embedding_weights'
# As the model lays them side by side, with their widths.
_WIDTHS = {
  'color_embedding': 2,
  'pair': 2,
  'seen_embedding': 3,
  'seen_indicator': 5,
}
# Words of no vocabulary fall into hash buckets: numpy does without.
_ROWS = [0, 1, 2, 3, 5, 7]


@functools.lru_cache(maxsize=None)
def _job(annotated, version):
  return finished_job.FinishedJob(annotated, version, _TASKS)


def _network(variables):
  """Returns the DNN of a checkpoint's variables, in float64."""
  layers = [
    (variables[f'dnn/{name}/kernel'], variables[f'dnn/{name}/bias'])
    for name in ('hiddenlayer_0', 'hiddenlayer_1', 'logits')
  ]
  batch_norms = [
    {
      name: np.float64(variables[f'dnn/hiddenlayer_{i}/batchnorm_{i}/{name}'])
      for name in ('gamma', 'beta', 'moving_mean', 'moving_variance')
    }
    for i in (0, 1)
  ]
  return numpy_network.Network(layers, batch_norms=batch_norms)


def _processed(variables, features):
  """Returns [8, 12]: the columns' values of all rows, in float64."""
  words = {b'red': 0, b'green': 1, b'blue': 2}
  colors = np.float64(variables[_TABLE % 'color_embedding'])
  ids = np.float64(variables[_TABLE % 'seen_embedding'])

  def mean(vectors):
    return vectors.mean(axis=0) if len(vectors) else vectors.sum(axis=0)

  return np.array(
    [
      np.concatenate(
        [
          mean(colors[[words[word] for word in color if word in words]]),
          pair,
          mean(ids[seen]),
          np.bincount(seen, minlength=5) if seen else np.zeros(5),
        ]
      )
      for color, pair, seen in zip(
        features['color'], features['pair'], features['seen']
      )
    ]
  )


class ClusterTest(parameterized.TestCase):
  @parameterized.parameters(1, 2)
  def test_every_task_takes_part(self, version):
    job = _job(True, version)
    steps = [job.steps('chief'), job.steps('worker')]
    self.assertGreater(min(steps), 0)
    # A step that one began before the other's last comes on top.
    last = job.variables(['global_step'])['global_step']
    self.assertBetween(last, local_cluster.MAX_STEPS, sum(steps))
    # The evaluator is done with the first checkpoint of enough steps.
    *earlier, evaluated = [
      metrics['global_step'] for metrics in job.evaluations().values()
    ]
    self.assertBetween(evaluated, local_cluster.MAX_STEPS, last)
    self.assertLess(max(earlier, default=0), local_cluster.MAX_STEPS)

  def test_variables_are_partitioned_over_both_servers(self):
    devices = _job(True, 1).devices()
    for column in ('color_embedding', 'seen_embedding'):
      self.assertCountEqual(
        [
          devices[_TABLE % column + f'/part_{part}'][: len('/job:ps/task:0')]
          for part in (0, 1)
        ],
        ['/job:ps/task:0', '/job:ps/task:1'],
      )

  @parameterized.parameters(1, 2)
  def test_evaluator_as_an_ordinary_estimator(self, version):
    job = _job(True, version)
    self.assertNotEmpty(job.evaluations())
    for checkpoint, noted in job.evaluations().items():
      expected = job.estimator(annotated=False).evaluate(
        job.case.input_fn(local_cluster.HEAD, repeat=True),
        steps=2,
        checkpoint_path=checkpoint,
        name='again',
      )
      for metric in ('loss', 'average_loss', 'accuracy', 'global_step'):
        self.assertEqual(noted[metric], expected[metric], metric)

  @parameterized.product(version=(1, 2), exporter=local_cluster.EXPORTERS)
  def test_exports_of_a_job(self, version, exporter):
    job = _job(True, version)
    signatures = saved_model_files.signatures(
      job.estimator(annotated=False).export_saved_model(
        directories.new_dir(), job.case.serving_input_receiver_fn()
      )
    )
    export_dirs = job.export_dirs(exporter)
    self.assertNotEmpty(export_dirs)
    for export_dir in export_dirs:
      found = saved_model_files.signatures(export_dir)
      self.assertIn('layer_annotations', found)
      del found['layer_annotations']
      self.assertEqual(found, signatures)
      self.assertEqual(
        os.listdir(os.path.join(export_dir, 'assets')), ['colors.txt']
      )
      with tfda.IntegratedGradients(export_dir) as ig:
        result = ig.attribute(job.case.serialized_examples(), targets='all')
      self.assertEqual(
        {name: value.shape for name, value in result.values.items()},
        {name: (8, 3, width) for name, width in _WIDTHS.items()},
      )
    # The last export is of the last evaluation, but for the one of the best.
    evaluations = job.evaluations()
    checkpoint = (
      min(evaluations, key=lambda path: evaluations[path]['loss'])
      if exporter == 'best'
      else list(evaluations)[-1]
    )
    np.testing.assert_array_equal(
      job.served_logits(export_dirs[-1]), job.ordinary_logits(checkpoint)
    )

  @parameterized.parameters(False, True)
  def test_checkpoint_of_an_ordinary_job(self, is_partitioned):
    """Explained without training, on a machine that knows of no cluster."""
    job = _job(False, 1)
    partitioner = tf.fixed_size_partitioner(2) if is_partitioned else None
    export_dir = job.estimator(
      annotated=True, input_layer_partitioner=partitioner
    ).export_saved_model(
      directories.new_dir(), job.case.serving_input_receiver_fn()
    )
    np.testing.assert_array_equal(
      job.served_logits(export_dir), job.ordinary_logits()
    )
    examples = job.case.serialized_examples()
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute([examples[row] for row in _ROWS], targets='all')
    self.assertEqual(
      {name: value.shape[-1] for name, value in result.values.items()}, _WIDTHS
    )
    actual = np.concatenate([result.values[name] for name in _WIDTHS], axis=-1)
    # The slots of an optimizer are left in parts that cannot be read as one.
    variables = job.variables(
      name for name in job.shapes() if 'Adagrad' not in name
    )
    network = _network(variables)
    x = _processed(variables, job.case.raw_features())[_ROWS]
    for row, values in zip(x, actual):
      zeros = np.zeros_like(row)
      difference = np.abs(values - network.attributions(row, zeros))
      self.assertTrue((difference <= network.rounding(row, zeros)[0]).all())
    self.assertGreater(np.abs(actual).max(), 0.01)

  def test_jobs_have_the_same_variables(self):
    self.assertEqual(_job(False, 1).shapes(), _job(True, 1).shapes())


if __name__ == '__main__':
  absltest.main()
