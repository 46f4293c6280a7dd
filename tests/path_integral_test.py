"""Quadrature rules are exact where they must be, and converge elsewhere."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tf_dnn_annotations.integrals import rules

# Rule: (fewest nodes, degree up to which n nodes are exact).
_RULES = {
  'gausslegendre': (1, lambda n: 2 * n - 1),
  'midpoint': (1, lambda n: 1),
  'trapezoid': (2, lambda n: 1),
  'left': (1, lambda n: 0),
  'right': (1, lambda n: 0),
}
_NUMS_STEPS = (1, 2, 3, 7, 50, 301)
_CASES = [
  (method, num_steps)
  for method, (fewest, _) in _RULES.items()
  for num_steps in _NUMS_STEPS
  if num_steps >= fewest
]
# Sums of 301 terms at most, of size 1: n * 2**-53. numpy's nodes are said to
# be good to 100 nodes; at 301 they are off by some 1e-14.
_ROUNDING = 1e-13


def _integrate(function, method, num_steps):
  nodes, weights = rules.rule(method, num_steps)
  return np.sum(weights * function(nodes))


class PathIntegralTest(parameterized.TestCase):
  def test_every_rule_is_tested(self):
    self.assertCountEqual(rules.RULE_NAMES, _RULES)

  @parameterized.parameters(*_CASES)
  def test_nodes_and_weights(self, method, num_steps):
    nodes, weights = rules.rule(method, num_steps)
    self.assertEqual((nodes.shape, weights.shape), ((num_steps,),) * 2)
    self.assertEqual((nodes.dtype, weights.dtype), (np.float64,) * 2)
    self.assertAlmostEqual(weights.sum(), 1, delta=_ROUNDING)
    self.assertTrue((weights > 0).all())
    self.assertTrue((nodes >= 0).all() and (nodes <= 1).all())
    self.assertTrue((np.diff(nodes) > 0).all())

  @parameterized.parameters(*_CASES)
  def test_exact_up_to_its_degree(self, method, num_steps):
    degree = _RULES[method][1](num_steps)
    for power in range(min(degree, 60) + 1):
      # The integral of a**power over [0, 1].
      self.assertAlmostEqual(
        _integrate(lambda a, k=power: a**k, method, num_steps),
        1 / (power + 1),
        delta=_ROUNDING,
      )

  @parameterized.parameters(*_CASES)
  def test_error_one_degree_beyond(self, method, num_steps):
    n = num_steps
    if method == 'gausslegendre':
      # Of a**(2 n): n!**4 / ((2 n + 1) (2 n)!**2) (Abramowitz, Stegun 25.4.30).
      ratio = np.prod(np.arange(1, n + 1) / np.arange(n + 1, 2 * n + 1))
      power, error = 2 * n, -(ratio**2) / (2 * n + 1)
    else:
      power, error = {
        'midpoint': (2, -1 / (12 * n**2)),
        'trapezoid': (2, 1 / (6 * max(n - 1, 1) ** 2)),
        'left': (1, -1 / (2 * n)),
        'right': (1, 1 / (2 * n)),
      }[method]
    got = _integrate(lambda a: a**power, method, n) - 1 / (power + 1)
    self.assertAlmostEqual(got, error, delta=_ROUNDING)

  def test_thousands_of_nodes(self):
    # An oscillation of 2387 periods; roundings of 10,000 terms.
    frequency = 15000.0
    got = _integrate(lambda a: np.cos(frequency * a), 'gausslegendre', 10000)
    self.assertAlmostEqual(got, np.sin(frequency) / frequency, delta=1e-12)
    nodes, weights = rules.rule('gausslegendre', 10000)
    self.assertAlmostEqual(weights.sum(), 1, delta=1e-12)
    np.testing.assert_allclose(nodes + nodes[::-1], 1, rtol=0, atol=1e-15)

  @parameterized.parameters(
    ('gausslegendre', 8, 1e-14),
    # The errors' leading terms, h**2 (f'(1) - f'(0)) / 24 and so on, of exp.
    ('midpoint', 100, 1.01 * (np.e - 1) / 24 / 100**2),
    ('trapezoid', 101, 1.01 * (np.e - 1) / 12 / 100**2),
    ('left', 100, 1.01 * (np.e - 1) / 2 / 100),
    ('right', 100, 1.01 * (np.e - 1) / 2 / 100),
  )
  def test_converges(self, method, num_steps, bound):
    error = abs(_integrate(np.exp, method, num_steps) - (np.e - 1))
    self.assertLessEqual(error, bound)
    if method != 'gausslegendre':
      self.assertGreater(error, 0.95 * bound)

  @parameterized.parameters(
    ('midpoint', 4, [1 / 8, 3 / 8, 5 / 8, 7 / 8], [1 / 4] * 4),
    ('trapezoid', 3, [0, 1 / 2, 1], [1 / 4, 1 / 2, 1 / 4]),
    ('left', 4, [0, 1 / 4, 1 / 2, 3 / 4], [1 / 4] * 4),
    ('right', 4, [1 / 4, 1 / 2, 3 / 4, 1], [1 / 4] * 4),
  )
  def test_by_hand(self, method, num_steps, nodes, weights):
    got_nodes, got_weights = rules.rule(method, num_steps)
    np.testing.assert_array_equal(got_nodes, nodes)
    np.testing.assert_array_equal(got_weights, weights)

  def test_numpy_integers_are_integers(self):
    nodes, _ = rules.rule('midpoint', np.int32(3))
    self.assertLen(nodes, 3)

  @parameterized.parameters(
    ('simpson', 3, ValueError, r'must be one of .*gausslegendre.*trapezoid'),
    ('midpoint', 0, ValueError, r'at least 1 .*got 0\. Give more steps'),
    ('midpoint', -1, ValueError, r'at least 1 .*got -1\. Give more steps'),
    ('trapezoid', 1, ValueError, r'at least 2 .*got 1\. Give more steps'),
    ('left', 2.0, TypeError, r'an integer; got 2\.0\. Give the number of'),
    ('left', True, TypeError, r'an integer; got True\. Give the number of'),
    ('left', '50', TypeError, r"an integer; got '50'\. Give the number of"),
  )
  def test_errors(self, method, num_steps, error, regex):
    with self.assertRaisesRegex(error, regex):
      rules.rule(method, num_steps)


if __name__ == '__main__':
  absltest.main()
