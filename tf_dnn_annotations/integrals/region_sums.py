"""The exact sum over linear regions by arrays over rows and regions.

With numpy alone, in float64, for many rows at a time. Three facts keep the sum
short:

- Each unit of the first layer passes a kink at most once, at an a in closed
  form. When unit j passes one, the second layer's pre-activations change their
  slope by a multiple of row j of the kernel between the two: prefix sums over
  the sorted passages give the second layer everywhere, O(H1 H2) a row.
- The last hidden layer needs no regions of its own: in a region of the layers
  before, each of its pre-activations is linear, and the mean of the
  activation's slope over the region is a closed form of the two ends.
- Going back, a layer's gradients are summed over the regions of the layer
  below before they are multiplied by the kernel.
"""

import numpy as np

from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.integrals import region_weights
from tf_dnn_annotations.integrals import rounding

# Rounding of pre-activations, as a share of what they may be: a hundred
# roundings. As in path_sweep.c.
_ROUNDING = 2.0**-47

# Bytes of the largest arrays of a chunk of rows: found by trial, about a share
# of a core's second-level cache for two hidden layers, for more of them the
# least that keeps matrix products efficient.
_SHALLOW_CHUNK_BYTES = 1 << 17
_DEEP_CHUNK_BYTES = 1 << 22


class Summed(object):
  """The integral by arrays over rows and regions, with numpy."""

  def __init__(self, network, output, classes):
    """Converts the weights; arguments as of `linear_regions.integrator`."""
    self._output, self._classes = output, classes
    self._network = network.astype(np.float64)
    self._chunk = _rows_a_chunk(network, output)

  def integrate(self, start, end, targets, noise=None):
    """As `linear_regions.Swept.integrate`."""
    num_rows, num_units = end.shape
    start = np.broadcast_to(start, end.shape)
    num_targets = len(self._classes) if targets is None else 1
    integrals = np.empty((num_rows, num_targets, num_units))
    num_regions = np.empty(num_rows, np.int64)
    for first in range(0, num_rows, self._chunk):
      rows = slice(first, first + self._chunk)
      z0, z1 = start[rows].astype(np.float64), end[rows].astype(np.float64)
      head = region_weights.Head(
        self._output, self._classes, None if targets is None else targets[rows]
      )
      integrals[rows], num_regions[rows] = _integrate(
        self._network, z0, z1, head
      )
    if noise is not None:
      noise[:] = rounding.of_path(start, end, integrals, self._network.span)
    return integrals, num_regions


