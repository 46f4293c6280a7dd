"""What the readers of SavedModels other than ours find in an annotated one."""

import os

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2
from tensorflow.python.eager import context

from tests.support import directories
from tests.support import model_cases
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_NAMES = tfda.LayerAnnotationsCollectionNames
_COLLECTIONS = {
  _NAMES.keys(_NAMES.UNPROCESSED_FEATURES): 'bytes_list',
  _NAMES.values(_NAMES.UNPROCESSED_FEATURES): 'any_list',
  _NAMES.keys(_NAMES.PROCESSED_FEATURES): 'bytes_list',
  _NAMES.values(_NAMES.PROCESSED_FEATURES): 'any_list',
  _NAMES.FEATURE_COLUMNS: 'bytes_list',
}
_CASE = model_cases.CASES['mixed']


def _trained(version=1, head='multi_class', case=_CASE):
  estimator = model_cases.estimator_class(head, version, annotated=True)(
    hidden_units=[4, 3],
    feature_columns=case.columns(),
    model_dir=directories.new_dir(),
    **model_cases.HEADS[head][1],
  )
  estimator.train(case.input_fn(head, repeat=True), steps=1)
  return estimator


class SavedModelTest(parameterized.TestCase):
  def _assert_annotated(self, meta_graph):
    self.assertIn('layer_annotations', meta_graph.signature_def)
    for name, kind in _COLLECTIONS.items():
      collection = meta_graph.collection_def[name]
      self.assertEqual(collection.WhichOneof('kind'), kind)
      self.assertNotEmpty(getattr(collection, kind).value)

  def _assert_not_annotated(self, meta_graph):
    self.assertNotIn('layer_annotations', meta_graph.signature_def)
    for name in _COLLECTIONS:
      self.assertNotIn(name, meta_graph.collection_def)

  def test_names_of_the_collections(self):
    """As tf.contrib.estimator has them, its misspelling included."""
    self.assertEqual(
      sorted(_COLLECTIONS),
      [
        'layer_annotations/feature_columns',
        'layer_annotations/unprocessed_features/keys',
        'layer_annotations/unprocessed_features/values',
        'layer_annotatons/processed_features/keys',
        'layer_annotatons/processed_features/values',
      ],
    )

  @parameterized.parameters('parsed', 'sparse', 'dense')
  def test_signature(self, form):
    export_dir = model_cases.annotated_export('mixed', 'multi_class', form)
    meta_graph = saved_model_files.meta_graphs(export_dir)['serve']
    self._assert_annotated(meta_graph)
    signature = meta_graph.signature_def['layer_annotations']
    self.assertEqual(signature.method_name, 'tensorflow/serving/predict')
    self.assertEqual(
      dict(signature.inputs), dict(meta_graph.signature_def['predict'].inputs)
    )
    color = ['unprocessed_features/color']
    if form != 'dense':
      components = ('indices', 'values', 'dense_shape')
      color = [f'{color[0]}/{component}' for component in components]
    self.assertCountEqual(
      signature.outputs,
      color
      + ['unprocessed_features/' + key for key in ('age', 'grid', 'pair')]
      + ['processed_features/' + column.name for column in _CASE.columns()]
      + ['hidden_layers/0', 'hidden_layers/1', 'logits'],
    )

  @parameterized.parameters(1, 2)
  def test_signature_can_be_called(self, version):
    export_dir = model_cases.annotated_export(
      'mixed', 'multi_class', version=version
    )
    examples = _CASE.serialized_examples()
    with tf.Graph().as_default(), tf.Session() as session:
      meta_graph = tf.saved_model.load(
        session, [tf.saved_model.SERVING], export_dir
      )
      signature = meta_graph.signature_def['layer_annotations']
      (receiver,) = signature.inputs.values()
      expected = session.run(
        {name: info.name for name, info in signature.outputs.items()},
        {receiver.name: examples},
      )
      ordinary = meta_graph.signature_def['predict'].outputs['logits'].name
      np.testing.assert_array_equal(
        session.run(ordinary, {receiver.name: examples}), expected['logits']
      )
    with context.eager_mode():
      model = tf2.saved_model.load(export_dir)
      actual = model.signatures['layer_annotations'](
        **{name: tf.constant(examples) for name in signature.inputs}
      )
      self.assertCountEqual(expected, actual)
      for name, value in expected.items():
        np.testing.assert_array_equal(value, actual[name].numpy(), name)

  @parameterized.parameters(1, 2)
  def test_as_text(self, version):
    estimator = _trained(version)
    collections = []
    for as_text in (False, True):
      export_dir = estimator.export_saved_model(
        directories.new_dir(),
        _CASE.serving_input_receiver_fn(),
        as_text=as_text,
        assets_extra={'note.txt': model_cases.vocabulary_file()},
      )
      export_dir = tf.compat.as_text(export_dir)
      self.assertIn('note.txt', os.listdir(f'{export_dir}/assets.extra'))
      with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.saved_model.load(session, [tf.saved_model.SERVING], export_dir)
        collections.append(
          {name: graph.get_collection(name) for name in _COLLECTIONS}
        )
    self.assertEqual(*collections)
    for values in collections[0].values():
      self.assertNotEmpty(values)

  @parameterized.parameters(1, 2)
  def test_exporters_of_train_and_evaluate(self, version):
    estimator = model_cases.estimator_class('multi_class', version, True)(
      hidden_units=[4, 3],
      feature_columns=_CASE.columns(),
      model_dir=directories.new_dir(),
      n_classes=3,
    )
    receiver_fn = _CASE.serving_input_receiver_fn()
    tf.estimator.train_and_evaluate(
      estimator,
      tf.estimator.TrainSpec(
        _CASE.input_fn('multi_class', repeat=True), max_steps=2
      ),
      tf.estimator.EvalSpec(
        _CASE.input_fn('multi_class'),
        steps=1,
        exporters=[
          tf.estimator.FinalExporter('final', receiver_fn),
          tf.estimator.LatestExporter('latest', receiver_fn),
          # By default TF 1.15 takes an evaluation's own events for the best
          # so far, and does not export.
          tf.estimator.BestExporter(
            'best', receiver_fn, event_file_pattern=None
          ),
        ],
      ),
    )
    for name in ('final', 'latest', 'best'):
      parent = os.path.join(estimator.model_dir, 'export', name)
      (timestamp,) = os.listdir(parent)
      self._assert_annotated(
        saved_model_files.meta_graphs(os.path.join(parent, timestamp))['serve']
      )

  @parameterized.parameters(1, 2)
  def test_training_and_evaluation_are_exported_without(self, version):
    estimator = _trained(version)

    def supervised_receiver_fn():
      features = {
        key: tf.placeholder(tf.as_dtype(value.dtype), (None,) + value.shape[1:])
        for key, value in _CASE.dense_features().items()
        if key != 'color'
      }
      features['color'] = tf.placeholder(tf.string, [None, None])
      labels = tf.placeholder(tf.int64, [None, 1])
      return tf.estimator.experimental.build_raw_supervised_input_receiver_fn(
        features, labels
      )()

    modes = tf.estimator.ModeKeys
    meta_graphs = saved_model_files.meta_graphs(
      estimator.experimental_export_all_saved_models(
        directories.new_dir(),
        {
          modes.PREDICT: _CASE.serving_input_receiver_fn(),
          modes.TRAIN: supervised_receiver_fn,
          modes.EVAL: supervised_receiver_fn,
        },
      )
    )
    self._assert_annotated(meta_graphs.pop('serve'))
    self.assertLen(meta_graphs, 2)
    for meta_graph in meta_graphs.values():
      self._assert_not_annotated(meta_graph)

  @parameterized.parameters(1, 2)
  def test_an_estimator_around_ours(self, version):
    """add_metrics calls our model_fn from an estimator of its own."""
    metric_fn = _v1_metric if version == 1 else _keras_metric
    estimator = tf.estimator.add_metrics(_trained(version), metric_fn)
    self.assertIn('age', estimator.evaluate(_CASE.input_fn('multi_class')))
    self._assert_annotated(
      saved_model_files.meta_graphs(
        estimator.export_saved_model(
          directories.new_dir(), _CASE.serving_input_receiver_fn()
        )
      )['serve']
    )

  def test_a_vocabulary_file_is_an_asset(self):
    export_dir = model_cases.annotated_export('vocabulary_file')
    self.assertEqual(os.listdir(f'{export_dir}/assets'), ['colors.txt'])


def _v1_metric(features):
  return {'age': tf.metrics.mean(features['age'])}


def _keras_metric(features):
  metric = tf.keras.metrics.Mean()
  metric.update_state(features['age'])
  return {'age': metric}


if __name__ == '__main__':
  absltest.main()
