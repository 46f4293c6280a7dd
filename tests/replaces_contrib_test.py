"""Where tf.contrib's annotated classes were, ours go, and it is one line.

For TensorFlow 1.15, the last with tf.contrib; see conftest.py.
"""

import inspect
import sys

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf
from tensorflow.contrib import estimator as contrib_estimator
from tensorflow.core.protobuf import meta_graph_pb2

from tests.support import directories
from tests.support import model_cases
import tf_dnn_annotations as tfda

_NAMES = tfda.LayerAnnotationsCollectionNames
_TENSORS = (_NAMES.UNPROCESSED_FEATURES, _NAMES.PROCESSED_FEATURES)
# Head, name of the class.
_CLASSES = (
  ('multi_class', 'DNNClassifierWithLayerAnnotations'),
  ('vocabulary', 'DNNClassifierWithLayerAnnotations'),
  ('regression_2d', 'DNNRegressorWithLayerAnnotations'),
)


def _estimator(module, head, class_name, case, model_dir):
  # The one line: `module`.
  return getattr(module, class_name)(
    hidden_units=[4, 3],
    feature_columns=case.columns(),
    model_dir=model_dir,
    config=tf.estimator.RunConfig(tf_random_seed=3),
    **model_cases.HEADS[head][1],
  )


def _exported(estimator, case):
  # Dense: contrib's fails on sparse features.
  return tf.compat.as_text(
    estimator.export_saved_model(
      directories.new_dir(), case.serving_input_receiver_fn('dense')
    )
  )


def _annotations(export_dir):
  """Returns ({collection: {key: (dtype, shape)}}, number of columns)."""
  with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
    tf.compat.v1.saved_model.load(session, ['serve'], export_dir)
    tensors = {}
    for name in _TENSORS:
      tensors[name] = {}
      for key, packed in zip(
        graph.get_collection(_NAMES.keys(name)),
        graph.get_collection(_NAMES.values(name)),
      ):
        info = meta_graph_pb2.TensorInfo()
        packed.Unpack(info)
        shape = tuple(dim.size for dim in info.tensor_shape.dim)
        tensors[name][tf.compat.as_text(key)] = (info.dtype, shape)
        # The tensor is there.
        graph.get_tensor_by_name(info.name)
    # Contrib's are pickles, which nobody should load.
    return tensors, len(graph.get_collection(_NAMES.FEATURE_COLUMNS))


def _outputs(export_dir, case):
  """Returns {name: array} of the signature `predict` for the dense rows."""
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    loaded = tf.compat.v1.saved_model.load(session, ['serve'], export_dir)
    signature = loaded.signature_def['predict']
    rows = case.dense_features()
    return session.run(
      {name: info.name for name, info in signature.outputs.items()},
      {info.name: rows[key] for key, info in signature.inputs.items()},
    )


class ReplacesContribTest(parameterized.TestCase):
  @parameterized.product(
    of=_CLASSES, case=['private_v1'], use_resources=[False, True]
  )
  def test_collections_and_predictions(self, of, case, use_resources):
    head, class_name = of
    case = model_cases.CASES[case]
    if use_resources:
      tf.compat.v1.enable_resource_variables()
      self.addCleanup(tf.compat.v1.disable_resource_variables)
    model_dir = directories.new_dir()
    theirs = _estimator(contrib_estimator, head, class_name, case, model_dir)
    theirs.train(case.input_fn(head, 'dense', repeat=True), steps=3)
    # Ours goes on from their checkpoint.
    ours = _estimator(tfda, head, class_name, case, model_dir)
    exports = [_exported(estimator, case) for estimator in (theirs, ours)]
    (expected, num_columns), (found, num_described) = map(_annotations, exports)
    for name in _TENSORS:
      self.assertNotEmpty(expected[name])
      self.assertEqual(found[name], expected[name])
    self.assertEqual(num_described, num_columns)
    expected, found = (_outputs(export, case) for export in exports)
    self.assertCountEqual(found, expected)
    for name, value in expected.items():
      np.testing.assert_array_equal(found[name], value, name)

  @parameterized.parameters(*_CLASSES[1:])
  def test_training_goes_on(self, head, class_name):
    case = model_cases.CASES['private_v1']
    data = case.input_fn(head, 'dense', repeat=True)
    metrics = []
    for modules in ((contrib_estimator,) * 2, (contrib_estimator, tfda)):
      model_dir = directories.new_dir()
      for module in modules:
        estimator = _estimator(module, head, class_name, case, model_dir)
        estimator.train(data, steps=3)
      metrics.append(estimator.evaluate(data, steps=1))
    self.assertEqual(metrics[0]['global_step'], 6)
    self.assertEqual(*metrics)

  @parameterized.parameters(*_CLASSES)
  def test_public_columns_are_annotated_here_alone(self, head, class_name):
    case = model_cases.CASES['mixed']
    annotations = []
    for module in (contrib_estimator, tfda):
      estimator = _estimator(
        module, head, class_name, case, directories.new_dir()
      )
      estimator.train(case.input_fn(head, 'dense', repeat=True), steps=1)
      annotations.append(_annotations(_exported(estimator, case)))
    self.assertEqual(annotations[0], ({name: {} for name in _TENSORS}, 0))
    names = [column.name for column in case.columns()]
    tensors, num_described = annotations[1]
    self.assertCountEqual(tensors[_NAMES.UNPROCESSED_FEATURES], case.keys)
    self.assertCountEqual(tensors[_NAMES.PROCESSED_FEATURES], names)
    self.assertEqual(num_described, len(names))

  @parameterized.parameters(*_CLASSES[1:])
  def test_arguments(self, _, class_name):
    """Theirs in their order with their defaults, and more behind them."""
    theirs, ours = (
      list(inspect.signature(getattr(module, class_name)).parameters.values())
      for module in (contrib_estimator, tfda)
    )
    self.assertEqual(
      [(p.name, p.default) for p in ours][: len(theirs)],
      [(p.name, p.default) for p in theirs],
    )

  def test_collection_names(self):
    module = contrib_estimator.DNNClassifierWithLayerAnnotations.__module__
    theirs = sys.modules[module].LayerAnnotationsCollectionNames
    for name in ('UNPROCESSED_FEATURES', 'PROCESSED_FEATURES'):
      self.assertEqual(getattr(_NAMES, name), getattr(theirs, name))
      for method in ('keys', 'values'):
        self.assertEqual(
          getattr(_NAMES, method)(getattr(_NAMES, name)),
          getattr(theirs, method)(getattr(theirs, name)),
        )
    self.assertEqual(_NAMES.FEATURE_COLUMNS, theirs.FEATURE_COLUMNS)


if __name__ == '__main__':
  absltest.main()
