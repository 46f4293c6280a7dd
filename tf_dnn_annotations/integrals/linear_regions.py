"""Exact Integrated Gradients of piecewise linear networks.

On the straight path z(a) = start + a (end - start), a in [0, 1], through the
pre-activations z of the first hidden layer, a network of piecewise linear
activations is piecewise linear. So the integral of its gradient is a finite
sum over the regions in which no unit passes a kink.

`Swept` goes along each row's path with the library of `path_sweep`. Where that
was not built, `region_sums.Summed` does the same with numpy, several times more
slowly.

Source: the integral is equation 1 of Sundararajan, Taly, Yan, "Axiomatic
Attribution for Deep Networks", ICML 2017 (arXiv 1703.01365).
"""

import numpy as np

from tf_dnn_annotations.integrals import path_sweep
from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.integrals import region_sums
from tf_dnn_annotations.integrals import region_weights

# Logits at the ends of regions that are held at once. Their softmax is taken at
# some ten points in each region, so that this takes about 30 MB.
_REGION_NUMBERS = 1 << 17


def integrator(network, output, classes):
  """Returns what integrates gradients of an output: a `Swept` if that can be.

  Args:
    network: `piecewise_linear.Network`.
    output: 'logits' or 'probabilities'.
    classes: [num_classes, num_logits], the logits of each class as sums of
      the network's: an identity, but [[-1], [1]] for a binary classifier.
  """
  can_sweep = network.kernels and path_sweep.is_built()
  return (Swept if can_sweep else region_sums.Summed)(network, output, classes)


def cost_in_nodes(network):
  """Returns about how many nodes take as much time as the exact sum.

  A node is a gradient of the network at one point, which takes two
  multiplications by each kernel, of float32 numbers in large products. With
  `path_sweep` a passage takes a product with half of the rows of each kernel
  further above, each multiplication four times as long as in a node; by numpy
  a passage takes about as long as a node. Found by measuring random networks of
  three to eight layers of 64 to 2048 units.
  """
  units = [kernel.shape[0] for kernel in network.kernels]
  if len(units) <= 2:
    return 1
  passages = [piecewise_linear.PASSAGES_A_UNIT * num for num in units[:-1]]
  if not path_sweep.is_built():
    return sum(passages)
  sizes = [kernel.size for kernel in network.kernels[:-1]]
  products = sum(
    num * sum(sizes[i + 1 :]) / 2 for i, num in enumerate(passages)
  )
  return 4 * products / (2 * sum(sizes))


class Swept(object):
  """The integral by `path_sweep`, of a network with hidden layers."""

  def __init__(self, network, output, classes):
    """Packs the weights; arguments are those of `integrator`."""
    self._output, self._classes = output, classes
    activations, kernels, biases = network
    if output == 'logits':
      self._weights = classes @ kernels[-1].T
      kernels, biases = kernels[:-1], biases[:-1]
    else:
      # Probabilities bend with the logits, which are a layer of their own then.
      activations += (piecewise_linear.IDENTITY,)
      regions = (
        piecewise_linear.PASSAGES_A_UNIT
        * sum(kernel.shape[0] for kernel in kernels)
        + 1
      )
      self._chunk = max(
        1, int(_REGION_NUMBERS / (regions * kernels[-1].shape[1]))
      )
    self._sweep = path_sweep.PathSweep(activations, kernels, biases)

  def integrate(self, start, end, targets, noise=None):
    """Returns the integral of dF/dz over the path for each row.

    Args:
      start: [n, units_0] or [1, units_0], pre-activations of the baselines.
      end: [n, units_0], those of the rows.
      targets: int [n], the class of each row, or None for all classes.
      noise: None, or float64 [n, T] that is set to what
        `rounding.of_path` is.

    Returns:
      (integrals, num_regions): float64 [n, T, units_0] with T = 1 or
      num_classes, and int64 [n], the regions that each row's path was cut into.
    """
    if self._output == 'logits':
      return self._sweep.logits(start, end, self._weights, targets, noise)
    num_targets = len(self._classes) if targets is None else 1
    integrals = np.empty((len(end), num_targets, end.shape[1]))
    num_regions = np.empty(len(end), np.int64)
    for first in range(0, len(end), self._chunk):
      rows = slice(first, first + self._chunk)
      path = start if len(start) == 1 else start[rows], end[rows]
      ends, steps, num_regions[rows] = self._sweep.regions(*path)
      ids = None
      if targets is not None:
        ids = np.repeat(targets[rows], num_regions[rows])
      head = region_weights.Head(self._output, self._classes, ids)
      for t, weights in enumerate(
        head.region_weights(ends, steps[:, np.newaxis])
      ):
        felt = None if noise is None else np.empty((len(path[1]), 1))
        integrals[rows, t : t + 1] = self._sweep.weighted(
          *path, weights[:, 0], felt
        )
        if noise is not None:
          noise[rows, t : t + 1] = felt
    return integrals, num_regions
