"""CSV files, whose rows become tf.Examples, or an error."""

import codecs
import csv
import io

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.cli import csv_cells
from tf_dnn_annotations.cli import csv_headers
from tf_dnn_annotations.cli import example_ids
from tf_dnn_annotations.cli import input_files
from tf_dnn_annotations.cli import unreadable_examples

UnreadableExample = unreadable_examples.UnreadableExample

# A quote that is not closed, or a file without line ends, is one row; Python's
# reader takes nine times as much memory for it.
MAX_ROW_CHARACTERS = 16 << 20

_OPEN = 'a quote is not closed'
_NAMES_OF_ENDS = {'\n': 'a line feed', '\r': 'a carriage return alone'}


def count_rows(path, delimiter):
  """Returns the number of rows that `examples` yields, the bad ones too."""
  # The header is not an example.
  return max(0, sum(1 for _ in _rows(path, delimiter)) - 1)


def examples(path, delimiter, csv_format, id_key=None):
  """Yields (place, serialized tf.Example, id) for each row.

  Args:
    path: as `input_files.opened` takes it.
    delimiter: the character between cells.
    csv_format: `csv_cells.CsvFormat`.
    id_key: the name of the column that identifies the rows, or None.

  Yields:
    the place, which is the file and the row's last line, the example, and the
    text of its cell of that column or None; an `UnreadableExample` in place of
    a row that cannot be used.

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
  if isinstance(header, UnreadableExample):
    raise header
  header = [key.strip() for key in header[1]]
  csv_headers.check(path, header, csv_format, id_key)
  id_column = None if id_key is None else header.index(id_key)
  used = [
    (i, key, csv_format.features[key])
    for i, key in enumerate(header)
    if key in csv_format.features
  ]
  for row in rows:
    if isinstance(row, UnreadableExample):
      yield row
      continue
    place, cells = row
    row_id = None
    try:
      if len(cells) != len(header):
        raise ValueError(
          f'{len(cells)} cells; the header has {len(header)}. Quote '
          f'cells that hold {delimiter!r}, and leave a missing value empty.'
        )
      if id_key is not None:
        row_id = example_ids.of_cell(
          cells[id_column], id_key, csv_format.missing
        )
      example = tf.train.Example()
      for i, key, feature in used:
        csv_cells.add(example, key, feature, cells[i], csv_format)
    except ValueError as error:
      yield UnreadableExample(place, str(error), id=row_id)
    else:
      yield place, example.SerializeToString(), row_id


class _Lines(object):
  """The lines of a text file, one after the other, counted and checked.

  Attributes:
    number: of the line that was returned last, from 1.
    text: that line.
    first: number of the first line of the row.
    error: the first `UnreadableExample` of the row's lines, or None.
  """

  def __init__(self, path, file):
    self._path = path
    start = file.peek(4)[:4]
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
      if start.startswith(mark):
        raise UnreadableExample(
          _place(path, 1),
          'UTF-16 text, not UTF-8. Save the file as UTF-8.',
          is_rest=True,
        )
    # Lines may end as on any system, and keep their ends within cells.
    # Spreadsheets begin a file with the mark that utf-8-sig removes. Bytes that
    # are not text become surrogates, which are found when their line is read.
    self._file = io.TextIOWrapper(
      file, 'utf-8-sig', errors='surrogateescape', newline=''
    )
    self.number, self.text = 0, ''
    self.start_row()

  def __iter__(self):
    return self

  def start_row(self):
    """Marks the next line as the first of a row."""
    self.first, self.error, self._size = self.number + 1, None, 0

  def __next__(self):
    limit = MAX_ROW_CHARACTERS
    self.text = self._file.readline(limit - self._size + 1)
    if not self.text:
      raise StopIteration
    self.number += 1
    self._size += len(self.text)
    if self._size > limit:
      raise UnreadableExample(
        _place(self._path, self.number),
        f'a row of more than {limit:,} characters, the limit. Look for a quote '
        'that is not closed, or a file without line ends.',
        is_rest=True,
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
    self.error = self.error or UnreadableExample(
      _place(self._path, self.number), f'{what}. Save the file as UTF-8.'
    )


def _place(path, line):
  return f'{path}, line {line}'


def _rows(path, delimiter):
  """Yields (place, list of str) for the rows, the header included.

  An `UnreadableExample` comes in place of a row that is not CSV.
  """
  # The limit is the whole process's; `_Lines` bounds the length of a row.
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
        except (csv.Error, UnreadableExample) as error:
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
          yield UnreadableExample(
            _place(path, lines.number),
            f'ends in {_NAMES_OF_ENDS[end]}, lines before it in '
            f'{_NAMES_OF_ENDS[usual_end]}. Quote cells that hold a line end, '
            'and end all lines alike.',
          )
        elif lines.error and not was_torn:
          yield lines.error
        elif row and not was_torn:  # An empty line is not a row.
          yield _place(path, lines.number), row
    except input_files.DamagedError:
      yield UnreadableExample(
        _place(path, lines.number + 1 if lines else 1),
        'damaged. Copy or compress the file again.',
        is_rest=True,
      )


def _not_csv(path, lines, error):
  """Returns the error of a row that Python's reader cannot split."""
  place, reason = _place(path, lines.number), str(error)
  # Where a quote may be open, the next row is not found.
  is_rest = lines.number > lines.first or lines.text.count('"') % 2 == 1
  if not lines.text:  # The end of the file.
    place = f'{path}, lines {lines.first} to {lines.number}'
    reason, is_rest = _OPEN, True
  return UnreadableExample(
    place,
    f'not CSV ({reason}). Quote cells that hold quotes or line ends, and '
    'double the quotes.',
    is_rest,
  )
