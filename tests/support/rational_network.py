"""A small piecewise linear network in rational numbers, without any rounding.

It is the reference for units that rest exactly on a kink, where float64 cannot
decide. Weights and paths are whole numbers, or floats, which are rational too.
"""

from fractions import Fraction

import numpy as np

# Nodes for probabilities, which are not linear between kinks. The error is
# below 1e-12 for logits that move by less than 40.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def integrals(network, start, end, output, classes, target):
  """Returns the integral of dF/dz over one path, float64 [units].

  At a kink the slope of an activation is its `kink_slopes`.

  Args:
    network: `piecewise_linear.Network`.
    start, end: [units], the first layer's pre-activations.
    output: 'logits' or 'probabilities'.
    classes: [num_classes, num_logits], the logits of the classes as sums of
      the network's.
    target: the class.
  """
  layers = [
    (activation, _rational(kernel), _rational(bias))
    for activation, kernel, bias in zip(*network)
  ]
  start, end = _rational(start), _rational(end)
  total = np.zeros(len(start))
  ends = _kinks(layers, start, end)
  for low, high in zip(ends[:-1], ends[1:]):
    slopes = []
    z = _at(start, end, (low + high) / 2)
    for activation, kernel, bias in layers:
      slopes.append(_array([_slope(activation, value) for value in z]))
      z = _value(activation, z) @ kernel + bias
    # Between kinks the logits are linear and the backward pass is constant.
    logits = [
      _logits(layers, _at(start, end, a)).astype(float) for a in (low, high)
    ]
    gradient = _output_gradient(*logits, output, np.asarray(classes), target)
    gradient = _rational(gradient)
    for (_, kernel, _), slope in zip(layers[::-1], slopes[::-1]):
      gradient = slope * (kernel @ gradient)
    total += ((high - low) * gradient).astype(float)
  return total


def _kinks(layers, start, end):
  """Returns where on the path a unit passes a kink, with 0 and 1."""
  ends = [Fraction(0), Fraction(1)]
  for depth, (activation, _, _) in enumerate(layers):
    z = [_logits(layers[:depth], _at(start, end, a)) for a in ends]
    new = set(ends)
    for low, high, before, after in zip(ends, ends[1:], z, z[1:]):
      for kink in map(Fraction, activation.kinks):
        for a, b in zip(before - kink, after - kink):
          if a * b < 0:
            new.add(low + (high - low) * a / (a - b))
    ends = sorted(new)
  return ends


def _logits(layers, z):
  for activation, kernel, bias in layers:
    z = _value(activation, z) @ kernel + bias
  return z


def _value(activation, z):
  """Returns the function by its definition, from zero outwards."""
  results = []
  for value in z:
    points = sorted({Fraction(0), value, *map(Fraction, activation.kinks)})
    points = [p for p in points if min(0, value) <= p <= max(0, value)]
    results.append(
      sum(
        (
          (high - low) * _slope(activation, (low + high) / 2)
          for low, high in zip(points, points[1:])
        ),
        Fraction(0),
      )
      * (1 if value > 0 else -1)
    )
  return _array(results)


def _slope(activation, value):
  for kink, left, on in zip(
    activation.kinks, activation.slopes, activation.kink_slopes
  ):
    if value <= kink:
      return Fraction(on if value == kink else left)
  return Fraction(activation.slopes[-1])


def _output_gradient(low, high, output, classes, target):
  """Returns the mean of dF/dlogits where logits go from `low` to `high`."""
  if output == 'logits':
    return classes[target]
  points = low + (_NODES[:, np.newaxis] + 1) / 2 * (high - low)
  if classes.shape[1] == 1:
    p = 1 / (1 + np.exp(-points))
    gradients = classes[target] * p * (1 - p)
  else:
    p = np.exp(points - points.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    gradients = p[:, [target]] * (np.eye(p.shape[1])[target] - p)
  return _WEIGHTS / 2 @ gradients


def _at(start, end, position):
  return start + position * (end - start)


def _rational(values):
  values = np.asarray(values, np.float64)
  return _array([Fraction(value) for value in values.ravel()]).reshape(
    values.shape
  )


def _array(values):
  result = np.empty(len(values), object)
  result[:] = values
  return result
