"""Files opened for one pass from their start: local, remote, gzipped, pipes."""

import io
import os
import stat
import zlib

import tensorflow.compat.v1 as tf

# The limit for one example: gzip compresses zeros a thousandfold, and a file
# without line ends is one line. Examples of a network of dense layers are far
# smaller, and a batch of a few of this size still fits into memory.
MAX_EXAMPLE_BYTES = 64 << 20

_CHUNK = 1 << 18
# The magic number and the only method (deflate) of RFC 1952.
_GZIP_START = b'\x1f\x8b\x08'
_GZIP_WBITS = 16 + zlib.MAX_WBITS


class DamagedError(ValueError):
  """A gzip file that ends early or whose data are damaged."""


def is_pipe(path):
  """Returns whether `path` is local and can be read only once."""
  try:
    mode = os.stat(path).st_mode
  except OSError:
    return False
  return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def opened(path):
  """Opens a file for reading, uncompressed if it is gzipped.

  Args:
    path: str, local or of any file system TensorFlow has. It may be a pipe: the
      file is neither sought in nor asked for its size.

  Returns:
    `io.BufferedReader`; its reads raise `DamagedError` where gzip data are
    damaged.

  Raises:
    OSError: it cannot be opened or read; its text is the cause and the remedy.
  """
  return io.BufferedReader(_Bytes(path, _source(path)), _CHUNK)


def _source(path):
  """Returns a file with `read(size)` and `close`."""
  try:
    if '://' in path:  # TensorFlow's own reader of local files seeks.
      return tf.io.gfile.GFile(path, 'rb')
    return open(path, 'rb', buffering=0)
  except (OSError, tf.errors.OpError) as error:
    raise _not_read(path, error) from error


def _not_read(path, error):
  """Returns the OSError of a file, with cause and remedy in its text."""
  if isinstance(error, PermissionError):
    return PermissionError(
      f'{path}: permission denied. Make it readable (chmod +r), or run this as '
      'a user who may read it.'
    )
  if isinstance(error, IsADirectoryError):
    return IsADirectoryError(
      f"{path}: a directory. Name the files in it, as in '{path}/*'."
    )
  cause = getattr(error, 'strerror', None) or getattr(error, 'message', error)
  cause = ''.join(str(cause).strip().splitlines()[:1])
  return OSError(
    f'{path}: cannot be read ({cause}). Check the name, the disk and the '
    'connection.'
  )


class _Bytes(io.RawIOBase):
  """The bytes of a source, uncompressed if they begin like gzip.

  Memory is bounded by the size of a read, whatever was compressed.
  """

  def __init__(self, path, source):
    super().__init__()
    self._path, self._source = path, source
    self._compressed = self._read_start()
    is_gzip = self._compressed.startswith(_GZIP_START)
    self._gzip = zlib.decompressobj(_GZIP_WBITS) if is_gzip else None
    self._has_ended = False

  def readable(self):
    return True

  def readinto(self, buffer):
    read_fn = self._unzipped if self._gzip else self._plain
    data = read_fn(len(buffer))
    buffer[: len(data)] = data
    return len(data)

  def close(self):
    if not self.closed:
      self._source.close()
    super().close()

  def _read_start(self):
    """Returns the first bytes; a pipe may give fewer at a time."""
    start = b''
    while len(start) < len(_GZIP_START):
      data = self._read(_CHUNK)
      if not data:
        break
      start += data
    return start

  def _read(self, size):
    try:
      return self._source.read(size) or b''
    except (OSError, tf.errors.OpError) as error:
      raise _not_read(self._path, error) from error

  def _plain(self, size):
    if not self._compressed:
      return self._read(size)
    data, self._compressed = self._compressed[:size], self._compressed[size:]
    return data

  def _unzipped(self, size):
    while not self._has_ended:
      if not self._compressed:
        self._compressed = self._read(_CHUNK)
        if not self._compressed:
          raise DamagedError('it ends early')
      try:
        data = self._gzip.decompress(self._compressed, size)
      except zlib.error as error:
        raise DamagedError('its gzip data are damaged') from error
      self._compressed = self._gzip.unconsumed_tail
      if self._gzip.eof:
        self._compressed = self._next_member(self._gzip.unused_data)
      if data:
        return data
    return b''

  def _next_member(self, rest):
    """Begins the next gzip member of a file; returns its first bytes."""
    # Padding of zeros may follow a member.
    rest = rest.lstrip(b'\0')
    while len(rest) < len(_GZIP_START):
      data = self._read(_CHUNK)
      if not data:
        break
      rest = (rest + data).lstrip(b'\0')
    self._has_ended = not rest
    if rest:
      if not rest.startswith(_GZIP_START):
        raise DamagedError('what follows its gzip data is not gzip')
      self._gzip = zlib.decompressobj(_GZIP_WBITS)
    return rest
