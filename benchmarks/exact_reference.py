"""Exact Integrated Gradients of a ReLU network, to measure errors against.

Plain float64 numpy, one row at a time, and on purpose without the package's
own code and without its savings: every unit of every hidden layer cuts the
path where it passes zero, and each region between two cuts, on which the
network is linear, gives one gradient.
"""

import numpy as np


def attributions(layers, x, target):
  """Returns the attributions of one row against a baseline of zeros.

  Args:
    layers: list of (kernel [fan_in, units], bias [units]), the logits' last.
    x: [width].
    target: which logit.

  Returns:
    float64 [width]
  """
  layers = [
    (kernel.astype(np.float64), bias.astype(np.float64))
    for kernel, bias in layers
  ]
  x = x.astype(np.float64)
  kernel, bias = layers[0]
  first_change = x @ kernel

  # Layer by layer, the ends of the regions on which the network is linear.
  ends = np.array([0.0, 1.0])
  for depth in range(len(layers) - 1):
    z = _pre_activations(layers, bias + np.outer(ends, first_change))[depth]
    low, high = z[:-1], z[1:]
    region, unit = np.nonzero((low > 0) != (high > 0))
    low, high = low[region, unit], high[region, unit]
    cuts = ends[region] + low / (low - high) * np.diff(ends)[region]
    ends = np.unique(np.concatenate([ends, cuts]))

  # The gradient in the middle of each region, weighted by its length.
  middles = (ends[:-1] + ends[1:]) / 2
  zs = _pre_activations(layers, bias + np.outer(middles, first_change))
  gradients = np.diff(ends)[:, np.newaxis]
  gradients = gradients * layers[-1][0][:, target]
  for depth in range(len(layers) - 2, -1, -1):
    gradients = gradients * (zs[depth] > 0)
    if depth:
      gradients = gradients @ layers[depth][0].T
  return x * (kernel @ gradients.sum(axis=0))


def error(values, exact):
  """Returns the largest error of some rows' attributions, both [n, width].

  An error is the largest absolute difference of an element from the exact
  value, relative to the row's largest absolute exact attribution.
  """
  differences = np.abs(values - exact).max(axis=1)
  return float((differences / np.abs(exact).max(axis=1)).max())


def _pre_activations(layers, z):
  """Returns the list of [n, units] of all layers, given the first's."""
  results = [z]
  for kernel, bias in layers[1:]:
    results.append(np.maximum(results[-1], 0) @ kernel + bias)
  return results
