"""The progress of a run, on a terminal."""

import os
import sys

from tf_dnn_annotations.cli import example_files


class _NoProgress(object):
  """The progress of a run without a terminal or without tqdm."""

  def __enter__(self):
    return self

  def __exit__(self, *exc_info):
    pass

  def update(self, count):
    pass


def over(paths):
  """Returns a context manager with `update`: a bar if stderr is a terminal."""
  if not sys.stderr.isatty():
    return _NoProgress()
  try:
    import tqdm
  except ImportError:  # An extra.
    return _NoProgress()
  # The total takes another pass over the files. That is cheap beside the
  # attributions, unless the files are on a network.
  is_local = all(map(os.path.isfile, paths))
  total = example_files.count_records(paths) if is_local else None
  return tqdm.tqdm(total=total, unit=' examples', leave=False)
