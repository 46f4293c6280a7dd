"""CSV is read as its writers mean it, or not at all."""

import gzip
import os
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.cli import csv_cells
from tf_dnn_annotations.cli import csv_files
from tf_dnn_annotations.cli import example_files
from tf_dnn_annotations.saved_models import feature_values


def _feature(key, dtype, shape=(1,), is_sparse=False):
  return feature_values.Feature(
    key, dtype, None if is_sparse else list(shape), is_sparse
  )


_FEATURES = {
  feature.key: feature
  for feature in (
    _feature('age', tf.float32),
    _feature('id', tf.int64),
    _feature('member', tf.bool),
    _feature('name', tf.string),
    _feature('pair', tf.float32, (2,)),
    _feature('tags', tf.string, is_sparse=True),
  )
}
_KINDS = {'age': 'float_list', 'id': 'int64_list', 'member': 'int64_list'}


class CsvFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.path = os.path.join(directory.name, 'x.csv')

  def _records(self, content, keep_bad=False, **arguments):
    if isinstance(content, str):
      content = content.encode('utf-8')
    with open(self.path, 'wb') as file:
      file.write(content)
    arguments.setdefault('allow_missing', _FEATURES)
    self.format = csv_cells.CsvFormat(_FEATURES, **arguments)
    return example_files.read_records([self.path], self.format, keep_bad)

  def _values(self, content, key, **arguments):
    """Returns the list of values of a feature of each row."""
    rows = []
    for record in self._records(content, **arguments):
      features = tf.train.Example.FromString(record.example).features.feature
      values = getattr(features[key], _KINDS.get(key, 'bytes_list')).value
      rows.append(list(values))
    return rows

  def _check_refused(self, content, message, **arguments):
    with self.assertRaisesRegex(ValueError, message) as caught:
      list(self._records(content, **arguments))
    self.assertStartsWith(str(caught.exception), self.path)

  @parameterized.parameters(
    # More digits than a float has.
    ('9007199254740993.0', 9007199254740993),
    ('9223372036854775807.000', 2**63 - 1),
    ('-9223372036854775808', -(2**63)),
    ('1e3', 1000),
    ('5.', 5),
    ('-0.0', 0),
    ('12.5e1', 125),
    (' 12 ', 12),
    ('+7', 7),
    ('007', 7),
    ('0e999999999', 0),
  )
  def test_whole_numbers_keep_every_digit(self, text, expected):
    self.assertEqual(self._values(f'id\n{text}\n', 'id'), [[expected]])

  @parameterized.parameters(
    ('id', '1_000', 'not of type int64'),
    ('id', '１２', 'not of type int64'),
    ('id', '1.5', 'not of type int64: not a whole'),
    ('id', '9223372036854775808', 'out of range for an int64'),
    ('id', '1e999999999', 'out of range'),
    ('id', '1e99999999999999999999', 'out of range'),
    ('id', '1e-99999999999999999999', 'out of range'),
    ('id', 'nan', 'not of type int64'),
    ('id', '0x10', 'not of type int64'),
    ('age', '1_000', 'not of type float32'),
    ('age', '１２', 'not of type float32'),
    ('age', 'infinity', 'is not a finite number.*--missing'),
    ('age', '-inf', 'is not a finite number'),
    ('age', 'nan', 'is not a finite number.*--missing'),
    ('age', '1e39', 'out of range for a float32'),
    ('age', '"1,5"', 'not of type float32'),
    ('age', '.', 'not of type float32'),
    ('member', '2', 'not of type bool: neither'),
    ('pair', '1|2|3', r"'1\|2\|3' must be 2 values; got 3"),
    ('pair', '1', 'must be 2 values; got 1.*--list_separator'),
  )
  def test_what_is_not_a_value_of_the_type_is_refused(self, key, text, message):
    self._check_refused(
      f'{key}\n{text}\n', f"line 2: column '{key}': .*{message}"
    )

  def test_the_largest_float32_is_read(self):
    for text in ('3.4028235e38', '-3.4028235e38', '1e-60', ' -.5 '):
      ((value,),) = self._values(f'age\n{text}\n', 'age')
      self.assertAlmostEqual(value / float(text), 1 if '60' not in text else 0)

  @parameterized.parameters('\r', '\r\n', '\n')
  def test_lines_end_as_on_any_system(self, end):
    text = end.join(['name,age', 'a,1', '', '"two\nlines\rin a cell",2', 'c,3'])
    for content in (text, text + end, '\ufeff' + text):
      self.assertEqual(
        self._values(content, 'name'),
        [[b'a'], [b'two\nlines\rin a cell'], [b'c']],
      )
    self.assertEqual(csv_files.count_rows(self.path, ','), 3)

  def test_line_ends_that_change_may_be_of_a_cell(self):
    self._check_refused(
      'name\na\rb\n', 'line 2: ends in a carriage return alone, lines before'
    )
    self._check_refused('name\ra\nb\r', 'line 2: ends in a line feed, lines be')

  def test_a_long_cell_is_read(self):
    # Python's reader has a limit of 131,072 unless told.
    cell = 'x' * 1000000
    self.assertEqual(self._values(f'name\n{cell}\n', 'name'), [[cell.encode()]])

  def test_other_text_than_utf_8_is_told_apart(self):
    text = 'name\nÆrø\n'
    for encoding in ('utf-16', 'utf-16-be', 'utf-16-le'):
      self._check_refused(text.encode(encoding), 'UTF-16.*Save.*UTF-8')
    self._check_refused(b'name\na\0b\n', 'line 2: holds a NUL byte')
    self._check_refused(
      b'name\n' + b'ok\n' * 5000 + 'Ærø\n'.encode('latin-1'),
      'line 5002: not UTF-8 text. Save',
    )

  def test_a_header_alone_has_no_rows(self):
    for content in ('name,age', 'name,age\n', '\ufeffname,age\r'):
      self.assertEmpty(list(self._records(content)))

  def test_a_missing_column_is_an_error_unless_allowed(self):
    few = ['age', 'id', 'member', 'pair']
    self._check_refused(
      'name,tag\na,b\n',
      r"no column for the features \['tags'\]; .*Rename 'tag', or add .*; or .*"
      r'--allow_missing=age,id,member,pair,tags$',
      allow_missing=few,
    )
    rows = self._values('name,tag\na,b\n', 'name', allow_missing=few + ['tags'])
    self.assertEqual(rows, [[b'a']])
    self._check_refused(
      'name\na\n', r"\['age'\], which every example must", required=['age']
    )

  def test_an_empty_cell_needs_a_default(self):
    content = 'age,name\n1,a\n,b\n'
    self.assertEqual(self._values(content, 'age'), [[1], []])
    self._check_refused(
      content,
      "line 3: column 'age': '' stands for no value.* Fill",
      required=['age'],
    )
    self._check_refused(
      'age,name\nNA,a\n',
      "line 2: column 'age': 'NA' stands for no value, and the model has no",
      required=['age'],
      missing=['NA'],
    )

  def test_texts_that_may_stand_for_a_missing_value_are_counted(self):
    content = 'name,tags\nnan,a|NA\nnan,NULL\nNAN,-\nx,ok\n'
    list(self._records(content, missing=['-']))
    self.assertEqual(
      self.format.missing_texts, {('name', 'nan'): 2, ('tags', 'NULL'): 1}
    )

  def test_bad_rows_are_kept_in_their_places(self):
    content = (
      b'age,name\n1,a\nold,b\n2\n3,"c"x\n4,\xff\n5,a\0\n6,ok\n7,"\nnever closed'
    )
    records = list(self._records(content, keep_bad=True))
    places = [record.place for record in records]
    self.assertEqual(
      places,
      [f'{self.path}, line {i}' for i in [2, 3, 4, 5, 6, 7, 8]]
      + [f'{self.path}, lines 9 to 10'],
    )
    for record, reason in zip(
      records,
      [None, 'float32', '1 cells', 'not CSV', 'not UTF-8', 'NUL', None]
      + ['lines 9 to 10: not CSV .a quote is not closed'],
    ):
      self.assertEqual(record.error is None, reason is None, record)
      if reason:
        self.assertRegex(str(record.error), reason)
    self.assertEqual(
      [r.error is not None and r.error.is_rest for r in records],
      [False] * 7 + [True],
    )
    self.assertEqual(csv_files.count_rows(self.path, ','), 8)

  @parameterized.parameters(
    # What follows in the cell looks like a row, and is none.
    (b'name,age\na,1\n"b\0\nx",2\nc,3\n', False),
    (b'name,age\na,1\n"b\xff\nx",2\nc,3\n', False),
    (b'name,age\na,1\nb\rx,2\rx,2\nc,3\n', False),
    # Where the cell ends is not known.
    (b'name,age\na,1\n"b"b,"\nx",2\nc,3\n', True),
    (b'name,age\na,1\n"b\nx"x,2\nc,3\n', True),
  )
  def test_a_part_of_a_bad_row_is_not_a_row(self, content, is_rest):
    first, bad, *rest = self._records(content, keep_bad=True)
    self.assertIsNone(first.error)
    self.assertIsNotNone(bad.error)
    self.assertEqual(bad.error.is_rest, is_rest)
    self.assertLen(rest, 0 if is_rest else 1)
    for record in rest:
      self.assertIn(b'c', record.example)

  def test_damaged_gzip_ends_the_file(self):
    # So long that some of it has come before the damage.
    rows = ''.join(f'{i},a\n' for i in range(100000))
    content = gzip.compress(f'age,name\n{rows}'.encode())
    records = list(self._records(content[:-9], keep_bad=True))
    self.assertGreater(len(records), 1000)
    self.assertTrue(records[-1].error.is_rest)
    self.assertRegex(str(records[-1].error), 'line [0-9]{4,}: damaged. Copy')
    self.assertTrue(all(record.error is None for record in records[:-1]))


if __name__ == '__main__':
  absltest.main()
