"""CSV files, whose rows become tf.Examples, or an error."""

import codecs
import collections
import csv
import difflib
import io

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.cli import csv_cells
from tf_dnn_annotations.cli import input_files

# A quote that is not closed, or a file without line ends, is one row; Python's
# reader takes nine times as much memory for it.
MAX_ROW_CHARACTERS = 16 << 20

_OPEN = 'a quote is not closed'
_NAMES_OF_ENDS = {'\n': 'a line feed', '\r': 'a carriage return alone'}


class RowError(ValueError):
  """A row that cannot be used.

  Attributes:
    line: number of its last line, from 1.
    is_rest: whether what follows in the file cannot be read either.
  """

  def __init__(self, line, message, is_rest=False):
    super().__init__(message)
    self.line = line
    self.is_rest = is_rest


def count_rows(path, delimiter):
  """Returns how many rows `examples` yields, the bad ones too."""
  # The header is no row.
  return max(0, sum(1 for _ in _rows(path, delimiter)) - 1)


def examples(path, delimiter, csv_format):
  """Yields (number of its last line, serialized tf.Example) for each row.

  Args:
    path: as `input_files.opened` takes it.
    delimiter: the character between cells.
    csv_format: `csv_cells.CsvFormat`.

  Yields:
    the pair; a `RowError` in place of a row that cannot be used.

  Raises:
    ValueError: the file has no header, or one that does not fit the model.
    OSError: it cannot be read.
  """
  rows = _rows(path, delimiter)
  header = next(rows, None)
  if header is None:
    raise ValueError(
      f'{path}: an empty file. A CSV file starts with a header of feature keys.'
    )
  if isinstance(header, RowError):
    raise header
  header = [key.strip() for key in header[1]]
  _check_header(path, header, csv_format)
  used = [
    (i, key, csv_format.features[key])
    for i, key in enumerate(header)
    if key in csv_format.features
  ]
  for row in rows:
    if isinstance(row, RowError):
      yield row
      continue
    line, cells = row
    try:
      if len(cells) != len(header):
        raise ValueError(
          f': {len(cells)} cells; the header has {len(header)}. Quote '
          f'cells that hold {delimiter!r}, and leave a missing value empty.'
        )
      example = tf.train.Example()
      for i, key, feature in used:
        csv_cells.add(example, key, feature, cells[i], csv_format)
    except ValueError as error:
      yield RowError(line, f'{path}, line {line}{error}')
    else:
      yield line, example.SerializeToString()


class _Lines(object):
  """The lines of a text file, one after the other, counted and checked.

  Attributes:
    number: of the line that was returned last, from 1.
    text: that line.
    first: number of the first line of the row.
    error: the first `RowError` of the row's lines, or None.
  """

  def __init__(self, path, file):
    self._path = path
    start = file.peek(4)[:4]
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
      if start.startswith(mark):
        raise RowError(
          1, f'{path}: UTF-16 text, not UTF-8. Save the file as UTF-8.', True
        )
    # Lines end as on any system; in cells they stay as they are. Spreadsheets
    # begin a file with the mark that utf-8-sig takes away. Bytes that are no
    # text become surrogates, which are found when their line is returned.
    self._file = io.TextIOWrapper(
      file, 'utf-8-sig', errors='surrogateescape', newline=''
    )
    self.number, self.text = 0, ''
    self.start_row()

  def __iter__(self):
    return self

  def start_row(self):
    """Says that the next line begins a row."""
    self.first, self.error, self._size = self.number + 1, None, 0

  def __next__(self):
    limit = MAX_ROW_CHARACTERS
    self.text = self._file.readline(limit - self._size + 1)
    if not self.text:
      raise StopIteration
    self.number += 1
    self._size += len(self.text)
    if self._size > limit:
      raise RowError(
        self.number,
        f'{self._path}, line {self.number}: a row of more than {limit:,} '
        'characters, the limit. Look for a quote that is not closed, or a file '
        'without line ends.',
        True,
      )
    # The row is read to its end nevertheless, so that the next one is found.
    if '\0' in self.text:
      self._note('holds a NUL byte, as UTF-16 and files that are not text do')
      self.text = self.text.replace('\0', ' ')  # Older Pythons stop there.
    if not self.text.isascii():
      try:
        self.text.encode('utf-8')
      except UnicodeEncodeError:
        self._note('not UTF-8 text')
    return self.text

  def _note(self, what):
    self.error = self.error or RowError(
      self.number,
      f'{self._path}, line {self.number}: {what}. Save the file as UTF-8.',
    )


