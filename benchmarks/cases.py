"""The networks and rows of the benchmark, the same for all peers."""

import collections
import functools

import numpy as np

WIDTHS = (32, 300, 1000, 3000)
HIDDEN_UNITS = ((128, 64), (256, 128, 64), (1024, 512, 256))
NUM_CLASSES = (2, 10)


class Case(
  collections.namedtuple('Case', ['width', 'hidden_units', 'num_classes'])
):
  """A network of random weights, as they are before training.

  Attributes:
    width: elements of the one numeric column.
    hidden_units: tuple of the widths of the hidden layers, all of ReLU.
    num_classes: 2, with one logit, or more, with as many.
  """

  __slots__ = ()

  @property
  def num_logits(self):
    """1 for two classes."""
    return 1 if self.num_classes == 2 else self.num_classes

  @functools.lru_cache(maxsize=1)  # noqa: B019 (an instance has no state)
  def layers(self):
    """Returns the list of (kernel, bias), float32."""
    rng = np.random.RandomState(sum(self.hidden_units) + self.width)
    sizes = (self.width,) + tuple(self.hidden_units) + (self.num_logits,)
    return [
      (
        (rng.randn(fan_in, units) * np.sqrt(2 / fan_in)).astype(np.float32),
        (rng.randn(units) * 0.1).astype(np.float32),
      )
      for fan_in, units in zip(sizes[:-1], sizes[1:])
    ]

  def rows(self, num_rows):
    """Returns float32 [num_rows, width], standard normal."""
    rng = np.random.RandomState(self.width)
    return rng.randn(num_rows, self.width).astype(np.float32)

  def targets(self, x):
    """Returns int [n], the logit that is explained for each row.

    It is the highest one, so that the explained output is never near zero; a
    single logit is always explained.
    """
    for i, (kernel, bias) in enumerate(self.layers()):
      x = (np.maximum(x, 0) if i else x) @ kernel + bias
    return np.argmax(x, axis=1)

  def export(self):
    """Returns the directory of an annotated SavedModel of the network."""
    # These load TensorFlow, which not every peer should have in memory.
    from tests.support import network_export
    from tests.support import numpy_network

    return network_export.export(numpy_network.Network(self.layers()))
