"""The library `saliency` finds the same attributions in the same SavedModel.

It is given the graph as a TensorFlow 1 program has it, without our reader: all
columns side by side are the tensor that enters the first layer. Its integral
is the mean of the gradients at n evenly spaced points, both ends among them.
That is no rule of ours, but from it and the gradients at the ends (which it
gives too) follows the trapezoid rule: T = (n * mean - (ends' mean)) / (n - 1).
"""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import saliency.core as saliency_core
import saliency.tf1 as saliency
import tensorflow.compat.v1 as tf

from tests.support import model_cases
import tf_dnn_annotations as tfda

_COLUMNS_SIDE_BY_SIDE = 'dnn/input_from_feature_columns/input_layer/concat:0'
_NUM_STEPS = 40
_NUM_ROWS = 4  # It takes one row at a time.
# Some 100 roundings to float32 of numbers of the gradients' size.
_ROUNDING = 100 * 2.0**-24


class _Saliency(object):
  """What `saliency` finds in a SavedModel."""

  def __init__(self, export_dir, output, target):
    self._session = tf.Session(graph=tf.Graph())
    with self._session.graph.as_default():
      loaded = tf.saved_model.load(self._session, ['serve'], export_dir)
      tensor = self._session.graph.get_tensor_by_name
      inputs = loaded.signature_def['predict'].inputs
      self._examples = tensor(inputs['examples'].name)
      self._x = tensor(_COLUMNS_SIDE_BY_SIDE)
      outputs = loaded.signature_def['predict'].outputs
      y = tensor(outputs[output].name)[:, target]
      arguments = self._session.graph, self._session, y, self._x
      self._integrated = saliency.IntegratedGradients(*arguments)
      self._gradient = saliency.GradientSaliency(*arguments)

  def close(self):
    self._session.close()

  def columns(self, examples):
    """Returns [n, width]: all columns side by side."""
    return self._session.run(self._x, {self._examples: examples})

  def mean_of_points(self, x, baseline, num_steps):
    return self._integrated.GetMask(
      x, x_baseline=baseline, x_steps=num_steps, batch_size=num_steps
    )

  def gradients(self, points):
    """Returns [n, width]: its gradient at each of the points."""
    return self._integrated.call_model_function(
      points, expected_keys=[saliency_core.INPUT_OUTPUT_GRADIENTS]
    )[saliency_core.INPUT_OUTPUT_GRADIENTS]

  def trapezoid(self, x, baseline):
    mean = self.mean_of_points(x, baseline, _NUM_STEPS)
    ends = self._gradient.GetMask(x) + self._gradient.GetMask(baseline)
    ends = (x - baseline) * ends / 2
    return (_NUM_STEPS * mean - ends) / (_NUM_STEPS - 1)


class IndependentLibraryTest(parameterized.TestCase):
  @parameterized.parameters(
    # Head, output, its name in the signature, target, its index there.
    ('binary', 'logits', 'logits', 1, 0),
    ('binary', 'probabilities', 'probabilities', 0, 0),
    ('multi_class', 'logits', 'logits', 2, 2),
    ('multi_class', 'probabilities', 'probabilities', 1, 1),
    ('regression_2d', 'logits', 'predictions', 1, 1),
  )
  def test_same_attributions(self, head, output, name, target, index):
    case = model_cases.CASES['mixed']
    examples = case.serialized_examples()
    # No dyadic numbers, and not the row before the other.
    baseline_example = examples[5]
    export_dir = model_cases.annotated_export('mixed', head)
    theirs = _Saliency(export_dir, name, index)
    self.addCleanup(theirs.close)
    with tfda.IntegratedGradients(export_dir) as ig:
      arguments = dict(targets=target, output=output)
      for baselines in (None, [baseline_example]):
        ours = ig.attribute(
          examples[:_NUM_ROWS],
          baselines,
          method='trapezoid',
          num_steps=_NUM_STEPS,
          **arguments,
        )
        values = np.concatenate(
          [ours.values[column] for column in sorted(ours.columns)], axis=-1
        )
        x = theirs.columns(examples[:_NUM_ROWS])
        baseline = np.zeros_like(x[0])
        if baselines:
          baseline = theirs.columns(baselines)[0]
        expected = np.array([theirs.trapezoid(row, baseline) for row in x])
        self.assertEqual(values.shape, expected.shape)
        scale = np.abs(expected).max()
        self.assertGreater(scale, 1e-3)
        np.testing.assert_array_less(
          np.abs(values - expected), _ROUNDING * (scale + 1)
        )

  def test_its_own_integral_converges_to_ours(self):
    # Each element's slope has the total variation V along the path; n evenly
    # spaced points of weight 1/n then err by V/n at most (their discrepancy
    # is 1/n); V is read off its gradients at 2000 points.
    case = model_cases.CASES['numeric_nd']
    examples = case.serialized_examples()
    export_dir = model_cases.annotated_export('numeric_nd', 'multi_class')
    theirs = _Saliency(export_dir, 'logits', 0)
    self.addCleanup(theirs.close)
    with tfda.IntegratedGradients(export_dir) as ig:
      ours = ig.attribute(
        examples, targets=0, method='midpoint', num_steps=4000
      )
    values = np.concatenate(
      [ours.values[column] for column in sorted(ours.columns)], axis=-1
    )
    x = theirs.columns(examples)
    positions = np.linspace(0, 1, 2000)[:, np.newaxis]
    for row, value in zip(x, values):
      gradients = theirs.gradients(positions * row) * row
      variation = np.abs(np.diff(gradients, axis=0)).sum(axis=0)
      for num_steps in (50, 500):
        expected = theirs.mean_of_points(row, 0 * row, num_steps)
        # Ours: the discrepancy of 4000 midpoints.
        bound = variation * (1 / num_steps + 1 / 8000) + _ROUNDING
        np.testing.assert_array_less(np.abs(value - expected), bound)


if __name__ == '__main__':
  absltest.main()
