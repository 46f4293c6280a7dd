"""Spoils a copy of a SavedModel in a way that its number decides."""

import random

from tests.properties import annotation_mutations
from tests.properties import byte_mutations
from tests.properties import graph_mutations
from tests.support import saved_model_files

_OF_FILES = byte_mutations.KINDS
_OF_PROTO = dict(annotation_mutations.KINDS, **graph_mutations.KINDS)


def mutate(base_dir, seed, number):
  """Spoils a copy of a SavedModel.

  Args:
    base_dir: the copy's directory.
    seed: int.
    number: int, which of the mutants of the seed.

  Returns:
    (kind, description), both str.
  """
  rng = random.Random(f'{seed}/{number}')
  kinds = sorted(_OF_FILES) + sorted(_OF_PROTO)
  while True:
    kind = rng.choice(kinds)
    if kind in _OF_FILES:
      description = _OF_FILES[kind](rng, base_dir)
    else:
      description = _edited(rng, base_dir, _OF_PROTO[kind])
    if description is not None:
      return kind, description


def _edited(rng, directory, edit_fn):
  saved_model = saved_model_files.read(directory)
  description = edit_fn(rng, saved_model)
  saved_model_files.write(directory, saved_model)
  return description
