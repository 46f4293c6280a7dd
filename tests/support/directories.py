"""Directories for what tests write."""

import tempfile

_directory = tempfile.TemporaryDirectory()  # Removed when Python ends.


def new_dir():
  """Returns the path of a new directory, which is removed when Python ends."""
  return tempfile.mkdtemp(dir=_directory.name)
