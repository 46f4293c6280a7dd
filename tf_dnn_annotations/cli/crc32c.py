"""The checksum of TFRecord files, CRC-32C, of many records at once.

Python's own checksums use another polynomial, and TensorFlow computes this one
only in its readers, which trust a record's length before they check anything. A
CRC without its start and end values is linear: leading zeros do not change it,
and the CRC of two halves is that of the first, moved over the length of the
second, XOR that of the second. So the records are cut into pieces, whose CRCs
numpy computes side by side and joins pair by pair.

Source: Castagnoli, Braeuer, Herrmann, "Optimization of Cyclic Redundancy-Check
Codes with 24 and 32 Parity Bits", IEEE Trans. Communications 41, 1993; test
vectors in RFC 3720, B.4.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Its bits reversed.
_ONES = 0xFFFFFFFF
_PIECE = 8  # Bytes; found by trial.
# TFRecords rotate a checksum and add this, so that checksums of data that hold
# checksums are good ones.
_MASK = 0xA282EAD8


def masked(records):
  """Returns the checksums of records as TFRecords have them.

  Args:
    records: list of bytes.

  Returns:
    uint32 array, one per record.
  """
  crcs = values(records)
  rotated = (crcs >> np.uint32(15)) | (crcs << np.uint32(17))
  return rotated + np.uint32(_MASK)


def masked_of_short(record):
  """Returns `masked` of a few bytes, an int, with less overhead."""
  crc = of_short(record)
  return ((crc >> 15 | crc << 17) + _MASK) & _ONES


def values(records):
  """Returns the CRC-32C of each of a list of bytes, a uint32 array."""
  crcs = np.zeros(len(records), np.uint32)
  by_size = {}
  for i, record in enumerate(records):
    # A power of two of pieces, with zeros before the record.
    num_pieces = max(1, -(-max(len(record), 4) // _PIECE))
    by_size.setdefault((num_pieces - 1).bit_length(), []).append(i)
  for level, indices in by_size.items():
    size = _PIECE << level
    joined = bytearray(size * len(indices))
    starts = []
    for k, i in enumerate(indices):
      end = (k + 1) * size
      start = end - len(records[i])
      joined[start:end] = records[i]
      starts.append(start)
    data = np.frombuffer(joined, np.uint8)
    # The start value, all ones, is XORed to the first four bytes. In shorter
    # records it reaches beyond the end: those are computed byte by byte.
    firsts = np.array(starts)
    lengths = np.array([len(records[i]) for i in indices])
    long_enough = firsts[lengths >= 4]
    data[long_enough[:, np.newaxis] + np.arange(4)] ^= 0xFF
    crcs[indices] = _linear(data.reshape(len(indices), -1)) ^ np.uint32(_ONES)
    for k in np.flatnonzero(lengths < 4):
      crcs[indices[k]] = of_short(records[indices[k]])
  return crcs


def _linear(data):
  """Returns the linear CRCs of the rows of a uint8 array [n, 8 * 2**k]."""
  num_rows = len(data)
  pieces = data.reshape(-1, _PIECE)
  table = _table()
  crcs = table[pieces[:, 0]]
  for position in range(1, _PIECE):
    crcs = table[(crcs ^ pieces[:, position]) & 0xFF] ^ (crcs >> np.uint32(8))
  level = 0
  while len(crcs) > num_rows:
    moved = _moved_over(level)
    left = crcs[::2]
    crcs = crcs[1::2].copy()
    for byte, table in enumerate(moved):
      crcs ^= table[(left >> np.uint32(8 * byte)) & 0xFF]
    level += 1
  return crcs


def of_short(record):
  """Returns the CRC-32C of a few bytes, an int."""
  crc, table = _ONES, _list_table()
  for byte in record:
    crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
  return crc ^ _ONES


@functools.lru_cache(maxsize=None)
def _list_table():
  return _table().tolist()


@functools.lru_cache(maxsize=None)
def _table():
  """Returns the CRC of each byte, uint32 [256]."""
  crcs = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    crcs = np.where(crcs & 1, (crcs >> 1) ^ np.uint32(_POLYNOMIAL), crcs >> 1)
  return crcs.astype(np.uint32)


@functools.lru_cache(maxsize=None)
def _moved_over(level):
  """Returns how a CRC changes over 2**level pieces of zeros after it.

  Returns:
    list of four arrays uint32 [256]: the contributions of the bytes of the CRC
    to the result, from the low byte up.
  """
  crcs = np.arange(256, dtype=np.uint32)
  bytes_of_crc = [crcs << np.uint32(8 * byte) for byte in range(4)]
  if level:
    before = _moved_over(level - 1)

    def moved(crcs):
      return functools.reduce(
        np.bitwise_xor,
        [
          table[(crcs >> np.uint32(8 * byte)) & 0xFF]
          for byte, table in enumerate(before)
        ],
      )

    return [moved(moved(crcs)) for crcs in bytes_of_crc]
  for _ in range(_PIECE):
    bytes_of_crc = [
      _table()[crcs & 0xFF] ^ (crcs >> np.uint32(8)) for crcs in bytes_of_crc
    ]
  return bytes_of_crc
