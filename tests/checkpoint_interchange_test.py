"""Checkpoints go from ordinary to annotated estimators, and the other way."""

import functools
import itertools

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import model_cases

_CASE = model_cases.CASES['mixed']
_VERSIONS = [('v1', 1), ('v2', 2)]
# Whether the checkpoint is written, and read, by the annotated estimator.
_WAYS = [('to_annotated', False, True), ('to_ordinary', True, False)]
_BOTH = [
  (f'{way}_{version}', writes, reads, number)
  for (way, writes, reads), (version, number) in itertools.product(
    _WAYS, _VERSIONS
  )
]


def _estimator(annotated, version=1, case=_CASE, head='multi_class', **kwargs):
  kwargs.setdefault('model_dir', directories.new_dir())
  return model_cases.estimator_class(head, version, annotated)(
    hidden_units=[4, 3],
    feature_columns=case.columns(),
    config=tf.estimator.RunConfig(tf_random_seed=5),
    **dict(model_cases.HEADS[head][1], **kwargs),
  )


def _train(estimator, case=_CASE, head='multi_class', steps=2):
  estimator.train(case.input_fn(head, repeat=True), steps=steps)
  return estimator


@functools.lru_cache(maxsize=None)
def _trained(annotated, version, batch_norm=False):
  """Returns an estimator that others only read the checkpoint of."""
  return _train(_estimator(annotated, version, batch_norm=batch_norm))


def _predictions(estimator, checkpoint_path=None, case=_CASE):
  rows = estimator.predict(case.input_fn(), checkpoint_path=checkpoint_path)
  return np.array([row['logits'] for row in rows])


def _served_logits(export_dir, case=_CASE):
  """Returns the logits that the SavedModel at `export_dir` gives."""
  with tf.Graph().as_default(), tf.Session() as session:
    meta_graph = tf.saved_model.load(
      session, [tf.saved_model.SERVING], tf.compat.as_text(export_dir)
    )
    signature = meta_graph.signature_def['predict']
    (receiver,) = signature.inputs.values()
    return session.run(
      signature.outputs['logits'].name,
      {receiver.name: case.serialized_examples()},
    )


def _variables(estimator):
  return {
    name: estimator.get_variable_value(name)
    for name in estimator.get_variable_names()
    if 'Adagrad' not in name and name != 'global_step'
  }