def _rows(path, delimiter):
  """Yields (number of its last line, list of str) for the rows, header too.

  A `RowError` comes in place of a row that is not CSV.
  """
  # It is for the whole process; the length of a row is bounded by `_Lines`.
  csv.field_size_limit(MAX_ROW_CHARACTERS)
  with input_files.opened(path) as file:
    lines, usual_end = None, None
    try:
      lines = _Lines(path, file)
      reader = csv.reader(lines, delimiter=delimiter, strict=True)
      is_torn = False
      while True:
        lines.start_row()
        try:
          row = next(reader)
        except StopIteration:
          return
        except (csv.Error, RowError) as error:
          if isinstance(error, csv.Error):
            error = _not_csv(path, lines, error)
          yield error
          if error.is_rest:
            return
          continue
        # Lone carriage returns are the line ends of some spreadsheets. If
        # other rows end otherwise, it is part of a cell, and so is what
        # follows up to such an end.
        end = lines.text[-1:]
        was_torn, is_torn = is_torn, False
        if end in ('\r', '\n'):
          usual_end = usual_end or end
          is_torn = end != usual_end
        if is_torn and not was_torn:
          yield RowError(
            lines.number,
            f'{path}, line {lines.number}: ends in {_NAMES_OF_ENDS[end]}, '
            f'lines before it in {_NAMES_OF_ENDS[usual_end]}. Quote cells that '
            'hold a line end, and end all lines alike.',
          )
        elif lines.error and not was_torn:
          yield lines.error
        elif row and not was_torn:  # An empty line is none.
          yield lines.number, row
    except input_files.DamagedError:
      number = lines.number if lines else 0
      yield RowError(
        number,
        f'{path}: damaged after line {number}. Copy or compress it again.',
        True,
      )


def _not_csv(path, lines, error):
  """Returns the `RowError` of a row that Python's reader cannot split."""
  where, reason = f'line {lines.number}', str(error)
  # Where a quote may be open, the next row is not found.
  is_rest = lines.number > lines.first or lines.text.count('"') % 2 == 1
  if not lines.text:  # The end of the file.
    where, reason = f'lines {lines.first} to {lines.number}', _OPEN
    is_rest = True
  return RowError(
    lines.number,
    f'{path}, {where}: not CSV ({reason}). Quote cells that hold quotes or '
    'line ends, and double the quotes.',
    is_rest,
  )


def _check_header(path, header, csv_format):
  counts = collections.Counter(header)
  repeated = sorted(
    key for key in csv_format.features if counts.get(key, 0) > 1
  )
  if repeated:
    raise ValueError(
      f'{path}: the header names {repeated} more than once. Give every column '
      'a name of its own.'
    )
  ignored = [key for key in header if key not in csv_format.features]
  absent = sorted(set(csv_format.features) - set(header))
  if len(ignored) == len(header):
    raise ValueError(
      f'{path}: no column is a feature of the model; the header is {header}, '
      f'the features are {absent}. Start the file with a line of feature keys, '
      'separated by commas (tabs in a .tsv file).'
    )
  required = [key for key in absent if key in csv_format.required]
  absent = [key for key in absent if key not in csv_format.unread]
  missing = [key for key in absent if key not in csv_format.allow_missing]
  if required or missing:
    alike = difflib.get_close_matches((required or missing)[0], ignored, n=1)
    remedy = (
      f'Rename {alike[0]!r}, or add a column'
      if alike
      else 'Add a column for each'
    )
    raise ValueError(
      f'{path}: no column for the features {required}, which every example '
      f'must have; the header is {header}. {remedy}.'
      if required
      else f'{path}: no column for the features {missing}; the header is '
      f'{header}. {remedy}; or have every example explained without: '
      f'--allow_missing={",".join(absent)}'
    )
  if ignored:
    named = [key or "''" for key in ignored]
    csv_format.warn(
      path, f'ignored columns that are not features: {", ".join(named)}'
    )
  if absent:
    csv_format.warn(path, f'no column for the features: {", ".join(absent)}')
