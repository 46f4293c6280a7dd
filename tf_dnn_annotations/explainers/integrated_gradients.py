"""Integrated Gradients of an annotated SavedModel.

Source: Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks",
ICML 2017 (arXiv 1703.01365), equation 1.
"""

from concurrent import futures
import functools
import os
import warnings

import numpy as np

from tf_dnn_annotations.annotations import vocabularies
from tf_dnn_annotations.explainers import bad_rows
from tf_dnn_annotations.explainers import baselines as baseline_points
from tf_dnn_annotations.explainers import choices
from tf_dnn_annotations.explainers import computed_baselines
from tf_dnn_annotations.explainers import targets as target_ids
from tf_dnn_annotations.integrals import adaptive_quadrature
from tf_dnn_annotations.integrals import blas_threads
from tf_dnn_annotations.integrals import first_layer
from tf_dnn_annotations.integrals import linear_regions
from tf_dnn_annotations.integrals import quadrature
from tf_dnn_annotations.integrals import rounding
from tf_dnn_annotations.integrals import rules
from tf_dnn_annotations.results import attributions
from tf_dnn_annotations.saved_models import annotated_model
from tf_dnn_annotations.saved_models import example_forms
from tf_dnn_annotations.text import suggestions

# Nodes of a rule unless told otherwise.
DEFAULT_NUM_STEPS = 128

# A chunk of rows for the exact sum should fit into the cache and take little
# memory, but be worth a call: numbers of its columns and layers, rows times the
# layers' weights, the least and the most rows. Found by trial.
_EXACT_NUMBERS = 1 << 19
_EXACT_WORK = 1 << 24
_EXACT_ROWS = 32, 512
# Integrals that a chunk of rows holds at most, each two or three times.
_INTEGRAL_NUMBERS = 1 << 21
# Rows times weights that are worth a thread of their own.
_LEAST_WORK = 1 << 18

# Attributions that cancel to less than this share of the sum of their absolute
# values explain a difference that there hardly is.
_NEAR = 1e-3

# How well float32 knows an output, as a share of it: a few roundings.
_ROUNDING = 1e-6

# How much of the rounding of logits probabilities feel: found by trial.
_SHARE_OF_LOGITS = 0.5
_SHARE_OF_LOGARITHM = 0.05

# The least that float32 holds with all its digits.
_LEAST = 1e-38


class NotConverged(RuntimeWarning):
  """'auto' did not meet the tolerance on some rows.

  Attributes:
    rows: list of the indices of those rows.
    limited_rows: those of them for which more steps are of no use, since
      float32 does not know the output any better.
    tolerance: that of the call.
  """

  def __init__(self, num_rows, rows, tolerance, limited_rows=()):
    remedies = []
    if len(limited_rows) < len(rows):
      remedies.append('Raise `num_steps`.')
    if len(limited_rows):
      which = (
        'Such a row'
        if len(limited_rows) == len(rows)
        else (
          f'{len(limited_rows)} of them (row {limited_rows[0]} is the first)'
        )
      )
      remedies.append(
        f'{which} cannot: float32 knows the output no better than that, with '
        'any number of steps. Give a larger `tolerance`, or scale the inputs.'
      )
    super().__init__(
      f'{_rows(rows, num_rows)} did not meet the tolerance of {tolerance:g}: '
      'see `gap` and `error_estimate` of the result. ' + ' '.join(remedies)
    )
    self.rows = rows
    self.limited_rows = list(limited_rows)
    self.tolerance = tolerance


class NearBaseline(RuntimeWarning):
  """The output of some rows is nearly that of their baseline.

  Attributes:
    rows: list of the indices of those rows.
  """

  def __init__(self, num_rows, rows):
    super().__init__(
      f'The output of {_rows(rows, num_rows)} differs from that of the '
      f'baseline by less than {_NEAR:.1%} of the sum of the absolute '
      'attributions, which cancel, or by no more than rounding: compare '
      '`outputs` and `baseline_outputs` of the result. Another baseline tells '
      'more about such a row.'
    )
    self.rows = rows


