"""The attributions of rows, summed while baselines are added."""

import numpy as np

from tf_dnn_annotations.explainers import convergence
from tf_dnn_annotations.explainers import targets as target_ids
from tf_dnn_annotations.integrals import first_layer
from tf_dnn_annotations.integrals import rounding
from tf_dnn_annotations.results import attributions


class RowSums(object):
  """The sums of n rows over their baselines: attributions, outputs, errors.

  For each chunk of rows, `begin` is called first, then `add` once per baseline,
  then `finish`. Different threads may work on different rows.

  Attributes:
    has_converged: bool [n], whether the tolerance was met for each baseline.
    needs_steps: bool [n], whether more steps may help where it was not.
  """

  def __init__(self, num_rows, num_targets, num_baselines, layer):
    """Allocates the sums of n rows.

    Args:
      num_rows, num_targets: n and T.
      num_baselines: how many baselines the attributions are the mean over.
      layer: `first_layer.FirstLayer`.
    """
    shape = num_rows, num_targets
    self.has_converged = np.ones(num_rows, bool)
    self.needs_steps = np.zeros(num_rows, bool)
    self._layer, self._num_baselines = layer, num_baselines
    self._values = np.empty(shape + (layer.width,), np.float32)
    self._ids = np.tile(np.arange(num_targets), (num_rows, 1))
    self._outputs = np.zeros(shape)
    self._baseline_outputs = np.zeros(shape)
    self._num_steps = np.zeros(num_rows, np.int64)
    self._errors = np.zeros(shape)
    self._value_sums = np.empty(shape)
    self._absolute_sums = np.empty(shape)

  def begin(self, rows, end, ids):
    """Records the outputs of rows.

    Args:
      rows: slice.
      end: their `Points`.
      ids: int [n], the target of each of them; None for all outputs.
    """
    if ids is not None:
      self._ids[rows, 0] = ids
    self._outputs[rows] = target_ids.outputs(end, ids)

  def add(self, rows, start, end, ids, integral):
    """Adds the attributions of rows against one of their baselines.

    Args:
      rows, end, ids: as in `begin`.
      start: `Points` of the baselines, as many as rows, or one for all.
      integral: `PathIntegral` from `start` to `end`.
    """
    is_first = not self._num_steps[rows].any()
    self._baseline_outputs[rows] += (
      target_ids.outputs(start, ids, len(end.outputs)) / self._num_baselines
    )
    self._num_steps[rows] += integral.num_steps
    self.has_converged[rows] &= integral.has_converged
    self.needs_steps[rows] |= ~np.logical_or(
      integral.has_converged, integral.is_limited
    )
    differences = first_layer.differences(start.columns, end.columns)
    if self._num_baselines > 1:
      differences = differences / self._num_baselines
    sizes = self._layer.add(
      self._values[rows], integral.gradients, differences, is_first
    )
    errors = np.asarray(integral.errors) / self._num_baselines
    self._errors[rows] += errors[:, np.newaxis] if errors.ndim else errors
    if self._layer.kernel is not None:
      noise = integral.noise
      if noise is None:
        noise = rounding.of_path(start.path, end.path, integral.gradients)
      self._errors[rows] += rounding.of_sums(
        sizes, noise, has_kinks=integral.noise is not None
      )

  def finish(self, rows):
    """Sums up the attributions of rows to which nothing more is added."""
    self._value_sums[rows], self._absolute_sums[rows] = first_layer.row_sums(
      self._values[rows]
    )

  def is_near_baseline(self):
    """Returns bool [n], whether a row's output nearly is its baseline's.

    With many targets some are always close, so all of them must be.
    """
    changes = np.abs(self._outputs - self._baseline_outputs)
    near = np.maximum(
      convergence.NEAR * self._absolute_sums,
      rounding.of_outputs(self._baseline_outputs, self._outputs),
    )
    return (changes <= near).all(axis=1)

  def attributions(self, model, output, is_all, element_names, features):
    """Returns the `Attributions` of all rows.

    Args:
      model: the `annotated_model.AnnotatedModel`.
      output: 'logits' or 'probabilities'.
      is_all: whether they keep the axis of the targets.
      element_names, features: as `Attributions` has them.
    """
    gap = self._outputs - self._baseline_outputs - self._value_sums
    errors = self._errors + np.abs(gap)
    errors += rounding.of_values(self._absolute_sums)
    every = slice(None) if is_all else 0
    values = self._values[:, every]
    return attributions.Attributions(
      values={
        name: values[..., part] for name, part in model.column_slices.items()
      },
      columns=[column.name for column in model.columns],
      outputs=self._outputs[:, every].astype(np.float32),
      baseline_outputs=self._baseline_outputs[:, every].astype(np.float32),
      gap=gap[:, every].astype(np.float32),
      targets=self._ids[:, every],
      num_steps=self._num_steps,
      error_estimate=errors.max(axis=1, initial=0).astype(np.float32),
      feature_keys={c.name: c.feature_keys for c in model.columns},
      kind=model.kind,
      unit=_unit(model, output),
      num_outputs=model.num_outputs,
      labels=model.labels,
      element_names=element_names,
      features=features,
    )


def _unit(model, output):
  """Returns the unit of an output, None where the model does not name it."""
  if model.kind == 'regressor':
    return None
  return 'probability' if output == 'probabilities' else 'log-odds'
