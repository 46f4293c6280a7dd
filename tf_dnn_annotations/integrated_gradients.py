"""Integrated Gradients of an annotated SavedModel.

Source: Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks",
ICML 2017 (arXiv 1703.01365), equation 1.
"""

import warnings

import numpy as np

from tf_dnn_annotations import annotated_model
from tf_dnn_annotations import attributions
from tf_dnn_annotations import baseline_strategies
from tf_dnn_annotations import baselines as baseline_points
from tf_dnn_annotations import column_attributions
from tf_dnn_annotations import linear_regions
from tf_dnn_annotations import path_integral
from tf_dnn_annotations import quadrature
from tf_dnn_annotations import targets as target_ids

# Nodes of a rule unless told otherwise.
DEFAULT_NUM_STEPS = 128

_OUTPUTS = ('logits', 'probabilities')

# Attributions that cancel to less than this share of the sum of their absolute
# values explain a difference that there hardly is.
_NEAR = 0.01

# How well float32 knows an output of size 1, a few roundings.
_ROUNDING = 1e-6


class IntegratedGradients(object):
  """Explains the predictions of an annotated SavedModel.

  The attribution of element i of a processed column is

      IG_i(x) = (x_i - x'_i) * integral over a in [0, 1] of
                dF/dx_i at x' + a (x - x')

  with x the columns' values of an example, x' those of the baseline and F an
  output of the model. Where the first hidden layer is known, the path is
  followed in its pre-activation z: the layer is affine, so z moves on a
  straight line too, and the kernel is applied once a row in place of once a
  node. An instance may be used as a context manager.

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
    tolerance=1e-3,
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
      method: 'exact': the finite sum over the linear regions of a network of
        ReLU, ReLU6, leaky ReLU or identity activations, with or without batch
        normalization. One of `path_integral.RULE_NAMES`: that rule with
        `num_steps` nodes. 'auto': exact where that is affordable, otherwise
        nodes are added until `tolerance` is met.
      num_steps: number of nodes on the path of each row, 128 by default, for
        the rules; where 'auto' adds nodes, the most that it takes, 1025 by
        default. Without effect on the exact sum.
      max_rows: most rows (examples times steps) in one model call. By default
        as many as keep a call within about 64 MiB.
      tolerance: where 'auto' adds nodes, the error at which it stops, relative
        to the sum of the absolute attributions (on the first layer's units).

    Returns:
      `attributions.Attributions`.

    Raises:
      ValueError: an argument is out of its range, 'exact' is asked of another
        network, a feature is missing, not known or of a wrong shape. An
        example that cannot be parsed or holds a NaN raises a
        `annotated_model.RowError`, which names its row.
      TypeError: an argument or a feature of the wrong type.

    Warns:
      RuntimeWarning: 'auto' did not meet `tolerance` on some rows, or the
        output of some row is nearly that of its baseline, so that its
        attributions cancel and mean little.
    """
    model = self.model
    self._check_output(output)
    _check_positive('max_rows', max_rows)
    engine = self._engine(output, method, num_steps, tolerance)
    x = model.points_of_examples(examples, output, max_rows)
    starts = baseline_points.points(
      model, baselines, examples, x, output, max_rows
    )
    num_rows = len(x.outputs)
    is_all = isinstance(targets, str) and targets == 'all'
    ids = None if is_all else target_ids.ids(model, targets, x.outputs)

    # Everything has an axis for the targets: one a row, or all of them.
    outputs = _of_targets(x.outputs, ids)
    baseline_outputs = np.zeros(outputs.shape)
    values = {
      column.name: np.zeros(outputs.shape + (column.width,), np.float32)
      for column in model.columns
    }
    num_nodes = np.zeros(num_rows, np.int64)
    errors = np.zeros(num_rows)
    for start in starts if num_rows else ():
      start_outputs = np.broadcast_to(start.outputs, x.outputs.shape)
      start_outputs = _of_targets(start_outputs, ids)
      baseline_outputs += start_outputs / len(starts)
      integrals, nodes, error = engine(
        start, x, ids, start_outputs, outputs, max_rows or model.rows_a_call
      )
      num_nodes += nodes
      errors += error / len(starts)
      if 'first_layer' in integrals and model.kernel is not None:
        column_attributions.add(
          values,
          integrals['first_layer'],
          model.kernel,
          x.columns,
          start.columns,
          1 / len(starts),
        )
      else:
        for name, value in values.items():
          difference = x.columns[name] - start.columns[name]
          value += difference[:, np.newaxis] * integrals[name] / len(starts)
    gap = outputs - baseline_outputs
    absolute = np.zeros(gap.shape)
    for value in values.values():
      gap -= value.sum(axis=-1, dtype=np.float64)
      absolute += np.abs(value).sum(axis=-1, dtype=np.float64)
    if (np.abs(outputs - baseline_outputs) < _NEAR * absolute).any():
      warnings.warn(
        'The outputs of some rows differ from that of their baseline by less '
        f'than {_NEAR:.0%} of the sum of their absolute attributions, which '
        'cancel: compare `outputs` and `baseline_outputs` of the result. '
        'Another baseline tells more about such a row.',
        RuntimeWarning,
        stacklevel=2,
      )
    errors = np.where(
      np.isnan(errors), np.abs(gap).max(axis=1, initial=0), errors
    )
    if is_all:
      ids = np.tile(np.arange(model.num_outputs), (num_rows, 1))
    else:
      values = {name: value[:, 0] for name, value in values.items()}
      outputs, baseline_outputs, gap = (
        value[:, 0] for value in (outputs, baseline_outputs, gap)
      )
    return attributions.Attributions(
      values=values,
      columns=[column.name for column in model.columns],
      outputs=outputs.astype(np.float32),
      baseline_outputs=baseline_outputs.astype(np.float32),
      gap=gap.astype(np.float32),
      targets=ids,
      num_nodes=num_nodes,
      error_estimate=errors.astype(np.float32),
      feature_keys={c.name: c.feature_keys for c in model.columns},
    )

  def attribute_batches(self, batches, **kwargs):
    """Yields the attributions of one batch of examples after the other.

    For streams: no more than one batch is held at a time.

    Args:
      batches: iterable of what `attribute` takes as `examples`.
      **kwargs: the other arguments of `attribute`, the same for all batches.

    Yields:
      `attributions.Attributions`, one a batch.
    """
    for examples in batches:
      yield self.attribute(examples, **kwargs)

  def baselines_of(self, batches, strategy='mean', num_rows=100, seed=0):
    """Returns baselines computed from data, in one pass over it.

    Args:
      batches: iterable of batches of examples, as `attribute_batches` takes.
      strategy: 'mean': the mean of each processed column, which for a one-hot
        column is the share of each category. 'median': the median for numeric
        columns (of at most 16384 rows chosen at random), the mean for others.
        'sample': some of the examples, chosen at random; attributions are then
        the mean over them as baselines.
      num_rows: how many examples 'sample' takes.
      seed: int, of the random choice.

    Returns:
      what `attribute` takes as `baselines`.

    Raises:
      ValueError: no such strategy, or no examples.
    """
    _check_positive('num_rows', num_rows)
    return baseline_strategies.compute(
      self.model, batches, strategy, num_rows, seed
    )

  def _engine(self, output, method, num_steps, tolerance):
    """Returns the function that integrates, as the arguments ask for it.

    Returns:
      function of (start, x, ids, start_outputs, outputs, max_points), the ends
      of the paths as `Points`, the targets int [n] or None, the outputs there
      [n, T] and the most points in a model call, that returns (integrals
      {name: [n, T, size]} of dF with respect to the path, num_nodes [n],
      errors [n], NaN if not known).
    """
    network = self.model.network
    if method == 'exact' and network is None:
      raise ValueError(
        "`method` 'exact' needs a network that is piecewise linear; got one in "
        f"which {self.model.unrecognized}. Use 'auto', which adds nodes until "
        'the integral is good to `tolerance`.'
      )
    if method == 'exact' or (method == 'auto' and _is_affordable(network)):
      return lambda *args: self._exact(output, *args)
    if method == 'auto':
      _check_positive('tolerance', tolerance, (float, int, np.number))
      _check_positive('num_steps', num_steps)
      return lambda *args: self._adaptive(output, num_steps, tolerance, *args)
    if method not in path_integral.RULE_NAMES:
      raise ValueError(
        "`method` must be 'auto', 'exact' or one of "
        f"{list(path_integral.RULE_NAMES)}; got {method!r}. 'auto' needs no "
        'number of steps.'
      )
    if num_steps is None:
      num_steps = DEFAULT_NUM_STEPS
    nodes, weights = path_integral.rule(method, num_steps)
    return lambda *args: self._fixed(output, nodes, weights, *args)

  def _exact(self, output, start, x, ids, *_):
    integrals, num_regions = linear_regions.integrate(
      self.model.network,
      start.path['first_layer'],
      x.path['first_layer'],
      output,
      self.model.class_logits,
      ids,
    )
    return (
      {'first_layer': integrals},
      num_regions,
      np.full(len(x.outputs), np.nan),
    )

  def _fixed(self, output, nodes, weights, start, x, ids, _, __, max_points):
    integrals = quadrature.fixed(
      self._gradient_fn(output, ids),
      _broadcast(start.path, x.path),
      x.path,
      nodes,
      weights,
      max_points,
    )
    num_rows = len(x.outputs)
    return integrals, np.full(num_rows, len(nodes)), np.full(num_rows, np.nan)

  def _adaptive(
    self,
    output,
    num_steps,
    tolerance,
    start,
    x,
    ids,
    start_outputs,
    outputs,
    max_points,
  ):
    max_nodes = num_steps or quadrature.MAX_NUM_NODES
    size = np.maximum(np.abs(outputs), np.abs(start_outputs))
    integrals, num_nodes, errors, has_converged = quadrature.adaptive(
      self._gradient_fn(output, ids),
      _broadcast(start.path, x.path),
      x.path,
      outputs - start_outputs,
      _ROUNDING * np.maximum(size, 1.0),
      tolerance,
      max_nodes,
      max_points,
    )
    if not has_converged.all():
      warnings.warn(
        f'{np.sum(~has_converged)} of {len(has_converged)} rows did not meet '
        f'the tolerance of {tolerance:g} with {max_nodes} nodes: see `gap` and '
        '`error_estimate` of the result. Raise `num_steps`.',
        RuntimeWarning,
        stacklevel=4,
      )
    return integrals, num_nodes, errors

  def _gradient_fn(self, output, ids):
    def gradients(points, rows):
      targets = None if ids is None else ids[rows]
      return self.model.gradients(output, points, targets)

    return gradients

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


