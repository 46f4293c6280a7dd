"""Passages of the first layer's units through kinks, in arrays over rows."""

import numpy as np

# Rounding of pre-activations, as a share of their size: a hundred roundings. As
# in path_sweep.c.
_ROUNDING = 2.0**-47


class Passages(object):
  """The passages of the first layer's units through kinks, in path order.

  Rows have different numbers of passages: shorter rows are padded with passages
  at the end of the path that change nothing.

  Attributes:
    start, delta: [n, units], the path is start + a * delta.
    times: [num, n], the a of each passage.
    units: int [num, n], the unit that passes.
    jumps: [num, n], by how much the derivative of the unit's output with
      respect to a changes: the change of slope times delta, sign included.
    slope_changes: [num, n], by how much the unit's slope changes.
    first_slopes: [n, units], the slopes at the beginning of the path.
    num_regions: int [n], the number of regions between passages that do not
      coincide.
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
    """Returns [n, units] per layer above: the distance that is on a kink."""
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


def second_layer_at_start(network, passages):
  """Returns (z, dz/da) of the second layer at the start, [n, units_1] each."""
  kernel = network.kernels[0]
  z = network.activations[0](passages.start) @ kernel
  slope = passages.first_slopes * passages.delta
  return z + network.biases[0], slope @ kernel
