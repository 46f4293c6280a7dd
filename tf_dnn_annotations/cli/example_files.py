"""Reads examples from TFRecord and CSV files, one at a time."""

import collections

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.cli import csv_files
from tf_dnn_annotations.cli import example_ids
from tf_dnn_annotations.cli import tfrecord_files
from tf_dnn_annotations.cli import unreadable_examples

# A CSV file is known by its name; any other file is read as a TFRecord.
_DELIMITERS = {'.csv': ',', '.tsv': '\t'}


class Record(
  collections.namedtuple('Record', ['example', 'place', 'id', 'error'])
):
  """One example of a file.

  Attributes:
    example: bytes, a serialized tf.Example; None if it cannot be read.
    place: str, where it is: file and line, or file and record.
    id: what identifies it, an int, a float or a str; None unless asked for, or
      if it cannot be read.
    error: None, or the `UnreadableExample`.
  """

  __slots__ = ()


def find_files(patterns):
  """Returns the paths that `patterns` name, in its order, globs sorted.

  Args:
    patterns: str, paths and globs separated by commas.

  Raises:
    FileNotFoundError: there is no such file.
  """
  paths = []
  for pattern in filter(None, (item.strip() for item in patterns.split(','))):
    # The name of a file may look like a glob.
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


def read_records(paths, csv_format, keep_bad=False, id_key=None):
  """Yields the `Record`s of the files, holding few at a time in memory.

  A file named *.csv or *.tsv, with or without .gz, is CSV with a header; any
  other is TFRecord of serialized tf.Examples. Either may be gzipped, and a
  pipe: a file is read once, from its start.

  Args:
    paths: iterable of paths, local or of any file system TensorFlow has.
    csv_format: `csv_cells.CsvFormat`, for the CSV files.
    keep_bad: whether an example that cannot be read is yielded, with its
      `error`, in place of raising that.
    id_key: None, or the feature or column whose one value identifies each
      example. An example without one cannot be used.

  Raises:
    ValueError: a file is damaged or not what its name says, or a cell has not
      the type of its feature; names file and line.
    OSError: a file cannot be read.
  """
  for path in paths:
    for record in _records(path, csv_format, id_key):
      if record.error is not None and not keep_bad:
        raise record.error
      yield record


def _records(path, csv_format, id_key):
  delimiter = _delimiter(path)
  if delimiter:
    found = csv_files.examples(path, delimiter, csv_format, id_key)
  else:
    found = _examples_of_tfrecord(path, id_key)
  for each in found:
    if isinstance(each, unreadable_examples.UnreadableExample):
      yield Record(None, each.place, each.id, each)
    else:
      place, example, its_id = each
      yield Record(example, place, its_id, None)


def _examples_of_tfrecord(path, id_key):
  """Yields what `csv_files.examples` does, of a TFRecord file."""
  for each in tfrecord_files.records(path):
    if isinstance(each, unreadable_examples.UnreadableExample):
      yield each
      continue
    place, example = each
    try:
      its_id = id_key and example_ids.of_example(example, id_key)
    except ValueError as error:
      yield unreadable_examples.UnreadableExample(place, str(error))
    else:
      yield place, example, its_id


def count_records(paths):
  """Returns how many records `read_records` yields, the bad ones too.

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
