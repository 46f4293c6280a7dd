"""A file of attributions is complete or not there; its numbers are exact."""

import csv
import gzip
import json
import os
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tf_dnn_annotations import attribution_files

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
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.dir = directory.name

  def _write(self, name, batches=((_ROWS, _ATTRIBUTIONS),)):
    path = os.path.join(self.dir, name)
    with attribution_files.AttributionWriter(path, _FIELDS, _NAMES) as writer:
      for fields, attributions in batches:
        writer.write(fields, attributions)
    return path

  @parameterized.parameters(*attribution_files.EXTENSIONS)
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

  @parameterized.parameters(*attribution_files.EXTENSIONS)
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

  @parameterized.parameters(*attribution_files.EXTENSIONS)
  def test_a_file_without_rows_is_there(self, extension):
    self.assertEmpty(_rows(self._write('x' + extension, [])))

  @parameterized.parameters(*attribution_files.EXTENSIONS)
  def test_a_file_appears_when_complete(self, extension):
    path = os.path.join(self.dir, 'x' + extension)
    with open(path, 'w') as file:
      file.write('of before')
    with attribution_files.AttributionWriter(path, _FIELDS, _NAMES) as writer:
      writer.write(_ROWS, _ATTRIBUTIONS)
      with open(path) as file:
        self.assertEqual(file.read(), 'of before')
    self.assertLen(_rows(path), 2)
    self.assertEqual(os.listdir(self.dir), ['x' + extension])

  @parameterized.parameters(*attribution_files.EXTENSIONS)
  def test_an_exception_leaves_nothing(self, extension):
    path = os.path.join(self.dir, 'x' + extension)
    with self.assertRaises(KeyboardInterrupt):
      with attribution_files.AttributionWriter(path, _FIELDS, _NAMES) as writer:
        writer.write(_ROWS, _ATTRIBUTIONS)
        raise KeyboardInterrupt()
    self.assertEmpty(os.listdir(self.dir))

  def test_bad_paths(self):
    with self.assertRaisesRegex(ValueError, r"\.jsonl, \.csv.*got 'x\.json'"):
      attribution_files.AttributionWriter('x.json', _FIELDS, _NAMES)
    with self.assertRaisesRegex(FileNotFoundError, 'Make it first'):
      self._write('absent/x.csv')
    os.mkdir(os.path.join(self.dir, 'x.csv'))
    with self.assertRaisesRegex(IsADirectoryError, 'Name a file'):
      self._write('x.csv')


if __name__ == '__main__':
  absltest.main()
