"""Random models and rows: attributions are those of float64, or close enough.

Each example exports a model by the annotated and by the ordinary estimator; see
`exports` for what is expected. A failure prints the model and how to have it
again. With PROPERTIES_EXAMPLES=1000 in the environment there are so many
examples, others each time, and hypothesis looks for the smallest that fails.
"""

import warnings

from absl.testing import absltest
import hypothesis
from hypothesis import strategies as st
import numpy as np

from tests.properties import exports
from tests.properties import strategies
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_SMOOTH = sorted(
  set(exports.ACTIVATION_FNS) - set(numpy_network.PIECEWISE_LINEAR)
)
_RULES = ('gausslegendre', 'midpoint', 'trapezoid', 'left', 'right')
# The tolerance of 'auto' where it adds steps. The estimate that it stops at is
# one of the error on all of the first layer's units together; an element may be
# fed by them otherwise than the path is.
_TOLERANCE = 1e-4
_FACTOR = 10


@st.composite
def _cases(draw, activations):
  """Draws a model, rows, rows or values to compare them with, and how."""
  model = draw(strategies.models(activations))
  num_baselines = draw(st.sampled_from([0, 1, 2]))
  return {
    'model': model,
    'rows': draw(strategies.rows(model.keys, draw(st.integers(1, 3)))),
    'baselines': draw(
      st.one_of(
        st.none(),
        st.floats(-2, 2, width=16),
        strategies.rows(model.keys, num_baselines),
      )
      if num_baselines
      else st.none()
    ),
    'is_dict': draw(st.booleans()),
    'rule': draw(st.sampled_from(_RULES)),
    'num_steps': draw(st.integers(2, 20)),
  }


class _Case(object):
  """A case, exported, and what is expected of it."""

  def __init__(self, model, rows, baselines, is_dict, rule, num_steps):
    self.model, self.rows = model, rows
    self.rule, self.num_steps = rule, num_steps
    self.exported = exports.export(model)
    self.network = self.exported.network
    values = self.exported.values_fn(rows)
    self.names = sorted(values)
    self.x = _side_by_side(values, self.names)
    self.given = self._given(rows, is_dict)
    # float64 [number of baselines, width].
    self.starts = np.zeros((1, self.x.shape[1]))
    self.baselines = None
    if isinstance(baselines, dict):
      self.baselines = self._given(baselines, is_dict)
      self.starts = _side_by_side(
        self.exported.values_fn(baselines), self.names
      )
    elif baselines is not None:
      self.baselines = tfda.ColumnValues(
        {name: [baselines] * values[name].shape[1] for name in self.names}
      )
      self.starts = self.starts + baselines

  def _given(self, rows, is_dict):
    """Returns rows in the form in which they are given to `attribute`."""
    if not is_dict:
      return network_export.examples(**rows)
    return {
      # As TensorFlow shapes it.
      key: np.reshape(values, (-1, 2, 2)) if key == 'grid' else values
      for key, values in rows.items()
    }

  def check(self, is_exact):
    served, ordinary = (
      exports.served(export_dir, self.rows)
      for export_dir in (
        self.exported.annotated_dir,
        self.exported.ordinary_dir,
      )
    )
    _check_served(served, ordinary)
    with tfda.IntegratedGradients(self.exported.annotated_dir) as ig:
      assert (ig.model.network is not None) == is_exact
      self._check_labels(ig, served)
      for output in ('logits', 'probabilities')[
        : 1 + bool(self.model.num_classes)
      ]:
        self._check_auto(ig, output)
        self._check_rule(ig, output)

  def _attribute(self, ig, output, **arguments):
    with warnings.catch_warnings(record=True) as caught:
      warnings.simplefilter('always')
      result = ig.attribute(
        self.given, self.baselines, output=output, **arguments
      )
    kinds = {warning.category.__name__ for warning in caught}
    return result, 'NotConverged' not in kinds

  def _check_labels(self, ig, served):
    """Checks what 'predicted' and labels stand for."""
    if not self.model.num_classes:
      return
    result, _ = self._attribute(ig, 'logits')
    class_ids = np.ravel(served['class_ids'])
    np.testing.assert_array_equal(result.targets, class_ids)
    all_targets, _ = self._attribute(ig, 'logits', targets='all')
    labels = np.ravel(served['classes']).tolist()
    by_label, _ = self._attribute(ig, 'logits', targets=labels)
    np.testing.assert_array_equal(by_label.targets, class_ids)
    rows = np.arange(len(class_ids))
    # The same sums, but for where 'auto' stops.
    np.testing.assert_array_equal(
      result.outputs, all_targets.outputs[rows, class_ids]
    )

  def _check_auto(self, ig, output):
    result, has_converged = self._attribute(
      ig, output, targets='all', tolerance=_TOLERANCE
    )
    self._check_record(result, output)
    if not has_converged:
      return
    for row, x in enumerate(self.x):
      expected, bound, slack = 0, 0, 0
      for start in self.starts:
        network = self.network
        expected = expected + network.attributions(x, start, output)
        bound = bound + network.rounding(x, start, output)[0]
        slack = slack + network.sizes(x, start, output)
      num_starts = len(self.starts)
      change = np.abs(result.outputs - result.baseline_outputs)[row]
      # numpy's float32 sum may miss completeness by 2e-6 of the change (or of
      # 1) before it is done again, spread over the elements.
      bound = bound / num_starts + 2e-6 * np.maximum(1, change)[:, np.newaxis]
      if ig.model.network is None:
        bound = bound + _FACTOR * _TOLERANCE * slack / num_starts
      _assert_close(
        self._values(result)[row], expected / num_starts, bound + 1e-8
      )

  def _check_rule(self, ig, output):
    """Checks the means of gradients at the nodes of a rule."""
    result, _ = self._attribute(
      ig, output, targets='all', method=self.rule, num_steps=self.num_steps
    )
    self._check_record(result, output)
    nodes, weights = _rule(self.rule, self.num_steps)
    for row, x in enumerate(self.x):
      expected, bound = 0, 0
      for start in self.starts:
        if self.network.is_near_a_kink(nodes, x, start):
          return  # Rounding tells on which side a node is.
        expected = expected + (x - start) * self.network.mean(
          nodes, weights, x, start, output
        )
        bound = bound + self.network.rounding(x, start, output)[0]
      count = len(self.starts)
      _assert_close(
        self._values(result)[row], expected / count, bound / count + 1e-8
      )

  def _check_record(self, result, output):
    """Checks what goes with the attributions."""
    assert result.columns == self.names
    values = self._values(result)
    for row, x in enumerate(self.x):
      _, bound = self.network.rounding(x, self.starts[0], output)
      _assert_close(
        result.outputs[row],
        self.network.outputs(x[np.newaxis], output)[0],
        bound,
      )
      expected, bound = 0, 0
      for start in self.starts:
        expected = expected + self.network.outputs(start[np.newaxis], output)[0]
        bound = bound + self.network.rounding(x, start, output)[1]
      count = len(self.starts)
      _assert_close(
        result.baseline_outputs[row], expected / count, bound / count
      )
    # Nothing is lost in sums, but for roundings.
    size = np.abs(values).sum(axis=-1) + np.abs(result.outputs)
    size = size + np.abs(result.baseline_outputs) + np.abs(result.gap)
    for other in (
      sum(result.per_feature().values()),
      result.per_column().sum(axis=-1),
      result.outputs - result.baseline_outputs - result.gap,
    ):
      _assert_close(
        other, values.sum(axis=-1), 64 * numpy_network.ROUNDOFF * size
      )
    features = self.model.feature_of_column
    assert set(result.per_feature()) == set(features.values())
    for key, value in result.per_feature().items():
      expected = sum(
        result.values[name].sum(axis=-1, dtype=np.float64)
        for name in self.names
        if features[name] == key
      )
      _assert_close(value, expected, 64 * numpy_network.ROUNDOFF * size)

  def _values(self, result):
    return _side_by_side(result.values, self.names)


