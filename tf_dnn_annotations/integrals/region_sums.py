"""The exact sum over linear regions by arrays over rows and regions.

With numpy alone, in float64, for many rows at a time. Three facts keep the sum
short:

- Each unit of the first layer passes a kink at most once, at an a in closed
  form. When unit j passes one, the second layer's pre-activations change their
  slope by a multiple of row j of the kernel between the two: prefix sums over
  the sorted passages give the second layer everywhere, O(H1 H2) per row.
- The last hidden layer needs no regions of its own: in a region of the layers
  before, each of its pre-activations is linear, and the mean of the
  activation's slope over the region is a closed form of the two ends.
- Backward, a layer's gradients are summed over the regions of the layer below
  before they are multiplied by the kernel: `deep_region_sums`.
"""

import numpy as np

from tf_dnn_annotations.integrals import deep_region_sums
from tf_dnn_annotations.integrals import memory
from tf_dnn_annotations.integrals import passages as first_passages
from tf_dnn_annotations.integrals import path_integral
from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.integrals import region_weights
from tf_dnn_annotations.integrals import rounding

# With two hidden layers, a chunk of rows has several arrays in the core's cache
# at once: this many, and at least so many rows. Found by trial.
_SHALLOW_ARRAYS = 8
_SHALLOW_ROWS = 16


class Summed(object):
  """The integral by arrays over rows and regions, with numpy."""

  def __init__(self, network, output, classes):
    """Converts the weights; arguments as for `linear_regions.integrator`."""
    self._output, self._classes = output, classes
    self._network = network.astype(np.float64)
    self._chunk = _rows_per_chunk(network, output)

  def integrate(self, start, end, targets):
    """As `linear_regions.Swept.integrate`."""
    num_rows, num_units = end.shape
    starts = np.broadcast_to(start, end.shape)
    num_targets = len(self._classes) if targets is None else 1
    gradients = np.empty((num_rows, num_targets, num_units))
    num_regions = np.empty(num_rows, np.int64)
    for first in range(0, num_rows, self._chunk):
      rows = slice(first, first + self._chunk)
      z0, z1 = starts[rows].astype(np.float64), end[rows].astype(np.float64)
      head = region_weights.Head(
        self._output, self._classes, None if targets is None else targets[rows]
      )
      gradients[rows], num_regions[rows] = _integrate(
        self._network, z0, z1, head
      )
    noise = rounding.of_path(starts, end, gradients, self._network.span)
    if self._output == 'probabilities':
      rounding.of_probabilities(noise, self._network, start, end)
    return path_integral.PathIntegral(gradients, num_regions, noise=noise)


def _rows_per_chunk(network, output):
  units = [kernel.shape[0] for kernel in network.kernels]
  if len(units) <= 2 and output == 'logits':
    return memory.rows_within(
      memory.CORE_CACHE,
      _SHALLOW_ARRAYS * max(units[1:] or units or [1]),
      _SHALLOW_ROWS,
    )
  # The least that keeps matrix products efficient.
  return memory.rows_within(
    memory.SHARED_CACHE,
    piecewise_linear.num_regions(network.kernels) * max(units[1:] + [16]),
  )


def _integrate(network, start, end, head):
  """`Summed.integrate` for one chunk of rows."""
  num_hidden = len(network.kernels)
  if num_hidden == 0:
    return _no_hidden_layer(start, end, head), np.ones(len(end), np.int64)
  if num_hidden == 1 and head.output == 'logits':
    slope = network.activations[0].mean_slope(start, end)
    weights = head.logit_weights() @ network.kernels[0].T
    return slope[:, np.newaxis] * weights, np.ones(len(end), np.int64)
  passages = first_passages.Passages(network.activations[0], start, end)
  if num_hidden == 2 and head.output == 'logits':
    return _two_layers(network, passages, head), passages.num_regions
  return deep_region_sums.integrate(network, passages, head)


def _no_hidden_layer(start, end, head):
  """The sum where the logits themselves move on a straight line."""
  if head.output == 'logits':
    weights = head.logit_weights()
    return np.broadcast_to(weights, (len(end),) + weights.shape[1:])
  ends = np.stack([start, end], axis=1)
  steps = np.ones((len(end), 1))
  weights = head.region_weights(ends, steps)
  return np.concatenate(list(weights), axis=1)


def _two_layers(network, passages, head):
  """The sum for two hidden layers: no array is larger than [n, units_1].

  on_time[:, k] is the integral of the slope of unit k of the second layer up
  to the passage that the loop has reached; for one target times its weight.
  """
  second = network.activations[1]
  kernel, out_kernel = network.kernels
  weights = head.logit_weights() @ out_kernel.T
  num_rows, num_targets = len(passages.start), weights.shape[1]
  weight = np.ascontiguousarray(weights[:, 0]) if num_targets == 1 else None
  z, slope = first_passages.second_layer_at_start(network, passages)
  # A unit that rests within rounding of a kink is on the side that counts.
  shifts = [
    kink + side * passages.shifts(network)[0] for kink, _, side in second.jumps
  ]
  if shifts:
    z -= shifts[0]  # From here on, the first kink is at zero.
  on_time = np.zeros_like(z)
  at_passages = np.empty((len(passages), num_rows, num_targets))
  z_next, length, share, rows = (np.empty_like(z) for _ in range(4))
  previous = np.zeros(num_rows)
  with np.errstate(divide='ignore', invalid='ignore'):
    for m in range(len(passages) + 1):
      is_end = m == len(passages)
      time = np.ones_like(previous) if is_end else passages.times[m]
      step = (time - previous)[:, np.newaxis]
      previous = time
      # Activation.mean_slope of the two ends times the step, but in place.
      np.multiply(slope, step, out=length)
      np.add(z, length, out=z_next)
      np.maximum(z, z_next, out=z)
      np.abs(slope, out=length)
      if second.slopes[0]:
        # Left of all kinks. Of one target `share` is weighted below.
        share[:] = second.slopes[0] * step
        _add(on_time, share, weight)
      for (_, jump, _), shift in zip(second.jumps, shifts):
        above = z if shift is shifts[0] else z - (shift - shifts[0])
        np.divide(above, length, out=share)
        np.fmax(share, 0, out=share)
        np.fmin(share, step, out=share)
        if jump != 1:
          share *= jump
        _add(on_time, share, weight)
      z, z_next = z_next, z
      if is_end:
        break
      np.take(kernel, passages.units[m], axis=0, out=rows, mode='clip')
      if weight is not None:
        np.einsum('bk,bk->b', rows, on_time, out=at_passages[m, :, 0])
      else:
        # All targets: every row has the same.
        np.multiply(rows, on_time, out=share)
        np.matmul(share, weights[0].T, out=at_passages[m])
      np.multiply(rows, passages.jumps[m][:, np.newaxis], out=rows)
      np.add(slope, rows, out=slope)
  full = on_time[:, np.newaxis]
  if weight is None:
    full = full * weights
  return passages.sums(np.matmul(full, kernel.T), at_passages)


def _add(on_time, share, weight):
  """Adds to `on_time` in place; overwrites `share`."""
  if weight is not None:
    np.multiply(share, weight, out=share)
  np.add(on_time, share, out=on_time)
