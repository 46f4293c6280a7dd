"""Models of every activation function are explained in another process."""

from concurrent import futures
import importlib.util
import os
import pathlib
import subprocess
import sys
import zipfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.framework import ops
from tensorflow.python.saved_model import loader_impl

from testdata import make_activations
from testdata import make_foreign
from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_ROOT = pathlib.Path(__file__).absolute().parents[1]
# TensorFlow 1 does not know all operations of 2.
_KEPT = {
  f'{version}_{name}': (version, name)
  for version in make_activations.VERSIONS
  for name in make_activations.KEPT
  if version < 'tf2' or tf.__version__ >= '2'
}
# Some 100 roundings to float32 of numbers of the largest one's size.
_ROUNDING = 100 * numpy_network.ROUNDOFF
_TOLERANCE = 1e-5  # What the integrals are asked for.


def _plain_session(export_dir):
  """Returns a session of a SavedModel as TensorFlow loads it."""
  session = tf.Session(graph=tf.Graph())
  with session.graph.as_default():
    tf.saved_model.load(session, ['serve'], export_dir)
  return session


def _without(z):
  """Returns what depends on a tensor by an operation without a gradient."""
  return tf.raw_ops.IgammaGradA(a=tf.abs(z) + 1.0, x=tf.abs(z) + 1.0)


def _check_numerically(test, export_dir):
  """Compares a model's attributions with differences of its predictions."""
  rows = make_activations.rows()
  with _plain_session(export_dir) as session, tfda.IntegratedGradients(
    export_dir
  ) as ig:
    signature = ig.model._runner._saved_graph.meta_graph.signature_def
    outputs = signature['layer_annotations'].outputs
    first, logits = (outputs[k].name for k in ('hidden_layers/0', 'logits'))

    def logits_at(points):
      return session.run(logits, {first: points})[:, 0].astype(np.float64)

    result = ig.attribute({'x': rows}, targets=1, tolerance=_TOLERANCE)
    points = ig.model.points_of_examples({'x': rows}, 'logits')
    z = points.path
    gradients = ig.model.gradients(
      'logits', points.path, np.ones(len(rows), np.int64)
    )[:, 0]
    served = logits_at(z)
    # Central differences: of float32, whose rounding is 2**-24 of a logit, and
    # of the fourth order, with an error of step**4 times a derivative.
    step = 1 / 64
    numerical = np.zeros_like(gradients)
    for i in range(z.shape[1]):
      shift = step * np.eye(z.shape[1], dtype=np.float32)[i]
      near = logits_at(z + shift) - logits_at(z - shift)
      far = logits_at(z + 2 * shift) - logits_at(z - 2 * shift)
      numerical[:, i] = (8 * near - far) / (12 * step)
  scale = np.abs(numerical).max()
  test.assertGreater(scale, 0)
  # Not where a kink is within the differences; there is none on most rows.
  errors = np.abs(gradients - numerical).max(axis=1) / scale
  test.assertLess(np.median(errors), 3e-3, (export_dir, errors))
  np.testing.assert_allclose(
    result.outputs, served, rtol=0, atol=_ROUNDING * np.abs(served).max()
  )
  sizes = np.abs(result.values['x']).sum(axis=1)
  test.assertGreater(sizes.max(), 0)
  np.testing.assert_array_less(
    np.abs(result.gap),
    1e-3 * sizes + _ROUNDING * np.abs(served).max(),
  )