def _side_by_side(values, names):
  joined = np.concatenate([values[name] for name in names], axis=-1)
  return joined.astype(np.float64)  # np.float64() makes a scalar of one.


def _check_served(served, ordinary):
  """Checks that the annotated export serves the ordinary one's very bits."""
  assert set(served) == set(ordinary)
  for name, value in ordinary.items():
    np.testing.assert_array_equal(served[name], value, name)


def _assert_close(actual, expected, bound):
  np.testing.assert_array_less(
    np.abs(actual - expected), np.broadcast_to(bound + 1e-30, expected.shape)
  )


def _rule(name, num_steps):
  """Returns (nodes, weights) of a quadrature rule on [0, 1]."""
  if name == 'gausslegendre':
    nodes, weights = np.polynomial.legendre.leggauss(num_steps)
    return (nodes + 1) / 2, weights / 2
  steps = np.arange(num_steps)
  weights = np.full(num_steps, 1 / num_steps)
  if name == 'trapezoid':
    weights = np.full(num_steps, 1 / (num_steps - 1))
    weights[[0, -1]] /= 2
    return steps / (num_steps - 1), weights
  offset = {'midpoint': 0.5, 'left': 0.0, 'right': 1.0}[name]
  return (steps + offset) / num_steps, weights


class ModelsTest(absltest.TestCase):
  @strategies.settings(12)
  @hypothesis.given(_cases(numpy_network.PIECEWISE_LINEAR))
  def test_piecewise_linear(self, case):
    _Case(**case).check(is_exact=True)

  @strategies.settings(10)
  @hypothesis.given(_cases(_SMOOTH))
  def test_smooth(self, case):
    _Case(**case).check(is_exact=False)


if __name__ == '__main__':
  absltest.main()
