"""--on_error=skip: what a run goes on without is in a file, and counted."""

import contextlib
import io
import json
import os
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
from tf_dnn_annotations.cli import attribute_command
from tf_dnn_annotations.cli import flags
from tf_dnn_annotations.cli import rejected_rows

# 2 age + 3 [plan is pro] + 5 [plan is max] + 1 is the log-odds of 'yes'.
_NETWORK = numpy_network.Network(
  [(np.eye(3), np.zeros(3)), ([[2.0], [5.0], [3.0]], [1.0])],
  activation='identity',
)
_TOLERANCE = 1e-5  # Of float32 sums of a few small numbers.


class RejectedRowsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    columns = [
      tf.feature_column.numeric_column('age'),
      tf.feature_column.indicator_column(
        tf.feature_column.categorical_column_with_vocabulary_list(
          'plan', ['max', 'pro']
        )
      ),
    ]
    cls.export_dir = network_export.export(
      _NETWORK, columns, label_vocabulary=['no', 'yes']
    )

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(directory.name)

  def _write(self, name, content):
    with open(name, 'wb') as file:
      file.write(
        content.encode('utf-8') if isinstance(content, str) else content
      )

  def _run(self, *arguments, examples='x.csv', output='o.jsonl'):
    """Runs the command in this process; returns (stdout, stderr)."""
    argv = ['', 'attribute', self.export_dir, f'--examples={examples}']
    argv += [f'--output={output}', '--targets=yes', *arguments]
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout):
      with contextlib.redirect_stderr(stderr):
        attribute_command.run(flags.parsed(argv))
    return stdout.getvalue(), stderr.getvalue()

  def _rows(self, name='o.jsonl'):
    with open(name, encoding='utf-8') as file:
      return [json.loads(line) for line in file]

  def _check_rows(self, expected):
    """Compares the output with {row: (age, contribution of plan)}."""
    rows = self._rows()
    self.assertEqual([row['row'] for row in rows], sorted(expected))
    for row in rows:
      age, plan = expected[row['row']]
      self.assertAlmostEqual(
        row['attributions']['age'], 2 * age, delta=_TOLERANCE
      )
      self.assertAlmostEqual(
        row['attributions']['plan'], plan, delta=_TOLERANCE
      )

  def test_a_bad_row_of_csv_costs_that_row(self):
    self._write('x.csv', 'age,plan\n1,pro\nnan,pro\n3,max\n4\n,pro\n5,pro\n')
    with self.assertRaisesRegex(
      ValueError, "^x.csv, line 3: column 'age': .*--on_error=skip.$"
    ):
      self._run()
    self.assertEqual(os.listdir(), ['x.csv'])
    for batch_size in (1, 2, 512):
      stdout, _ = self._run('--on_error=skip', f'--batch_size={batch_size}')
      self._check_rows({0: (1, 3), 2: (3, 5), 5: (5, 3)})
      rejects = self._rows('o.rejects.jsonl')
      self.assertEqual(
        [(row['row'], row['place']) for row in rejects],
        [(1, 'x.csv, line 3'), (3, 'x.csv, line 5'), (4, 'x.csv, line 6')],
      )
      self.assertEqual(
        [row['reason'] for row in rejects],
        [
          "column 'age': 'nan' is not a finite number. Correct it.",
          "1 cells; the header has 2. Quote cells that hold ',', and leave a "
          'missing value empty.',
          "column 'age': '' stands for no value, and the model has no default. "
          'Fill it in.',
        ],
      )
      self.assertEqual(list(rejects[0]), ['row', 'place', 'reason'])
      self.assertIn('\nLeft out 3: see o.rejects.jsonl\n', stdout)
      # The row, not how many were explained before it.
      self.assertRegex(stdout, 'Explained 3 examples.*\n(.*\n)*.*in row [025],')
    self.assertCountEqual(os.listdir(), ['x.csv', 'o.jsonl', 'o.rejects.jsonl'])

  def test_a_damaged_record_costs_that_record_or_the_rest_of_its_file(self):
    examples = network_export.examples(
      age=[[1.0], [2.0], [float('inf')], [4.0]], plan=[[b'pro']] * 4
    )
    with tf.io.TFRecordWriter('a') as writer:
      for example in examples:
        writer.write(example)
    with open('a', 'rb') as file:
      content = file.read()
    size = 16 + len(examples[0])
    # The second record has a byte changed; the file b ends in its fourth.
    changed = bytearray(content)
    changed[size + 20] ^= 1
    self._write('a', bytes(changed))
    self._write('b', content[:-1])
    with self.assertRaisesRegex(
      ValueError, '^a, record 1: damaged. Copy.*--on_error=skip.$'
    ):
      self._run(examples='a,b')
    with tf.io.TFRecordWriter('c') as writer:
      writer.write(b'no tf.Example')
      writer.write(examples[3])
    with self.assertRaisesRegex(
      rejected_rows.TooManyErrors,
      '^the rest of 1 of the files could not be read, so more than .* may be '
      'missing. o.jsonl has all others, and o.rejects.jsonl says where',
    ):
      self._run('--on_error=skip', examples='a,b,c')
    self._check_rows({0: (1, 3), 3: (4, 3), 4: (1, 3), 5: (2, 3), 9: (4, 3)})
    rejects = self._rows('o.rejects.jsonl')
    self.assertEqual(
      [(row['row'], row['place']) for row in rejects],
      [
        (1, 'a, record 1'),
        (2, 'a, record 2'),
        (6, 'b, record 2'),
        (7, 'b, record 3'),
        (8, 'c, record 0'),
      ],
    )
    for row, reason in zip(
      rejects,
      [
        '^damaged. Copy or write the file again.$',
        "'age' must be finite; got inf",
        "'age' must be finite; got inf",
        '^damaged.* What follows in the file was not read.$',
        'ould not parse',
      ],
    ):
      self.assertRegex(row['reason'], reason)

  def test_more_than_max_errors_end_the_run(self):
    self._write('x.csv', 'age,plan\n1,pro\n' + 'x,pro\n' * 5 + '7,pro\n')
    self._write('o.jsonl', 'of before')
    self._run('--on_error=skip', '--max_errors=5')
    self._check_rows({0: (1, 3), 6: (7, 3)})
    self._write('o.jsonl', 'of before')
    for batch_size in (1, 512):
      with self.assertRaisesRegex(
        rejected_rows.TooManyErrors,
        '^5 examples cannot be used, more than --max_errors=4; nothing was '
        'written but o.rejects.jsonl, .* The first: x.csv, line 3: column',
      ):
        self._run(
          '--on_error=skip', '--max_errors=4', f'--batch_size={batch_size}'
        )
      with open('o.jsonl') as file:
        self.assertEqual(file.read(), 'of before')
      self.assertLen(self._rows('o.rejects.jsonl'), 5)
    self.assertCountEqual(os.listdir(), ['x.csv', 'o.jsonl', 'o.rejects.jsonl'])

  def test_a_hundred_errors_are_the_default(self):
    self._write('x.csv', 'age,plan\n1,pro\n' + 'x,pro\n' * 100)
    self._run('--on_error=skip')
    self._write('x.csv', 'age,plan\n1,pro\n' + 'x,pro\n' * 101)
    with self.assertRaisesRegex(ValueError, '^101 .*--max_errors=100;'):
      self._run('--on_error=skip')

  def test_a_run_without_a_good_row_fails(self):
    self._write('x.csv', 'age,plan\nx,pro\n')
    with self.assertRaisesRegex(ValueError, '^none of the examples can be us'):
      self._run('--on_error=skip')
    self.assertCountEqual(os.listdir(), ['x.csv', 'o.rejects.jsonl'])

  def test_rejects_of_an_earlier_run_are_removed(self):
    self._write('x.csv', 'age,plan\n1,pro\n')
    self._write('o.rejects.jsonl', 'of before')
    stdout, _ = self._run('--on_error=skip')
    self.assertCountEqual(os.listdir(), ['x.csv', 'o.jsonl'])
    self.assertNotIn('Left out', stdout)

  def test_another_error_leaves_rejects_as_they_were(self):
    self._write('x.csv', 'age,plan\nx,pro\n')
    self._write('o.rejects.jsonl', 'of before')
    with self.assertRaisesRegex(ValueError, 'y.csv: an empty file'):
      self._write('y.csv', '')
      self._run('--on_error=skip', '--batch_size=1', examples='x.csv,y.csv')
    with open('o.rejects.jsonl') as file:
      self.assertEqual(file.read(), 'of before')
    self.assertCountEqual(os.listdir(), ['x.csv', 'y.csv', 'o.rejects.jsonl'])

  def test_rejects_are_not_written_over_what_is_read(self):
    self._write('x.rejects.jsonl', 'age,plan\n')
    with self.assertRaisesRegex(ValueError, 'which --on_error=skip writes, is'):
      self._run(
        '--on_error=skip', examples='x.rejects.jsonl', output='x.csv.gz'
      )

  def test_computed_baselines_are_of_the_good_rows(self):
    self._write('x.csv', 'age,plan\n1,pro\nx,pro\n3,pro\n')
    self._run('--on_error=skip', '--baselines=mean')
    self._check_rows({0: (1 - 2, 0), 2: (3 - 2, 0)})
    with self.assertRaisesRegex(ValueError, '^x.csv, line 3'):
      # Files of baselines stay strict.
      self._run('--on_error=skip', '--baselines=x.csv')

  @parameterized.parameters(
    ('a/why.jsonl', 'a/why.rejects.jsonl'),
    ('why.csv', 'why.rejects.jsonl'),
    ('why.JSONL.gz', 'why.rejects.jsonl'),
    ('a.b.csv.gz', 'a.b.rejects.jsonl'),
  )
  def test_the_file_is_beside_the_output(self, output, expected):
    self.assertEqual(rejected_rows.path_for(output), expected)

  def test_a_pipe_is_not_read_twice(self):
    os.mkfifo('p.csv')
    with self.assertRaisesRegex(ValueError, 'a pipe can be read only once.*W'):
      self._run('--baselines=mean', examples='p.csv')


if __name__ == '__main__':
  absltest.main()
