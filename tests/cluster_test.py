"""Jobs of a chief, a worker, two parameter servers and an evaluator."""

import functools
import os

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tests import local_cluster
from tests import model_cases
from tests import numpy_network
import tf_dnn_annotations as tfda

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
  """Runs a job; returns the directory of all that it wrote."""
  base_dir = model_cases.make_directory()
  local_cluster.run(base_dir, annotated, version, _TASKS)
  return base_dir


def _estimator(base_dir, annotated, version, **arguments):
  """Returns an estimator, on this machine, of what a job has trained."""
  return local_cluster.estimator(
    base_dir,
    annotated,
    version,
    model_dir=local_cluster.model_dir(base_dir),
    **arguments,
  )


def _export_dirs(base_dir, exporter):
  """Returns the SavedModels of an exporter of a job, the oldest first."""
  parent = os.path.join(local_cluster.model_dir(base_dir), 'export', exporter)
  return [os.path.join(parent, name) for name in sorted(os.listdir(parent))]


def _signatures(export_dir):
  saved_model = saved_model_pb2.SavedModel()
  path = os.path.join(tf.compat.as_text(export_dir), 'saved_model.pb')
  with open(path, 'rb') as file:
    saved_model.ParseFromString(file.read())
  (meta_graph,) = saved_model.meta_graphs
  return dict(meta_graph.signature_def)


def _logits(estimator, checkpoint_path=None):
  """Returns [8, 3] of an estimator."""
  case = local_cluster.case(os.path.dirname(estimator.model_dir))
  rows = estimator.predict(case.input_fn(), checkpoint_path=checkpoint_path)
  return np.array([row['logits'] for row in rows])


def _served_logits(export_dir, examples):
  with tf.Graph().as_default(), tf.Session() as session:
    meta_graph = tf.saved_model.load(
      session, [tf.saved_model.SERVING], tf.compat.as_text(export_dir)
    )
    signature = meta_graph.signature_def['predict']
    (receiver,) = signature.inputs.values()
    return session.run(
      signature.outputs['logits'].name, {receiver.name: examples}
    )


def _evaluations(base_dir):
  """Returns {step: {metric: value}} of what the evaluator of a job noted."""
  directory = os.path.join(local_cluster.model_dir(base_dir), 'eval')
  found = {}
  for name in os.listdir(directory):
    for event in tf.train.summary_iterator(os.path.join(directory, name)):
      for value in event.summary.value:
        if value.HasField('simple_value'):
          found.setdefault(event.step, {})[value.tag] = value.simple_value
  return found


def _network(estimator):
  """Returns the DNN that a checkpoint holds, in float64."""
  layers, batch_norms = [], []
  for i, name in enumerate(('hiddenlayer_0', 'hiddenlayer_1', 'logits')):
    value = functools.partial(
      lambda name, key: estimator.get_variable_value(f'dnn/{name}/{key}'), name
    )
    layers.append((value('kernel'), value('bias')))
    if name != 'logits':
      batch_norms.append(
        {
          key: np.float64(value(f'batchnorm_{i}/{key}'))
          for key in ('gamma', 'beta', 'moving_mean', 'moving_variance')
        }
      )
  return numpy_network.Network(layers, batch_norms=batch_norms)


