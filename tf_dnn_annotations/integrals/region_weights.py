"""The weights that an output gives to the logits on a region of a path."""

import collections

import numpy as np

from tf_dnn_annotations.integrals import memory

# Quadrature nodes for softmax on a region, by their number.
_NUM_NODES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_NODES = [np.polynomial.legendre.leggauss(n) for n in _NUM_NODES]

# A region over which the logits move further apart than this is cut into
# pieces over which they do not. 128 nodes suffice up to it.
_MOST_SPREAD = 64.0

# exp(-_UNLIKELY) vanishes beside 1 in float64.
_UNLIKELY = 45.0

# Logits of 1e16 have no digits left of those that matter to softmax, so halving
# their regions ends there.
_MOST_HALVINGS = 48

# -log of the bound on the quadrature's error, 1e-9.
_MINUS_LOG_ERROR = 20.7


class Head(object):
  """The output that is explained, as a function of the network's logits.

  Attributes:
    output: 'logits' or 'probabilities'.
  """

  def __init__(self, output, classes, targets):
    """Makes the head for n rows.

    Args:
      output: 'logits' or 'probabilities'.
      classes: [num_classes, num_logits], the logits of the classes as sums of
        the network's.
      targets: int [n], the class of each row, or None for all classes.
    """
    self.output = output
    self._classes = np.asarray(classes, np.float64)
    self._targets = targets

  def logit_weights(self):
    """Returns the weights of the logits, [n, T, num_logits].

    With all classes [1, num_classes, num_logits], the same for every row.
    """
    if self._targets is None:
      return self._classes[np.newaxis]
    return self._classes[self._targets][:, np.newaxis]

  def region_weights(self, logits, steps):
    """Yields the integral of dF/dlogits over each region, target by target.

    Args:
      logits: [n, num + 1, num_logits] at the ends of the regions, between
        which they are linear. For output 'logits' not used.
      steps: [n, num], the lengths of the regions.

    Yields:
      [n, num, num_logits], T times.
    """
    steps = steps[:, :, np.newaxis]
    if self.output == 'logits':
      weights = self.logit_weights()
      for t in range(weights.shape[1]):
        yield weights[:, t][:, np.newaxis] * steps
      return
    num_targets = len(self._classes) if self._targets is None else 1
    means = self._sigmoid_means if self._is_binary else self._softmax_means
    mean_of_class = means(logits[:, :-1], logits[:, 1:])
    for t in range(num_targets):
      chosen = (
        np.full(len(logits), t) if self._targets is None else self._targets
      )
      yield mean_of_class(chosen) * steps

  @property
  def _is_binary(self):
    return self._classes.shape[1] == 1

  def _probabilities(self, logits):
    """Returns the probabilities [..., num_classes]."""
    # The two classes of a binary head have the logits 0 and the given one.
    if self._is_binary:
      logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    exps = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)

  def _sigmoid_means(self, low, high):
    """Returns a function of the class, the mean of dP/dlogit on regions.

    The mean of the sigmoid's derivative between two logits is the difference
    of the sigmoids over the difference of the logits.
    """
    at_ends = [self._probabilities(end)[..., 1:] for end in (low, high)]
    middle = self._probabilities((low + high) / 2)[..., 1:]
    difference = high - low
    # For shorter regions, the derivative in the middle is right to 1e-9.
    is_short = np.abs(difference) < 1e-4
    mean = np.where(
      is_short,
      middle * (1 - middle),
      (at_ends[1] - at_ends[0]) / np.where(is_short, 1.0, difference),
    )
    sign = np.array([-1.0, 1.0])
    return lambda chosen: mean * sign[chosen][:, np.newaxis, np.newaxis]

  def _softmax_means(self, low, high):
    """Returns a function of the class, the mean of dP_t/dlogits on regions.

    dP_t/dlogits = P_t (e_t - P), by Gauss-Legendre with as many nodes as the
    spread s of the logits' changes needs. The poles nearest to a region of
    length 2 lie at a distance of 2 pi / s, so n nodes leave an error of about
    exp(-2 n asinh(2 pi / s)).

    Source: Trefethen, "Is Gauss Quadrature Better than Clenshaw-Curtis?", SIAM
    Review 50, 2008, theorem 4.5.
    """
    shape = low.shape
    pieces = _pieces(low.reshape(-1, shape[-1]), high.reshape(-1, shape[-1]))
    kept = None
    if sum(piece.size for piece in pieces) <= memory.SCRATCH:
      kept = [self._at_nodes(piece) for piece in pieces]

    def mean(chosen):
      chosen = np.repeat(chosen, shape[1])
      result = np.zeros((len(chosen), shape[-1]))
      for i, piece in enumerate(pieces):
        probabilities = kept[i] if kept else self._at_nodes(piece)
        target = chosen[piece.regions]
        row = np.arange(len(target))
        weights = _NODES[piece.rule][1] / 2 * piece.share
        weighted = weights[:, np.newaxis] * probabilities[:, row, target]
        sums = -np.einsum('qr,qrk->rk', weighted, probabilities)
        sums[row, target] += weighted.sum(axis=0)
        if piece.share == 1:
          result[piece.regions] = sums
        else:  # A region may have several pieces.
          np.add.at(result, piece.regions, sums)
      return result.reshape(shape)

    return mean

  def _at_nodes(self, piece):
    """Returns the probabilities [nodes, regions, classes]."""
    position = (_NODES[piece.rule][0] + 1) / 2
    return self._probabilities(
      piece.low + position[:, np.newaxis, np.newaxis] * piece.change
    )


