"""Integrated Gradients of an annotated SavedModel.

Source: Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks",
ICML 2017 (arXiv 1703.01365), equation 1.
"""

import numpy as np

from tf_dnn_annotations import annotated_model
from tf_dnn_annotations import attributions
from tf_dnn_annotations import path_integral

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
    starts = self._baselines(baselines, examples, x, output, max_rows)
    is_all = isinstance(targets, str) and targets == 'all'
    if is_all:
      num_rows = len(x.outputs)
      ids = np.tile(np.arange(model.num_outputs), (num_rows, 1))
    else:
      ids = self._target_ids(targets, x.outputs)[:, np.newaxis]

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
    result = dict(
      outputs=outputs, baseline_outputs=baseline_outputs, gap=gap
    )
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

  def _baselines(self, baselines, examples, x, output, max_rows):
    """Returns a list of `Points` with one row, or a row for each of x's."""
    model = self.model
    if baselines is None:
      baselines = {}
    if isinstance(baselines, dict):
      keys, columns = set(baselines), {c.name for c in model.columns}
      is_raw = keys == set(model.features) and (
        isinstance(examples, dict) or not keys <= columns
      )
      if not is_raw and keys <= columns:
        values = self._baseline_columns(baselines, x)
        return [model.points_of_columns(values, output, max_rows)]
      if not is_raw:
        raise ValueError(
          f'`baselines` must be keyed by column names, {sorted(columns)}, or '
          f'have all features, {sorted(model.features)}; got '
          f'{sorted(map(str, keys))}. Leave out or correct '
          f'{sorted(map(str, keys - columns))}.'
        )
      baselines = {
        key: [value] if np.ndim(value) == 0 else value
        for key, value in baselines.items()
      }
    elif isinstance(baselines, bytes):
      baselines = [baselines]
    try:
      points = model.points_of_examples(baselines, output, max_rows)
    except annotated_model.RowError as error:
      raise ValueError(f'`baselines`: {error}') from error
    if not len(points.outputs):
      raise ValueError(
        '`baselines` must hold at least one example; got none. Leave it out '
        'for zeros in every processed column.'
      )
    return [
      annotated_model.Points(
        {name: value[k : k + 1] for name, value in points.columns.items()},
        None
        if points.first_layer is None
        else points.first_layer[k : k + 1],
        points.outputs[k : k + 1],
      )
      for k in range(len(points.outputs))
    ]

  def _baseline_columns(self, baselines, x):
    """Returns {column name: [1 or n, width]} of processed baselines."""
    num_rows = len(x.outputs)
    values = {}
    for column in self.model.columns:
      dtype = x.columns[column.name].dtype
      value = np.asarray(baselines.get(column.name, 0))
      if value.dtype.kind not in 'biuf':
        raise TypeError(
          f'`baselines` must be numbers for column {column.name!r}; got '
          f'{value.ravel()[0]!r}. Give processed values, or a raw example.'
        )
      wanted = [(), (column.width,), (1, column.width)]
      wanted.append((num_rows, column.width))
      if value.shape not in wanted:
        raise ValueError(
          f'`baselines` must have the shape [{column.width}] or [{num_rows}, '
          f'{column.width}] for column {column.name!r}; got '
          f'{list(value.shape)}. Give one value an element.'
        )
      if not np.isfinite(value).all():
        raise ValueError(
          f'`baselines` must be finite; got {value} for column '
          f'{column.name!r}. Give a number in place of NaN or infinity.'
        )
      if value.ndim < 2:
        value = np.broadcast_to(value, (1, column.width))
      values[column.name] = value.astype(dtype)
    rows = max(len(value) for value in values.values())
    return {
      name: np.broadcast_to(value, (rows, value.shape[1]))
      for name, value in values.items()
    }

  def _target_ids(self, targets, outputs):
    """Returns the class id of each row's target, int64 [n]."""
    model, num_rows = self.model, len(outputs)
    if isinstance(targets, str) and targets == 'predicted':
      if model.kind == 'regressor' and model.num_outputs > 1:
        raise ValueError(
          "`targets` must tell which output; got 'predicted' for a regressor "
          f'of {model.num_outputs} outputs. Give an index in [0, '
          f"{model.num_outputs}), or 'all'."
        )
      return np.argmax(outputs, axis=1)
    if isinstance(targets, (str, bytes)) or np.ndim(targets) == 0:
      return np.full(num_rows, self._target_id(targets), np.int64)
    if len(targets) != num_rows or np.ndim(targets) != 1:
      raise ValueError(
        f'`targets` must have the shape [{num_rows}], one for each row; got '
        f'{list(np.shape(targets))}. Give one class for all rows, or an array.'
      )
    return np.array([self._target_id(t) for t in targets], np.int64)

  def _target_id(self, target):
    model = self.model
    if isinstance(target, (str, bytes)):
      label = target.decode() if isinstance(target, bytes) else str(target)
      labels = model.labels
      if labels is None:
        # As TensorFlow names the classes of a model without a vocabulary.
        labels = [str(i) for i in range(model.num_outputs)]
      if label not in labels:
        raise ValueError(
          f"`targets` must be 'predicted', 'all', a class id or one of the "
          f'labels {labels}; got {label!r}. Check the spelling.'
        )
      return labels.index(label)
    if isinstance(target, (bool, np.bool_)) or not isinstance(
      target, (int, np.integer)
    ):
      raise TypeError(
        f"`targets` must be 'predicted', 'all', class ids (integers) or labels "
        f'(strings); got {target!r}. Convert it with int().'
      )
    if not 0 <= target < model.num_outputs:
      raise ValueError(
        f'`targets` must be in [0, {model.num_outputs}); got {target!r}. '
        + (
          'For a binary model, 1 is the positive class.'
          if model.num_outputs == 2
          else 'Count from 0.'
        )
      )
    return int(target)

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
