"""Shows how far a run is, if someone can see it."""

import os
import sys

from tf_dnn_annotations.cli import example_files


class _NoProgress(object):
  """Stands in where no progress is shown."""

  def __enter__(self):
    return self

  def __exit__(self, *exc_info):
    pass

  def update(self, count):
    pass


def over(paths):
  """Returns a context manager with `update`: a bar, if someone can see it."""
  if not sys.stderr.isatty():
    return _NoProgress()
  try:
    import tqdm
  except ImportError:  # An extra.
    return _NoProgress()
  # A pass more over the files, cheap beside the attributions, tells how long
  # it will take; over a network it is not cheap.
  is_local = all(map(os.path.isfile, paths))
  total = example_files.count_records(paths) if is_local else None
  return tqdm.tqdm(total=total, unit=' examples', leave=False)
