"""Summarizes the attributions of many examples in a few numbers."""

import collections

import numpy as np

from tf_dnn_annotations.text import plain_text

_BAR_WIDTH = 30
_MAX_BARS = 40
# A gap above this share of the change of the output is worth a remedy.
_LARGE_GAP = 0.05


class AttributionSummary(object):
  """Running sums over results; memory does not grow with the examples.

  Attributes:
    num_examples: the number of examples added.
    largest_gap: the gap of the largest magnitude; 0 before any example.
    row_of_largest_gap: what identifies its example; None before any.
    num_by_target: `collections.Counter` of the outputs explained, by target.
    unit: of the attributions, as `Attributions` has it; None before any
      example.
  """

  def __init__(self):
    self.num_examples = 0
    self.largest_gap = 0.0
    self.row_of_largest_gap = None
    self.num_by_target = collections.Counter()
    self.unit = None
    self._change_of_largest_gap = 0.0
    self._num_explained = 0
    self._sums = {}

  def add(self, result, ids):
    """Adds the attributions of n examples.

    Args:
      result: `Attributions`.
      ids: list of n numbers or texts, what identifies each example.
    """
    self.unit = result.unit
    for key, values in result.per_feature().items():
      total = np.abs(values).sum(dtype=np.float64)
      self._sums[key] = self._sums.get(key, 0.0) + total
    gap = np.asarray(result.gap, np.float64)
    if gap.size:
      largest = np.unravel_index(np.argmax(np.abs(gap)), gap.shape)
      is_first = self.row_of_largest_gap is None
      if is_first or abs(gap[largest]) > abs(self.largest_gap):
        self.largest_gap = float(gap[largest])
        self.row_of_largest_gap = ids[largest[0]]
        self._change_of_largest_gap = float(
          result.outputs[largest] - result.baseline_outputs[largest]
        )
    if result.targets is not None:
      ids, counts = np.unique(result.targets, return_counts=True)
      self.num_by_target.update(dict(zip(ids.tolist(), counts.tolist())))
    self.num_examples += len(gap)
    self._num_explained += gap.size

  def mean_absolute_attributions(self):
    """Returns {feature key: mean over examples and targets}, largest first.

    The absolute value is taken of a feature's sum over its columns. Empty if no
    example was added.
    """
    if not self._num_explained:
      return {}
    means = {k: v / self._num_explained for k, v in self._sums.items()}
    return dict(sorted(means.items(), key=lambda item: (-item[1], item[0])))

  def text(self, bar='#', remedy=''):
    """Returns the summary as lines of text.

    Args:
      bar: the character to draw bars with.
      remedy: what makes a gap smaller, added where the largest gap is large.
    """
    means = self.mean_absolute_attributions()
    if not means:
      return 'No examples: nothing to sum up.'
    lines = [
      'Mean absolute attribution of each feature'
      + (f', in {self.unit}' if self.unit else '')
    ]
    shown = [
      (plain_text.escaped(key), mean)
      for key, mean in list(means.items())[:_MAX_BARS]
    ]
    rest = list(means.values())[_MAX_BARS:]
    key_width = max(len(key) for key, _ in shown)
    number_width = max(len(f'{mean:.4g}') for _, mean in shown)
    scale = _BAR_WIDTH / (shown[0][1] or 1.0)
    for key, mean in shown:
      # Only a feature without any influence has no bar.
      length = max(int(round(mean * scale)), 1 if mean > 0 else 0)
      line = f'  {key:{key_width}}  {mean:{number_width}.4g}  {bar * length}'
      lines.append(line.rstrip())
    if rest:
      lines.append(f'  and {len(rest)} more, {sum(rest):.4g} together')
    gap, change = abs(self.largest_gap), abs(self._change_of_largest_gap)
    lines.append(
      f'Largest gap {gap:.2g}, in row '
      f'{plain_text.escaped(str(self.row_of_largest_gap))}, whose output '
      f"differs from its baseline's by {change:.4g}"
    )
    if remedy and gap > _LARGE_GAP * change:
      lines[-1] += f'; {remedy}'
    return '\n'.join(lines)
