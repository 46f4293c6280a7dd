"""The feature columns of a model, as its annotations describe them."""

from typing import Any, Dict, NamedTuple, Optional, Tuple


class Column(NamedTuple):
  """A feature column of a model.

  Attributes:
    name: its name.
    class_name: name of its class, None if the writer left no description.
    feature_keys: sorted tuple of the keys of the features that it reads.
    width: number of elements that it computes for an example.
    config: dict of the arguments that made it, or None.
  """

  name: str
  class_name: Optional[str]
  feature_keys: Tuple[str, ...]
  width: int
  config: Optional[Dict[str, Any]]


def read(found):
  """Returns a list of `Column`, in the order in which the model has them.

  Args:
    found: `contract.Found`.
  """
  return [
    Column(
      name,
      found.descriptions[name]['class_name'],
      tuple(found.descriptions[name]['feature_keys']),
      found.descriptions[name]['width'],
      found.descriptions[name]['config'],
    )
    for name in found.columns
  ]
