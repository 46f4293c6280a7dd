"""Every form of a target explains the output that it names."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_LABELS = ['gentoo', 'adélie', '2']
_X = np.float32(np.random.RandomState(0).randint(-12, 13, (6, 4)) / 4)
_MULTI_CLASS = numpy_network.whole_numbers(27, [4, 6, 3])
_NETWORKS = {
  'binary': (numpy_network.whole_numbers(27, [4, 6, 1]), {}),
  'binary_vocabulary': (
    numpy_network.whole_numbers(27, [4, 6, 1]),
    {'label_vocabulary': ['no', 'yes']},
  ),
  'multi_class': (_MULTI_CLASS, {}),
  'vocabulary': (_MULTI_CLASS, {'label_vocabulary': _LABELS}),
  'regressor': (
    numpy_network.whole_numbers(3, [4, 6, 1], is_classifier=False),
    {},
  ),
  'regressor_2d': (
    numpy_network.whole_numbers(4, [4, 6, 2], is_classifier=False),
    {},
  ),
}
_NUM_STEPS = 64


def _expected(network, ids, output='logits'):
  """Returns float64 [n, 4]: the midpoint rule that the model is asked for."""
  nodes = (np.arange(_NUM_STEPS)[:, np.newaxis] + 0.5) / _NUM_STEPS
  return np.array(
    [
      network.gradients(nodes * x, output).mean(axis=0)[i] * x
      for x, i in zip(np.float64(_X), ids)
    ]
  )


class TargetsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.explainers = {
      name: tfda.IntegratedGradients(
        network_export.export(network, **arguments)
      )
      for name, (network, arguments) in _NETWORKS.items()
    }

  @classmethod
  def tearDownClass(cls):
    for explainer in cls.explainers.values():
      explainer.close()
    super().tearDownClass()

  def _attribute(self, name, targets, output='logits', x=_X):
    return self.explainers[name].attribute(
      {'x': x},
      targets=targets,
      output=output,
      method='midpoint',
      num_steps=_NUM_STEPS,
    )

  def _check(self, name, targets, ids):
    """Compares, bit by bit, with class ids' own float64 numbers."""
    network = _NETWORKS[name][0]
    result = self._attribute(name, targets)
    ids = np.broadcast_to(ids, len(_X))
    np.testing.assert_array_equal(result.targets, ids)
    self.assertEqual(result.targets.dtype, np.int64)
    np.testing.assert_array_equal(
      result.values['x'], _expected(network, ids).astype(np.float32)
    )
    outputs = network.outputs(np.float64(_X))
    np.testing.assert_array_equal(
      result.outputs, outputs[np.arange(len(_X)), ids]
    )
    np.testing.assert_array_equal(
      result.baseline_outputs, network.outputs(np.zeros((1, 4)))[0][ids]
    )

  @parameterized.parameters(
    'binary', 'binary_vocabulary', 'multi_class', 'vocabulary'
  )
  def test_predicted(self, name):
    ids = np.argmax(_NETWORKS[name][0].outputs(np.float64(_X)), axis=1)
    self.assertGreater(len(set(ids)), 1)
    self._check(name, 'predicted', ids)
    by_default = self.explainers[name].attribute({'x': _X})
    np.testing.assert_array_equal(by_default.targets, ids)

  def test_the_only_output_of_a_regressor_is_predicted(self):
    self._check('regressor', 'predicted', 0)

  @parameterized.parameters(
    ('binary', 0),
    ('binary', 1),
    ('multi_class', 0),
    ('multi_class', 2),
    ('multi_class', np.int32(1)),
    ('vocabulary', 1),
    ('regressor', 0),
    ('regressor_2d', 1),
  )
  def test_id(self, name, target):
    self._check(name, target, int(target))

  @parameterized.parameters(
    ('vocabulary', 'gentoo', 0),
    ('vocabulary', 'adélie', 1),
    ('vocabulary', 'adélie'.encode(), 1),
    ('vocabulary', np.str_('adélie'), 1),
    # A label and no id.
    ('vocabulary', '2', 2),
    ('binary_vocabulary', 'no', 0),
    ('binary_vocabulary', 'yes', 1),
    # What TensorFlow calls the classes without a vocabulary.
    ('multi_class', '1', 1),
    ('binary', '1', 1),
  )
  def test_label(self, name, target, expected):
    self._check(name, target, expected)

  @parameterized.parameters(
    ('multi_class', [0, 1, 2, 2, 1, 0], [0, 1, 2, 2, 1, 0]),
    ('multi_class', np.int32([0, 1, 2, 2, 1, 0]), [0, 1, 2, 2, 1, 0]),
    ('binary', np.array([0, 1, 1, 0, 1, 0], np.uint8), [0, 1, 1, 0, 1, 0]),
    (
      'vocabulary',
      ['gentoo', '2', 'adélie', '2', '2', 'gentoo'],
      [0, 2, 1, 2, 2, 0],
    ),
    ('vocabulary', np.array(['gentoo', '2'] * 3), [0, 2] * 3),
    ('vocabulary', np.array([b'gentoo', b'2'] * 3), [0, 2] * 3),
    ('vocabulary', np.array(['gentoo', b'2'] * 3, object), [0, 2] * 3),
    ('regressor_2d', (1, 0, 1, 0, 0, 0), [1, 0, 1, 0, 0, 0]),
  )
  def test_array(self, name, targets, ids):
    self._check(name, targets, ids)

  @parameterized.parameters(
    ('multi_class', np.array(2), 2),
    ('vocabulary', np.array('gentoo'), 0),
    ('vocabulary', np.array(b'gentoo', object), 0),
    ('multi_class', np.uint8(2), 2),
    ('multi_class', pd.Series([0, 1, 2, 2, 1, 0]), [0, 1, 2, 2, 1, 0]),
    (
      'multi_class',
      pd.Series([0, 1, 2, 2, 1, 0], [5, 5, 1, 2, 3, 4], dtype='Int64'),
      [0, 1, 2, 2, 1, 0],
    ),
    ('multi_class', pd.DataFrame({'y': [0, 1, 2] * 2}), [0, 1, 2] * 2),
    ('vocabulary', pd.Series(['gentoo', '2'] * 3), [0, 2] * 3),
    ('vocabulary', pd.Series(['gentoo', '2'] * 3, dtype='string'), [0, 2] * 3),
    ('vocabulary', pd.Categorical(['gentoo', '2'] * 3), [0, 2] * 3),
    ('multi_class', np.ma.masked_array([0, 1] * 3), [0, 1] * 3),
  )
  def test_other_forms(self, name, targets, ids):
    self._check(name, targets, ids)

  def test_all_and_predicted_as_arrays(self):
    for name in ('all', 'predicted', b'all', b'predicted'):
      np.testing.assert_array_equal(
        self._attribute('vocabulary', np.array(name)).targets,
        self._attribute('vocabulary', tf.compat.as_str(name)).targets,
      )

  def test_tensors(self):
    if not tf.executing_eagerly():
      self.skipTest('TensorFlow 1 has no values of Tensors.')
    self._check('multi_class', tf.constant(2), 2)
    self._check('multi_class', tf.constant([0, 1] * 3), [0, 1] * 3)
    self._check('vocabulary', tf.constant('gentoo'), 0)
    self._check('vocabulary', tf.constant(['gentoo', '2'] * 3), [0, 2] * 3)

  def test_symbolic_tensors(self):
    with tf.Graph().as_default():
      targets = tf.placeholder(tf.int64, [6])
    with self.assertRaisesRegex(
      TypeError, '^`targets` must have.*what session.run'
    ):
      self._attribute('multi_class', targets)

  @parameterized.parameters(
    (pd.Series([0, None, 1, 2, 0, 1], dtype='Int64'),),
    (pd.Series([0, None, 1, 2, 0, 1]),),
    (np.ma.masked_array([0, 1, 1, 2, 0, 1], [0, 1, 0, 0, 0, 0]),),
    ([0, None, 1, 2, 0, 1],),
  )
  def test_missing_targets(self, targets):
    with self.assertRaisesRegex(
      ValueError, '^row 1: `targets` must have a class for each row; got .*Leav'
    ):
      self._attribute('multi_class', targets)

  @parameterized.parameters(*_NETWORKS)
  def test_all_is_one_by_one(self, name):
    network = _NETWORKS[name][0]
    num_outputs = network.outputs(np.zeros((1, 4))).shape[1]
    result = self._attribute(name, 'all')
    np.testing.assert_array_equal(
      result.targets, np.tile(np.arange(num_outputs), (len(_X), 1))
    )
    for i in range(num_outputs):
      one = self._attribute(name, i)
      for attribute in ('outputs', 'baseline_outputs', 'gap', 'targets'):
        np.testing.assert_array_equal(
          getattr(result, attribute)[:, i], getattr(one, attribute)
        )
      np.testing.assert_array_equal(result.values['x'][:, i], one.values['x'])
      np.testing.assert_array_equal(result.per_column()[:, i], one.per_column())
      np.testing.assert_array_equal(
        result.per_feature()['x'][:, i], one.per_feature()['x']
      )

  @parameterized.product(
    name=list(_NETWORKS), method=['exact', 'auto'], targets=['all', 0]
  )
  def test_exact_sum(self, name, method, targets):
    network = _NETWORKS[name][0]
    result = self.explainers[name].attribute(
      {'x': _X}, targets=targets, method=method
    )
    for row, x in enumerate(np.float64(_X)):
      expected = network.attributions(x, 0 * x)
      bounds = network.rounding(x, 0 * x)[0]
      if targets == 0:
        expected, bounds = expected[0], bounds[0]
      np.testing.assert_array_less(
        np.abs(result.values['x'][row] - expected), bounds + 1e-12
      )

  @parameterized.parameters('binary', 'binary_vocabulary')
  def test_class_0_of_a_binary_model_is_the_negative_of_class_1(self, name):
    for output in ('logits', 'probabilities'):
      values = self._attribute(name, 'all', output).values['x']
      self.assertGreater(np.abs(values).max(), 0.1)
      # The probabilities' slopes are p (1 - p), from two roundings of p.
      atol = 1e-6 if output == 'probabilities' else 0
      np.testing.assert_allclose(values[:, 0], -values[:, 1], rtol=0, atol=atol)

  @parameterized.parameters('multi_class', 'vocabulary', 'binary')
  def test_attributions_of_probabilities_sum_to_zero_over_classes(self, name):
    result = self._attribute(name, 'all', 'probabilities')
    values = result.values['x']
    self.assertGreater(np.abs(values).max(), 0.01)
    # Slopes of at most `chain`, of probabilities that are rounded to 2**-24
    # and computed from logits rounded likewise; some 16 times.
    kernels = [np.abs(kernel) for kernel, _ in _NETWORKS[name][0].layers]
    chain = (kernels[0] @ kernels[1]).max()
    np.testing.assert_array_less(
      np.abs(values.sum(axis=1)),
      16 * numpy_network.ROUNDOFF * chain * (np.abs(_X) + 1),
    )
    np.testing.assert_allclose(result.outputs.sum(axis=1), 1, rtol=1e-6)

  def test_predicted_is_the_same_class_for_probabilities(self):
    for name in ('binary', 'multi_class'):
      np.testing.assert_array_equal(
        self._attribute(name, 'predicted', 'probabilities').targets,
        self._attribute(name, 'predicted').targets,
      )

  @parameterized.product(
    # Classes whose probabilities are the same float32, and whose logits differ.
    logits=[[1e-9], [0.0, 1e-9, -3.0]],
    output=['logits', 'probabilities'],
    method=['exact', 'midpoint'],
  )
  def test_predicted_is_the_class_that_the_model_names(
    self, logits, output, method
  ):
    network = numpy_network.Network(
      [(np.zeros((4, 2)), np.ones(2)), (np.zeros((2, len(logits))), logits)]
    )
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute({'x': _X}, output=output, method=method)
      everything = ig.attribute(
        {'x': _X}, targets='all', output='probabilities'
      )
    np.testing.assert_array_equal(result.targets, 1)
    np.testing.assert_array_equal(
      everything.outputs[:, 0], everything.outputs[:, 1]
    )

  @parameterized.parameters('exact', 'midpoint')
  def test_predicted_is_what_class_ids_are(self, method):
    network, _ = _NETWORKS['multi_class']
    export_dir = network_export.export(network)

    def edit(meta_graph):
      name = meta_graph.signature_def['predict'].outputs['class_ids'].name
      nodes = {node.name: node for node in meta_graph.graph_def.node}
      node = nodes[name.split(':')[0]]
      while node.op != 'ArgMax':
        node = nodes[node.input[0]]
      node.op = 'ArgMin'
      # It lists the classes in another order than they are predicted in now.
      meta_graph.signature_def['predict'].outputs.pop('all_classes', None)

    edited = saved_model_files.edited_copy(export_dir, edit)
    with tfda.IntegratedGradients(edited) as ig:
      np.testing.assert_array_equal(
        ig.attribute({'x': _X}, method=method).targets,
        np.argmin(network.outputs(np.float64(_X)), axis=1),
      )

  def test_what_the_model_tells_of_its_classes(self):
    told = {
      name: (ig.model.kind, ig.model.num_classes, ig.model.labels)
      for name, ig in self.explainers.items()
    }
    self.assertEqual(
      told,
      {
        'binary': ('classifier', 2, None),
        'binary_vocabulary': ('classifier', 2, ['no', 'yes']),
        'multi_class': ('classifier', 3, None),
        'vocabulary': ('classifier', 3, _LABELS),
        'regressor': ('regressor', None, None),
        'regressor_2d': ('regressor', None, None),
      },
    )

  @parameterized.parameters(
    ('multi_class', 3, ValueError, r'\[0, 3\); got 3\. Count from 0'),
    ('multi_class', -1, ValueError, r'\[0, 3\); got -1\. Count from 0'),
    ('binary', 2, ValueError, r'\[0, 2\); got 2\. .* 1 is the positive class'),
    ('multi_class', 'b', ValueError, r"one of the labels \['0', '1', '2'\]"),
    ('vocabulary', 'Gentoo', ValueError, r"'gentoo', .*got 'Gentoo'. Check"),
    ('vocabulary', ['gentoo'] * 5 + ['x'], ValueError, r"got 'x'\. Check"),
    ('multi_class', [0, 1], ValueError, r'\[6\].*got \[2\]\. Give one class'),
    ('multi_class', np.zeros((6, 1), int), ValueError, r'got \[6, 1\]\. Give'),
    ('multi_class', [[1], [2, 0], [0]] * 2, ValueError, r"\[6, '\?'\]\. Give"),
    ('vocabulary', 'gentto', ValueError, "Did you mean 'gentoo'"),
    ('multi_class', 1.0, TypeError, r'got 1\.0\. Convert it with int\(\)'),
    ('multi_class', [0.5] * 6, TypeError, r'got 0\.5\. Convert it with int'),
    ('multi_class', True, TypeError, r'got True\. Convert it with int\(\)'),
    ('multi_class', None, TypeError, r'got None\. Convert it with int\(\)'),
    ('regressor', 1, ValueError, r'\[0, 1\); got 1\. Count from 0'),
    ('regressor_2d', 2, ValueError, r'\[0, 2\); got 2\. Count from 0'),
    ('regressor_2d', 'b', ValueError, r'an index in \[0, 2\), since the model'),
    ('regressor_2d', 'predicted', ValueError, r'Give an index in \[0, 2\), or'),
  )
  def test_errors(self, name, targets, error, regex):
    with self.assertRaisesRegex(error, '`targets` must .*' + regex):
      self._attribute(name, targets)

  def test_label_that_is_no_text(self):
    export_dir = network_export.export(
      numpy_network.whole_numbers(1, [4, 3, 3]),
      label_vocabulary=[b'ok', b'\xff', 'adélie'.encode()],
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertEqual(ig.model.labels, ['ok', '\\xff', 'adélie'])
      for target in (b'\xff', '\\xff'):
        result = ig.attribute({'x': _X}, targets=target)
        self.assertEqual(set(result.targets), {1})


if __name__ == '__main__':
  absltest.main()
