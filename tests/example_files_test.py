"""Examples are read from files as they are there; damage is not hidden."""

import gzip
import os
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.cli import csv_cells
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
    _feature('half', tf.float16, ()),
    _feature('count', tf.int64),
    _feature('member', tf.bool),
    _feature('name', tf.string),
    _feature('pair', tf.float32, (2,)),
    _feature('any', tf.float32, (None,)),
    _feature('colors', tf.string, is_sparse=True),
  )
}


def _floats(*values):
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _ints(*values):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _texts(*values):
  values = [value.encode('utf-8') for value in values]
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


class ExampleFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.dir = directory.name
    self.notes = []

  def _path(self, name):
    return os.path.join(self.dir, name)

  def _write(self, name, content):
    if isinstance(content, str):
      content = content.encode('utf-8')
    with open(self._path(name), 'wb') as file:
      file.write(content)
    return self._path(name)

  def _write_tfrecord(self, name, records, compression=''):
    options = tf.io.TFRecordOptions(compression_type=compression)
    with tf.io.TFRecordWriter(self._path(name), options) as writer:
      for record in records:
        writer.write(record)
    return self._path(name)

  def _records(self, *paths, keep_bad=False, **csv_arguments):
    csv_arguments.setdefault('allow_missing', _FEATURES)
    self.csv_format = csv_cells.CsvFormat(
      _FEATURES, warn_fn=self.notes.append, **csv_arguments
    )
    return example_files.read_records(paths, self.csv_format, keep_bad)

  def _features(self, csv_text, **csv_arguments):
    """Returns the {key: tf.train.Feature} of each row of a CSV file."""
    path = self._write('x.csv', csv_text)
    return [
      dict(tf.train.Example.FromString(record.example).features.feature)
      for record in self._records(path, **csv_arguments)
    ]

  @parameterized.parameters('', 'GZIP')
  def test_tfrecords_come_as_written(self, compression):
    # The name does not tell whether it is compressed.
    records = [b'first', b'', b'third' * 1000]
    path = self._write_tfrecord('x', records, compression)
    got = list(self._records(path))
    self.assertEqual([record.example for record in got], records)
    self.assertEqual(got[2].place, f'{path}, record 2')
    self.assertEqual(example_files.count_records([path]), 3)

  @parameterized.parameters('', 'GZIP')
  def test_a_tfrecord_file_may_be_empty(self, compression):
    path = self._write_tfrecord('x', [], compression)
    self.assertEmpty(list(self._records(path)))

  @parameterized.parameters(
    ('age', '0.5', _floats(0.5)),
    ('age', ' -3e2 ', _floats(-300)),
    ('half', '2', _floats(2)),
    ('count', '7', _ints(7)),
    ('count', '7.0', _ints(7)),
    # More digits than a float has.
    ('count', '9007199254740993', _ints(9007199254740993)),
    ('member', 'True', _ints(1)),
    ('member', '0', _ints(0)),
    ('name', 'Torgersen', _texts('Torgersen')),
    ('name', 'Ærø|"x"', _texts('Ærø|"x"')),
    ('name', 'two\nlines, one cell', _texts('two\nlines, one cell')),
    ('pair', '1.5|-2', _floats(1.5, -2)),
    ('any', '1|2|3', _floats(1, 2, 3)),
    ('any', '4', _floats(4)),
    ('colors', 'red|blue', _texts('red', 'blue')),
    ('colors', 'red', _texts('red')),
  )
  def test_a_cell_becomes_its_feature(self, key, text, expected):
    quoted = text.replace('"', '""')
    (features,) = self._features(f'{key}\n"{quoted}"\n')
    self.assertEqual(features, {key: expected})

  def test_an_empty_or_missing_cell_leaves_the_feature_out(self):
    rows = self._features(
      'age,colors,name\n1,,NA\nNA,?,x\n', missing=['NA', '?']
    )
    self.assertEqual(rows, [{'age': _floats(1)}, {'name': _texts('x')}])
    self.assertEqual(self._features('name\nNA\n'), [{'name': _texts('NA')}])

  def test_the_list_separator_is_chosen(self):
    text = 'colors,pair\na|b;c,1;2\n'
    (row,) = self._features(text, list_separator=';')
    self.assertEqual(row['colors'], _texts('a|b', 'c'))
    (row,) = self._features('colors\na|b\n', list_separator='')
    self.assertEqual(row['colors'], _texts('a|b'))

  @parameterized.parameters(
    ('x.csv', 'age,name\n1,a\n\n2,b\n'.encode()),
    # As a spreadsheet saves it.
    ('x.csv', '\ufeffage,name\r\n1,a\r\n2,b\r\n'.encode()),
    ('X.CSV.gz', gzip.compress('age, name\n1,a\n2,b'.encode())),
    ('x.tsv', 'age\tname\n1\ta\n2\tb\n'.encode()),
  )
  def test_csv_files_in_other_forms(self, name, content):
    path = self._write(name, content)
    rows = [
      dict(tf.train.Example.FromString(record.example).features.feature)
      for record in self._records(path)
    ]
    self.assertEqual(
      rows,
      [
        {'age': _floats(1), 'name': _texts('a')},
        {'age': _floats(2), 'name': _texts('b')},
      ],
    )
    self.assertEqual(example_files.count_records([path]), 2)

  def test_a_place_is_the_line_in_the_file(self):
    path = self._write('x.csv', 'name,age\n"a\nb",1\n\nc,2\n')
    self.assertEqual(
      [record.place for record in self._records(path)],
      [f'{path}, line 3', f'{path}, line 5'],
    )

  def test_notes_say_once_what_is_not_used(self):
    for name in ('a.csv', 'b.csv'):
      self._write(name, 'id,age,count,half,member,name,pair,any\n1' + ',' * 7)
    list(self._records(self._path('a.csv'), self._path('b.csv')))
    path = self._path('a.csv')
    self.assertEqual(
      self.notes,
      [
        f'{path}: ignored columns that are not features: id',
        f'{path}: no column for the features: colors',
      ],
    )

  def test_the_list_separator_is_a_remedy_where_there_are_lists(self):
    path = self._write('x.csv', 'count,any\n1,2|3\n1;2,2\n')
    records = self._records(path, list_separator='')
    with self.assertRaisesRegex(ValueError, "--list_separator .* now it is ''"):
      next(records)
    records = self._records(path)
    next(records)
    with self.assertRaisesRegex(ValueError, "'1;2' is not of type") as caught:
      next(records)
    self.assertNotIn('--list_separator', str(caught.exception))

  def test_files_are_read_only_as_far_as_asked(self):
    good = self._write('x.csv', 'age\n1\n2\nthree\n')
    records = self._records(good, self._path('absent.csv'))
    self.assertEqual(next(records).place, f'{good}, line 2')
    self.assertEqual(next(records).place, f'{good}, line 3')
    with self.assertRaisesRegex(ValueError, 'line 4'):
      next(records)

  @parameterized.parameters(
    ('age\nold\n', "line 2: column 'age': 'old' is not of type float32.*--mis"),
    ('count\n1.5\n', "column 'count': '1.5' is not of type int64"),
    ('count\n9223372036854775808\n', 'is out of range for an int64'),
    ('count\ninf\n', 'is not of type int64'),
    ('member\nyes\n', 'is not of type bool'),
    (
      'pair\n1|x\n',
      r"'1\|x' is not of type float32.*--list_sep.* now it is '\|'",
    ),
    ('colors,any\na,1;2\n', "'1;2' is not of type float32.*--list_separator"),
    ('age,name\n1,a\n2\n', 'line 3: 1 cells; the header has 2.*Quote'),
    ('age,name\n1,a,b\n', 'line 2: 3 cells; the header has 2'),
    ('age,age\n1,2\n', r'more than once. Give every column'),
    ('id;age\n1;2\n', r"\['id;age'\].*separated by commas"),
    ('', 'an empty file. A CSV file starts with a header'),
    ('age\n"1\n', 'lines 2 to 2: not CSV .a quote is not closed'),
    ('name\nÆrø\n'.encode('latin-1'), 'line 2: not UTF-8.*Save'),
    (gzip.compress(b'age\n' + b'1\n' * 999)[:-12], 'line .*: damaged. Copy'),
  )
  def test_bad_csv_names_the_place(self, content, message):
    path = self._write('x.csv', content)
    with self.assertRaisesRegex(ValueError, message) as caught:
      list(self._records(path))
    self.assertStartsWith(str(caught.exception), path)

  def test_no_byte_of_a_tfrecord_file_is_lost_in_silence(self):
    path = self._write_tfrecord('x', [b'first', b'second', b'third'])
    with open(path, 'rb') as file:
      content = file.read()
    ends = [0, 21, 43, 64]  # 16 bytes and those of a record.
    self.assertLen(content, ends[-1])
    for size in range(1, len(content)):
      cut = self._write('cut', content[:size])
      if size in ends:
        self.assertLen(list(self._records(cut)), ends.index(size))
        continue
      with self.assertRaisesRegex(
        ValueError,
        'not a TFRecord file.*name a CSV'
        if size < 12
        else 'record [012]: damaged. Copy',
      ):
        list(self._records(cut))

  def test_a_changed_tfrecord_is_refused(self):
    path = self._write_tfrecord('x', [b'first', b'second'])
    with open(path, 'rb') as file:
      content = bytearray(file.read())
    content[21 + 12 + 3] ^= 1
    path = self._write('x', bytes(content))
    with self.assertRaisesRegex(ValueError, 'x, record 1: damaged. Copy'):
      list(self._records(path))

  def test_files_are_found_in_the_order_named(self):
    for name in ('b1', 'b2', 'a', 'c[1]', 'c1'):
      self._write(name, '')
    found = example_files.find_files(
      ', '.join(map(self._path, ['b*', 'a', 'c[1]']))
    )
    # A name is taken as it is before it is taken as a glob.
    expected = map(self._path, ['b1', 'b2', 'a', 'c[1]'])
    self.assertEqual(found, list(expected))

  def test_files_that_are_not_there_are_named(self):
    with self.assertRaisesRegex(FileNotFoundError, r"x\*'. Give paths or glob"):
      example_files.find_files(self._path('x*'))
    with self.assertRaisesRegex(FileNotFoundError, 'a directory: name the fil'):
      example_files.find_files(self.dir)
    with self.assertRaisesRegex(FileNotFoundError, "got ','"):
      example_files.find_files(',')


if __name__ == '__main__':
  absltest.main()
