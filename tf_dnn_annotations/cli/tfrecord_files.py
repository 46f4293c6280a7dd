"""TFRecord files, read one record at a time and checked to the last byte."""

import struct

import numpy as np

from tf_dnn_annotations.cli import crc32c
from tf_dnn_annotations.cli import input_files

# A record is its length, the checksum of that, the data, their checksum.
_HEADER = struct.Struct('<QI')
_CHECKSUM = struct.Struct('<I')

# Records whose checksums are computed together: bytes and number.
_BLOCK_BYTES = 1 << 20
_BLOCK_RECORDS = 1024


class DamagedRecordError(ValueError):
  """A record that is not what was written.

  Attributes:
    is_rest: whether what follows in the file cannot be read either.
  """

  def __init__(self, message, is_rest):
    super().__init__(message)
    self.is_rest = is_rest


def records(path):
  """Yields the records of a TFRecord file, gzipped or not.

  Reads ahead by no more than about a megabyte, or one record.

  Args:
    path: as `input_files.opened` takes it.

  Yields:
    bytes; a `DamagedRecordError` in place of a record that is damaged. Where
    its length is, the error is the last that is yielded.

  Raises:
    ValueError: it is not a TFRecord file.
    OSError: it cannot be read.
  """
  count = 0
  with input_files.opened(path) as file:
    for block, error in _blocks(path, file):
      checksums = crc32c.masked([data for data, _ in block])
      expected = np.array([checksum for _, checksum in block], np.uint32)
      for (data, _), is_same in zip(block, checksums == expected):
        yield data if is_same else _damaged(path, count, False)
        count += 1
      if error is None:
        continue
      if isinstance(error, DamagedRecordError):
        yield error
      elif count or error is not _NOT_A_HEADER:
        yield _damaged(path, count, True)
      else:
        raise ValueError(
          f'{path}: not a TFRecord file. Write tf.Examples with '
          'tf.io.TFRecordWriter, or name a CSV file *.csv.'
        )


def count(path):
  """Returns how many `records` yields; most checksums are not computed."""
  with input_files.opened(path) as file:
    return sum(
      len(block) + (error is not None) for block, error in _blocks(path, file)
    )


def _damaged(path, number, is_rest):
  where = f'after record {number - 1}' if number else 'at its first record'
  return DamagedRecordError(
    f'{path}: damaged {where}. Copy or write it again.', is_rest
  )


# What is wrong with a file.
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
  return DamagedRecordError(
    f'{path}, record {number}: {length:,} bytes long; the limit is '
    f'{input_files.MAX_EXAMPLE_BYTES:,} an example. Leave it out, or write a '
    'row to an example.',
    True,
  )
