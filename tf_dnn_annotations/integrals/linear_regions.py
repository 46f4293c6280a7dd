"""Exact Integrated Gradients of piecewise linear networks.

On the straight path z(a) = start + a (end - start), a in [0, 1], through the
pre-activations z of the first hidden layer, a network of piecewise linear
activations is piecewise linear. So the integral of its gradient is a finite
sum over the regions in which no unit passes a kink.

`Swept` follows each row's path with the library of `path_sweep`. Where that was
not built, `region_sums.Summed` does the same with numpy and takes several times
as long.

Source: the integral is equation 1 of Sundararajan, Taly, Yan, "Axiomatic
Attribution for Deep Networks", ICML 2017 (arXiv 1703.01365).
"""

import numpy as np

from tf_dnn_annotations.integrals import memory
from tf_dnn_annotations.integrals import path_integral
from tf_dnn_annotations.integrals import path_sweep
from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.integrals import region_sums
from tf_dnn_annotations.integrals import region_weights
from tf_dnn_annotations.integrals import rounding

# About how many points in a region softmax is taken at.
_POINTS_PER_REGION = 8


def integrator(network, output, classes):
  """Returns the object that integrates the gradients of an output.

  Args:
    network: `piecewise_linear.Network`.
    output: 'logits' or 'probabilities'.
    classes: [num_classes, num_logits], the logits of each class as sums of
      the network's: an identity, but [[-1], [1]] for a binary classifier.

  Returns:
    `Swept` if the library was built and there are hidden layers, otherwise
    `region_sums.Summed`.
  """
  can_sweep = network.kernels and path_sweep.is_built()
  return (Swept if can_sweep else region_sums.Summed)(network, output, classes)


def cost_in_steps(network):
  """Returns about how many steps take as much time as the exact sum.

  A step is a gradient of the network at one point, which takes two
  multiplications by each kernel, in large float32 products. With
  `path_sweep` a passage of a unit through a kink takes a product with half of
  the rows of each kernel further above, each multiplication four times as long
  as in a step; with numpy a passage takes about as long as a step. Found by
  measuring random networks of three to eight layers of 64 to 2048 units.
  """
  units = [kernel.shape[0] for kernel in network.kernels]
  if len(units) <= 2:
    return 1
  passages = [piecewise_linear.PASSAGES_PER_UNIT * num for num in units[:-1]]
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
    """Packs the weights; the arguments are those of `integrator`."""
    self._network, self._output, self._classes = network, output, classes
    activations, kernels, biases = network
    if output == 'logits':
      self._weights = classes @ kernels[-1].T
      kernels, biases = kernels[:-1], biases[:-1]
    else:
      # Probabilities bend with the logits, which are a layer of their own then.
      activations += (piecewise_linear.IDENTITY,)
      self._chunk = memory.rows_within(
        memory.SCRATCH,
        piecewise_linear.num_regions(kernels)
        * kernels[-1].shape[1]
        * _POINTS_PER_REGION,
      )
    self._sweep = path_sweep.PathSweep(activations, kernels, biases)

  def integrate(self, start, end, targets):
    """Integrates dF/dz over the path of each row.

    Args:
      start: [n, units_0] or [1, units_0], pre-activations of the baselines.
      end: [n, units_0], those of the rows.
      targets: int [n], the class of each row, or None for all classes.

    Returns:
      `path_integral.PathIntegral` with T = 1 or num_classes and the number of
      regions into which each path was cut.
    """
    if self._output == 'logits':
      return self._sweep.logits(start, end, self._weights, targets)
    num_targets = len(self._classes) if targets is None else 1
    gradients = np.empty((len(end), num_targets, end.shape[1]))
    noise = np.empty(gradients.shape[:2])
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
        part = self._sweep.weighted(*path, weights[:, 0])
        gradients[rows, t : t + 1] = part.gradients
        noise[rows, t : t + 1] = part.noise
    rounding.of_probabilities(noise, self._network, start, end)
    return path_integral.PathIntegral(gradients, num_regions, noise=noise)
