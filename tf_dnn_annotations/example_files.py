"""Reads examples from TFRecord and CSV files, one at a time."""

import collections
import csv
import gzip
import math
import zlib

import tensorflow.compat.v1 as tf

# A CSV file is known by its name; whatever else it is, is read as TFRecord.
_DELIMITERS = {'.csv': ',', '.tsv': '\t'}
# The magic number and the only method (deflate) of RFC 1952.
_GZIP_START = b'\x1f\x8b\x08'
# A record's length and two checksums.
_TFRECORD_FRAME = 8 + 4 + 4

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

Record = collections.namedtuple('Record', ['example', 'place'])
Record.__doc__ = """One example of a file.

Attributes:
  example: bytes, a serialized tf.Example.
  place: str, where it was found: file and line, or file and record.
"""


class CsvFormat(object):
  """How the cells of a CSV file become the features of a tf.Example.

  Attributes:
    features: dict of feature key to an object with `dtype` (`tf.DType`),
      `shape` (list without the batch, or None) and `is_sparse`.
    list_separator: str between the values of a cell, for features that take
      several; '' where a cell is always one value.
    missing: collection of the cell texts that leave a feature out of its
      example. An empty cell does so always.
    warn_fn: called with a line of text on what is in the file but not used, or
      the other way round; once a text.
  """

  def __init__(self, features, list_separator='|', missing=(), warn_fn=None):
    self.features = features
    self.list_separator = list_separator
    self.missing = frozenset(missing) | {''}
    self._warn_fn = warn_fn
    self._warned = set()

  def warn(self, path, text):
    """Passes `text` on, for the first file that it is true of."""
    if self._warn_fn and text not in self._warned:
      self._warned.add(text)
      self._warn_fn(f'{path}: {text}')


def find_files(patterns):
  """Returns the paths that `patterns` name, in its order, globs sorted.

  Args:
    patterns: str, paths and globs separated by commas.

  Raises:
    FileNotFoundError: nothing has such a name.
  """
  paths = []
  for pattern in filter(None, (item.strip() for item in patterns.split(','))):
    # A file may have a name that would be a glob of other files.
    exists = tf.io.gfile.exists(pattern)
    found = [pattern] if exists else sorted(tf.io.gfile.glob(pattern))
    found = [path for path in found if not tf.io.gfile.isdir(path)]
    if not found:
      remedy = (
        f"It is a directory: name the files in it, as in '{pattern}/*'."
        if exists
        else 'Give paths or globs, separated by commas.'
      )
      raise FileNotFoundError(f'No such file: {pattern!r}. {remedy}')
    paths.extend(found)
  if not paths:
    raise FileNotFoundError(
      f'No file is named; got {patterns!r}. Give paths or globs, separated by '
      'commas.'
    )
  return paths


def read_records(paths, csv_format):
  """Yields the `Record`s of the files, holding one at a time in memory.

  A file named *.csv or *.tsv, with or without .gz, is CSV with a header; any
  other is TFRecord of serialized tf.Examples. Either may be gzipped.

  Args:
    paths: iterable of paths, local or of any file system TensorFlow has.
    csv_format: `CsvFormat`, for the CSV files.

  Raises:
    ValueError: a file is damaged or not what its name says, or a cell has not
      the type of its feature; names file and line.
    OSError: a file cannot be read.
  """
  for path in paths:
    delimiter = _delimiter(path)
    if delimiter:
      yield from _csv_records(path, delimiter, csv_format)
    else:
      for number, example in enumerate(_tfrecords(path)):
        yield Record(example, f'{path}, record {number}')


def count_records(paths):
  """Returns how many records `read_records` finds at most.

  Raises:
    ValueError: a file is damaged.
  """
  count = 0
  for path in paths:
    delimiter = _delimiter(path)
    records = _csv_rows(path, delimiter) if delimiter else _tfrecords(path)
    # The header is no record.
    count += max(0, sum(1 for _ in records) - bool(delimiter))
  return count


def _delimiter(path):
  """Returns what separates the cells of a CSV file; None for a TFRecord."""
  name = path.lower()
  name = name[: -len('.gz')] if name.endswith('.gz') else name
  return _DELIMITERS.get(name[-len('.csv') :])


def _is_gzip(path):
  with tf.io.gfile.GFile(path, 'rb') as file:
    return file.read(len(_GZIP_START)) == _GZIP_START


def _tfrecords(path):
  """Yields the records of a TFRecord file as bytes."""
  kind = 'GZIP' if _is_gzip(path) else ''
  options = tf.io.TFRecordOptions(compression_type=kind)
  count, num_bytes = 0, 0
  try:
    for record in tf.io.tf_record_iterator(path, options):
      yield record
      count += 1
      num_bytes += len(record) + _TFRECORD_FRAME
    # TensorFlow takes up to 11 bytes after the last record for the end.
    if not kind and num_bytes < tf.io.gfile.stat(path).length:
      raise tf.errors.DataLossError(None, None, 'truncated')
  except tf.errors.DataLossError as error:
    raise ValueError(
      f'{path}: damaged after record {count - 1}. Copy or write it again.'
      if count
      else f'{path}: not a TFRecord file. Write tf.Examples with '
      'tf.io.TFRecordWriter, or name a CSV file *.csv.'
    ) from error


