"""Quadrature rules on [0, 1], the straight path from a baseline to an input."""

import numpy as np

# Steps of a rule by default.
DEFAULT_NUM_STEPS = 128

# Beyond as many nodes numpy, which computes them as the eigenvalues of a matrix
# [n, n], is slow and needs much memory: 800 MB for 10,000.
_MOST_OF_NUMPY = 200


def _gausslegendre(num_steps):
  if num_steps <= _MOST_OF_NUMPY:
    nodes, weights = np.polynomial.legendre.leggauss(num_steps)
    return (nodes + 1) / 2, weights / 2
  # Newton's method on all nodes at once, from Tricomi's approximation, whose
  # error is about n**-4: two iterations would do.
  i = np.arange(num_steps, 0, -1)
  x = np.cos(np.pi * (i - 0.25) / (num_steps + 0.5))
  x *= 1 - (num_steps - 1) / (8 * num_steps**3)
  for _ in range(3):
    value, derivative = _legendre(num_steps, x)
    x -= value / derivative
  _, derivative = _legendre(num_steps, x)
  # Half of Abramowitz, Stegun 25.4.29, which is for [-1, 1].
  return (x + 1) / 2, 1 / ((1 - x * x) * derivative**2)


def _legendre(degree, x):
  """Returns the Legendre polynomial at x and its derivative there."""
  last, value = np.ones_like(x), x
  for k in range(2, degree + 1):
    last, value = value, ((2 * k - 1) * x * value - (k - 1) * last) / k
  return value, degree * (x * value - last) / (x * x - 1)


def _midpoint(num_steps):
  return (np.arange(num_steps) + 0.5) / num_steps, None


def _trapezoid(num_steps):
  weights = np.full(num_steps, 1.0 / (num_steps - 1))
  weights[[0, -1]] /= 2
  return np.linspace(0.0, 1.0, num_steps), weights


def _left(num_steps):
  return np.arange(num_steps) / num_steps, None


def _right(num_steps):
  return np.arange(1, num_steps + 1) / num_steps, None


# Name of a rule: (its function of the number of nodes, the fewest nodes).
_RULES = {
  'gausslegendre': (_gausslegendre, 1),
  'midpoint': (_midpoint, 1),
  'trapezoid': (_trapezoid, 2),
  'left': (_left, 1),
  'right': (_right, 1),
}

RULE_NAMES = tuple(_RULES)


def rule(method, num_steps):
  """Returns the nodes and weights of a quadrature rule.

  The integral of f over [0, 1] is approximately sum_k weights[k] *
  f(nodes[k]). The weights of every rule sum to 1. Gauss-Legendre is exact for
  polynomials of degree 2 * num_steps - 1, midpoint and trapezoid for degree
  1, left and right for constants.

  Args:
    method: one of `RULE_NAMES`.
    num_steps: int, the number of steps, which a rule places at its nodes; at
      least 1 (trapezoid: 2).

  Returns:
    (nodes, weights), both float64 [num_steps]; nodes rise and lie in [0, 1].

  Raises:
    ValueError: there is no such method, or too few steps.
    TypeError: `num_steps` is not an integer.
  """
  if method not in _RULES:
    raise ValueError(
      f'`method` must be one of {sorted(_RULES)}; got {method!r}. '
      'gausslegendre needs the fewest steps.'
    )
  if isinstance(num_steps, bool) or not isinstance(
    num_steps, (int, np.integer)
  ):
    raise TypeError(
      f'`num_steps` must be an integer; got {num_steps!r}. Give the number of '
      'steps on the path, such as 50.'
    )
  nodes_and_weights, fewest = _RULES[method]
  if num_steps < fewest:
    raise ValueError(
      f'`num_steps` must be at least {fewest} for {method}; got {num_steps}. '
      'Give more steps, such as 50.'
    )
  nodes, weights = nodes_and_weights(int(num_steps))
  if weights is None:
    weights = np.full(len(nodes), 1.0 / num_steps)
  return nodes, weights
