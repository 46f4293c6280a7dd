"""The benchmark measures what it says: the parts of it that need no peers."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from benchmarks import cases
from benchmarks import measurements
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
    attributions = measurements.exact(case, x, targets)
    # Roundings of float64 in sums of some hundred terms of about 1.
    np.testing.assert_allclose(
      attributions.sum(axis=1), changes[:, 0], rtol=0, atol=1e-12
    )

  @parameterized.parameters(*_CASES)
  def test_error_of_ours(self, *case):
    case = cases.Case(*case)
    x = case.rows(4)
    targets = case.targets(x)
    exact = measurements.exact(case, x, targets)
    ours = peers.Ours(case, case.export())
    self.addCleanup(ours.close)
    values = ours.attribute(x, targets, 50)
    # Some tens of roundings to float32.
    self.assertLess(measurements.error(values, exact), 1e-5)
    self.assertGreater(measurements.error(1.001 * values, exact), 1e-4)


if __name__ == '__main__':
  absltest.main()
