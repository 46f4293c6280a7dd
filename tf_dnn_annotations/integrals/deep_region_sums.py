"""The exact sum for any number of hidden layers, by arrays over regions.

Forward, the regions of each layer cut those of the layers before. Backward, the
gradients of a layer are summed over the regions of the layer below before they
are multiplied by the kernel.
"""

import numpy as np

from tf_dnn_annotations.integrals import passages as first_passages
from tf_dnn_annotations.integrals import piecewise_linear


def integrate(network, passages, head):
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
    # A probability bends with the logits, so it needs the regions of the last
    # layer too.
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
  there is no layer between them and the first one, times the region's length.
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
  z, slope = first_passages.second_layer_at_start(network, passages)
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

  # All ends, old and new, as a region and a share of it; padding at the end.
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
    passages: `passages.Passages`.
    sums: [n, num + 2, units_1], the gradients integrated up to each end of the
      first layer's regions.

  Returns:
    (full [n, units_0], at_passages [num, n]), the arguments of
    `Passages.sums`.
  """
  kernel = network.kernels[0]
  at_passages = np.empty(passages.times.shape)
  for m in range(len(passages)):
    rows = kernel[passages.units[m]]
    np.einsum('bk,bk->b', rows, sums[:, m + 1], out=at_passages[m])
  return sums[:, len(passages) + 1] @ kernel.T, at_passages
