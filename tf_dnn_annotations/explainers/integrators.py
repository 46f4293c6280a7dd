"""The ways to integrate gradients from baselines to rows.

`choose` returns an integrator. It has two members that every caller uses:

  rows_per_call: int, the most rows that one call should get.
  integrate(start, end, targets): returns the `PathIntegral` of the gradients
    with respect to `Points.path`. `start` and `end` are `Points` of n rows
    (`start` also of a single one, for all rows), `targets` int [n], the output
    of each row, or None for all outputs.

and two for callers that have several threads:

  num_threads: int, how many threads should call it at once.
  rows_per_thread: int, the fewest rows that are worth a thread.
"""

import os
from typing import MutableMapping
import weakref

import numpy as np

from tf_dnn_annotations.explainers import targets as target_ids
from tf_dnn_annotations.integrals import adaptive_quadrature
from tf_dnn_annotations.integrals import first_layer
from tf_dnn_annotations.integrals import linear_regions
from tf_dnn_annotations.integrals import memory
from tf_dnn_annotations.integrals import path_integral
from tf_dnn_annotations.integrals import quadrature
from tf_dnn_annotations.integrals import rounding
from tf_dnn_annotations.integrals import rules
from tf_dnn_annotations.saved_models import annotated_model

# A chunk of rows for the exact sum has this many rows, within the cache, and
# takes at most so many products with weights. Rows that take fewer products are
# not worth a thread of their own. Found by trial.
_EXACT_ROWS = 32, 512
_MOST_PRODUCTS = 1 << 24
_FEWEST_PRODUCTS = 1 << 18


def choose(model, output, method, num_steps, max_rows, tolerance):
  """Returns the integrator that the arguments of `attribute` ask for.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    output, method, num_steps, max_rows, tolerance: as `attribute` takes them
      and `arguments.check` passes them.

  Raises:
    ValueError, TypeError: `num_steps` is not valid for the rule.
  """
  if method in rules.RULE_NAMES:
    if num_steps is None:
      num_steps = rules.DEFAULT_NUM_STEPS
    positions, weights = rules.rule(method, num_steps)
    return FixedRule(model, output, positions, weights, max_rows)
  if method == 'exact' or is_exact_affordable(model.network):
    return ExactSum(model, output, max_rows)
  return Adaptive(
    model, output, num_steps or quadrature.MAX_NUM_STEPS, max_rows, tolerance
  )


def is_exact_affordable(network):
  """Returns whether 'auto' computes the exact sum.

  It does as long as that takes no more time than adding steps may take: on
  networks with kinks, steps are mostly added up to the last one.
  """
  if network is None:
    return False
  return linear_regions.cost_in_steps(network) <= quadrature.MAX_NUM_STEPS


class ExactSum(object):
  """The finite sum over the linear regions of the paths."""

  def __init__(self, model, output, max_rows):
    sums = _shared(model).exact_sums
    if output not in sums:
      sums[output] = linear_regions.integrator(
        model.network, output, model.class_logits
      )
    self._sum = sums[output]
    kernels = model.network.kernels
    products = sum(kernel.size for kernel in kernels) or 1
    # The columns and layers of a chunk fit into the cache.
    numbers = model.width + sum(kernel.shape[0] for kernel in kernels)
    most = min(
      memory.rows_within(memory.SHARED_CACHE, numbers),
      memory.rows_within(_MOST_PRODUCTS, products),
    )
    self.rows_per_call = min(
      max_rows or model.rows_per_call, int(np.clip(most, *_EXACT_ROWS))
    )
    self.rows_per_thread = memory.rows_within(_FEWEST_PRODUCTS, products)
    self.num_threads = _num_cores()

  def integrate(self, start, end, targets):
    return self._sum.integrate(start.path, end.path, targets)


class FixedRule(object):
  """The same steps on every path, with the weights of a quadrature rule."""

  # Calls of the model use all cores.
  num_threads = rows_per_thread = 1

  def __init__(self, model, output, positions, weights, max_rows):
    self._model, self._output, self._max_rows = model, output, max_rows
    self._positions, self._weights = positions, weights
    self.rows_per_call = max_rows or model.rows_per_call

  def integrate(self, start, end, targets):
    paths = _paths(
      self._model, self._output, self._max_rows, start, end, targets
    )
    gradients = quadrature.fixed(paths, self._positions, self._weights)
    return path_integral.PathIntegral(gradients, len(self._positions))


class Adaptive(object):
  """Steps that are added to each path until it meets a tolerance."""

  # Calls of the model use all cores.
  num_threads = rows_per_thread = 1

  def __init__(self, model, output, max_steps, max_rows, tolerance):
    self._model, self._output, self._max_rows = model, output, max_rows
    self._max_steps, self._tolerance = max_steps, tolerance
    self.rows_per_call = max_rows or model.rows_per_call

  def integrate(self, start, end, targets):
    outputs = target_ids.outputs(end, targets)
    start_outputs = target_ids.outputs(start, targets, len(end.outputs))
    known = rounding.of_outputs(start_outputs, outputs)
    is_probability = self._output == 'probabilities'
    integral = adaptive_quadrature.adaptive(
      _paths(self._model, self._output, self._max_rows, start, end, targets),
      outputs - start_outputs,
      known,
      # Softmax computes the difference of its outputs from 1.
      known if is_probability else np.zeros_like(known),
      first_layer.Columns(
        layer_of(self._model),
        first_layer.differences(start.columns, end.columns),
        start.path,
        end.path,
      ),
      self._tolerance,
      self._max_steps,
    )
    if is_probability:
      noise = rounding.of_path_of_probabilities(
        start.path, end.path, integral.gradients, start_outputs, outputs
      )
      integral = integral._replace(noise=noise)
    return integral


def layer_of(model):
  """Returns the `first_layer.FirstLayer` of a model."""
  return _shared(model).layer


class _Shared(object):
  """Objects that are made once per model, which takes longer than one row.

  Attributes:
    layer: `first_layer.FirstLayer`.
    exact_sums: {output: object that integrates it exactly}.
  """

  def __init__(self, model):
    self.layer = first_layer.FirstLayer(
      model.kernel, model.column_slices.values()
    )
    self.exact_sums = {}


# Weak, since the users of a model decide how long it lives.
_shared_by_model: MutableMapping[annotated_model.AnnotatedModel, _Shared] = (
  weakref.WeakKeyDictionary()
)


def _shared(model):
  if model not in _shared_by_model:
    _shared_by_model[model] = _Shared(model)
  return _shared_by_model[model]


def _paths(model, output, max_rows, start, end, targets):
  """Returns the `quadrature.Paths` between `Points`."""

  def gradients(points, rows):
    return model.gradients(
      output, points, None if targets is None else targets[rows]
    )

  num_targets = model.num_outputs if targets is None else 1
  return quadrature.Paths(
    gradients,
    start.path,
    end.path,
    max_rows or model.points_per_call(num_targets),
  )


def _num_cores():
  """Returns the number of cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
