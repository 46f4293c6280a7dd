"""Annotated estimators are the ordinary ones in all but their exports."""

import inspect
import itertools
import os
import re
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2
from tensorflow_estimator.python.estimator.canned import dnn

from tests.support import directories
from tests.support import model_cases
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_MODES = tf.estimator.ModeKeys
_WEIGHT = ('weight',)

# Option name to (arguments, keys of features that only the option reads).
_OPTIONS = {
  'plain': ({}, ()),
  'dropout': ({'dropout': 0.5}, ()),
  'batch_norm': ({'batch_norm': True}, ()),
  'partitioner': (
    {'input_layer_partitioner': tf.fixed_size_partitioner(2)},
    (),
  ),
  'weight_column': ({'weight_column': 'weight'}, _WEIGHT),
}
_PAIRS = [
  (dnn.DNNClassifier, tfda.DNNClassifierWithLayerAnnotations),
  (dnn.DNNRegressor, tfda.DNNRegressorWithLayerAnnotations),
  (dnn.DNNClassifierV2, tfda.DNNClassifierWithLayerAnnotationsV2),
  (dnn.DNNRegressorV2, tfda.DNNRegressorWithLayerAnnotationsV2),
]
_KINDS = [
  (f'{name}_v{version}', name, version)
  for name, case in model_cases.CASES.items()
  for version in (1, 2)
  if version == 1 or case.is_v2
]
_COMBINATIONS = [
  (f'{head}_{option}_v{version}', head, option, version)
  for head, option, version in itertools.product(
    ('binary', 'multi_class', 'regression'), _OPTIONS, (1, 2)
  )
  if not (option == 'partitioner' and version == 2)
]
# Trained, evaluated and exported for real: every option, head and version.
_TRAINED = [
  ('binary', 'dropout', 1),
  ('multi_class', 'batch_norm', 1),
  ('regression', 'partitioner', 1),
  ('vocabulary', 'weight_column', 1),
  ('regression_2d', 'plain', 1),
  ('vocabulary', 'dropout', 2),
  ('regression', 'batch_norm', 2),
  ('binary', 'weight_column', 2),
]


def _kinds_that_mixed_has_not():
  names = ('hashed', 'identity', 'numeric_nd', 'own', 'own_slots')
  names += ('shared_v2', 'vocabulary_file', 'weighted')
  return sum((model_cases.CASES[name].make_columns() for name in names), [])


# With 'mixed', every kind of column that V2 estimators take in two models.
_OTHER_KINDS = model_cases.Case(
  'other_kinds',
  _kinds_that_mixed_has_not,
  ('age', 'bought', 'color', 'day', 'grid', 'pair', 'seen', 'strength'),
  True,
)


def _estimators(case_name, head='binary', option='plain', version=1):
  """Returns the ordinary estimator and the annotated one."""
  return [
    model_cases.estimator_class(head, version, annotated)(
      hidden_units=[4, 3],
      feature_columns=model_cases.CASES[case_name].columns(),
      model_dir=directories.new_dir(),
      config=tf.estimator.RunConfig(tf_random_seed=3),
      **dict(model_cases.HEADS[head][1], **_OPTIONS[option][0]),
    )
    for annotated in (False, True)
  ]


def _nodes(graph):
  """Returns {node name: (op, device, inputs, attributes)} of `graph`.

  Leaves out the names that TensorFlow draws afresh at every build.
  """

  def attribute(node, name, value):
    if name == 'shared_name' and 'Table' in node.op:
      return None
    if value.tensor.string_val and value.tensor.string_val[0].endswith(
      b'/part'
    ):
      return None  # A temporary directory of the saver of TF 1.15.
    if name == '_gradient_op_type':
      return re.sub(rb'-\d+$', b'', value.s)  # Of a custom gradient.
    if value.HasField('func'):
      return re.sub(r'_\d+$', '', value.func.name)
    return value

  return {
    node.name: (
      node.op,
      node.device,
      list(node.input),
      {name: attribute(node, name, v) for name, v in node.attr.items()},
    )
    for node in graph.as_graph_def().node
    # The session asks after Keras' metrics in the order of a set.
    if not node.name.startswith('report_uninitialized_variables')
  }


def _variables(graph):
  return [
    (variable.op.name, variable.dtype, variable.shape.as_list())
    for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
  ]


class _GraphHook(tf.train.SessionRunHook):
  """Keeps the finished graph that an estimator runs."""

  def after_create_session(self, session, coord):
    self.built = _nodes(session.graph), _variables(session.graph)


