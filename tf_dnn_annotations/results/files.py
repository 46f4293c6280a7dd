"""Writes attributions as JSON lines or CSV, under their name when complete."""

import csv
import io
import json
import math
import zlib

import numpy as np

from tf_dnn_annotations.system import pending_file
from tf_dnn_annotations.text import plain_text

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
  finite is null, in CSV an empty cell. A line of JSON holds no other end of a
  line, such as U+2028, and a text in CSV never begins like a formula
  (`plain_text`).

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
    self.path = path
    self._fields = list(fields)
    self._names = list(names)
    self._is_csv = path.lower().endswith(('.csv', '.csv.gz'))
    # gzip's format, without a time or a name: the same rows make the same
    # bytes. Not gzip.GzipFile, which writes once more when it is destroyed.
    self._gzip = None
    if path.lower().endswith('.gz'):
      self._gzip = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    self._file = pending_file.PendingFile(path)

  def __enter__(self):
    try:
      if self._is_csv:
        header = self._fields + [_PREFIX + name for name in self._names]
        self._write(_csv_text([_csv_cells(header)]))
    except BaseException:
      self._file.discard()
      raise
    return self

  def __exit__(self, exc_type, exc_value, traceback):
    try:
      if exc_type is None:
        if self._gzip:
          self._file.write(self._gzip.flush())
        self._file.complete()
    finally:
      self._file.discard()

  def write(self, fields, attributions):
    """Writes rows.

    Args:
      fields: list of n lists, the values of the fields.
      attributions: float array [n, len(names)].
    """
    rows = zip(map(_plain, fields), numbers(attributions))
    if self._is_csv:
      self._write(
        _csv_text([_csv_cells(fields) + values for fields, values in rows])
      )
      return
    lines = []
    for values, attributions_of_row in rows:
      row = dict(zip(self._fields, values))
      if self._names:
        row['attributions'] = dict(zip(self._names, attributions_of_row))
      lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + '\n')
    self._write(plain_text.json_text(''.join(lines)))

  def _write(self, text):
    # Surrogates cannot be encoded; a label with bytes that are no text has
    # them replaced, rather than that it stops the run.
    data = text.encode('utf-8', 'replace')
    self._file.write(self._gzip.compress(data) if self._gzip else data)


def numbers(array):
  """Returns the float32s of an array as a nested list of short floats.

  0.1 in float32 becomes 0.1 and not 0.10000000149011612; what is not finite
  becomes None.
  """
  array = np.asarray(array, np.float32)
  # A float32's text is the shortest that reads as it. Not array.astype(str):
  # numpy may drop the exception of a Ctrl-C in it.
  shortest = np.fromiter(
    map(float, map(str, array.ravel())), np.float64, array.size
  ).reshape(array.shape)
  if not np.isfinite(array).all():
    shortest = np.where(np.isfinite(array), shortest, None)
  return shortest.tolist()


def _plain(values):
  return [
    None if isinstance(value, float) and not math.isfinite(value) else value
    for value in values
  ]


def _csv_cells(values):
  return [
    plain_text.csv_cell(value) if isinstance(value, str) else value
    for value in values
  ]


def _csv_text(rows):
  text = _quoted(rows, csv.QUOTE_MINIMAL)
  if '\r' in text:  # Before Python 3.13, a cell with it gets no quotes.
    text = _quoted(rows, csv.QUOTE_NONNUMERIC)
  return text


def _quoted(rows, quoting):
  buffer = io.StringIO()
  csv.writer(buffer, lineterminator='\n', quoting=quoting).writerows(rows)
  return buffer.getvalue()