def _processed(estimator):
  """Returns [8, 12]: the columns' values of all rows, in float64."""
  words = {b'red': 0, b'green': 1, b'blue': 2}
  colors = np.float64(estimator.get_variable_value(_TABLE % 'color_embedding'))
  ids = np.float64(estimator.get_variable_value(_TABLE % 'seen_embedding'))
  features = local_cluster.case(
    os.path.dirname(estimator.model_dir)
  ).raw_features()

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
    base_dir = _job(True, version)
    steps = [
      local_cluster.steps(base_dir, task_type, 0)
      for task_type in ('chief', 'worker')
    ]
    self.assertGreater(min(steps), 0)
    latest = _estimator(base_dir, True, version).get_variable_value(
      'global_step'
    )
    # A step of one that began before the other's last comes on top.
    self.assertBetween(latest, local_cluster.MAX_STEPS, sum(steps))
    self.assertIn(latest, _evaluations(base_dir))

  def test_variables_are_partitioned_over_both_servers(self):
    base_dir = _job(True, 1)
    meta_graph = meta_graph_pb2.MetaGraphDef()
    latest = tf.train.latest_checkpoint(local_cluster.model_dir(base_dir))
    with open(latest + '.meta', 'rb') as file:
      meta_graph.ParseFromString(file.read())
    devices = {node.name: node.device for node in meta_graph.graph_def.node}
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
    base_dir = _job(True, version)
    ordinary = _estimator(base_dir, False, version)
    step = ordinary.get_variable_value('global_step')
    case = local_cluster.case(base_dir)
    expected = ordinary.evaluate(
      case.input_fn(local_cluster.HEAD, repeat=True), steps=2, name='again'
    )
    noted = _evaluations(base_dir)[step]
    for metric in ('loss', 'average_loss', 'accuracy'):
      self.assertEqual(noted[metric], expected[metric], metric)

  @parameterized.product(version=(1, 2), exporter=('final', 'latest', 'best'))
  def test_exports_of_a_job(self, version, exporter):
    base_dir = _job(True, version)
    case = local_cluster.case(base_dir)
    ordinary = _estimator(base_dir, False, version)
    signatures = _signatures(
      ordinary.export_saved_model(
        model_cases.make_directory(), case.serving_input_receiver_fn()
      )
    )
    export_dirs = _export_dirs(base_dir, exporter)
    self.assertNotEmpty(export_dirs)
    for export_dir in export_dirs:
      found = _signatures(export_dir)
      self.assertIn('layer_annotations', found)
      del found['layer_annotations']
      self.assertEqual(found, signatures)
      self.assertEqual(
        os.listdir(os.path.join(export_dir, 'assets')), ['colors.txt']
      )
      with tfda.IntegratedGradients(export_dir) as ig:
        result = ig.attribute(case.serialized_examples(), targets='all')
        self.assertEqual(
          {name: value.shape for name, value in result.values.items()},
          {name: (8, 3, width) for name, width in _WIDTHS.items()},
        )
    # Each exporter has been there at the last checkpoint, but for the one that
    # keeps the best.
    if exporter != 'best':
      np.testing.assert_array_equal(
        _served_logits(export_dirs[-1], case.serialized_examples()),
        _logits(ordinary),
      )

  @parameterized.parameters(1, 2)
  def test_best_export_is_of_the_least_loss(self, version):
    base_dir = _job(True, version)
    evaluations = _evaluations(base_dir)
    best = min(evaluations, key=lambda step: evaluations[step]['loss'])
    checkpoint = f'{local_cluster.model_dir(base_dir)}/model.ckpt-{best}'
    examples = local_cluster.case(base_dir).serialized_examples()
    np.testing.assert_array_equal(
      _served_logits(_export_dirs(base_dir, 'best')[-1], examples),
      _logits(_estimator(base_dir, False, version), checkpoint),
    )

  @parameterized.parameters(False, True)
  def test_checkpoint_of_an_ordinary_job(self, is_partitioned):
    """Explained without training, on a machine that knows of no cluster."""
    base_dir = _job(False, 1)
    case = local_cluster.case(base_dir)
    partitioner = tf.fixed_size_partitioner(2) if is_partitioned else None
    ordinary = _estimator(base_dir, False, 1)
    export_dir = _estimator(
      base_dir, True, 1, input_layer_partitioner=partitioner
    ).export_saved_model(
      model_cases.make_directory(), case.serving_input_receiver_fn()
    )
    examples = case.serialized_examples()
    np.testing.assert_array_equal(
      _served_logits(export_dir, examples), _logits(ordinary)
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute([examples[row] for row in _ROWS], targets='all')
    self.assertEqual(
      {name: value.shape[-1] for name, value in result.values.items()}, _WIDTHS
    )
    actual = np.concatenate([result.values[name] for name in _WIDTHS], axis=-1)
    network, x = _network(ordinary), _processed(ordinary)[_ROWS]
    for row, values in zip(x, actual):
      zeros = np.zeros_like(row)
      difference = np.abs(values - network.attributions(row, zeros))
      self.assertTrue((difference <= network.rounding(row, zeros)[0]).all())
    self.assertGreater(np.abs(actual).max(), 0.01)

  def test_jobs_have_the_same_variables(self):
    ordinary, annotated = (
      dict(
        tf.train.list_variables(local_cluster.model_dir(_job(is_annotated, 1)))
      )
      for is_annotated in (False, True)
    )
    self.assertEqual(ordinary, annotated)


if __name__ == '__main__':
  absltest.main()