class _Piece(
  collections.namedtuple(
    '_Piece', ['regions', 'low', 'change', 'share', 'rule']
  )
):
  """Parts of regions that are integrated by the same rule.

  Attributes:
    regions: int [m], the regions that they are parts of.
    low, change: [m, classes], the logits where the parts begin, and by how much
      they change.
    share: the length of a part as a share of its region.
    rule: index into `_NODES`.
  """

  __slots__ = ()

  @property
  def size(self):
    """The number of probabilities at the nodes."""
    return _NUM_NODES[self.rule] * self.low.size


def _pieces(low, high):
  """Returns the `_Piece`s that make up the regions from `low` to `high`.

  Args:
    low, high: [m, classes], the logits at the ends.
  """
  pieces, regions = [], np.arange(len(low))
  for level in range(_MOST_HALVINGS + 1):
    change = high - low
    spread = np.ptp(change, axis=-1)
    (is_wide,) = np.nonzero(spread > _MOST_SPREAD)
    spread[is_wide] = _spread_of_likely(low[is_wide], high[is_wide])
    is_last = level == _MOST_HALVINGS
    is_done = (spread <= _MOST_SPREAD) | is_last
    needed = _MINUS_LOG_ERROR / (
      2 * np.arcsinh(2 * np.pi / np.maximum(spread, 1e-3))
    )
    rules = np.searchsorted(_NUM_NODES[:-1], needed)
    for rule in np.unique(rules[is_done]):
      (index,) = np.nonzero(is_done & (rules == rule))
      # In blocks, which bound the memory that the nodes take.
      numbers = _NUM_NODES[rule] * low.shape[1]
      block = memory.rows_within(memory.SCRATCH, numbers)
      for first in range(0, len(index), block):
        some = index[first : first + block]
        pieces.append(
          _Piece(regions[some], low[some], change[some], 0.5**level, rule)
        )
    if is_done.all():
      break
    low, high, regions = (z[~is_done] for z in (low, high, regions))
    middle = low + (high - low) / 2
    low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    regions = np.concatenate([regions, regions])
  return pieces


def _spread_of_likely(low, high):
  """Returns the spread of the changes of the logits that matter.

  A class whose logit is far below another's at both ends, and so in between,
  has a probability of zero.
  """
  row = np.arange(len(low))
  top = np.argmax(low + high, axis=-1)
  is_likely = np.zeros(low.shape, bool)
  for end in (low, high):
    is_likely |= end > (end[row, top] - _UNLIKELY)[:, np.newaxis]
  change = high - low
  return np.where(is_likely, change, -np.inf).max(axis=-1) - np.where(
    is_likely, change, np.inf
  ).min(axis=-1)
