"""The benchmark measures what it says: the parts of it that need no peers."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from benchmarks import cases
from benchmarks import exact_reference
from benchmarks import peers
from tests.support import numpy_network

_CASES = [
  cases.Case(width, hidden_units, num_classes)
  for width, hidden_units, num_classes in [
    (5, (16, 8), 2),
    (7, (12,), 3),
    (6, (12, 10, 8), 3),
  ]
]


class BenchTest(parameterized.TestCase):
  def test_reference_by_hand(self):
    # relu(2 x - 1) + relu(x): at x = 2 the first is on in the last 3/4.
    layers = [
      (np.array([[2.0, 1.0]]), np.array([-1.0, 0.0])),
      (np.array([[1.0], [1.0]]), np.array([0.0])),
    ]
    attributions = exact_reference.attributions(layers, np.array([2.0]), 0)
    np.testing.assert_allclose(attributions, [2 * (2 * 0.75 + 1)], rtol=1e-15)

  @parameterized.parameters(*_CASES)
  def test_reference_sums_to_the_change_of_the_output(self, *case):
    case = cases.Case(*case)
    network = numpy_network.Network(case.layers())
    x = case.rows(4)
    targets = case.targets(x)
    ends = np.stack([x, np.zeros_like(x)]).astype(np.float64)
    logits = [network.pre_activations(end)[-1] for end in ends]
    changes = np.take_along_axis(
      logits[0] - logits[1], targets[:, np.newaxis], axis=1
    )
    for row, target, change in zip(x, targets, changes):
      attributions = exact_reference.attributions(case.layers(), row, target)
      # Roundings of float64 in sums of some hundred terms of about 1.
      self.assertAlmostEqual(attributions.sum(), change[0], delta=1e-12)

  @parameterized.parameters(*_CASES)
  def test_error_of_ours(self, *case):
    case = cases.Case(*case)
    x = case.rows(4)
    targets = case.targets(x)
    exact = np.stack(
      [
        exact_reference.attributions(case.layers(), row, target)
        for row, target in zip(x, targets)
      ]
    )
    ours = peers.Ours(case, case.export())
    self.addCleanup(ours.close)
    values = ours.attribute(x, targets, 50)
    # Some tens of roundings to float32.
    self.assertLess(exact_reference.error(values, exact), 1e-5)
    self.assertGreater(exact_reference.error(1.001 * values, exact), 1e-4)


if __name__ == '__main__':
  absltest.main()
