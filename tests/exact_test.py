"""The exact sum, through a SavedModel: right, complete, or refused."""

import functools
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.integrals import path_sweep


def _network(activation, units, num_logits, batch_norm=False, **arguments):
  return numpy_network.random(
    3,
    [4] + units + [num_logits],
    activation=activation,
    batch_norms=(
      numpy_network.random_batch_norms(4, units) if batch_norm else None
    ),
    **arguments,
  )


@functools.lru_cache(maxsize=None)
def _exported(activation, units, num_logits, batch_norm):
  """Returns (network, the directory of its SavedModel)."""
  network = _network(activation, list(units), num_logits, batch_norm)
  return network, network_export.export(network)


class ExactTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.rng = np.random.RandomState(0)

  @parameterized.product(
    activation=['relu', 'leaky_relu', 'relu6', 'identity'],
    units=[[6], [7, 5], [7, 6, 5]],
    num_logits=[1, 3],
    batch_norm=[False, True],
    is_swept=[False, True],
  )
  def test_equals_float64(
    self, activation, units, num_logits, batch_norm, is_swept
  ):
    if not is_swept:
      # As where no compiler was.
      self.enter_context(
        mock.patch.object(path_sweep, 'is_built', return_value=False)
      )
    network, export_dir = _exported(
      activation, tuple(units), num_logits, batch_norm
    )
    x = np.float32(self.rng.randn(4, 4) * 2)
    baseline = np.float32(self.rng.randn(1, 4))
    with tfda.IntegratedGradients(export_dir) as ig:
      for output in ('logits', 'probabilities'):
        result = ig.attribute(
          {'x': x},
          baselines={'x': baseline},
          targets='all',
          output=output,
          method='exact',
        )
        row_and_baseline = np.float64(x[0]), np.float64(baseline[0])
        expected = network.attributions(*row_and_baseline, output)
        bound = network.rounding(*row_and_baseline, output)[0]
        # numpy's float32 sum may miss completeness by 2e-6 of the change (or of
        # 1) before it is done again, spread over the elements; the reference
        # is good to 1e-8.
        change = np.abs(result.outputs - result.baseline_outputs)[0]
        bound = bound + 2e-6 * np.maximum(1, change)[:, np.newaxis] + 1e-8
        np.testing.assert_array_less(
          np.abs(result.values['x'][0] - expected), bound
        )

  @parameterized.product(
    units=[[64, 32], [256, 128, 64]], output=['logits', 'probabilities']
  )
  def test_is_complete(self, units, output):
    network = numpy_network.random(5, [20] + units + [10])
    x = np.float32(self.rng.randn(40, 20))
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute({'x': x}, output=output)
    change = np.abs(result.outputs - result.baseline_outputs)
    # What the engine promises of every row.
    self.assertLessEqual(
      np.max(np.abs(result.gap) / np.maximum(1, change)), 1e-5
    )

  def test_wide_and_deep_is_complete(self):
    network = numpy_network.random(6, [30, 1024, 512, 256, 10])
    x = np.float32(self.rng.randn(3, 30))
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute({'x': x})
    change = np.abs(result.outputs - result.baseline_outputs)
    self.assertLessEqual(
      np.max(np.abs(result.gap) / np.maximum(1, change)), 1e-5
    )

  def test_trained_on_features_of_any_size(self):
    # Thousands of units away from a zero baseline, as features are that
    # nobody has normalized.
    rng = np.random.RandomState(7)
    network = numpy_network.random(8, [4, 32, 16, 3])
    x = np.float32(rng.uniform(-5000, 5000, (20, 4)))
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      for output in ('logits', 'probabilities'):
        result = ig.attribute({'x': x}, output=output)
        change = np.abs(result.outputs - result.baseline_outputs)
        self.assertLessEqual(
          np.max(np.abs(result.gap) / np.maximum(1, change)), 1e-5
        )

  def test_auto_is_exact_for_relu(self):
    network = _network('relu', [7, 5], 3)
    x = np.float32(self.rng.randn(5, 4))
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      exact = ig.attribute({'x': x}, method='exact')
      auto = ig.attribute({'x': x})
    np.testing.assert_array_equal(exact.values['x'], auto.values['x'])
    # As many as there are kinks of the first layer on the path, and one.
    for row, num_steps in zip(x, auto.num_steps):
      first = network.pre_activations(np.stack([0 * row, row]))[0]
      self.assertEqual(num_steps, 1 + np.sum(first[0] * first[1] < 0))

  def test_no_hidden_layer(self):
    network = _network('relu', [], 3)
    x = np.float32(self.rng.randn(5, 4))
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute({'x': x}, targets=2, method='exact')
    np.testing.assert_allclose(
      result.values['x'], x * network.layers[0][0][:, 2], rtol=1e-6
    )

  def test_regressor(self):
    network = _network('relu', [7, 5], 2, is_classifier=False)
    x = np.float32(self.rng.randn(5, 4))
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      result = ig.attribute({'x': x}, targets='all', method='exact')
    expected = network.attributions(np.float64(x[0]), np.zeros(4))
    np.testing.assert_allclose(result.values['x'][0], expected, atol=1e-5)

  @parameterized.parameters(
    ('mixed', 1, False),
    ('mixed', 2, True),
    ('weighted', 2, False),
    ('shared_v1', 1, True),
    ('private_v1', 1, True),
  )
  def test_trained_networks_are_recognized(self, case, version, batch_norm):
    export_dir = model_cases.annotated_export(
      case, version=version, batch_norm=batch_norm
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertIsNone(ig.model.unrecognized)

  @parameterized.parameters('tanh', 'sigmoid', 'elu')
  def test_refuses_what_bends(self, activation):
    with tfda.IntegratedGradients(
      network_export.export(_network(activation, [5], 3))
    ) as ig:
      with self.assertRaisesRegex(ValueError, "(?i)tanh|sigmoid|elu.*'auto'"):
        ig.attribute({'x': np.zeros((1, 4))}, method='exact')


class OwnPredictionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.rng = np.random.RandomState(0)

  def test_prediction_that_is_not_the_logits_is_not_taken_for_them(self):
    # A user's model_fn around ours, whose prediction is exp(logits).
    inner = tfda.DNNRegressorWithLayerAnnotations(
      hidden_units=[4, 3],
      feature_columns=[tf.feature_column.numeric_column('x', shape=(4,))],
      model_dir=directories.new_dir(),
      config=tf.estimator.RunConfig(tf_random_seed=1),
    )

    def model_fn(features, labels, mode, config):
      spec = inner.model_fn(features, labels, mode, config)
      if mode != tf.estimator.ModeKeys.PREDICT:
        return spec
      predictions = {'predictions': tf.exp(spec.predictions['predictions'])}
      outputs = dict(spec.export_outputs)
      outputs['predict'] = tf.estimator.export.PredictOutput(predictions)
      return spec._replace(predictions=predictions, export_outputs=outputs)

    estimator = tf.estimator.Estimator(model_fn, config=inner.config)
    x = np.float32(self.rng.randn(5, 4))
    estimator.train(lambda: ({'x': tf.constant(x)}, tf.zeros([5, 1])), steps=1)
    export_dir = estimator.export_saved_model(
      directories.new_dir(),
      tf.estimator.export.build_parsing_serving_input_receiver_fn(
        {'x': tf.io.FixedLenFeature([4], tf.float32)}
      ),
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      with self.assertRaisesRegex(ValueError, "not the logits.*'auto'"):
        ig.attribute({'x': x}, method='exact')
      result = ig.attribute({'x': x})
    self.assertTrue((result.outputs > 0).all())
    # 'auto' stops at 1e-3 of the sum of absolute attributions on the first
    # layer, which a few layers of weights of size 1 make no larger than 10.
    self.assertLess(np.abs(result.gap).max(), 1e-2)


class BatchesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.rng = np.random.RandomState(0)

  def test_batches_are_explained_one_by_one(self):
    network = _network('relu', [7, 5], 3)
    batches = [np.float32(self.rng.randn(n, 4)) for n in (3, 1, 5)]
    seen = []

    def stream():
      for batch in batches:
        seen.append(len(batch))
        yield {'x': batch}

    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      results = ig.attribute_batches(stream(), targets=1)
      first = next(results)
      self.assertEqual(seen, [3])  # No more than is asked for.
      rest = list(results)
      expected = ig.attribute({'x': np.concatenate(batches)}, targets=1)
    values = np.concatenate([r.values['x'] for r in [first] + rest])
    np.testing.assert_allclose(values, expected.values['x'], atol=1e-6)


class ActivationTest(parameterized.TestCase):
  """Activations that a user wrote, recognized or not."""

  @parameterized.named_parameters(
    ('leaky', lambda z: tf.nn.leaky_relu(z, alpha=0.05), True),
    ('keras', tf.keras.activations.relu, True),
    ('none', None, True),
    ('shifted', lambda z: tf.nn.relu(z - 1.0), False),
    ('swish', lambda z: z * tf.sigmoid(z), False),
    ('softplus', tf.nn.softplus, False),
    ('scaled', lambda z: 2.0 * tf.nn.relu(z) - 1.0, True),
    ('scaled_in_a_row', lambda z: tf.nn.relu(z) * tf.constant([[2.0]]), True),
    (
      'scaled_by_unit',
      lambda z: tf.nn.relu(z) * (1.0 + tf.range(float(int(z.shape[1])))),
      True,
    ),
    (
      'shifted_by_unit_in_a_row',
      lambda z: tf.nn.relu(z) + tf.ones([1, int(z.shape[1])]),
      True,
    ),
    # Of each row alone, or drawn at each call: no network of constants.
    (
      'of_the_row',
      lambda z: tf.nn.relu(z) * tf.reduce_mean(z, 1, keepdims=True),
      False,
    ),
  )
  def test_is_recognized_or_integrated(self, activation_fn, is_recognized):
    estimator = tfda.DNNClassifierWithLayerAnnotations(
      hidden_units=[6, 5],
      feature_columns=[tf.feature_column.numeric_column('x', shape=(4,))],
      n_classes=3,
      activation_fn=activation_fn,
      model_dir=directories.new_dir(),
      config=tf.estimator.RunConfig(tf_random_seed=0),
    )
    estimator.train(
      lambda: (
        {'x': tf.ones([2, 4])},
        tf.constant([0, 1]),
      ),
      steps=1,
    )
    export_dir = estimator.export_saved_model(
      directories.new_dir(),
      tf.estimator.export.build_parsing_serving_input_receiver_fn(
        {'x': tf.io.FixedLenFeature([4], tf.float32)}
      ),
    )
    # The same whatever ran before: some rows leave all units off.
    x = np.float32(np.random.RandomState(0).randn(6, 4) * 3)
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertEqual(ig.model.unrecognized is None, is_recognized)
      auto = ig.attribute({'x': x}, num_steps=8193)
      fine = ig.attribute({'x': x}, method='midpoint', num_steps=4000)
    # 4000 nodes miss a kink by at most 1/4000 of the path. How far the slope
    # jumps there is told by the largest row: a row whose slopes cancel is small
    # itself, and its jumps are not.
    scale = np.abs(fine.values['x']).sum(axis=1).max()
    self.assertGreater(scale, 0.1)
    error = np.abs(auto.values['x'] - fine.values['x'])
    self.assertLess(np.max(error), 2e-3 * scale)

  @parameterized.named_parameters(
    (
      'random',
      lambda z: tf.nn.relu(z) * tf.random.uniform([int(z.shape[1])]),
      r'random.*not constant',
    ),
    (
      'six_of_one_unit',
      lambda z: tf.nn.relu(z) * tf.ones([6]),
      'broadcast to more',
    ),
    (
      'rows_of_a_batch',
      lambda z: tf.nn.relu(z) * tf.constant([[1.0], [2.0]]),
      'rows of a batch',
    ),
  )
  def test_is_not_taken_for_a_network(self, activation_fn, message):
    estimator = tfda.DNNClassifierWithLayerAnnotations(
      hidden_units=[1],
      feature_columns=[tf.feature_column.numeric_column('x')],
      activation_fn=activation_fn,
      model_dir=directories.new_dir(),
    )
    estimator.train(
      lambda: ({'x': tf.ones([2, 1])}, tf.constant([[0], [1]])), steps=1
    )
    export_dir = estimator.export_saved_model(
      directories.new_dir(),
      tf.estimator.export.build_parsing_serving_input_receiver_fn(
        {'x': tf.io.FixedLenFeature([1], tf.float32)}
      ),
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertRegex(ig.model.unrecognized, message)
      with self.assertRaisesRegex(ValueError, message):
        ig.attribute({'x': [1.0, 2.0]}, method='exact')


if __name__ == '__main__':
  absltest.main()