def _rows_a_chunk(network, output):
  units = [kernel.shape[0] for kernel in network.kernels]
  if len(units) <= 2 and output == 'logits':
    return max(16, _SHALLOW_CHUNK_BYTES // (8 * max(units[1:] or units or [1])))
  regions = piecewise_linear.PASSAGES_A_UNIT * sum(units) + 1
  return max(1, int(_DEEP_CHUNK_BYTES / (8 * regions * max(units[1:] + [16]))))


def _integrate(network, start, end, head):
  """`Summed.integrate` for one chunk of rows."""
  num_hidden = len(network.kernels)
  if num_hidden == 0:
    return _no_hidden_layer(start, end, head), np.ones(len(end), np.int64)
  if num_hidden == 1 and head.output == 'logits':
    slope = network.activations[0].mean_slope(start, end)
    weights = head.logit_weights() @ network.kernels[0].T
    return slope[:, np.newaxis] * weights, np.ones(len(end), np.int64)
  passages = _Passages(network.activations[0], start, end)
  if num_hidden == 2 and head.output == 'logits':
    return _two_layers(network, passages, head), passages.num_regions
  return _deep(network, passages, head)


def _no_hidden_layer(start, end, head):
  """The sum where the logits themselves move on a straight line."""
  if head.output == 'logits':
    weights = head.logit_weights()
    return np.broadcast_to(weights, (len(end),) + weights.shape[1:])
  ends = np.stack([start, end], axis=1)
  steps = np.ones((len(end), 1))
  weights = head.region_weights(ends, steps)
  return np.concatenate(list(weights), axis=1)


class _Passages(object):
  """The passages of the first layer's units through kinks, in path order.

  Rows have different numbers of passages: shorter rows are filled up with
  passages at the end of the path that change nothing.

  Attributes:
    start, delta: [n, units], the path is start + a * delta.
    times: [num, n], the a of each passage.
    units: int [num, n], who passes.
    jumps: [num, n], by how much the derivative of the unit's output with
      respect to a changes: the change of slope times delta, sign included.
    slope_changes: [num, n], by how much the unit's slope changes.
    first_slopes: [n, units], the slopes at the beginning of the path.
    num_regions: int [n], those between passages that do not coincide.
  """

  def __init__(self, activation, start, end):
    delta = end - start
    num_units = start.shape[1]
    times = []
    self.first_slopes = np.full(start.shape, activation.slopes[0])
    for kink, jump, side in activation.jumps:
      with np.errstate(divide='ignore', invalid='ignore'):
        time = (kink - start) / delta
      times.append(np.where((time > 0) & (time < 1), time, 2.0))
      moves_up = delta > 0 if side > 0 else delta >= 0
      beyond = (start > kink) | ((start == kink) & moves_up)
      self.first_slopes += jump * beyond
    if times:
      times = np.concatenate(times, axis=1)
    else:
      times = np.zeros((len(start), 0))
    count = (times < 1).sum(axis=1)
    num = count.max() if len(count) else 0
    # Only the `num` earliest of each row are needed, in order.
    order = np.argsort(times, axis=1)[:, :num]
    times = np.take_along_axis(times, order, axis=1).T
    self.times = np.ascontiguousarray(np.minimum(times, 1))
    kinks, self.units = np.divmod(np.ascontiguousarray(order.T), num_units)
    moved = np.take_along_axis(delta, self.units.T, axis=1).T
    jumps = np.array([jump for _, jump, _ in activation.jumps] or [0.0])
    self.slope_changes = np.sign(moved) * jumps[kinks] * (times < 1)
    self.start, self.delta = start, delta
    self.jumps = self.slope_changes * moved
    is_apart = np.diff(times, axis=0, prepend=0) > 0
    self.num_regions = (is_apart & (times < 1)).sum(axis=0) + 1

  def __len__(self):
    return len(self.times)

  def shifts(self, network):
    """Returns [n, units] for each layer above: what counts as on a kink."""
    return [
      _ROUNDING * size + np.finfo(np.float64).tiny
      for size in network.sizes(self.start, self.start + self.delta)
    ]

  def sums(self, full, at_passages):
    """Sums a gradient over the part of the path on which each unit is on.

    Args:
      full: [n, T, units], the gradient's integral over the whole path.
      at_passages: [num, n, T], its integral up to each passage, for the unit
        that passes.

    Returns:
      float64 [n, T, units].
    """
    num_rows, num_targets, num_units = full.shape
    result = self.first_slopes[:, np.newaxis] * full
    row = np.arange(num_rows)
    flat = row * num_units + self.units  # [num, n]
    for t in range(num_targets):
      # After its passage the unit has another slope.
      rest = full[row, t, self.units] - at_passages[:, :, t]
      changes = np.bincount(
        flat.ravel(),
        (self.slope_changes * rest).ravel(),
        minlength=num_rows * num_units,
      )
      result[:, t] += changes.reshape(num_rows, num_units)
    return result


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
  z, slope = _second_layer_at_start(network, passages)
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


def _second_layer_at_start(network, passages):
  """Returns z [n, units_1] at the start of the path and dz/da there."""
  kernel = network.kernels[0]
  z = network.activations[0](passages.start) @ kernel
  slope = passages.first_slopes * passages.delta
  return z + network.biases[0], slope @ kernel


def _deep(network, passages, head):
  """The sum for any number of hidden layers and any output.

  Returns:
    (sums float64 [n, T, units_0], number of regions int [n])
  """
  num_hidden = len(network.kernels)
  # Forward: the pre-activations of one layer after the other at the ends of
  # the regions of all layers before.
  times, z = _first_level(network, passages)
  levels = []
  shifts = passages.shifts(network)
  for i in range(1, num_hidden):
    activation = network.activations[i]
    shift = shifts[i - 1][:, np.newaxis]
    if i == num_hidden - 1 and head.output == 'logits':
      levels.append((None, activation.mean_slope(z[:, :-1], z[:, 1:], shift)))
      break
    # A probability bends with the logits, so that it needs the regions of the
    # last layer too.
    times, z, position = _refine(activation, times, z, shift)
    # In the middle of a region, times two.
    sums = z[:, :-1] + z[:, 1:]
    if activation == piecewise_linear.RELU:
      levels.append((position, sums > 2 * shift))
    else:
      levels.append((position, activation.slope(sums / 2, shift)))
    del sums
    z = activation(z, out=z) @ network.kernels[i]
    z += network.biases[i]
  steps = np.diff(times, axis=1)

  # Back, for one target after the other.
  fulls, at_passages = [], []
  for gradients in _last_gradients(network, head, z, steps):
    for i in range(num_hidden - 1, 0, -1):
      position, slopes = levels[i - 1]
      gradients *= slopes
      if position is not None:
        # Fewer regions below: sums up to the ends that they have.
        sums = _running_sums(gradients)
        sums = sums[np.arange(len(sums))[:, np.newaxis], position]
        gradients = np.diff(sums, axis=1) if i > 1 else None
      if i > 1:
        gradients = gradients @ network.kernels[i - 1].T
    if gradients is not None:
      sums = _running_sums(gradients)
    full, at_passage = _back_to_first(network, passages, sums)
    fulls.append(full)
    at_passages.append(at_passage)
  sums = passages.sums(np.stack(fulls, axis=1), np.stack(at_passages, axis=2))
  return sums, (steps > 0).sum(axis=1)


def _last_gradients(network, head, z, steps):
  """Yields, target by target, the gradient on each region.

  It is with respect to the last hidden layer's output, or to the logits where
  those are all there is after the first layer, times the region's length.
  """
  kernel = network.kernels[-1]
  has_more_layers = len(network.kernels) > 1
  if head.output == 'logits' and has_more_layers:
    weights = head.logit_weights() @ kernel.T
    for t in range(weights.shape[1]):
      yield weights[:, t, np.newaxis] * steps[:, :, np.newaxis]
    return
  for weights in head.region_weights(z, steps):
    yield weights @ kernel.T if has_more_layers else weights


def _first_level(network, passages):
  """Returns the second layer at the ends of the first layer's regions.

  Returns:
    (times [n, num + 2], z [n, num + 2, units_1]).
  """
  kernel = network.kernels[0]
  z, slope = _second_layer_at_start(network, passages)
  num_rows, num = len(z), len(passages)
  times = np.zeros((num_rows, num + 2))
  times[:, 1:-1] = passages.times.T
  times[:, -1] = 1
  steps = np.diff(times, axis=1)
  ends = np.empty((num_rows, num + 2, kernel.shape[1]))
  ends[:, 0] = z
  for m in range(num + 1):
    ends[:, m + 1] = ends[:, m] + slope * steps[:, m, np.newaxis]
    if m < num:
      slope += kernel[passages.units[m]] * passages.jumps[m][:, np.newaxis]
  return times, ends


def _refine(activation, times, z, shift):
  """Cuts regions where a unit passes a kink.

  Args:
    activation: of the layer whose units pass.
    times: [n, num], the ends of the regions.
    z: [n, num, units], the layer's pre-activations there.
    shift: [n, 1, units], by how much kinks are shifted.

  Returns:
    (times [n, num'], z [n, num', units], position int [n, num], where the old
    ends stand among the new ones).
  """
  num_rows, num = times.shape
  row, region, share = [], [], []
  for kink, _, side in activation.jumps:
    shifted = kink + side * shift
    above = z > shifted
    # Much faster than np.nonzero on three axes.
    found = np.flatnonzero(above[:, 1:] != above[:, :-1])
    found = np.unravel_index(found, (num_rows, num - 1, z.shape[2]))
    low = z[found]
    high = z[found[0], found[1] + 1, found[2]]
    row.append(found[0])
    region.append(found[1])
    kinks = shifted[found[0], 0, found[2]]
    share.append((kinks - low) / (high - low))
  if not row:
    return times, z, np.tile(np.arange(num), (num_rows, 1))
  row, region, share = (np.concatenate(part) for part in (row, region, share))
  order = np.argsort(row, kind='stable')
  row, region, share = row[order], region[order], share[order]
  count = np.bincount(row, minlength=num_rows)
  most = count.max() if num_rows else 0
  column = (
    num + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
  )

  # All ends, old and new, as a region and a share of it; fill-ups at the end.
  regions = np.full((num_rows, num + most), num - 1)
  shares = np.zeros((num_rows, num + most))
  regions[:, :num] = np.arange(num)
  regions[row, column] = region
  shares[row, column] = share
  next_times = np.append(times[:, 1:], times[:, -1:], axis=1)
  low = np.take_along_axis(times, regions, axis=1)
  high = np.take_along_axis(next_times, regions, axis=1)
  all_times = low + shares * (high - low)
  # Stable, and by region first: rounding cannot mix up two regions.
  order = np.lexsort((shares, regions), axis=1)
  position = np.empty_like(order)
  np.put_along_axis(
    position,
    order,
    np.broadcast_to(np.arange(num + most), order.shape),
    axis=1,
  )
  regions = np.take_along_axis(regions, order, axis=1)
  shares = np.take_along_axis(shares, order, axis=1)[:, :, np.newaxis]
  index = np.arange(num_rows)[:, np.newaxis]
  low = z[index, regions]
  high = z[index, np.minimum(regions + 1, num - 1)]
  high -= low
  high *= shares
  high += low
  return (
    np.take_along_axis(all_times, order, axis=1),
    high,
    position[:, :num],
  )


def _running_sums(values):
  """Returns [n, num + 1, units]: the sums of the first 0 to num values."""
  num_rows, num, units = values.shape
  sums = np.empty((num_rows, num + 1, units))
  sums[:, 0] = 0
  for m in range(num):
    np.add(sums[:, m], values[:, m], out=sums[:, m + 1])
  return sums


def _back_to_first(network, passages, sums):
  """Carries gradients of the second layer back to the first.

  Args:
    network: `piecewise_linear.Network`.
    passages: `_Passages`.
    sums: [n, num + 2, units_1], the gradients integrated up to each end of the
      first layer's regions.

  Returns:
    (full [n, units_0], at_passages [num, n]): what `_Passages.sums` takes.
  """
  kernel = network.kernels[0]
  at_passages = np.empty(passages.times.shape)
  for m in range(len(passages)):
    rows = kernel[passages.units[m]]
    np.einsum('bk,bk->b', rows, sums[:, m + 1], out=at_passages[m])
  return sums[:, len(passages) + 1] @ kernel.T, at_passages
