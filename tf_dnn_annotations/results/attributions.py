"""The result of an attribution."""

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Attributions:
  """How much each element of each column moved the output of each row.

  For a row and its target, the attributions sum to F(x) - F(x') but for the
  `gap` of the numerical integral, where x is the row and x' its baseline.
  With targets='all' there is an axis `num_outputs` after the rows' axis.
  Everything is in the unit of the output: log-odds for a classifier's logits.

  Attributes:
    values: {column name: float32 [n, width]}, [n, num_outputs, width] with
      targets='all'.
    columns: names of the columns, in the model's order.
    outputs: F(x), float32 [n] or [n, num_outputs].
    baseline_outputs: F(x'), of the same shape; the mean over baselines.
    gap: F(x) - F(x') - the sum of the attributions, of the same shape.
    targets: class ids (a regressor: indices of outputs), int64 of that shape.
      Of a binary classifier the logit of class 0 is the negative of class 1's:
      where rows have both, as with targets='predicted', signs of attributions
      do not compare between rows.
    num_steps: int64 [n], how many steps each row took, or linear regions if
      the integral is exact; summed over baselines.
    error_estimate: float32 [n], an estimate from above of the sum over all
      elements of |error of an attribution|, in the unit of the output; the
      largest over the outputs with targets='all'. It includes what float32
      adds, |gap|, and where 'auto' adds steps, the error of the steps. It is
      not a proven bound: of 19,371 rows of random networks 1 in 400 had a
      larger error, and of no kind of integral more than 1 in 100
      (docs/accuracy.md). For the fixed rules the error of the steps is not
      known, and only its sum, in which errors cancel, is part of the gap.
    feature_keys: {column name: keys of the features that the column reads}.
    kind: 'classifier' or 'regressor'.
    unit: of every attribution, output and gap: 'log-odds' or 'probability';
      None for a regressor, whose prediction has a unit that the model does not
      name.
    num_outputs: the number of outputs of the model, those that are not
      explained included: of a classifier, the number of its classes.
    labels: list of the classes' labels, by class id; None for a model without.
    element_names: {column name: list of width distinct str}, a name for each
      element of `values`, such as 'color_indicator[red]'. All results of an
      `IntegratedGradients` share it, and its names are made when one is read.
    features: {feature key: values of the n rows}, as given, or as parsed from
      tf.Examples: an array [n] or [n, ...], or a list of n arrays [k] where a
      row may have any number of values. Strings are str. None unless requested
      by `with_features`.
  """

  values: Dict[str, np.ndarray]
  columns: List[str]
  outputs: np.ndarray
  baseline_outputs: np.ndarray
  gap: np.ndarray
  targets: np.ndarray
  num_steps: np.ndarray
  error_estimate: np.ndarray
  feature_keys: Mapping[str, Tuple[str, ...]]
  kind: str
  unit: Optional[str]
  num_outputs: int
  labels: Optional[List[str]]
  element_names: Mapping[str, List[str]]
  features: Optional[Dict[str, Sequence[Any]]] = None

  def per_column(self) -> np.ndarray:
    """Returns the attributions summed over each column's width.

    Returns:
      float32 [n, num_columns], in the order of `columns`; with targets='all'
      [n, num_outputs, num_columns].
    """
    return np.stack(
      [self._column_sum(name) for name in self.columns], axis=-1
    ).astype(np.float32)

  def per_feature(self) -> Dict[str, np.ndarray]:
    """Returns the attributions summed over the columns of each feature.

    Returns:
      {feature key: float32 [n]}; with targets='all' [n, num_outputs]. A column
      of several features, such as a crossed one, counts for none of them
      alone: its key is theirs, sorted and joined by ' x '. The sum over the
      keys is the sum over the columns.
    """
    sums: Dict[str, Any] = {}
    for name in self.columns:
      key = ' x '.join(sorted(self.feature_keys[name])) or name
      sums[key] = sums.get(key, 0.0) + self._column_sum(name)
    return {key: value.astype(np.float32) for key, value in sums.items()}

  def _column_sum(self, name):
    return self.values[name].sum(axis=-1, dtype=np.float64)
