"""Integrated Gradients of an annotated SavedModel.

Source: Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks",
ICML 2017 (arXiv 1703.01365), equation 1.
"""

import numpy as np

from tf_dnn_annotations import annotated_model
from tf_dnn_annotations import attributions
from tf_dnn_annotations import baselines as baseline_points
from tf_dnn_annotations import path_integral
from tf_dnn_annotations import targets as target_ids

# Nodes of a rule unless told otherwise.
DEFAULT_NUM_STEPS = 128

_OUTPUTS = ('logits', 'probabilities')


class IntegratedGradients(object):
  """Explains the predictions of an annotated SavedModel.

  The attribution of element i of a processed column is

      IG_i(x) = (x_i - x'_i) * integral over a in [0, 1] of
                dF/dx_i at x' + a (x - x')

  with x the columns' values of an example, x' those of the baseline and F an
  output of the model. An instance may be used as a context manager.

  Attributes:
    model: the `annotated_model.AnnotatedModel`.
  """

  def __init__(self, export_dir):
    """Loads the SavedModel in `export_dir`.

    Raises:
      FileNotFoundError: there is no SavedModel in `export_dir`.
      ValueError: it has no layer annotations.
    """
    self.model = annotated_model.AnnotatedModel(export_dir)

  def attribute(
    self,
    examples,
    baselines=None,
    targets='predicted',
    output='logits',
    method='auto',
    num_steps=None,
    max_rows=None,
  ):
    """Returns the Integrated Gradients of each row.

    Args:
      examples: list of n serialized tf.Examples (bytes), or a dict of raw
        features {key: array [n, ...]}, for a sparse feature a list of n lists
        of values. Integers are converted where the model takes floats.
      baselines: what the rows are compared with. None: zeros in every
        processed column. A raw example in the form of `examples`: that one
        for all rows; k of them: the mean of the attributions over the k
        baselines. {column name: array [width] or [n, width]}: processed
        values, zeros in the columns left out; a dict that is a whole raw
        example is taken as one if `examples` is a dict too.
      targets: which output of the model, a row: 'predicted' (the class of the
        highest logit), a class id, a class label, an array [n] of either, or
        'all'. For a regressor the index of an output; with only one,
        'predicted' is that one.
      output: 'logits' (log-odds; a regressor's is its prediction) or
        'probabilities' (in [0, 1]).
      method: 'auto' (now gausslegendre), or one of
        `path_integral.RULE_NAMES`.
      num_steps: number of nodes on the path of each row; 128 by default.
      max_rows: most rows (examples times steps) in one model call. By default
        as many as keep a call within about 64 MiB.

    Returns:
      `attributions.Attributions`.

    Raises:
      ValueError: an argument is out of its range, a feature is missing, not
        known or of a wrong shape. An example that cannot be parsed or holds a
        NaN raises a `annotated_model.RowError`, which names its row.
      TypeError: an argument or a feature of the wrong type.
    """
    model = self.model
    self._check_output(output)
    nodes, weights = _nodes_and_weights(method, num_steps)
    if max_rows is not None and (
      isinstance(max_rows, bool)
      or not isinstance(max_rows, (int, np.integer))
      or max_rows < 1
    ):
      raise ValueError(
        f'`max_rows` must be a positive integer; got {max_rows!r}. Leave it '
        'out to have it chosen by the size of the model.'
      )
    x = model.points_of_examples(examples, output, max_rows)
    starts = baseline_points.points(
      model, baselines, examples, x, output, max_rows
    )
    is_all = isinstance(targets, str) and targets == 'all'
    if is_all:
      num_rows = len(x.outputs)
      ids = np.tile(np.arange(model.num_outputs), (num_rows, 1))
    else:
      ids = target_ids.ids(model, targets, x.outputs)[:, np.newaxis]

    # [n, number of targets a row], and the same with each column's width.
    outputs = np.take_along_axis(x.outputs.astype(np.float64), ids, axis=1)
    baseline_outputs = np.zeros(ids.shape)
    sums = [0.0] * ids.shape[1]
    for start in starts:
      start_outputs = np.broadcast_to(start.outputs, x.outputs.shape)
      baseline_outputs += np.take_along_axis(
        start_outputs.astype(np.float64), ids, axis=1
      )
      for k in range(ids.shape[1]):
        part = self._attribute(
          x, start, ids[:, k], output, nodes, weights, max_rows
        )
        sums[k] = {
          name: value + (sums[k][name] if sums[k] else 0.0)
          for name, value in part.items()
        }
    baseline_outputs /= len(starts)
    values = {
      column.name: np.stack([s[column.name] for s in sums], axis=1)
      / len(starts)
      for column in model.columns
    }
    gap = outputs - baseline_outputs
    gap = gap - sum(value.sum(axis=-1) for value in values.values())
    result = dict(outputs=outputs, baseline_outputs=baseline_outputs, gap=gap)
    if not is_all:
      values = {name: value[:, 0] for name, value in values.items()}
      result = {name: value[:, 0] for name, value in result.items()}
      ids = ids[:, 0]
    return attributions.Attributions(
      values={name: v.astype(np.float32) for name, v in values.items()},
      columns=[column.name for column in model.columns],
      targets=ids,
      feature_keys={c.name: c.feature_keys for c in model.columns},
      **{name: v.astype(np.float32) for name, v in result.items()},
    )

  def _attribute(self, x, start, ids, output, nodes, weights, max_rows):
    """Returns {column name: float64 [n, width]} for one target a row.

    Where the first hidden layer's pre-activation z is annotated, the path is
    followed in z: the layer is affine, so z moves on a straight line too, and
    the kernel is applied once a row in place of once a node.
    """
    model = self.model
    names = [column.name for column in model.columns]
    differences = {
      name: x.columns[name].astype(np.float64) - start.columns[name]
      for name in names
    }
    if model.has_first_layer:
      gradients = self._mean_gradients(
        {'': x.first_layer},
        {'': start.first_layer},
        ids,
        nodes,
        weights,
        max_rows,
        lambda selection, points: {
          '': model.gradients(output, selection, first_layer=points[''])
        },
      )['']
      chunk = max_rows or model.rows_a_call
      parts = [
        model.columns_gradients(
          gradients[i : i + chunk],
          {name: x.columns[name][i : i + chunk] for name in names},
        )
        for i in range(0, len(ids), chunk)
      ]
      means = {
        name: np.concatenate([part[name] for part in parts])
        if parts
        else np.zeros_like(x.columns[name])
        for name in names
      }
    else:
      means = self._mean_gradients(
        x.columns,
        start.columns,
        ids,
        nodes,
        weights,
        max_rows,
        lambda selection, points: model.gradients(
          output, selection, columns=points
        ),
      )
    return {name: differences[name] * means[name] for name in names}

  def _mean_gradients(
    self, ends, starts, ids, nodes, weights, max_rows, gradient_fn
  ):
    """Returns {name: float64 [n, size]}: sum_k weights[k] * dF at node k.

    Rows and nodes are laid out one behind the other and cut into calls of
    `max_rows`, wherever that cuts a row's path.

    Args:
      ends, starts: {name: [n or 1, size]}, the ends of the paths.
      ids: [n], the targets.
      nodes, weights: [num_steps].
      max_rows: most points in one call, or None.
      gradient_fn: function of (selection, {name: points}) that returns
        {name: gradients}.
    """
    num_steps, num_rows = len(nodes), len(ids)
    sums = {
      name: np.zeros((num_rows, end.shape[1])) for name, end in ends.items()
    }
    starts = {
      name: np.broadcast_to(start, ends[name].shape)
      for name, start in starts.items()
    }
    chunk = max_rows or self.model.rows_a_call
    for first in range(0, num_rows * num_steps, chunk):
      point = np.arange(first, min(first + chunk, num_rows * num_steps))
      row, step = np.divmod(point, num_steps)
      points = {}
      for name, end in ends.items():
        position = nodes[step, np.newaxis].astype(end.dtype)
        start = starts[name][row]
        points[name] = start + position * (end[row] - start)
      selection = np.zeros((len(point), self.model.num_outputs))
      selection[np.arange(len(point)), ids[row]] = weights[step]
      # The points of a row stand together: one sum for each run of them.
      first_of_row = np.flatnonzero(np.diff(row, prepend=-1))
      for name, gradient in gradient_fn(selection, points).items():
        sums[name][row[first_of_row]] += np.add.reduceat(
          gradient, first_of_row, axis=0, dtype=np.float64
        )
    return sums

  def _check_output(self, output):
    if output not in _OUTPUTS:
      raise ValueError(
        f'`output` must be one of {list(_OUTPUTS)}; got {output!r}. Logits are '
        'the usual choice.'
      )
    if output == 'probabilities' and self.model.kind == 'regressor':
      raise ValueError(
        "`output` must be 'logits' for a regressor, which stands for its "
        "prediction; got 'probabilities'. Leave it out."
      )

  def close(self):
    """Frees the model. This cannot be used afterwards."""
    self.model.close()

  def __enter__(self):
    return self

  def __exit__(self, *exc_info):
    self.close()


def _nodes_and_weights(method, num_steps):
  """Returns the quadrature rule that the arguments ask for."""
  if method == 'exact':
    raise ValueError(
      "`method` must be 'auto' or one of "
      f"{list(path_integral.RULE_NAMES)}; got 'exact', which is not available "
      "yet. 'gausslegendre' with more `num_steps` comes closest."
    )
  if method == 'auto':
    method = 'gausslegendre'
  if num_steps is None:
    num_steps = DEFAULT_NUM_STEPS
  return path_integral.rule(method, num_steps)