def _csv_rows(path, delimiter):
  """Yields (number of its last line, list of str) for the rows, header too."""
  line_number = 0

  def lines():
    nonlocal line_number
    with tf.io.gfile.GFile(path, 'rb') as file:
      for line in gzip.GzipFile(fileobj=file) if _is_gzip(path) else file:
        line_number += 1
        # Spreadsheets begin a file with the mark that utf-8-sig takes away.
        yield line.decode('utf-8-sig' if line_number == 1 else 'utf-8')

  try:
    for row in csv.reader(lines(), delimiter=delimiter, strict=True):
      if row:  # An empty line is none.
        yield line_number, row
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{path}, line {line_number}: not UTF-8 text ({error.reason}). Save the '
      'file as UTF-8.'
    ) from error
  except csv.Error as error:
    raise ValueError(
      f'{path}, line {line_number}: not CSV ({error}). Quote cells that hold '
      'quotes or line ends, and double the quotes.'
    ) from error
  except (EOFError, zlib.error) as error:
    raise ValueError(
      f'{path}: damaged after line {line_number}. Copy or compress it again.'
    ) from error


def _csv_records(path, delimiter, csv_format):
  rows = _csv_rows(path, delimiter)
  _, header = next(rows, (0, None))
  if header is None:
    raise ValueError(
      f'{path}: an empty file. A CSV file starts with a header of feature keys.'
    )
  header = [key.strip() for key in header]
  _check_header(path, header, csv_format)
  used = [
    (i, key, csv_format.features[key])
    for i, key in enumerate(header)
    if key in csv_format.features
  ]
  for line_number, row in rows:
    place = f'{path}, line {line_number}'
    if len(row) != len(header):
      raise ValueError(
        f'{place}: {len(row)} cells; the header has {len(header)}. Quote '
        f'cells that hold {delimiter!r}, and leave a missing value empty.'
      )
    example = tf.train.Example()
    for i, key, feature in used:
      if row[i] in csv_format.missing:
        continue
      try:
        _add_cell(example, key, feature, row[i], csv_format.list_separator)
      except (ValueError, OverflowError) as error:
        remedy = (
          'Leave a missing value empty, or say with --missing what stands for '
          'one.'
        )
        if _takes_many(feature):
          remedy += (
            ' --list_separator tells what is between several values; now it is '
            f'{csv_format.list_separator!r}.'
          )
        raise ValueError(
          f'{place}, column {key!r}: {row[i]!r} is not of '
          f'type {feature.dtype.name}. {remedy}'
        ) from error
    yield Record(example.SerializeToString(), place)


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
  if ignored:
    csv_format.warn(
      path, f'ignored columns that are no features: {", ".join(ignored)}'
    )
  # Whether the model can do without is for its parser to say: it may have a
  # default.
  if absent:
    csv_format.warn(path, f'no column for the features: {", ".join(absent)}')


def _add_cell(example, key, feature, cell, list_separator):
  """Adds to `example` what the text of a cell says of `feature`."""
  is_list = list_separator and _takes_many(feature)
  texts = cell.split(list_separator) if is_list else [cell]
  # A tf.Example knows three types only.
  dtype, value = feature.dtype, example.features.feature[key]
  if dtype == tf.string:
    value.bytes_list.value.extend(text.encode('utf-8') for text in texts)
  elif dtype.is_floating:
    value.float_list.value.extend(float(text) for text in texts)
  elif dtype == tf.bool:
    value.int64_list.value.extend(_parsed_bool(text) for text in texts)
  elif dtype.is_integer:
    value.int64_list.value.extend(_parsed_int(text) for text in texts)
  else:
    raise ValueError(f'a {dtype.name} cannot be read from CSV')


def _takes_many(feature):
  if feature.is_sparse or feature.shape is None:
    return True
  return any(dimension != 1 for dimension in feature.shape)


def _parsed_int(text):
  try:
    value = int(text)
  except ValueError:
    # A column of whole numbers with some missing: pandas writes it as floats.
    number = float(text)
    if not math.isfinite(number) or number != int(number):
      raise
    value = int(number)
  if not _INT64_MIN <= value <= _INT64_MAX:
    raise ValueError(f'{text} is out of range')
  return value


def _parsed_bool(text):
  value = {'true': 1, '1': 1, 'false': 0, '0': 0}.get(text.strip().lower())
  if value is None:
    raise ValueError(f'{text} is neither true nor false')
  return value
