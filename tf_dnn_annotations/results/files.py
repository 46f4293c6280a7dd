"""Writes attributions as JSON lines or CSV, under their name when complete."""

import csv
import io
import json
import math
from typing import Any, Sequence
import zlib

from tf_dnn_annotations.results import attributions
from tf_dnn_annotations.results import row_values
from tf_dnn_annotations.system import pending_file
from tf_dnn_annotations.text import plain_text

EXTENSIONS = ('.jsonl', '.csv', '.jsonl.gz', '.csv.gz')

# What precedes the names of attributions and features in the header of a CSV
# file, so that a feature called "output" is not a second output. The same names
# are what pandas.json_normalize makes of a JSON line.
_ATTRIBUTIONS, _FEATURES = 'attributions', 'features'


def check_path(path):
  """Raises a ValueError where the extension of `path` names no format."""
  if not path.lower().endswith(EXTENSIONS):
    raise ValueError(
      f'must end in one of {", ".join(EXTENSIONS)}; got {path!r}. The '
      'extension is the format.'
    )


class RowWriter(object):
  """Writes rows of fields, attributions and features.

  A context manager: on leaving it, the file takes its name, in place of an
  older one; unless an exception leaves it, which removes what was written.

  A line of JSON is {<field>: <value>, ..., "attributions": {<name>: <value>,
  ...}, "features": {<key>: <value>, ...}}; a CSV file has a header of the
  fields, "attributions.<name>" and "features.<key>". Attributions have the
  fewest digits that give the same float32 again. A number that is not finite is
  null, in CSV an empty cell; a list is a cell of JSON. A line of JSON holds no
  other end of a line, such as U+2028, and a text in CSV never begins like a
  formula (`plain_text`).

  Args:
    path: str ending in one of `EXTENSIONS`, on any file system TensorFlow has.
    fields: names of the values that every row has.
    names: distinct names of a row's attributions. If empty, a line of JSON has
      no "attributions".
    feature_keys: distinct keys of a row's features; None for a file without.

  Raises:
    ValueError: `path` has another extension.
    OSError: `path` cannot be written.
  """

  def __init__(self, path, fields, names=(), feature_keys=None):
    check_path(path)
    self.path = path
    self._fields = list(fields)
    self._names = list(names)
    self._feature_keys = None if feature_keys is None else list(feature_keys)
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
        header = self._fields + [
          f'{group}.{name}'
          for group, names in (
            (_ATTRIBUTIONS, self._names),
            (_FEATURES, self._feature_keys or ()),
          )
          for name in names
        ]
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

  def write_rows(self, fields, attributions=None, features=None):
    """Writes rows.

    Args:
      fields: list of n lists, the values of the fields.
      attributions: float array [n, len(names)]; None for rows without.
      features: list of n lists, the values of the features as
        `row_values.plain` returns them; None for a file without.
    """
    without = [[]] * len(fields)
    attributions = (
      without if attributions is None else row_values.numbers(attributions)
    )
    features = without if features is None else features
    if self._is_csv:
      self._write(
        _csv_text(
          [
            # Attributions are numbers: they need no look at each.
            _csv_cells(row) + numbers + _csv_cells(values)
            for row, numbers, values in zip(fields, attributions, features)
          ]
        )
      )
      return
    lines = []
    for values, numbers, of_features in zip(fields, attributions, features):
      row = dict(zip(self._fields, map(_finite, values)))
      if self._names:
        row[_ATTRIBUTIONS] = dict(zip(self._names, numbers))
      if self._feature_keys is not None:
        row[_FEATURES] = dict(zip(self._feature_keys, of_features))
      lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + '\n')
    self._write(plain_text.json_text(''.join(lines)))

  def _write(self, text):
    # Surrogates cannot be encoded; a label with bytes that are not text has
    # them replaced, rather than ending the run.
    data = text.encode('utf-8', 'replace')
    self._file.write(self._gzip.compress(data) if self._gzip else data)


class AttributionWriter(RowWriter):
  """Writes `Attributions`, a row per explained output of an example.

  A row has what identifies its example, the fields that `row_values.fields`
  names, the attributions and, if the results have them, the features.

  Args:
    path: as for `RowWriter`.
    like: `Attributions` of the same model and arguments as those that will be
      written, of any number of rows.
    by: one of `row_values.BY`: what an attribution is summed over.
    id_field: the name of the field that identifies the example.

  Raises:
    ValueError: `path` has another extension.
    OSError: `path` cannot be written.
  """

  def __init__(
    self,
    path: str,
    like: attributions.Attributions,
    by: str = 'feature',
    id_field: str = 'row',
  ) -> None:
    super().__init__(
      path,
      [id_field, *row_values.fields(like)],
      row_values.names(like, by),
      like.features,
    )
    self._by = by

  def write(
    self, result: attributions.Attributions, ids: Sequence[Any]
  ) -> None:
    """Writes the rows of examples.

    Args:
      result: `Attributions` of n examples.
      ids: list of n numbers or texts, what identifies each example.
    """
    num_targets = row_values.rows_per_example(result)
    ids = [each for each in ids for _ in range(num_targets)]
    self.write_rows(
      [
        [each, *values]
        for each, values in zip(ids, row_values.field_values(result))
      ],
      row_values.attributions(result, self._by),
      None if result.features is None else row_values.feature_values(result),
    )


def _finite(value):
  return (
    None if isinstance(value, float) and not math.isfinite(value) else value
  )


def _csv_cells(values):
  return [_csv_cell(value) for value in values]


def _csv_cell(value):
  if isinstance(value, float):
    return _finite(value)
  if isinstance(value, list):
    return plain_text.json_text(json.dumps(value, ensure_ascii=False))
  return plain_text.csv_cell(value) if isinstance(value, str) else value


def _csv_text(rows_of_cells):
  text = _quoted(rows_of_cells, csv.QUOTE_MINIMAL)
  if '\r' in text:  # Before Python 3.13, a cell with it gets no quotes.
    text = _quoted(rows_of_cells, csv.QUOTE_NONNUMERIC)
  return text


def _quoted(rows_of_cells, quoting):
  buffer = io.StringIO()
  csv.writer(buffer, lineterminator='\n', quoting=quoting).writerows(
    rows_of_cells
  )
  return buffer.getvalue()
