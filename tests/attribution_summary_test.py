"""The summary of many results is that of all their rows at once."""

import dataclasses

from absl.testing import absltest
import numpy as np

from tf_dnn_annotations.results import attributions
from tf_dnn_annotations.results import summary as attribution_summary

_Attributions = attributions.Attributions


def _attributions(**fields):
  """Returns `Attributions`; what the summary does not read is left out."""
  rest = {field.name: None for field in dataclasses.fields(_Attributions)}
  return _Attributions(**dict(rest, **fields))


def _result(age, color, gap, change=1.0):
  """Returns `Attributions` of columns 'age', 'age_2' and 'color'."""
  gap = np.float32(gap)
  return _attributions(
    values={
      # Two columns of one feature; half of it each, and a third that cancels.
      'age': np.stack([np.float32(age) / 2, np.ones_like(gap)], axis=-1),
      'age_2': np.stack([np.float32(age) / 2, -np.ones_like(gap)], axis=-1),
      'color': np.float32(color)[..., np.newaxis],
    },
    columns=['age', 'age_2', 'color'],
    outputs=gap * 0 + np.float32(change),
    baseline_outputs=gap * 0,
    gap=gap,
    feature_keys={'age': ('age',), 'age_2': ('age',), 'color': ('color',)},
    unit='log-odds',
  )


def _summary(*results):
  summary = attribution_summary.AttributionSummary()
  for result in results:
    first = summary.num_examples
    summary.add(result, list(range(first, first + len(result.gap))))
  return summary


class AttributionSummaryTest(absltest.TestCase):
  def test_means_are_over_all_rows(self):
    # Batches of unequal size, so that a mean of means would be another.
    summary = _summary(
      _result([1, -2, 3], [0, 0, 0.5], [0.1, 0, 0]),
      _result([-10], [0.5], [-0.2]),
    )
    self.assertEqual(summary.num_examples, 4)
    means = summary.mean_absolute_attributions()
    self.assertEqual(list(means.items()), [('age', 4.0), ('color', 0.25)])
    self.assertEqual(summary.row_of_largest_gap, 3)
    self.assertAlmostEqual(summary.largest_gap, -0.2, places=6)

  def test_every_target_counts(self):
    summary = _summary(
      _result([[1, 3], [-1, -3]], [[5, 5], [5, -5]], [[0, 0], [0.5, -0.75]])
    )
    self.assertEqual(summary.num_examples, 2)
    means = summary.mean_absolute_attributions()
    self.assertEqual(list(means.items()), [('color', 5.0), ('age', 2.0)])
    self.assertEqual(summary.row_of_largest_gap, 1)
    self.assertEqual(summary.largest_gap, -0.75)

  def test_text(self):
    summary = _summary(_result([4, 4], [1, 1], [0, -0.01], change=-3))
    self.assertEqual(
      summary.text('=').splitlines(),
      [
        'Mean absolute attribution of each feature, in log-odds',
        '  age    4  ' + 30 * '=',
        '  color  1  ' + 8 * '=',  # 7.5, to even.
        "Largest gap 0.01, in row 1, whose output differs from its baseline's "
        'by 3',
      ],
    )

  def test_text_of_a_large_gap_says_what_to_do(self):
    summary = _summary(_result([4], [0], [0.5]))
    text = summary.text(remedy='more makes it smaller')
    self.assertEndsWith(text, '; more makes it smaller')
    self.assertNotIn(';', summary.text())
    # No influence, no bar.
    self.assertIn('\n  color  0\n', text)

  def test_without_examples(self):
    empty = np.zeros([0])
    for summary in (_summary(), _summary(_result(empty, empty, empty))):
      self.assertEqual(summary.mean_absolute_attributions(), {})
      self.assertEqual(summary.num_examples, 0)
      self.assertEqual(summary.text(), 'No examples: nothing to sum up.')

  def test_many_features_are_cut_short(self):
    columns = [f'x{i}' for i in range(50)]
    zeros = np.zeros(1, np.float32)
    result = _attributions(
      values={name: np.ones([1, 1], np.float32) for name in columns},
      columns=columns,
      outputs=zeros,
      baseline_outputs=zeros,
      gap=zeros,
      feature_keys={name: (name,) for name in columns},
    )
    lines = _summary(result).text().splitlines()
    self.assertLen(lines, 1 + 40 + 1 + 1)
    self.assertEqual(lines[-2], '  and 10 more, 10 together')


if __name__ == '__main__':
  absltest.main()
