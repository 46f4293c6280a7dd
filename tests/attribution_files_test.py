"""A file of attributions is complete or not there; its numbers are exact."""

import csv
import gc
import gzip
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import directories
from tf_dnn_annotations.results import files
from tf_dnn_annotations.results import row_values

_ROOT = str(pathlib.Path(files.__file__).resolve().parents[2])
_FIELDS = ('row', 'target', 'output')
_NAMES = ('age', 'name, "first"')
_ROWS = [[0, 'Ærø', 1.5], [1, 'a,b\n"c"', None]]
_ATTRIBUTIONS = np.float32([[0.1, -1e-30], [1 / 3, 16777216]])


def _rows(path):
  """Returns the rows of a file as (values of fields, attributions)."""
  open_fn = gzip.open if path.endswith('.gz') else open
  with open_fn(path, 'rt', encoding='utf-8', newline='') as file:
    if '.csv' in path:
      header, *rows = csv.reader(file)
      expected = list(_FIELDS) + ['attributions.' + name for name in _NAMES]
      assert header == expected, header
      return [(row[:3], row[3:]) for row in rows]
    rows = [json.loads(line) for line in file]
    return [
      (
        [row[field] for field in _FIELDS],
        [row['attributions'][name] for name in _NAMES],
      )
      for row in rows
    ]


class AttributionFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.dir = directories.new_dir()

  def _write(self, name, batches=((_ROWS, _ATTRIBUTIONS),)):
    path = os.path.join(self.dir, name)
    with files.RowWriter(path, _FIELDS, _NAMES) as writer:
      for fields, attributions in batches:
        writer.write_rows(fields, attributions)
    return path

  @parameterized.parameters(*files.EXTENSIONS)
  def test_rows_are_read_as_written(self, extension):
    rows = _rows(self._write('x' + extension))
    is_csv = 'csv' in extension
    for (fields, values), expected, attributions in zip(
      rows, _ROWS, _ATTRIBUTIONS
    ):
      if is_csv:
        expected = ['' if value is None else str(value) for value in expected]
      self.assertEqual(fields, expected)
      # Bit for bit, though written with few digits.
      np.testing.assert_array_equal(np.float32(values), attributions)
    self.assertLen(rows, 2)
    self.assertEqual(rows[0][1][0], '0.1' if is_csv else 0.1)

  @parameterized.parameters(*files.EXTENSIONS)
  def test_batches_follow_each_other_and_bytes_repeat(self, extension):
    halves = [([row], _ATTRIBUTIONS[i : i + 1]) for i, row in enumerate(_ROWS)]
    contents = []
    for name in ('a', 'b'):
      path = self._write(name + extension, halves)
      with open(path, 'rb') as file:
        contents.append(file.read())
    self.assertEqual(contents[0], contents[1])
    self.assertEqual(_rows(path), _rows(self._write('whole' + extension)))

  @parameterized.parameters(('.jsonl', None), ('.csv', ''))
  def test_what_is_not_finite_is_no_number(self, extension, expected):
    values = np.float32([[np.nan, np.inf], [-np.inf, 2]])
    fields = [[0, 'a', float('nan')], [1, 'b', float('inf')]]
    rows = _rows(self._write('x' + extension, [(fields, values)]))
    self.assertEqual([row[0][2] for row in rows], [expected] * 2)
    self.assertEqual(rows[0][1], [expected] * 2)
    self.assertEqual(float(rows[1][1][1]), 2)

  @parameterized.parameters(*files.EXTENSIONS)
  def test_a_file_without_rows_is_there(self, extension):
    self.assertEmpty(_rows(self._write('x' + extension, [])))

  @parameterized.parameters(*files.EXTENSIONS)
  def test_a_file_appears_when_complete(self, extension):
    path = os.path.join(self.dir, 'x' + extension)
    with open(path, 'w') as file:
      file.write('of before')
    with files.RowWriter(path, _FIELDS, _NAMES) as writer:
      writer.write_rows(_ROWS, _ATTRIBUTIONS)
      with open(path) as file:
        self.assertEqual(file.read(), 'of before')
    self.assertLen(_rows(path), 2)
    self.assertEqual(os.listdir(self.dir), ['x' + extension])

  @parameterized.parameters(*files.EXTENSIONS)
  def test_an_exception_leaves_nothing(self, extension):
    path = os.path.join(self.dir, 'x' + extension)
    with self.assertRaises(KeyboardInterrupt):
      with files.RowWriter(path, _FIELDS, _NAMES) as writer:
        writer.write_rows(_ROWS, _ATTRIBUTIONS)
        raise KeyboardInterrupt()
    # What is destroyed with it writes nothing more.
    del writer
    gc.collect()
    self.assertEmpty(os.listdir(self.dir))

  def test_the_name_before_cannot_be_foreseen(self):
    path = os.path.join(self.dir, 'x.csv')
    names = set()
    for _ in range(2):
      with files.RowWriter(path, _FIELDS, _NAMES):
        (name,) = set(os.listdir(self.dir)) - {'x.csv'}
        names.add(name)
        self.assertNotIn(str(os.getpid()), name.split('.'))
        self.assertRegex(name, r'^x\.csv\.[0-9a-f]{16}\.tmp$')
    self.assertLen(names, 2)

  @parameterized.parameters(0o022, 0o077, 0o002)
  def test_permissions_are_those_of_the_umask(self, umask):
    before = os.umask(umask)
    self.addCleanup(os.umask, before)
    path = self._write('x.csv')
    self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o666 & ~umask)

  def test_a_symbolic_link_is_replaced(self):
    target = os.path.join(self.dir, 'target.csv')
    with open(target, 'w') as file:
      file.write('of before')
    path = os.path.join(self.dir, 'x.csv')
    os.symlink(target, path)
    self._write('x.csv')
    self.assertFalse(os.path.islink(path))
    with open(target) as file:
      self.assertEqual(file.read(), 'of before')

  def test_other_file_systems(self):
    # TensorFlow's name for one of them that is there everywhere.
    path = 'file://' + self.dir
    with files.RowWriter(path + '/x.csv', _FIELDS, _NAMES) as writer:
      writer.write_rows(_ROWS, _ATTRIBUTIONS)
      self.assertNotIn('x.csv', os.listdir(self.dir))
    self.assertEqual(os.listdir(self.dir), ['x.csv'])
    self.assertLen(_rows(os.path.join(self.dir, 'x.csv')), 2)
    with self.assertRaises(KeyError):
      with files.RowWriter(path + '/y.csv.gz', _FIELDS, _NAMES) as writer:
        writer.write_rows(_ROWS, _ATTRIBUTIONS)
        raise KeyError()
    self.assertEqual(os.listdir(self.dir), ['x.csv'])

  @parameterized.parameters(*files.EXTENSIONS)
  def test_a_disk_that_is_full(self, extension):
    program = """
import resource, signal, sys
import numpy as np
from tf_dnn_annotations.results import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
noise = np.random.RandomState(0).randn(5000, 2)
try:
  with files.RowWriter(sys.argv[1], ['row'], 'ab') as file:
    file.write_rows([[i] for i in range(5000)], noise)
except OSError as error:
  print(error)
"""
    path = os.path.join(self.dir, 'x' + extension)
    result = subprocess.run(
      [sys.executable, '-c', program, path],
      env=dict(os.environ, PYTHONPATH=_ROOT),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      universal_newlines=True,
    )
    self.assertEqual(result.stderr, '')
    self.assertRegex(
      result.stdout, f'^{path!r} cannot be written: .*Make room there, or .*\n$'
    )
    self.assertEmpty(os.listdir(self.dir))

  def _error_for_nobody(self, path):
    """Returns what `RowWriter` raises for whom may not do all."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
      try:
        if os.getuid() == 0:
          os.setgid(65534)
          os.setuid(65534)
        with files.RowWriter(path, _FIELDS, _NAMES):
          pass
      except BaseException as error:
        os.write(write_end, f'{type(error).__name__}: {error}'.encode())
      finally:
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as file:
      return file.read()

  def test_a_directory_or_a_file_that_is_read_only(self):
    path = self._write('x.csv')
    # That of all tests' directories: another user may pass it.
    os.chmod(os.path.dirname(self.dir), 0o711)
    os.chmod(self.dir, 0o555)
    self.assertRegex(
      self._error_for_nobody(path + '.csv'),
      "^OSError: '.*' cannot be written: Permission denied. Name a file in a ",
    )
    os.chmod(self.dir, 0o777)
    os.chmod(path, 0o444)
    self.assertRegex(
      self._error_for_nobody(path),
      "^PermissionError: '.*' is read-only. Name another file, or make it",
    )
    self.assertEqual(os.listdir(self.dir), ['x.csv'])

  def test_text_of_a_model_is_no_formula(self):
    texts = ['=1+1', '+1', '-1', '@a', '\t=1', '\r=1', '\n=1', "'=1", "''-"]
    kept = ['a=1', "'a", '', ' =1', '1']
    rows = [[i, text, -1.5] for i, text in enumerate(texts + kept)]
    path = self._write('x.csv', [(rows, np.full((len(rows), 2), -0.5))])
    with open(path, encoding='utf-8', newline='') as file:
      _, *read = csv.reader(file)
    expected = ["'" + text for text in texts] + kept
    self.assertEqual([row[1] for row in read], expected)
    # Numbers stay numbers.
    self.assertEqual(read[0][2:], ['-1.5', '-0.5', '-0.5'])
    # As the docs say, it can be undone.
    undone = [re.sub("^'('*[=+\\-@\t\r\n])", r'\1', text) for text in expected]
    self.assertEqual(undone, texts + kept)

  def test_a_json_row_is_one_line_for_every_reader(self):
    ends = '\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029'
    seen = 'a\u202eb\x9b\x7f\U000e0041 größe'
    rows = [[0, ends, 1.0], [1, seen, 1.0]]
    path = self._write('x.jsonl', [(rows, _ATTRIBUTIONS)])
    with open(path, encoding='utf-8', newline='') as file:
      lines = file.read().splitlines()
    self.assertEqual(
      [json.loads(line)['target'] for line in lines], [ends, seen]
    )
    self.assertIn('größe', lines[1])
    for character in '\u202e\x9b\x7f\U000e0041':
      self.assertNotIn(character, lines[1])

  def test_an_interrupt_of_writing_numbers_is_not_lost(self):
    numbers = np.random.RandomState(0).randn(512, 8).astype(np.float32)
    before = signal.getsignal(signal.SIGALRM)
    self.addCleanup(signal.signal, signal.SIGALRM, before)
    count = 0

    def interrupt(number, frame):
      del number, frame
      nonlocal count
      count += 1
      raise KeyboardInterrupt()

    signal.signal(signal.SIGALRM, interrupt)
    raised = 0
    for i in range(200):
      try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + i * 1e-5)
        while count == i:
          row_values.numbers(numbers)
      except KeyboardInterrupt:
        raised += 1
      self.assertEqual(raised, count)

  def test_bad_paths(self):
    with self.assertRaisesRegex(ValueError, r"\.jsonl, \.csv.*got 'x\.json'"):
      files.RowWriter('x.json', _FIELDS, _NAMES)
    with self.assertRaisesRegex(FileNotFoundError, 'Make it first'):
      self._write('absent/x.csv')
    os.mkdir(os.path.join(self.dir, 'x.csv'))
    with self.assertRaisesRegex(IsADirectoryError, 'Name a file'):
      self._write('x.csv')
    os.mkfifo(os.path.join(self.dir, 'pipe.csv'))
    with self.assertRaisesRegex(OSError, 'is a pipe.* Name a file'):
      self._write('pipe.csv')


if __name__ == '__main__':
  absltest.main()
