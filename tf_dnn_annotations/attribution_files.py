"""Writes attributions as JSON lines or CSV, under their name when complete."""

import csv
import gzip
import io
import json
import math
import os

import numpy as np

EXTENSIONS = ('.jsonl', '.csv', '.jsonl.gz', '.csv.gz')

# What the name of an attribution has before it in the header of a CSV file, so
# that a feature called "output" is no second output. The same names are what
# pandas.json_normalize makes of a JSON line.
_PREFIX = 'attributions.'


def check_path(path):
  """Raises a ValueError where the extension of `path` names no format."""
  if not path.lower().endswith(EXTENSIONS):
    raise ValueError(
      f'must end in one of {", ".join(EXTENSIONS)}; got {path!r}. The '
      'extension says how to write.'
    )


class AttributionWriter(object):
  """Writes a row each for an explained output of an example.

  A context manager: on leaving it, the file takes its name, in place of an
  older one; unless an exception leaves it, which removes what was written.

  A line of JSON is {<field>: <value>, ..., "attributions": {<name>: <value>,
  ...}}; a CSV file has a header of the fields and "attributions.<name>".
  Numbers are the shortest that give the same float32 again; one that is not
  finite is null, in CSV an empty cell.

  Args:
    path: str ending in one of `EXTENSIONS`, on any file system TensorFlow has.
    fields: names of what a row has besides attributions.
    names: distinct names of a row's attributions; without any, a line of JSON
      has the fields only.

  Raises:
    ValueError: `path` has another extension.
    OSError: `path` cannot be written.
  """

  def __init__(self, path, fields, names):
    check_path(path)
    # Not sooner: the path is checked before anything as slow is loaded.
    import tensorflow.compat.v1 as tf

    self._gfile = tf.io.gfile
    self.path = path
    self._fields = list(fields)
    self._names = list(names)
    parent = os.path.dirname(path)
    if parent and not self._gfile.isdir(parent):
      raise FileNotFoundError(
        f'No such directory: {parent!r}, to write {path!r} to. Make it first.'
      )
    if self._gfile.isdir(path):
      raise IsADirectoryError(f'{path!r} is a directory. Name a file to write.')
    self._temp_path = f'{path}.{os.getpid()}.tmp'
    self._file = self._gfile.GFile(self._temp_path, 'wb')
    is_gzip = path.lower().endswith('.gz')
    self._is_csv = path.lower().endswith(('.csv', '.csv.gz'))
    # No time and no name in it: the same rows make the same bytes.
    self._gzip = (
      gzip.GzipFile(filename='', mode='wb', fileobj=self._file, mtime=0)
      if is_gzip
      else None
    )
    if self._is_csv:
      header = self._fields + [_PREFIX + name for name in self._names]
      self._write(_csv_text([header]))

  def __enter__(self):
    return self

  def __exit__(self, exc_type, exc_value, traceback):
    try:
      if exc_type is None:
        self._write('')  # A file without a row is there, too.
        if self._gzip:
          self._gzip.close()
        self._file.close()
        self._gfile.rename(self._temp_path, self.path, overwrite=True)
    finally:
      self._file.close()
      if self._gfile.exists(self._temp_path):
        self._gfile.remove(self._temp_path)

  def write(self, fields, attributions):
    """Writes rows.

    Args:
      fields: list of n lists, the values of the fields.
      attributions: float array [n, len(names)].
    """
    rows = zip(map(_plain, fields), numbers(attributions))
    if self._is_csv:
      self._write(_csv_text(fields + values for fields, values in rows))
      return
    lines = []
    for values, attributions_of_row in rows:
      row = dict(zip(self._fields, values))
      if self._names:
        row['attributions'] = dict(zip(self._names, attributions_of_row))
      lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + '\n')
    self._write(''.join(lines))

  def _write(self, text):
    # Surrogates cannot be encoded; a label with bytes that are no text has
    # them replaced, rather than that it stops the run.
    (self._gzip or self._file).write(text.encode('utf-8', 'replace'))


def numbers(array):
  """Returns the float32s of an array as a nested list of short floats.

  0.1 in float32 becomes 0.1 and not 0.10000000149011612; what is not finite
  becomes None.
  """
  array = np.asarray(array, np.float32)
  # A float32's text is the shortest that reads as it.
  shortest = array.astype(str).astype(np.float64)
  if not np.isfinite(array).all():
    shortest = np.where(np.isfinite(array), shortest, None)
  return shortest.tolist()


def _plain(values):
  return [
    None if isinstance(value, float) and not math.isfinite(value) else value
    for value in values
  ]


def _csv_text(rows):
  buffer = io.StringIO()
  csv.writer(buffer, lineterminator='\n').writerows(rows)
  return buffer.getvalue()
