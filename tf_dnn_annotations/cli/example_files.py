"""Reads examples from TFRecord and CSV files, one at a time."""

import collections

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.cli import csv_files
from tf_dnn_annotations.cli import tfrecord_files

# A CSV file is known by its name; whatever else it is, is read as TFRecord.
_DELIMITERS = {'.csv': ',', '.tsv': '\t'}


class Record(
  collections.namedtuple('Record', ['example', 'place', 'error', 'is_rest'])
):
  """One example of a file.

  Attributes:
    example: bytes, a serialized tf.Example; None if it cannot be read.
    place: str, where it was found: file and line, or file and record.
    error: None, or the ValueError that says why it cannot be read.
    is_rest: whether all that follows in the file cannot be read either.
  """

  __slots__ = ()


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


def read_records(paths, csv_format, keep_bad=False):
  """Yields the `Record`s of the files, holding few at a time in memory.

  A file named *.csv or *.tsv, with or without .gz, is CSV with a header; any
  other is TFRecord of serialized tf.Examples. Either may be gzipped, and a
  pipe: a file is read once, from its start.

  Args:
    paths: iterable of paths, local or of any file system TensorFlow has.
    csv_format: `csv_cells.CsvFormat`, for the CSV files.
    keep_bad: whether an example that cannot be read is yielded, with its
      `error`, in place of raising that.

  Raises:
    ValueError: a file is damaged or not what its name says, or a cell has not
      the type of its feature; names file and line.
    OSError: a file cannot be read.
  """
  for path in paths:
    for record in _records(path, csv_format):
      if record.error is not None and not keep_bad:
        raise record.error
      yield record


def _records(path, csv_format):
  delimiter = _delimiter(path)
  if delimiter:
    for row in csv_files.examples(path, delimiter, csv_format):
      if isinstance(row, csv_files.RowError):
        yield Record(None, f'{path}, line {row.line}', row, row.is_rest)
      else:
        yield Record(row[1], f'{path}, line {row[0]}', None, False)
    return
  for number, example in enumerate(tfrecord_files.records(path)):
    place = f'{path}, record {number}'
    if isinstance(example, tfrecord_files.DamagedRecordError):
      yield Record(None, place, example, example.is_rest)
    else:
      yield Record(example, place, None, False)


def count_records(paths):
  """Returns how many records `read_records` yields with `keep_bad`.

  Raises:
    OSError: a file cannot be read.
  """
  count = 0
  for path in paths:
    delimiter = _delimiter(path)
    count += (
      csv_files.count_rows(path, delimiter)
      if delimiter
      else tfrecord_files.count(path)
    )
  return count


def _delimiter(path):
  """Returns what separates the cells of a CSV file; None for a TFRecord."""
  name = path.lower()
  name = name[: -len('.gz')] if name.endswith('.gz') else name
  return _DELIMITERS.get(name[-len('.csv') :])
