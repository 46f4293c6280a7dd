"""Categories do not go missing without a word."""

import contextlib
import io
import os
import tempfile
import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.annotations import vocabularies
from tf_dnn_annotations.cli import attribute_command
from tf_dnn_annotations.cli import flags

_fc = tf.feature_column


def _export(columns, width, receiver='examples'):
  rng = np.random.RandomState(0)
  network = numpy_network.Network(
    [(rng.randn(width, 2), rng.randn(2)), (rng.randn(2, 1), rng.randn(1))],
    activation='identity',
  )
  return network_export.export(
    network, columns, receiver=receiver, label_vocabulary=['no', 'yes']
  )


def _write_vocabulary(entries):
  path = os.path.join(network_export.new_dir(), 'vocabulary.txt')
  with open(path, 'w') as file:
    file.write(''.join(f'{entry}\n' for entry in entries))
  return path


def _columns():
  """Returns columns that look up plan, code, city, zip; 11 elements wide."""
  return [
    _fc.numeric_column('age'),
    _fc.indicator_column(
      _fc.categorical_column_with_vocabulary_list('plan', ['basic', 'pro'])
    ),
    _fc.indicator_column(
      _fc.categorical_column_with_vocabulary_list(
        'code', [7, 9], dtype=tf.int64, default_value=0
      )
    ),
    _fc.indicator_column(
      _fc.categorical_column_with_vocabulary_file(
        'city',
        _write_vocabulary(['Oslo', 'Rome', 'left out']),
        vocabulary_size=2,
        num_oov_buckets=1,
      )
    ),
    _fc.indicator_column(_fc.categorical_column_with_hash_bucket('zip', 3)),
  ]


_WIDTH = 1 + 2 + 2 + 3 + 3
_RAW = {
  'age': [[1.0]] * 4,
  'plan': [[b'basic'], [b'enterprise', b'pro'], [], [b'basic|pro']],
  'code': [[7], [8], [9], [-1]],
  'city': [[b'Oslo'], [b'left out'], [b'Rome'], [b'oslo']],
  'zip': [[b'x'], [b'y'], [b'z'], []],
}


def _attribute(explainer, examples, **arguments):
  """Returns the `UnknownCategories` that the API warns with."""
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always', RuntimeWarning)
    explainer.attribute(examples, **arguments)
  return [
    (warning.message, warning.filename)
    for warning in caught
    if isinstance(warning.message, vocabularies.UnknownCategories)
  ]


class UnknownCategoriesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.export_dirs = {
      receiver: _export(_columns(), _WIDTH, receiver)
      for receiver in ('examples', 'sparse')
    }

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(directory.name)

  @parameterized.product(
    receiver=['examples', 'sparse'], is_raw=[True, False], max_rows=[None, 1]
  )
  def test_the_api_warns_of_values_outside_vocabularies(
    self, receiver, is_raw, max_rows
  ):
    examples = _RAW if is_raw else network_export.examples(**_RAW)
    with tfda.IntegratedGradients(self.export_dirs[receiver]) as ig:
      ((warning, filename),) = _attribute(ig, examples, max_rows=max_rows)
    self.assertEqual(warning.counts, {'city': 2, 'code': 1, 'plan': 2})
    self.assertEqual(
      {key: sorted(texts) for key, texts in warning.examples.items()},
      {
        'city': ['left out', 'oslo'],
        'code': ['8'],
        'plan': ['basic|pro', 'enterprise'],
      },
    )
    self.assertEqual(filename, __file__)
    text = str(warning)
    for part in (
      "Feature 'plan': 2 values outside its vocabulary, read as no category, ",
      "Feature 'code': 1 value outside its vocabulary, read as '7', such as ",
      "Feature 'city': 2 values outside its vocabulary, read as an out-of-voc",
      "Give the values of a row as a list, split at '|'.",
      "The vocabulary has 'Oslo', not 'oslo'.",
    ):
      self.assertIn(part, text)

  def test_known_values_and_missing_ones_are_no_reason_to_warn(self):
    good = dict(
      _RAW,
      plan=[[b'basic'], [b'pro', b'basic'], [], [b'']],
      code=[[7], [9], [], []],
      city=[[b'Oslo'], [b'Rome'], [], []],
    )
    for export_dir in self.export_dirs.values():
      with tfda.IntegratedGradients(export_dir) as ig:
        self.assertEmpty(_attribute(ig, network_export.examples(**good)))
        self.assertEmpty(_attribute(ig, good))
        self.assertEmpty(_attribute(ig, []))

  def test_a_model_without_vocabularies_has_none_to_look_at(self):
    columns = [
      _fc.numeric_column('age'),
      _fc.indicator_column(_fc.categorical_column_with_hash_bucket('zip', 3)),
    ]
    with tfda.IntegratedGradients(_export(columns, 4)) as ig:
      self.assertEqual(ig.model.vocabularies, {})
      examples = network_export.examples(age=[[1.0]], zip=[[b'nan']])
      self.assertEmpty(_attribute(ig, examples))

  def test_a_value_known_to_one_of_two_columns_is_known(self):
    columns = [
      _fc.embedding_column(
        _fc.categorical_column_with_vocabulary_list('plan', ['basic', 'pro']),
        dimension=2,
      ),
      _fc.indicator_column(
        _fc.crossed_column(
          [
            _fc.categorical_column_with_vocabulary_list('plan', ['max']),
            _fc.categorical_column_with_vocabulary_list('city', ['Oslo']),
          ],
          2,
        )
      ),
    ]
    rng = np.random.RandomState(0)
    network = numpy_network.Network(
      [(rng.randn(4, 2), rng.randn(2)), (rng.randn(2, 1), rng.randn(1))],
      activation='identity',
    )
    export_dir = network_export.export(
      network,
      columns,
      {
        'dnn/input_from_feature_columns/input_layer/plan_embedding/'
        'embedding_weights': np.ones([2, 2])
      },
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      examples = network_export.examples(
        plan=[[b'max'], [b'pro'], [b'nan']], city=[[b'Oslo']] * 3
      )
      ((warning, _),) = _attribute(ig, examples)
    self.assertEqual(warning.counts, {'plan': 1})
    self.assertIn("None or an empty list stands for 'no value'", str(warning))

  def _run(self, csv_text, *arguments, examples='x.csv'):
    """Explains a CSV file; returns (stdout, list of the notes)."""
    with open('x.csv', 'w') as file:
      file.write(csv_text)
    argv = ['', 'attribute', self.export_dirs['examples'], '--output=o.jsonl']
    argv += [f'--examples={examples}', *arguments]
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout):
      with contextlib.redirect_stderr(stderr):
        attribute_command.run(flags.parsed(argv))
    return stdout.getvalue(), stderr.getvalue().splitlines()

  def test_the_command_counts_them_over_all_batches(self):
    _, notes = self._run(
      'age,plan,code,city,zip\n1,basic,7,Oslo,a\n2,enterprise,9,Rome,nan\n'
      '3,pro;basic,7,Oslo,b\n4,NaN,7,Rome,nan\n5,pro,7,Bonn,c\n',
      '--batch_size=2',
      '--targets=yes',
    )
    self.assertEqual(
      [note for note in notes if 'Feature' in note],
      [
        "note: Feature 'city': 1 value outside its vocabulary, read as an "
        "out-of-vocabulary bucket, such as 'Bonn'.",
        "note: Feature 'plan': 3 values outside its vocabulary, read as no "
        "category, such as 'enterprise', 'pro;basic', 'NaN'. If 'pro;basic' is "
        "several values, pass --list_separator=';' (for CSV). If 'NaN' stands "
        "for a missing value, pass --missing='NaN' (for CSV).",
        "note: Feature 'zip': 2 cells with the text 'nan', read as a category "
        'like any other. If it stands for a missing value, pass '
        "--missing='nan'.",
      ],
    )

  def test_a_missing_column_is_an_error_unless_allowed(self):
    text = 'age,plam,code,city,zip\n1,basic,7,Oslo,a\n2,pro,7,Rome,b\n'
    with self.assertRaisesRegex(
      ValueError, r"no column .*\['plan'\].*Rename 'plam'.*--allow_missing=plan"
    ):
      self._run(text)
    self.assertEqual(os.listdir(), ['x.csv'])
    _, notes = self._run(text, '--allow_missing=plan', '--targets=yes')
    self.assertIn('note: x.csv: no column for the features: plan', notes)
    self.assertFalse([note for note in notes if 'no value' in note])
    with self.assertRaisesRegex(ValueError, "got 'plam'. Did you mean 'plan'?"):
      self._run(text, '--allow_missing=plam')

  def test_a_feature_without_a_value_in_any_example_is_named(self):
    values = dict(_RAW)
    values['plam'] = values.pop('plan')
    values['code'] = [[]] * 4
    for name, kinds in [('a', values), ('b', dict(values, zip=[[]] * 4))]:
      with tf.io.TFRecordWriter(name) as writer:
        writer.write(b'no tf.Example')
        for example in network_export.examples(**kinds):
          writer.write(example)
    _, notes = self._run(
      '', '--batch_size=3', '--on_error=skip', examples='b,a'
    )
    self.assertEqual(
      [note for note in notes if 'no value' in note],
      [
        "note: Feature 'code': no value in any of the 8 examples. Check its "
        'key, or ignore this if that is intended.',
        "note: Feature 'plan': no value in any of the 8 examples. The model "
        "does not read 'plam', which they have: rename it.",
      ],
    )

  def test_two_predicted_classes_are_pointed_out(self):
    header = 'age,plan,code,city,zip\n'
    rows = [f'{age},pro,7,Oslo,a\n' for age in (-9, 9, 8)]
    stdout, notes = self._run(header + ''.join(rows))
    (note,) = [note for note in notes if '--targets=predicted' in note]
    self.assertRegex(
      note,
      "explains 'no' in [12] rows and 'yes' in [12]: .*opposite sign .*"
      '--targets=yes explains the same class in every row.$',
    )
    self.assertIn('--targets=yes explains the same class in every row', stdout)
    # Of one class, or of a class that was named, there is nothing to say.
    for some, arguments in [(rows[:1], []), (rows, ['--targets=yes'])]:
      _, notes = self._run(header + ''.join(some), *arguments)
      self.assertFalse([note for note in notes if '--targets' in note])


if __name__ == '__main__':
  absltest.main()
