"""A file that takes its name when it is complete, and else leaves nothing."""

import errno
import os
import stat
from typing import Callable, Dict

from tf_dnn_annotations.system import interrupts

# Names of the files that are being written, with the function that removes one.
_temporary: Dict[str, Callable[[str], None]] = {}

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PendingFile(object):
  """Bytes written under another name in the same directory.

  That name is random, and is made, never found: nobody can have put a file or
  a symbolic link there. A local file is on its disk before it takes the name
  `path`. A symbolic link of that name is replaced, and its target left alone.

  Args:
    path: str, of the local or any other file system that TensorFlow has.

  Raises:
    OSError: nothing can be written there; says why and what to do.
  """

  def __init__(self, path):
    self.path = path
    self._files = _OtherFiles() if '://' in path else _LocalFiles()
    self._files.check(path)
    self._temp_path = f'{path}.{os.urandom(8).hex()}.tmp'
    with interrupts.held():
      self._file = self._call(self._files.open, self._temp_path)
      _temporary[self._temp_path] = self._files.remove

  def write(self, data):
    """Writes bytes."""
    self._call(self._file.write, data)

  def complete(self):
    """Gives the file its name; from then on no signal ends the run."""
    self._call(self._files.close, self._file)
    with interrupts.held():
      self._call(self._files.rename, self._temp_path, self.path)
      del _temporary[self._temp_path]
      interrupts.finish()

  def discard(self):
    """Removes what was written. Without effect on a complete file."""
    if self._temp_path in _temporary:
      try:
        self._file.close()
      except self._files.errors:  # What it still holds, there is no room for.
        pass
      _temporary.pop(self._temp_path)(self._temp_path)

  def _call(self, fn, *args):
    """Calls `fn`; an error names the file that was to be written."""
    try:
      return fn(*args)
    except self._files.errors as error:
      number = getattr(error, 'errno', None)
      if number in _NO_ROOM:
        remedy = 'Make room there, or name a file elsewhere.'
      else:
        remedy = 'Name a file in a directory that you may write to.'
      cause = getattr(error, 'strerror', None) or getattr(
        error, 'message', error
      )
      raise OSError(
        f'{self.path!r} cannot be written: {cause}. {remedy}'
      ) from error


def discard_all():
  """Removes what is there of all files that are not complete."""
  for path, remove_fn in list(_temporary.items()):
    remove_fn(path)


class _LocalFiles(object):
  """Files of the operating system."""

  errors = (OSError,)

  def check(self, path):
    parent = os.path.dirname(path) or '.'
    if not os.path.isdir(parent):
      raise _no_directory(parent, path)
    try:
      mode = os.lstat(path).st_mode
    except OSError:
      return
    if stat.S_ISDIR(mode):
      raise _is_directory(path)
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
      raise OSError(
        f'{path!r} is a pipe, a socket or a device, where no file can appear '
        'when complete. Name a file, and send that on.'
      )
    if stat.S_ISREG(mode) and not os.access(path, os.W_OK):
      raise PermissionError(
        f'{path!r} is read-only. Name another file, or make it writable.'
      )

  def open(self, temp_path):
    # O_EXCL follows no symbolic link; the umask takes its part of 0666.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, 'O_CLOEXEC', 0)
    return os.fdopen(os.open(temp_path, flags, 0o666), 'wb')

  def close(self, file):
    file.flush()
    # After a power failure the name must not stand for an empty file.
    os.fsync(file.fileno())
    file.close()

  def rename(self, temp_path, path):
    os.replace(temp_path, path)

  def remove(self, path):
    try:
      os.remove(path)
    except OSError:  # Not there, or the directory has gone.
      pass


class _OtherFiles(object):
  """Files of the other file systems that TensorFlow has."""

  def __init__(self):
    # Not sooner: it takes seconds.
    import tensorflow.compat.v1 as tf

    self._gfile = tf.io.gfile
    self.errors = (OSError, tf.errors.OpError)

  def check(self, path):
    parent = os.path.dirname(path)
    if not self._gfile.isdir(parent):
      raise _no_directory(parent, path)
    if self._gfile.isdir(path):
      raise _is_directory(path)

  def open(self, temp_path):
    return self._gfile.GFile(temp_path, 'wb')

  def close(self, file):
    file.close()

  def rename(self, temp_path, path):
    self._gfile.rename(temp_path, path, overwrite=True)

  def remove(self, path):
    try:
      self._gfile.remove(path)
    except self.errors:
      pass


def _no_directory(parent, path):
  return FileNotFoundError(
    f'No such directory: {parent!r}, to write {path!r} to. Make it first.'
  )


def _is_directory(path):
  return IsADirectoryError(f'{path!r} is a directory. Name a file to write.')
