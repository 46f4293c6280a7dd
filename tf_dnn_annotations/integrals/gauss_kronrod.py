"""The 15 nodes of Kronrod's rule on a segment, and the weights used on them."""

import numpy as np

# Kronrod's 15 nodes on (-1, 1), those of [0, 1), their weights, and the weights
# of the 7 of Gauss among them.
# Source: Piessens, de Doncker-Kapenga, Ueberhuber, Kahaner, QUADPACK, Springer
# 1983, routine QK15.
_HALF = np.array(
  [
    (0.991455371120812639, 0.022935322010529225, 0.0),
    (0.949107912342758525, 0.063092092629978553, 0.129484966168869693),
    (0.864864423359769073, 0.104790010322250184, 0.0),
    (0.741531185599394440, 0.140653259715525919, 0.279705391489276668),
    (0.586087235467691130, 0.169004726639267903, 0.0),
    (0.405845151377397167, 0.190350578064785410, 0.381830050505118945),
    (0.207784955007898468, 0.204432940075298892, 0.0),
    (0.0, 0.209482141084727828, 0.417959183673469388),
  ]
)
NUM_NODES = 15


def _rules():
  """Returns the nodes in (0, 1) of a segment, [15], and weights [4, 15].

  The weights are those of Kronrod's rule; of its difference from the rule of
  Gauss with 7 of the nodes; of another rule that is zero for smooth functions;
  and of the difference from the rule on the other 8 nodes, exact up to degree
  7.
  """
  half = _HALF[::-1]
  nodes = np.concatenate([-_HALF[:-1, 0], half[:, 0]])
  kronrod, gauss = np.concatenate([_HALF[:-1, 1:], half[:, 1:]]).T
  is_other = gauss == 0
  coarse = np.zeros(len(nodes))
  moments = np.polynomial.legendre.legvander(nodes[is_other], 7).T
  coarse[is_other] = np.linalg.solve(moments, [2.0] + 7 * [0.0])
  # Zero up to degree 12, and for odd functions what the difference from Gauss
  # is for even ones.
  moments = np.polynomial.legendre.legvander(nodes, 12).T
  zero = np.linalg.svd(moments)[2][-2:]
  odd = zero[np.argmax(np.abs(zero[:, 0] - zero[:, -1]))]
  odd = odd - odd[::-1]
  odd *= np.linalg.norm(kronrod - gauss) / np.linalg.norm(odd)
  weights = np.stack([kronrod, kronrod - gauss, odd, kronrod - coarse])
  return (nodes + 1) / 2, weights / 2


NODES, WEIGHTS = _rules()
