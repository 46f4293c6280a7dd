"""The checkpoints and exports of a job of tests/support/local_cluster.py."""

import os

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tests.support import directories
from tests.support import local_cluster


class FinishedJob(object):
  """A finished job, in a directory of its own.

  Args:
    annotated, version, tasks, strategy: of `local_cluster.run`.

  Attributes:
    case: the columns and rows of the job.
    model_dir: the directory of its checkpoints and exports.
  """

  def __init__(self, annotated, version, tasks=None, strategy=''):
    self._base_dir = directories.new_dir()
    self._version = version
    local_cluster.run(self._base_dir, annotated, version, tasks, strategy)
    self.case = local_cluster.case(self._base_dir)
    self.model_dir = local_cluster.model_dir(self._base_dir)

  def estimator(self, annotated, **arguments):
    """Returns an estimator of its model that is not part of a job."""
    return local_cluster.estimator(
      self._base_dir,
      annotated,
      self._version,
      model_dir=self.model_dir,
      **arguments,
    )

  def steps(self, task_type):
    """Returns the number of steps that the first task of a type trained."""
    return local_cluster.steps(self._base_dir, task_type, 0)

  def shapes(self):
    """Returns {name: shape} of the variables in the latest checkpoint."""
    return dict(tf.train.list_variables(self.model_dir))

  def variables(self, names):
    """Returns {name: array} of some variables in the latest checkpoint."""
    reader = tf.train.load_checkpoint(self.model_dir)
    return {name: reader.get_tensor(name) for name in names}

  def devices(self):
    """Returns {operation: device} of the graph that was trained."""
    meta_graph = meta_graph_pb2.MetaGraphDef()
    with open(tf.train.latest_checkpoint(self.model_dir) + '.meta', 'rb') as f:
      meta_graph.ParseFromString(f.read())
    return {node.name: node.device for node in meta_graph.graph_def.node}

  def evaluations(self):
    """Returns {checkpoint: {metric: value}} of its evaluator, in its order.

    A checkpoint may hold a later 'global_step' than the one in its name, since
    workers go on while the chief writes it.
    """
    directory, found, metrics = os.path.join(self.model_dir, 'eval'), {}, {}
    (name,) = os.listdir(directory)
    for event in tf.train.summary_iterator(os.path.join(directory, name)):
      for value in event.summary.value:
        if value.HasField('simple_value'):
          metrics[value.tag] = value.simple_value
        elif value.tag == 'checkpoint_path':  # Noted after the metrics.
          (path,) = value.tensor.string_val
          found[path.decode()] = dict(metrics, global_step=event.step)
          metrics = {}
    return found

  def export_dirs(self, exporter):
    """Returns the exports of one of `local_cluster.EXPORTERS`, oldest first."""
    parent = os.path.join(self.model_dir, 'export', exporter)
    return [os.path.join(parent, name) for name in sorted(os.listdir(parent))]

  def ordinary_logits(self, checkpoint=None):
    """Returns the ordinary estimator's [8, 3]; None is the last checkpoint."""
    rows = self.estimator(annotated=False).predict(
      self.case.input_fn(), checkpoint_path=checkpoint
    )
    return np.array([row['logits'] for row in rows])

  def served_logits(self, export_dir):
    """Returns the logits [8, 3] of a SavedModel."""
    with tf.Graph().as_default(), tf.Session() as session:
      meta_graph = tf.saved_model.load(
        session, [tf.saved_model.SERVING], tf.compat.as_text(export_dir)
      )
      signature = meta_graph.signature_def['predict']
      (receiver,) = signature.inputs.values()
      return session.run(
        signature.outputs['logits'].name,
        {receiver.name: self.case.serialized_examples()},
      )