class CheckpointInterchangeTest(parameterized.TestCase):
  def _assert_same_variables(self, expected, actual):
    self.assertEqual(sorted(expected), sorted(actual))
    for name, value in expected.items():
      np.testing.assert_array_equal(value, actual[name], err_msg=name)

  @parameterized.named_parameters(_BOTH)
  def test_predict_and_evaluate(self, writes, reads, version):
    writer = _trained(writes, version)
    reader = _estimator(reads, version)
    path = writer.latest_checkpoint()
    np.testing.assert_array_equal(
      _predictions(writer), _predictions(reader, path)
    )
    self.assertEqual(
      writer.evaluate(_CASE.input_fn('multi_class'), name='own'),
      reader.evaluate(_CASE.input_fn('multi_class'), checkpoint_path=path),
    )

  @parameterized.named_parameters(_BOTH)
  def test_resume_training(self, writes, reads, version):
    """Two steps here and two there are four of the ordinary estimator."""
    ordinary = _train(_train(_estimator(False, version)))
    first = _train(_estimator(writes, version))
    second = _train(_estimator(reads, version, model_dir=first.model_dir))
    self.assertEqual(second.get_variable_value('global_step'), 4)
    self._assert_same_variables(_variables(ordinary), _variables(second))

  @parameterized.named_parameters(_BOTH)
  def test_warm_start(self, writes, reads, version):
    writer = _trained(writes, version)
    arguments = {'warm_start_from': writer.model_dir}
    expected = _train(_estimator(False, version, **arguments), steps=1)
    actual = _train(_estimator(reads, version, **arguments), steps=1)
    self._assert_same_variables(_variables(expected), _variables(actual))
    # Adagrad moves no weight by more than its rate in a step: what the warm
    # start gave is near what it came from.
    bound = 0.05 if version == 1 else 0.001
    before = _variables(writer)
    for name, value in _variables(actual).items():
      np.testing.assert_allclose(value, before[name], rtol=0, atol=1.01 * bound)

  @parameterized.named_parameters(_VERSIONS)
  def test_export_of_an_ordinary_checkpoint(self, version):
    ordinary = _trained(False, version)
    annotated = _estimator(True, version)
    export_dir = annotated.export_saved_model(
      directories.new_dir(),
      _CASE.serving_input_receiver_fn(),
      checkpoint_path=ordinary.latest_checkpoint(),
    )
    np.testing.assert_array_equal(
      _predictions(ordinary), _served_logits(export_dir)
    )

  @parameterized.named_parameters(
    ('v1_to_v2', 1, 2, False),
    ('v2_to_v1', 2, 1, False),
    ('v1_to_v2_batch_norm', 1, 2, True),
    ('v2_to_v1_batch_norm', 2, 1, True),
  )
  def test_export_of_the_other_version(self, writes, reads, batch_norm):
    ordinary = _trained(False, writes, batch_norm)
    export_dir = _estimator(
      True, reads, batch_norm=batch_norm
    ).export_saved_model(
      directories.new_dir(),
      _CASE.serving_input_receiver_fn(),
      checkpoint_path=ordinary.latest_checkpoint(),
    )
    np.testing.assert_array_equal(
      _predictions(ordinary), _served_logits(export_dir)
    )

  @parameterized.named_parameters(_BOTH)
  def test_embedding_from_a_checkpoint(self, writes, reads, version):
    """The table of the model's checkpoint wins over the column's own."""
    case = model_cases.CASES['embedding_from_checkpoint']
    writer = _train(_estimator(writes, version, case, 'binary'), case, 'binary')
    table = 'dnn/input_from_feature_columns/input_layer/color_embedding/'
    np.testing.assert_array_equal(
      writer.get_variable_value(table + 'embedding_weights'),
      model_cases.EMBEDDING_TABLE,  # Which is not trained.
    )
    reader = _estimator(reads, version, case, 'binary')
    np.testing.assert_array_equal(
      _predictions(writer, case=case),
      _predictions(reader, writer.latest_checkpoint(), case),
    )

  @parameterized.named_parameters(_WAYS)
  def test_partitioned_to_whole_and_back(self, writes, reads):
    partitioner = tf.fixed_size_partitioner(2)
    for writes_parts, reads_parts in ((True, False), (False, True)):
      writer = _train(
        _estimator(
          writes, input_layer_partitioner=partitioner if writes_parts else None
        )
      )
      reader = _estimator(
        reads, input_layer_partitioner=partitioner if reads_parts else None
      )
      np.testing.assert_array_equal(
        _predictions(writer), _predictions(reader, writer.latest_checkpoint())
      )

  def test_partitioned_to_v2(self):
    """V2 estimators have no partitioner, but read what V1's wrote."""
    writer = _train(
      _estimator(False, input_layer_partitioner=tf.fixed_size_partitioner(2))
    )
    np.testing.assert_array_equal(
      _predictions(writer),
      _predictions(_estimator(True, 2), writer.latest_checkpoint()),
    )

  def test_checkpoint_of_trainable_shared_embeddings(self):
    for name in ('shared_v1', 'shared_v2'):
      case = model_cases.CASES[name]
      writer = _train(_estimator(False, 1, case, 'binary'), case, 'binary')
      np.testing.assert_array_equal(
        _predictions(writer, case=case),
        _predictions(
          _estimator(True, 1, case, 'binary'), writer.latest_checkpoint(), case
        ),
      )


if __name__ == '__main__':
  absltest.main()
