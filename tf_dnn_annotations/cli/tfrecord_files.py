"""TFRecord files, read one record at a time and checked to the last byte."""

import struct

import numpy as np

from tf_dnn_annotations.cli import crc32c
from tf_dnn_annotations.cli import input_files
from tf_dnn_annotations.cli import unreadable_examples

UnreadableExample = unreadable_examples.UnreadableExample

# A record is its length, a checksum of the length, the data and a checksum of
# the data.
_HEADER = struct.Struct('<QI')
_CHECKSUM = struct.Struct('<I')

# The most bytes and records whose checksums are computed together.
_BLOCK_BYTES = 1 << 20
_BLOCK_RECORDS = 1024


def records(path):
  """Yields the records of a TFRecord file, gzipped or not.

  Reads ahead by no more than about a megabyte, or one record.

  Args:
    path: as `input_files.opened` takes it.

  Yields:
    (place, bytes); an `UnreadableExample` in place of a damaged record. If its
    length is damaged, the error is the last that is yielded.

  Raises:
    ValueError: the file is not a TFRecord file.
    OSError: it cannot be read.
  """
  count = 0
  with input_files.opened(path) as file:
    for block, error in _blocks(path, file):
      checksums = crc32c.masked([data for data, _ in block])
      expected = np.array([checksum for _, checksum in block], np.uint32)
      for (data, _), is_same in zip(block, checksums == expected):
        place = _place(path, count)
        yield (place, data) if is_same else UnreadableExample(place, _DAMAGED)
        count += 1
      if error is None:
        continue
      if isinstance(error, UnreadableExample):
        yield error
      elif count or error is not _NOT_A_HEADER:
        yield UnreadableExample(_place(path, count), _DAMAGED, is_rest=True)
      else:
        raise ValueError(
          f'{path}: not a TFRecord file. Write tf.Examples with '
          'tf.io.TFRecordWriter, or name a CSV file *.csv.'
        )


def count(path):
  """Returns how many `records` yields; skips most of the checksums."""
  with input_files.opened(path) as file:
    return sum(
      len(block) + (error is not None) for block, error in _blocks(path, file)
    )


def _place(path, number):
  return f'{path}, record {number}'


_DAMAGED = 'damaged. Copy or write the file again.'

# Why the next record cannot be read.
_NOT_A_HEADER, _ENDS_EARLY = 'not a header', 'ends early'


def _blocks(path, file):
  """Yields (list of (data, checksum), what is wrong with the next or None)."""
  block, size, count, error = [], 0, 0, None
  while error is None:
    try:
      header = file.read(_HEADER.size)
      if not header:
        break
      error = _NOT_A_HEADER
      if len(header) == _HEADER.size:
        length, checksum = _HEADER.unpack(header)
        if crc32c.masked_of_short(header[:8]) == checksum:
          error = _too_large(path, count, length)
      if error is None:
        record = file.read(length + _CHECKSUM.size)
        if len(record) < length + _CHECKSUM.size:
          error = _ENDS_EARLY
    except input_files.DamagedError:
      error = _ENDS_EARLY
    if error is None:
      block.append((record[:length], *_CHECKSUM.unpack(record[length:])))
      size += length
      count += 1
      if size < _BLOCK_BYTES and len(block) < _BLOCK_RECORDS:
        continue
    yield block, error
    block, size = [], 0
  if block:
    yield block, None


def _too_large(path, number, length):
  """Returns the error of a record that is larger than the limit, or None."""
  if length <= input_files.MAX_EXAMPLE_BYTES:
    return None
  return UnreadableExample(
    _place(path, number),
    f'{length:,} bytes long; the limit is {input_files.MAX_EXAMPLE_BYTES:,} '
    'per example. Leave it out, or write one row per example.',
    is_rest=True,
  )
