"""Files are read in bounded memory, from pipes too, or refused in one line."""

import gzip
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading

from absl.testing import absltest
from absl.testing import parameterized
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.cli import crc32c
from tf_dnn_annotations.cli import csv_cells
from tf_dnn_annotations.cli import csv_files
from tf_dnn_annotations.cli import example_files
from tf_dnn_annotations.cli import input_files
from tf_dnn_annotations.saved_models import feature_values

_FEATURES = {
  'name': feature_values.Feature('name', tf.string, [1], False),
}
_ROOT = str(pathlib.Path(__file__).absolute().parents[1])

# Reads a file; prints the error and the growth of the peak memory, in MiB.
_READ = """
import resource, sys
import tensorflow.compat.v1 as tf
from tf_dnn_annotations.cli import csv_cells, example_files
from tf_dnn_annotations.saved_models import feature_values
features = {'name': feature_values.Feature('name', tf.string, [1], False)}
def peak():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
try:
  for _ in example_files.read_records(
      sys.argv[1:], csv_cells.CsvFormat(features)):
    pass
except ValueError as error:
  print(error)
print(peak() - before)
"""


def _read(*paths):
  return example_files.read_records(paths, csv_cells.CsvFormat(_FEATURES))


def _header(length):
  header = struct.pack('<Q', length)
  return header + struct.pack('<I', crc32c.masked_of_short(header))


class InputLimitsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.dir = directory.name

  def _path(self, name, content=None):
    path = os.path.join(self.dir, name)
    if content is not None:
      with open(path, 'wb') as file:
        file.write(content)
    return path

  def _gzip_of(self, start, chunk, num_chunks):
    path = self._path('bomb')
    with gzip.open(path, 'wb', compresslevel=1) as file:
      file.write(start)
      for _ in range(num_chunks):
        file.write(chunk)
    return path

  @parameterized.parameters(
    # Each is a quarter of a gigabyte, in a megabyte or two of a file.
    ('x.csv', b'name\n', b'x', 'line 2: a row of more than 16,777,216 char'),
    (
      'x.csv',
      b'name\n"',
      b'x' * 1023 + b'\n',
      'a row of more than 16,777,216 characters',
    ),
    ('x.csv', b'', b'\0', 'line 1: .*more than 16,777,216 char'),
    ('x', b'', b'\0', 'not a TFRecord file'),
    (
      'x',
      _header(1 << 29),
      b'\0',
      'record 0: 536,870,912 bytes long; the limit is 67,108,864',
    ),
  )
  def test_gzip_bombs_end_at_a_stated_limit(self, name, start, unit, message):
    chunk = unit * ((1 << 24) // len(unit))
    path = self._gzip_of(start, chunk, 16)
    os.rename(path, self._path(name))
    output = subprocess.check_output(
      [sys.executable, '-c', _READ, self._path(name)],
      cwd=_ROOT,
      env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3'),
      stderr=subprocess.DEVNULL,
      universal_newlines=True,
    )
    error, growth = output.splitlines()
    self.assertRegex(error, message)
    # Python's reader of CSV holds four bytes a character, twice as it grows.
    self.assertLess(float(growth), 256)

  def test_a_length_of_gigabytes_is_not_believed(self):
    for length in (5 << 30, 1 << 62):
      path = self._path('x', _header(length) + b'some bytes')
      with self.assertRaisesRegex(
        ValueError, f'x, record 0: {length:,} bytes long; the limit is'
      ):
        list(_read(path))
    # With its checksum wrong, it is damaged.
    path = self._path('x', _header(3) + b'abc' + b'\0' * 4)
    with self.assertRaisesRegex(ValueError, 'x, record 0: damaged. Copy'):
      list(_read(path))

  def test_just_below_the_limits(self):
    limit = csv_files.MAX_ROW_CHARACTERS
    cell = 'x' * (limit - 1)
    (record,) = _read(self._path('x.csv', f'name\n{cell}\n'.encode()))
    self.assertIn(cell.encode(), record.example)
    data = b'x' * input_files.MAX_EXAMPLE_BYTES
    with tf.io.TFRecordWriter(self._path('x')) as writer:
      writer.write(data)
    (record,) = _read(self._path('x'))
    self.assertEqual(record.example, data)

  @parameterized.parameters('', 'gz')
  def test_pipes_are_read(self, kind):
    examples = [b'first', b'', b'third' * 100000]
    with tf.io.TFRecordWriter(self._path('file')) as writer:
      for example in examples:
        writer.write(example)
    with open(self._path('file'), 'rb') as file:
      records = file.read()
    for name, content in [('x', records), ('x.csv', b'name\na\nb\n')]:
      path = self._path(name)
      os.mkfifo(path)
      content = gzip.compress(content) if kind else content

      def write(path=path, content=content):
        with open(path, 'wb', buffering=0) as file:
          file.write(content[:1])  # It comes in pieces.
          file.write(content[1:])

      writer = threading.Thread(target=write)
      writer.start()
      got = list(_read(path))
      writer.join()
      self.assertTrue(input_files.is_pipe(path))
      if name == 'x':
        self.assertEqual([record.example for record in got], examples)
      else:
        self.assertLen(got, 2)

  def test_what_cannot_be_opened_is_said_with_the_remedy(self):
    with self.assertRaisesRegex(IsADirectoryError, 'a directory. Name the fi'):
      list(_read(self.dir))
    with self.assertRaisesRegex(OSError, 'absent: cannot be read .No such'):
      list(_read(self._path('absent')))
    path = self._path('locked', b'')
    os.chmod(path, 0)
    if not os.access(path, os.R_OK):  # Of root, it is always readable.
      with self.assertRaisesRegex(PermissionError, 'locked: permission denied'):
        list(_read(path))

  @parameterized.parameters(
    (b'', 0), (b'\0' * 100, 0), (gzip.compress(b'name\nb\n'), 2)
  )
  def test_gzip_of_several_members(self, more, num_rows):
    path = self._path('x.csv', gzip.compress(b'name\na\n') + more)
    self.assertLen(list(_read(path)), 1 + num_rows)
    path = self._path('x.csv', gzip.compress(b'name\na\n') + b'junk')
    with self.assertRaisesRegex(ValueError, 'damaged. Copy'):
      list(_read(path))


if __name__ == '__main__':
  absltest.main()