def _is_affordable(network):
  """Whether 'auto' takes the exact sum.

  Up to two hidden layers it is cheaper than a few nodes. Beyond, it takes
  about as much as a node for each region, and there are about 0.45 regions a
  unit of all hidden layers but the last (measured on random and on trained
  networks): it is taken while that is no more than adding nodes may take.
  """
  if network is None:
    return False
  units = [kernel.shape[0] for kernel in network.kernels]
  regions = 0.45 * sum(units[:-1])
  return len(units) <= 2 or regions <= quadrature.MAX_NUM_NODES


def _of_targets(values, ids):
  """Returns the targets' outputs, float64 [n, T]; all if `ids` is None."""
  values = values.astype(np.float64)
  if ids is None:
    return values
  return np.take_along_axis(values, ids[:, np.newaxis], axis=1)


def _broadcast(start, end):
  return {
    name: np.broadcast_to(value, end[name].shape)
    for name, value in start.items()
  }


def _check_positive(name, value, types=(int, np.integer)):
  """Raises ValueError unless `value` is None or a positive number."""
  if value is None:
    return
  if isinstance(value, bool) or not isinstance(value, types) or not value > 0:
    kind = 'integer' if types == (int, np.integer) else 'number'
    raise ValueError(
      f'`{name}` must be a positive {kind}; got {value!r}. Leave it out for '
      'the default.'
    )