def _built(estimator, mode, input_fn):
  """Returns the nodes and variables of the graph of a model_fn."""
  with tf.Graph().as_default() as graph:
    tf.set_random_seed(3)
    tf.train.create_global_step()
    features, labels = tf.data.make_initializable_iterator(
      input_fn()
    ).get_next()
    estimator.model_fn(features, labels, mode, estimator.config)
    return _nodes(graph), _variables(graph)


def _checkpoint(estimator):
  """Returns {suffix: bytes} of the files of the latest checkpoint."""
  prefix = estimator.latest_checkpoint()
  files = {}
  for path in tf.gfile.Glob(prefix + '.*'):
    with open(path, 'rb') as file:
      files[path[len(prefix) :]] = file.read()
  del files['.meta']  # The graph, which has names drawn afresh.
  return files


class ParityTest(parameterized.TestCase):
  def _assert_same_arrays(self, expected, actual):
    self.assertEqual(sorted(expected), sorted(actual))
    for name, value in expected.items():
      np.testing.assert_array_equal(value, actual[name], err_msg=name)

  def _assert_same_graph(self, expected, actual):
    nodes, variables = zip(expected, actual)
    self.assertEqual(*variables)
    self.assertEqual(list(nodes[0]), list(nodes[1]))
    for name, node in nodes[0].items():  # One by one: readable when they fail.
      self.assertEqual(node, nodes[1][name], name)

  def _assert_same_predictions(self, ordinary, annotated, input_fn, path):
    predictions = [
      list(estimator.predict(input_fn, checkpoint_path=path))
      for estimator in (ordinary, annotated)
    ]
    self.assertLen(predictions[0], model_cases.NUM_ROWS)
    self.assertLen(predictions[1], model_cases.NUM_ROWS)
    for expected, actual in zip(*predictions):
      self._assert_same_arrays(expected, actual)

  def _assert_same_export(self, ordinary, annotated, case, path):
    expected, actual = (
      saved_model_files.meta_graph(
        estimator.export_saved_model(
          directories.new_dir(),
          case.serving_input_receiver_fn(),
          checkpoint_path=path,
        )
      )
      for estimator in (ordinary, annotated)
    )
    signatures = dict(actual.signature_def)
    del signatures['layer_annotations']
    self.assertEqual(dict(expected.signature_def), signatures)
    self.assertIn('serving_default', signatures)
    self.assertEqual(expected.saver_def, actual.saver_def)
    # Every ordinary operation is there, under its name; what is added is
    # annotations alone.
    ops = {node.name: node.op for node in expected.graph_def.node}
    more = {node.name: node.op for node in actual.graph_def.node}
    self.assertEqual({**more, **ops}, more)
    for name in set(more) - set(ops):
      self.assertIn('layer_annotation', name)

  @parameterized.named_parameters(_KINDS)
  def test_same_graph_for_every_kind_of_column(self, name, version):
    case = model_cases.CASES[name]
    for mode in (_MODES.TRAIN, _MODES.EVAL):
      expected, actual = (
        _built(estimator, mode, case.input_fn())
        for estimator in _estimators(name, version=version)
      )
      self._assert_same_graph(expected, actual)

  # Each option, head and version is in `_TRAINED` too.
  @pytest.mark.slow
  @parameterized.named_parameters(_COMBINATIONS)
  def test_same_graph_for_every_option(self, head, option, version):
    input_fn = model_cases.CASES['embedding_mean'].input_fn(
      head, extra_keys=_OPTIONS[option][1]
    )
    for mode in (_MODES.TRAIN, _MODES.EVAL):
      expected, actual = (
        _built(estimator, mode, input_fn)
        for estimator in _estimators('embedding_mean', head, option, version)
      )
      self._assert_same_graph(expected, actual)

  @parameterized.named_parameters(kind for kind in _KINDS if kind[2] == 1)
  def test_same_predictions_for_every_kind_of_column(self, name, version):
    case = model_cases.CASES[name]
    ordinary, annotated = _estimators(name, version=version)
    ordinary.train(case.input_fn(repeat=True), steps=1)
    path = ordinary.latest_checkpoint()
    self._assert_same_predictions(ordinary, annotated, case.input_fn(), path)
    self._assert_same_export(ordinary, annotated, case, path)

  def test_same_predictions_for_kinds_of_columns_of_v2(self):
    ordinary, annotated = (
      model_cases.estimator_class('binary', 2, annotated)(
        hidden_units=[4, 3],
        feature_columns=_OTHER_KINDS.columns(),
        optimizer='Adam',
        model_dir=directories.new_dir(),
        config=tf.estimator.RunConfig(tf_random_seed=3),
      )
      for annotated in (False, True)
    )
    for estimator in (ordinary, annotated):
      estimator.train(_OTHER_KINDS.input_fn(repeat=True), steps=2)
    self.assertEqual(_checkpoint(ordinary), _checkpoint(annotated))
    path = ordinary.latest_checkpoint()
    input_fn = _OTHER_KINDS.input_fn()
    self._assert_same_predictions(ordinary, annotated, input_fn, path)
    self._assert_same_export(ordinary, annotated, _OTHER_KINDS, path)

  @parameterized.parameters(_TRAINED)
  def test_same_bits_from_training_to_export(self, head, option, version):
    case = model_cases.CASES['mixed']
    extra_keys = _OPTIONS[option][1]
    ordinary, annotated = _estimators('mixed', head, option, version)
    train_hooks, eval_hooks, metrics = [], [], []
    for estimator in (ordinary, annotated):
      train_hooks.append(_GraphHook())
      eval_hooks.append(_GraphHook())
      estimator.train(
        case.input_fn(head, extra_keys=extra_keys, repeat=True),
        hooks=train_hooks[-1:],
        steps=3,
      )
      metrics.append(
        estimator.evaluate(
          case.input_fn(head, extra_keys=extra_keys),
          hooks=eval_hooks[-1:],
        )
      )
    for hooks in (train_hooks, eval_hooks):
      self._assert_same_graph(*(hook.built for hook in hooks))
    self.assertEqual(_checkpoint(ordinary), _checkpoint(annotated))
    self._assert_same_arrays(*metrics)
    path = ordinary.latest_checkpoint()
    self._assert_same_predictions(
      ordinary, annotated, case.input_fn(head, extra_keys=extra_keys), path
    )
    self._assert_same_export(ordinary, annotated, case, path)

  @parameterized.parameters(_PAIRS)
  def test_signature(self, ordinary, annotated):
    self.assertEqual(inspect.signature(ordinary), inspect.signature(annotated))
    self.assertTrue(issubclass(annotated, ordinary))

  @parameterized.parameters(itertools.product(('binary', 'regression'), (1, 2)))
  def test_isinstance_of_the_ordinary_class(self, head, version):
    _, annotated = _estimators('numeric', head, version=version)
    self.assertIsInstance(annotated, model_cases.estimator_class(head, version))
    public = (tf.estimator, tf2.estimator)[version - 1]
    name = 'DNNClassifier' if head == 'binary' else 'DNNRegressor'
    self.assertIsInstance(annotated, getattr(public, name))

  @parameterized.parameters(_PAIRS)
  def test_arguments_by_position(self, _, annotated):
    columns = model_cases.CASES['numeric'].columns()
    model_dir = directories.new_dir()
    self.assertEqual(annotated([2], columns, model_dir).model_dir, model_dir)

  @parameterized.parameters(1, 2)
  def test_no_model_dir_makes_one_temporary_directory(self, version):
    case = model_cases.CASES['numeric']
    before, tempfile.tempdir = tempfile.tempdir, directories.new_dir()
    try:
      annotated = model_cases.estimator_class('binary', version, True)(
        hidden_units=[2], feature_columns=case.columns()
      )
      annotated.train(case.input_fn(repeat=True), steps=1)
      list(annotated.predict(case.input_fn()))
      self.assertEqual(
        os.listdir(tempfile.tempdir), [os.path.basename(annotated.model_dir)]
      )
    finally:
      tempfile.tempdir = before

  @parameterized.parameters(1, 2)
  def test_iterators_are_read_once(self, version):
    case = model_cases.CASES['mixed']
    annotated = model_cases.estimator_class('binary', version, True)(
      hidden_units=iter([4, 3]), feature_columns=iter(case.columns())
    )
    annotated.train(case.input_fn(repeat=True), steps=1)
    annotated.evaluate(case.input_fn())
    path = annotated.latest_checkpoint()
    for _ in range(2):
      self._assert_same_predictions(
        _estimators('mixed', version=version)[0],
        annotated,
        case.input_fn(),
        path,
      )


if __name__ == '__main__':
  absltest.main()
