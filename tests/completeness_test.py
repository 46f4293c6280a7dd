"""Attributions sum to F(x) - F(x') but for a gap that has a known bound."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.integrals import rules

_METHODS = ('gausslegendre', 'midpoint', 'trapezoid', 'left', 'right')
_NETWORKS = {
  'one_layer': numpy_network.random(1, [4, 12, 1]),
  'deep': numpy_network.random(2, [4, 8, 8, 8, 3]),
  'leaky_relu': numpy_network.random(
    3, [4, 7, 5, 2], activation='leaky_relu', is_classifier=False
  ),
  'relu6_batch_norm': numpy_network.random(
    4,
    [4, 7, 5, 3],
    activation='relu6',
    batch_norms=numpy_network.random_batch_norms(5, [7, 5]),
  ),
}


def _discrepancy(nodes, weights):
  """Returns the largest |sum of the weights up to a - a| over a in [0, 1]."""
  after = np.cumsum(weights)
  before = after - weights
  return max(np.abs(after - nodes).max(), np.abs(before - nodes).max())


def _variation(network, x, baseline):
  """Returns [num_outputs]: the variation of F's slope along the path."""
  positions = network.kinks(x, baseline)
  middles = (positions[1:] + positions[:-1])[:, np.newaxis] / 2
  gradients = network.gradients(baseline + middles * (x - baseline))
  return np.abs(np.diff(gradients @ (x - baseline), axis=0)).sum(axis=0)


class CompletenessTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.explainers = {
      name: tfda.IntegratedGradients(network_export.export(network))
      for name, network in _NETWORKS.items()
    }
    rng = np.random.RandomState(0)
    cls.x = np.float32(rng.randn(6, 4) * 2)
    cls.baseline = np.float32(rng.randn(1, 4))

  @classmethod
  def tearDownClass(cls):
    for explainer in cls.explainers.values():
      explainer.close()
    super().tearDownClass()

  def _attribute(self, name, **arguments):
    return self.explainers[name].attribute(
      {'x': self.x},
      baselines={'x': self.baseline},
      targets='all',
      **arguments,
    )

  def _bounds(self, network, discrepancy):
    """Returns [n, num_outputs]: bounds of the gaps.

    Koksma's inequality, |sum_k w_k f(a_k) - integral of f| <= variation of f *
    discrepancy of the rule, for f the slope of F along the path (Kuipers,
    Niederreiter, Uniform Distribution of Sequences, theorem 2.5.1); and
    rounding.
    """
    bounds = []
    for x in np.float64(self.x):
      baseline = np.float64(self.baseline[0])
      attribution, output = network.rounding(x, baseline)
      rounding = attribution.sum(axis=-1) + 2 * output
      bounds.append(_variation(network, x, baseline) * discrepancy + rounding)
    return np.array(bounds)

  @parameterized.product(
    name=list(_NETWORKS), method=_METHODS, num_steps=[20, 400]
  )
  def test_gap_is_within_the_bound(self, name, method, num_steps):
    network = _NETWORKS[name]
    result = self._attribute(name, method=method, num_steps=num_steps)
    discrepancy = _discrepancy(*rules.rule(method, num_steps))
    # No more than two nodes' distance, for all of these rules.
    self.assertLess(discrepancy, 2 / (num_steps - 1))
    bounds = self._bounds(network, discrepancy)
    np.testing.assert_array_less(np.abs(result.gap), bounds)
    np.testing.assert_allclose(
      result.outputs - result.baseline_outputs,
      network.outputs(np.float64(self.x))
      - network.outputs(np.float64(self.baseline)),
      rtol=1e-5,
      atol=1e-5,
    )

  @parameterized.parameters(*_NETWORKS)
  def test_default_method(self, name):
    result = self._attribute(name)
    # As good as 128 Gauss-Legendre nodes, or better.
    discrepancy = _discrepancy(*rules.rule('gausslegendre', 128))
    bounds = self._bounds(_NETWORKS[name], discrepancy)
    np.testing.assert_array_less(np.abs(result.gap), bounds)

  @parameterized.parameters(*_NETWORKS)
  def test_gap_is_what_the_sum_leaves(self, name):
    # With few steps: a gap to see.
    result = self._attribute(name, method='left', num_steps=2)
    self.assertGreater(np.abs(result.gap).max(), 0.1)
    left = np.float64(result.outputs) - result.baseline_outputs
    left -= np.float64(result.values['x']).sum(axis=-1)
    # The numbers of the result are rounded to float32, five and four of them.
    size = np.abs(result.values['x']).sum(axis=-1) + np.abs(result.outputs)
    size += np.abs(result.baseline_outputs) + np.abs(result.gap)
    np.testing.assert_array_less(
      np.abs(result.gap - left), 2 * numpy_network.ROUNDOFF * size
    )


# Case: the keys that attributions per feature must have.
_FEATURE_KEYS = {
  'mixed': ['age', 'age x color', 'color', 'grid', 'pair'],
  'weighted': ['color x strength'],
  'two_of_one_feature': ['age'],
  'shared_v2': ['bought', 'seen'],
  'own': ['age'],
}


class SumsTest(parameterized.TestCase):
  @parameterized.product(case=list(_FEATURE_KEYS), targets=['predicted', 'all'])
  def test_sums_lose_nothing(self, case, targets):
    # Enough units that some are on, whatever the initial values are.
    export_dir = model_cases.annotated_export(
      case, 'multi_class', hidden_units=(16, 8)
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute(
        model_cases.CASES[case].serialized_examples(), targets=targets
      )
    shape = (8,) if targets == 'predicted' else (8, 3)
    all_values = np.concatenate(
      [np.float64(result.values[name]) for name in result.columns], axis=-1
    )
    size = np.abs(all_values).sum(axis=-1)
    self.assertGreater(size.max(), 0)
    bound = 2 * numpy_network.ROUNDOFF * size + 1e-30

    per_column = result.per_column()
    self.assertEqual(per_column.shape, shape + (len(result.columns),))
    self.assertEqual(per_column.dtype, np.float32)
    total = np.float64(per_column).sum(axis=-1)
    np.testing.assert_array_less(np.abs(total - all_values.sum(axis=-1)), bound)
    for i, name in enumerate(result.columns):
      np.testing.assert_allclose(
        per_column[..., i],
        np.float64(result.values[name]).sum(axis=-1),
        rtol=1e-6,
        atol=1e-12,
      )

    per_feature = result.per_feature()
    self.assertSameElements(per_feature, _FEATURE_KEYS[case])
    for value in per_feature.values():
      self.assertEqual((value.shape, value.dtype), (shape, np.float32))
    total = sum(np.float64(value) for value in per_feature.values())
    np.testing.assert_array_less(np.abs(total - all_values.sum(axis=-1)), bound)

  def test_two_columns_of_one_feature_are_added(self):
    export_dir = model_cases.annotated_export('mixed')
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute(model_cases.CASES['mixed'].serialized_examples())
    columns = dict(zip(result.columns, np.float64(result.per_column()).T))
    expected = {
      'age': columns['age'] + columns['age_bucketized'],
      'age x color': columns['age_bucketized_X_color_indicator'],
      'color': columns['color_indicator'] + columns['color_embedding'],
    }
    for key, value in expected.items():
      self.assertGreater(np.abs(value).max(), 0)
      np.testing.assert_allclose(
        result.per_feature()[key], value, rtol=1e-6, atol=1e-7
      )


if __name__ == '__main__':
  absltest.main()