@absltest.skipUnless(
  importlib.util.find_spec('tensorflow_estimator'), 'nothing to export with'
)
class EveryActivationTest(parameterized.TestCase):
  """Of tf.nn and tf.keras.activations, and of a user's own."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls._directory = directories.new_dir()
    written = subprocess.run(
      [
        *(sys.executable, '-m', 'testdata.make_activations'),
        cls._directory,
      ],
      cwd=str(_ROOT),
      check=True,
      env=dict(os.environ, PYTHONPATH=str(_ROOT)),
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      universal_newlines=True,
    )
    cls.names = written.stdout.split()

  def _export_dir(self, name):
    return os.path.join(self._directory, name)

  def test_all_are_explained(self):
    self.assertContainsSubset(
      ['nn.elu', 'nn.selu', 'keras.hard_sigmoid', *make_activations.KEPT],
      self.names,
    )
    for name in self.names:
      with self.subTest(name):
        _check_numerically(self, self._export_dir(name))

  def test_predictions_are_those_of_plain_loading(self):
    rows = make_activations.rows()
    for name in make_activations.KEPT:
      with self.subTest(name):
        export_dir = self._export_dir(name)
        with _plain_session(export_dir) as session, tfda.IntegratedGradients(
          export_dir
        ) as ig:
          predict = ig.model._runner._saved_graph.meta_graph.signature_def[
            'layer_annotations'
          ]
          served = session.run(
            predict.outputs['logits'].name,
            {predict.outputs['unprocessed_features/x'].name: rows},
          )
          result = ig.attribute({'x': rows}, targets=1)
        np.testing.assert_array_equal(result.outputs, served[:, 0])

  def test_functions_of_piecewise_linear_operations_are_exact(self):
    for name in ('own.relu_in_function', 'own.relu_of_custom_gradient'):
      with tfda.IntegratedGradients(self._export_dir(name)) as ig:
        self.assertIsNone(ig.model.unrecognized)
        result = ig.attribute(
          {'x': make_activations.rows()}, targets=1, method='exact'
        )
      network = make_activations.network('relu')
      for row, values in zip(make_activations.rows(), result.values['x']):
        expected = network.attributions(row, np.zeros_like(row), 'logits')[1]
        np.testing.assert_allclose(
          values, expected, rtol=0, atol=_ROUNDING * np.abs(expected).max()
        )

  def test_a_gradient_of_this_process_is_not_called(self):
    export_dir = self._export_dir('own.custom_gradient')
    called = []
    (meta_graph,) = loader_impl.parse_saved_model(export_dir).meta_graphs
    names = {
      node.attr['_gradient_op_type'].s.decode()
      for node in meta_graph.graph_def.node
      if '_gradient_op_type' in node.attr
    }
    self.assertNotEmpty(names)
    for name in names:

      @ops.RegisterGradient(name)
      def _foreign(op, *gradients):
        called.append(op.name)
        return [1000 * gradients[0]] + [None] * (len(op.inputs) - 1)

    _check_numerically(self, export_dir)
    self.assertEmpty(called)

  @parameterized.parameters(
    (tf.floor, "only by steps.*'dnn/hiddenlayer_0/Floor'.*a derivative"),
    (
      lambda z: z + _without(z),
      'IgammaGradA.* has no gradient. Export it with another',
    ),
    (
      lambda z: tf.ensure_shape(tf.to_float(tf.argsort(z)), z.shape),
      'only by steps.*argsort.*a derivative',
    ),
  )
  def test_what_has_no_gradient_is_named(self, activation_fn, regex):
    export_dir = network_export.export(
      make_activations.network(), activation_fn=activation_fn
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      with self.assertRaisesRegex(ValueError, regex):
        ig.attribute({'x': make_activations.rows()})

  def test_threads_share_a_model_with_branches_and_loops(self):
    examples = {'x': make_activations.rows()}
    arguments = [
      dict(output=output, targets=targets)
      for output in ('logits', 'probabilities')
      for targets in ('all', 1)
    ] * 2
    for name in ('own.map_fn', 'own.cond_in_function'):
      with tfda.IntegratedGradients(self._export_dir(name)) as ig:
        with futures.ThreadPoolExecutor(len(arguments)) as executor:
          results = list(
            executor.map(
              lambda kwargs, ig=ig: ig.attribute(examples, **kwargs).values,
              arguments,
            )
          )
      for first, second in zip(results[:4], results[4:]):
        np.testing.assert_array_equal(first['x'], second['x'])


class KeptModelsTest(parameterized.TestCase):
  """Written by other TensorFlows, compared with float64 numpy."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls._directory = directories.new_dir()
    for version in make_activations.VERSIONS:
      path = make_foreign.DIR / f'activations_{version}.zip'
      with zipfile.ZipFile(str(path)) as archive:
        archive.extractall(os.path.join(cls._directory, version))

  @parameterized.parameters(*_KEPT)
  def test_attributions(self, key):
    version, name = _KEPT[key]
    network = make_activations.network(make_activations.KEPT[name])
    rows = make_activations.rows()
    for output in ('logits', 'probabilities'):
      expected = np.array(
        [network.attributions(r, np.zeros_like(r), output)[1] for r in rows]
      )
      with tfda.IntegratedGradients(
        os.path.join(self._directory, version, name)
      ) as ig:
        result = ig.attribute(
          {'x': rows}, targets=1, output=output, tolerance=_TOLERANCE
        )
      scale = np.abs(expected).max()
      np.testing.assert_allclose(
        result.values['x'],
        expected,
        rtol=0,
        atol=(10 * _TOLERANCE + _ROUNDING) * scale,
      )


if __name__ == '__main__':
  absltest.main()
