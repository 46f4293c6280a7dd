"""Loads a shared library of this package if it fits the Python side.

Calling a library of another version would read and write memory anywhere, and
loading one that was cut short may end the process. So both are checked before.
"""

import ctypes
import os
import struct

# The header of a 64-bit ELF file: the magic number and the class, the offset of
# the numbers that are read, and their types.
_ELF64_START = b'\x7fELF\x02'
_LITTLE_ENDIAN = b'\x01'
_HEADER = 'QQIHHHHH'
_HEADER_OFFSET = 32
_SEGMENT = 'IIQQQQQQ'


def load(path, prefix, interface, struct_bytes):
  """Loads a shared library.

  Args:
    path: str.
    prefix: of the names of its functions. `<prefix>_interface` returns the
      number of its interface, `<prefix>_problem_bytes` the size of the struct
      that it takes.
    interface, struct_bytes: the values that these must return.

  Returns:
    `ctypes.CDLL`.

  Raises:
    FileNotFoundError: there is no such file.
    OSError: it cannot be loaded or does not fit; the message is one line.
  """
  with open(path, 'rb') as file:
    if not _is_whole(file):
      raise OSError('the file is cut short')
  library = ctypes.CDLL(path)
  for function, expected in [
    (f'{prefix}_interface', interface),
    (f'{prefix}_problem_bytes', struct_bytes),
  ]:
    found = getattr(library, function, lambda: None)()
    if found != expected:
      raise OSError('it was built from another version')
  return library


def _is_whole(file):
  """Returns whether an ELF file contains all that its header announces.

  The dynamic linker trusts the header and maps what is not there. Loaders of
  other formats check by themselves, so any other file counts as whole.
  """
  size = os.fstat(file.fileno()).st_size
  start = file.read(64)
  if not start.startswith(_ELF64_START):
    return True
  if len(start) < 64:
    return False
  order = '<' if start[5:6] == _LITTLE_ENDIAN else '>'
  # Where the lists of segments and sections are, and how long these are.
  segments, sections, _, _, *sizes = struct.unpack_from(
    order + _HEADER, start, _HEADER_OFFSET
  )
  segment_bytes, num_segments, section_bytes, num_sections = sizes
  if sections + section_bytes * num_sections > size:
    return False
  file.seek(segments)
  for _ in range(num_segments):
    segment = file.read(segment_bytes)
    if len(segment) < struct.calcsize(order + _SEGMENT):
      return False
    _, _, offset, _, _, bytes_in_file, _, _ = struct.unpack_from(
      order + _SEGMENT, segment
    )
    if offset + bytes_in_file > size:
      return False
  return True