def _rows(rows, num_rows):
  return f'{len(rows)} of {num_rows} rows (row {rows[0]} is the first)'


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

  def __init__(self, export_dir, trust_model=False):
    """Loads the SavedModel in `export_dir`.

    Args:
      export_dir: directory of the SavedModel.
      trust_model: whether to load it even if it does more than compute, such
        as writing files. Only for a model whose maker you trust.

    Raises:
      FileNotFoundError: there is no SavedModel in `export_dir`.
      ValueError: it has no layer annotations.
      UntrustedModelError: it does more than compute; a ValueError that names
        the operations.
    """
    self.model = annotated_model.AnnotatedModel(export_dir, trust_model)
    self._integrators = {}
    self._kernel_norms = None
    if self.model.kernel is not None:
      self._kernel_norms = first_layer.kernel_norms(self.model.kernel)
    if _is_affordable(self.model.network):
      self._prepare('logits')

  @suggestions.takes_unknown
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
    **unknown,
  ):
    """Returns the Integrated Gradients of each row.

    Args:
      examples: n examples, in one of two kinds. Serialized tf.Examples: a list,
        an array of objects, a Series or an eager Tensor of bytes. Raw features:
        {feature key: values}, a pandas DataFrame with a column per feature, or
        a list of n dicts of single rows; with all features of the model and no
        other. The values of a feature are an array [n, ...], masked or not, a
        list, a Series or a DataFrame, a Tensor (eager), RaggedTensor,
        SparseTensor or the value of one. Of any number of values: a list per
        row, or an array [n] or [n, k]; None, NaN, NA, masked, '', and in arrays
        -1 of integers and 0.0 of floats stand for no value. Others need a value
        in each row. Integers are converted where the model takes floats.
      baselines: what the rows are compared with. None: zeros in every
        processed column. A raw example in a form of `examples`: that one
        for all rows; k of them: the mean of the attributions over the k
        baselines. `tf_dnn_annotations.ColumnValues` of {column name: array
        [width] or [n, width]}: processed values, zeros in the columns left out.
        A dict of that kind will do where it cannot be taken for raw values:
        none of its keys is both a column and a feature whose values differ. A
        dict with all features is a raw example if `examples` are raw, too, or
        if some key names no column. 'mean', 'median' or 'sample': those of
        `examples` themselves, as `baselines_of` computes them.
      targets: which output of the model, per row: 'predicted' (the class that
        the model itself names), a class id, a class label, an array [n], list,
        Series or Tensor of either, or 'all'. For a regressor the index of an
        output; with only one, 'predicted' is that one. Of a binary classifier
        name the
        positive class: with 'predicted', attributions change their sign between
        rows, since the log-odds of class 0 are the negative of class 1's.
      output: 'logits' (log-odds; a regressor's is its prediction) or
        'probabilities' (in [0, 1]).
      method: 'exact': the finite sum over the linear regions of a network of
        ReLU, ReLU6, leaky ReLU or identity activations, with or without batch
        normalization. One of `rules.RULE_NAMES`: that rule with
        `num_steps` nodes. 'auto': exact where that is affordable, otherwise
        nodes are added until `tolerance` is met.
      num_steps: number of nodes on the path of each row, 128 by default, for
        the rules; where 'auto' adds nodes, the most that it takes, 1025 by
        default and never fewer than 15. Without effect on the exact sum.
      max_rows: most rows (examples times steps) in one model call. By default
        as many as keep a call within about 64 MiB.
      tolerance: where 'auto' adds nodes, the error at which it stops: the sum
        over all elements of the columns, relative to the sum of the row's
        absolute attributions, whatever the unit of the output.

    Returns:
      `attributions.Attributions`.

    Raises:
      ValueError: an argument is out of its range, 'exact' is asked of another
        network, a feature is missing, not known or of a wrong shape, a dict of
        `baselines` can be read in two ways. An example that cannot be parsed,
        misses a value or holds a NaN raises a `annotated_model.RowError`, which
        names its row.
      TypeError: an argument or a feature of the wrong type.

    Warns:
      NotConverged: 'auto' did not meet `tolerance` on some rows; it says
        whether more steps may help, or float32 is the limit.
      NearBaseline: the output of some row is nearly that of its baseline, so
        that its attributions cancel or are rounding, and mean little. With all
        targets, if that is so for each of them.
      UnknownCategories: values of a feature are in no vocabulary of the
        columns that look it up.
    """
    suggestions.refuse_unknown(self.attribute, unknown)
    model = self.model
    self._check_output(output)
    _check_positive('max_rows', max_rows)
    # Whatever the network is: a call is right or wrong for all of them.
    if method not in rules.RULE_NAMES:  # They say more of it.
      _check_positive('num_steps', num_steps)
    _check_positive('tolerance', tolerance, (float, int, np.number))
    engine = self._engine(output, method, num_steps, max_rows, tolerance)
    examples = example_forms.plain(examples)
    num_rows, read_fn = model.reader(examples)
    if isinstance(baselines, str):
      baselines = computed_baselines.of_examples(model, examples, baselines)
    starts = baseline_points.points(
      model, baselines, isinstance(examples, dict), num_rows, output, max_rows
    )
    targets = target_ids.plain(targets)
    is_all = isinstance(targets, str) and targets == 'all'
    given_ids = None if is_all else target_ids.ids(model, targets, num_rows)

    sums = _Sums(
      num_rows, model.num_outputs if is_all else 1, model, self._kernel_norms
    )
    unknown_categories = None
    if model.vocabularies:
      unknown_categories = vocabularies.UnknownCounter(model.vocabularies)

    def explain(first, last):
      rows = slice(first, last)
      x = model.points_of_rows(read_fn, first, last, output, unknown_categories)
      if is_all:
        chosen = None
      elif given_ids is None:
        chosen = sums.ids[rows, 0] = x.predicted
      else:
        chosen = sums.ids[rows, 0] = given_ids[rows]
      sums.outputs[rows] = _of_targets(x.outputs, chosen)
      for start in starts:
        sums.add(rows, x, start.rows(rows), chosen, engine, len(starts))
      sums.add_up(rows)

    num_targets = sums.values.shape[1]
    chunk = max_rows or min(
      model.rows_a_call,
      max(1, _INTEGRAL_NUMBERS // (num_targets * model.path_size)),
    )
    num_threads = 1
    if engine.func == self._exact:  # The others' calls use all cores.
      num_threads = _num_threads()
      least, most = _exact_rows(model.width, model.network)
      chunk = min(chunk, most, max(least, -(-num_rows // num_threads)))
    firsts = range(0, num_rows, chunk)
    lasts = [min(first + chunk, num_rows) for first in firsts]
    # numpy and TensorFlow leave the interpreter's lock while they compute.
    if len(firsts) > 1:
      with blas_threads.one(), futures.ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(explain, firsts, lasts))
    else:
      list(map(explain, firsts, lasts))
    if unknown_categories:
      unknown_categories.warn(stacklevel=2)
    if not sums.has_converged.all():
      rows, limited = (
        np.flatnonzero(~sums.has_converged & is_some).tolist()
        for is_some in (True, ~sums.needs_steps)
      )
      warnings.warn(
        NotConverged(num_rows, rows, tolerance, limited), stacklevel=2
      )
    return sums.result(model, is_all)

  def attribute_batches(self, batches, on_error='raise', **kwargs):
    """Returns an iterator over the attributions of batches of examples.

    For streams: no more than one batch is held at a time.

    Args:
      batches: iterable of what `attribute` takes as `examples`. Of a
        tf.data.Dataset of batches, `dataset.as_numpy_iterator()`.
      on_error: what becomes of a row that cannot be parsed, holds a NaN or
        cannot be computed. 'raise': its `annotated_model.RowError` is raised.
        'skip': the batch is explained without such rows, and a `SkippedRows`
        warns of them. A function of (index of the batch, number of its rows,
        list of a `RowError` for each such row, by row): the same, without a
        warning; an error that it raises ends the iteration.
      **kwargs: the other arguments of `attribute`, the same for all batches.
        `baselines='mean'`, 'median' or 'sample' are those of all batches, in a
        pass over them of its own: `batches` must be a list, or something else
        that can be iterated again.

    Returns:
      iterator over `attributions.Attributions`, one for each batch, which may
      be of no row.

    Raises:
      ValueError: `on_error` is none of these. Otherwise as `attribute`.
    """
    suggestions.refuse_unknown(self.attribute, kwargs)
    example_forms.check_batches(batches)
    if on_error not in ('raise', 'skip') and not callable(on_error):
      raise ValueError(
        f"`on_error` must be 'raise', 'skip' or a function; got {on_error!r}. "
        "Take 'skip' to go on without rows that cannot be explained."
      )
    if isinstance(kwargs.get('baselines'), str):
      kwargs['baselines'] = computed_baselines.of_batches(
        self.model, batches, kwargs['baselines']
      )
    return self._attributions_of_batches(batches, on_error, kwargs)

  def _attributions_of_batches(self, batches, on_error, arguments):
    for index, examples in enumerate(batches):
      if on_error != 'raise':  # They may be needed twice.
        examples = example_forms.plain(examples)
      try:
        result = self.attribute(examples, **arguments)
      except annotated_model.RowError as error:
        if on_error == 'raise' or error.of != 'examples':
          raise
        result, num_rows, errors = bad_rows.attributions_of_others(
          self, examples, error, arguments
        )
        if on_error == 'skip':
          warning = bad_rows.SkippedRows(index, num_rows, errors)
          warnings.warn(warning, stacklevel=2)
        else:
          on_error(index, num_rows, errors)
      yield result

  def baselines_of(self, batches, strategy='mean', num_rows=100, seed=0):
    """Returns baselines computed from data, in one pass over it.

    Args:
      batches: iterable of batches of examples, as `attribute_batches` takes.
      strategy: 'mean': the mean of each processed column, which for a one-hot
        column is the share of each category. 'median': the median for numeric
        columns (of at most 16384 rows chosen at random), the mean for others.
        'sample': some of the examples, chosen at random; attributions are then
        the mean over them as baselines. Whatever the strategy, an example that
        `attribute` would refuse is refused here.
      num_rows: how many examples 'sample' takes.
      seed: int, of the random choice.

    Returns:
      what `attribute` takes as `baselines`.

    Raises:
      ValueError: no such strategy, no examples, or one that cannot be used.
      TypeError: `batches` is a single batch.
    """
    _check_positive('num_rows', num_rows)
    return computed_baselines.compute(
      self.model, batches, strategy, num_rows, seed
    )

  def _engine(self, output, method, num_steps, max_rows, tolerance):
    """Returns the function that integrates, as the arguments ask for it.

    Returns:
      partial function of (start, x, ids, start_outputs, outputs, columns), the
      ends of the paths as `Points`, the targets int [n] or None, the outputs
      there [n, T], and the `first_layer.Columns`, that returns
      `quadrature.Integrals`.
    """
    network = self.model.network
    if method == 'exact' and network is None:
      raise ValueError(
        "`method` 'exact' needs a network that is piecewise linear; got one in "
        f"which {self.model.unrecognized}. Use 'auto', which adds nodes until "
        'the integral is good to `tolerance`.'
      )
    if method == 'exact' or (method == 'auto' and _is_affordable(network)):
      self._prepare(output)
      return functools.partial(self._exact, output)
    if method == 'auto':
      return functools.partial(
        self._adaptive,
        output,
        num_steps or quadrature.MAX_NUM_NODES,
        tolerance,
        max_rows,
      )
    if method not in rules.RULE_NAMES:
      raise ValueError(
        "`method` must be 'auto', 'exact' or one of "
        f"{list(rules.RULE_NAMES)}; got {method!r}. 'auto' needs no "
        'number of steps.' + suggestions.did_you_mean(method, choices.METHODS)
      )
    if num_steps is None:
      num_steps = DEFAULT_NUM_STEPS
    nodes, weights = rules.rule(method, num_steps)
    return functools.partial(self._fixed, output, nodes, weights, max_rows)

  def _prepare(self, output):
    """Makes what integrates an output exactly, once."""
    if output not in self._integrators:
      self._integrators[output] = linear_regions.integrator(
        self.model.network, output, self.model.class_logits
      )

  def _exact(self, output, start, x, ids, *_):
    num_targets = self.model.num_outputs if ids is None else 1
    noise = np.empty((len(x.outputs), num_targets))
    integrals, num_regions = self._integrators[output].integrate(
      start.path, x.path, ids, noise
    )
    if output == 'probabilities':
      # What logits are known to is a share of them.
      network = self.model.network
      largest = [
        np.abs(network.logits(points.path)).max(axis=1) for points in (start, x)
      ]
      noise *= 1 + _SHARE_OF_LOGITS * np.maximum(*largest)[:, np.newaxis]
    return quadrature.Integrals(integrals, num_regions, noise=noise)

  def _fixed(self, output, nodes, weights, max_rows, start, x, ids, *_):
    end = x.path
    integrals = quadrature.fixed(
      self._gradient_fn(output, ids),
      np.broadcast_to(start.path, end.shape),
      end,
      nodes,
      weights,
      max_rows or self._points_a_call(ids),
    )
    return quadrature.Integrals(integrals, len(nodes))

  def _adaptive(
    self,
    output,
    max_nodes,
    tolerance,
    max_rows,
    start,
    x,
    ids,
    start_outputs,
    outputs,
    columns,
  ):
    end = x.path
    known = _ROUNDING * np.maximum(np.abs(outputs), np.abs(start_outputs))
    integrals = adaptive_quadrature.adaptive(
      self._gradient_fn(output, ids),
      np.broadcast_to(start.path, end.shape),
      end,
      outputs - start_outputs,
      known,
      # Softmax takes the difference of its outputs from 1.
      known if output == 'probabilities' else np.zeros_like(known),
      columns,
      tolerance,
      max_nodes,
      max_rows or self._points_a_call(ids),
      self.model.kernel is not None,
    )
    if output == 'probabilities':
      # Of small ones the logarithm is about as large as the logits. A quarter
      # is as for logits: these activations are mostly smooth.
      least = np.clip(np.minimum(outputs, start_outputs), _LEAST, 1)
      noise = rounding.of_path(start.path, end, integrals.gradients)
      noise *= 0.25 - _SHARE_OF_LOGARITHM * np.log(least)
      integrals = integrals._replace(noise=noise)
    return integrals

  def _points_a_call(self, ids):
    num_targets = self.model.num_outputs if ids is None else 1
    return self.model.points_a_call(num_targets)

  def _gradient_fn(self, output, ids):
    """Returns the function that `quadrature` takes, of points on the path."""

    def gradients(points, rows):
      targets = None if ids is None else ids[rows]
      return self.model.gradients(output, points, targets)

    return gradients

  def _check_output(self, output):
    if output not in choices.OUTPUTS:
      raise ValueError(
        f'`output` must be one of {list(choices.OUTPUTS)}; got {output!r}. '
        'Logits are the usual choice.'
        + suggestions.did_you_mean(output, choices.OUTPUTS)
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


class _Sums(object):
  """What is known of each row so far, while baselines are added.

  Everything but what is counted a row has an axis for the targets.
  """

  def __init__(self, num_rows, num_targets, model, kernel_norms):
    shape = num_rows, num_targets
    self.values = np.empty(shape + (model.width,), np.float32)
    self.ids = np.tile(np.arange(num_targets), (num_rows, 1))
    self.outputs = np.zeros(shape)
    self.baseline_outputs = np.zeros(shape)
    self.num_nodes = np.zeros(num_rows, np.int64)
    self.errors = np.zeros(shape)
    self.has_converged = np.ones(num_rows, bool)
    self.needs_steps = np.zeros(num_rows, bool)
    self._value_sums = np.empty(shape)
    self._absolute_sums = np.empty(shape)
    self._slices, self._kernel = model.column_slices, model.kernel
    self._kernel_norms = kernel_norms

  def add(self, rows, x, start, ids, engine, num_baselines):
    """Adds the attributions of rows against one of their baselines."""
    start_outputs = _of_targets(
      np.broadcast_to(start.outputs, x.outputs.shape), ids
    )
    # Most baselines are zeros, and it saves a copy.
    differences = x.columns
    if start.columns.any():
      differences = differences - start.columns
    ends = start.path, x.path
    integrals = engine(
      start,
      x,
      ids,
      start_outputs,
      self.outputs[rows],
      first_layer.Columns(
        self._kernel,
        self._kernel_norms,
        differences,
        self._slices.values(),
        *ends,
      ),
    )
    is_first = not self.num_nodes[rows].any()
    self.baseline_outputs[rows] += start_outputs / num_baselines
    self.num_nodes[rows] += integrals.num_nodes
    self.has_converged[rows] &= integrals.has_converged
    self.needs_steps[rows] |= ~np.logical_or(
      integrals.has_converged, integrals.is_limited
    )
    if num_baselines > 1:
      differences = differences / num_baselines
    sizes = first_layer.add(
      self.values[rows],
      integrals.gradients,
      self._kernel,
      self._kernel_norms,
      differences,
      self._slices.values(),
      is_first,
    )
    errors = np.asarray(integrals.errors) / num_baselines
    self.errors[rows] += errors[:, np.newaxis] if errors.ndim else errors
    if self._kernel is not None:
      noise = integrals.noise
      if noise is None:
        noise = rounding.of_path(*ends, integrals.gradients)
      self.errors[rows] += rounding.of_sums(
        sizes, noise, has_kinks=integrals.noise is not None
      )

  def add_up(self, rows):
    """Adds up the attributions of rows to which nothing more is added."""
    self._value_sums[rows], self._absolute_sums[rows] = first_layer.row_sums(
      self.values[rows]
    )

  def result(self, model, is_all):
    """Returns the `Attributions`; warns where they cancel."""
    changes = self.outputs - self.baseline_outputs
    gap = changes - self._value_sums
    size = np.maximum(np.abs(self.outputs), np.abs(self.baseline_outputs))
    near = np.maximum(_NEAR * self._absolute_sums, _ROUNDING * size)
    # Of many targets, some are always near: that tells nothing.
    rows = np.flatnonzero((np.abs(changes) <= near).all(axis=1)).tolist()
    if rows:
      warnings.warn(NearBaseline(len(changes), rows), stacklevel=3)
    errors = self.errors + np.abs(gap)
    errors += rounding.of_values(self._absolute_sums)
    every = slice(None) if is_all else 0
    values = self.values[:, every]
    return attributions.Attributions(
      values={name: values[..., part] for name, part in self._slices.items()},
      columns=[column.name for column in model.columns],
      outputs=self.outputs[:, every].astype(np.float32),
      baseline_outputs=self.baseline_outputs[:, every].astype(np.float32),
      gap=gap[:, every].astype(np.float32),
      targets=self.ids[:, every],
      num_nodes=self.num_nodes,
      error_estimate=errors.max(axis=1, initial=0).astype(np.float32),
      feature_keys={c.name: c.feature_keys for c in model.columns},
    )


def _num_threads():
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _exact_rows(width, network):
  """Returns (least, most): how many rows a chunk for the exact sum has."""
  numbers = width + sum(kernel.shape[0] for kernel in network.kernels)
  weights = sum(kernel.size for kernel in network.kernels) or 1
  most = min(_EXACT_NUMBERS // numbers, _EXACT_WORK // weights)
  return max(1, _LEAST_WORK // weights), int(np.clip(most, *_EXACT_ROWS))


def _is_affordable(network):
  """Whether 'auto' takes the exact sum.

  It does while that takes no more time than adding nodes may take: on networks
  with kinks, adding nodes mostly goes on to the last.
  """
  if network is None:
    return False
  return linear_regions.cost_in_nodes(network) <= quadrature.MAX_NUM_NODES


def _of_targets(values, ids):
  """Returns the targets' outputs, float64 [n, T]; all if `ids` is None."""
  values = values.astype(np.float64)
  if ids is None:
    return values
  return np.take_along_axis(values, ids[:, np.newaxis], axis=1)


def _check_positive(name, value, types=(int, np.integer)):
  """Raises ValueError unless `value` is a positive number, or an absent int."""
  if value is None and types == (int, np.integer):
    return
  if isinstance(value, bool) or not isinstance(value, types) or not value > 0:
    kind = 'integer' if types == (int, np.integer) else 'number'
    raise ValueError(
      f'`{name}` must be a positive {kind}; got {value!r}. Leave it out for '
      'the default.'
    )
