"""The command line, as a user runs it, on an exported model."""

import csv
import fcntl
import gzip
import json
import os
import pathlib
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import command
from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_ROOT = str(pathlib.Path(tfda.__file__).resolve().parents[1])

# Without an activation function a network is linear, so that an attribution is
# the change of the input times the weight: exact with any number of steps. The
# columns are laid side by side as age, color_indicator (3), pair (2).
_RNG = np.random.RandomState(0)
_NETWORK = numpy_network.Network(
  [
    (_RNG.randn(6, 4), _RNG.randn(4)),
    (_RNG.randn(4, 3), _RNG.randn(3)),
  ],
  activation='identity',
)
_WEIGHTS = _NETWORK.layers[0][0] @ _NETWORK.layers[1][0]
_COLORS = ['red', 'green', 'blue']
_LABELS = ['Adelie', 'Chinstrap', 'Gentoo']

_CSV = 'id,age,color,pair\n7,0.5,green,1|-2\n8,-3,NA,0|4\n9,2,red|blue,1|1\n'
# The same, as the network sees it.
_X = np.array(
  [
    [0.5, 0, 1, 0, 1, -2],
    [-3, 0, 0, 0, 0, 4],
    [2, 1, 0, 1, 1, 1],
  ]
)
_ELEMENTS = ['age'] + [f'color_indicator[{color}]' for color in _COLORS]
_ELEMENTS += ['pair[0]', 'pair[1]']
# Which elements are summed for a feature; the columns are as many.
_OF_FEATURE = {'age': [0], 'color': [1, 2, 3], 'pair': [4, 5]}
_MODELS = ['model', 'regressor', 'steps']
# Of float32 sums of a dozen products of numbers below 10.
_TOLERANCE = 1e-4


def _export(directory):
  """Exports `_NETWORK` to `directory`/model and others beside it."""
  columns = [
    tf.feature_column.numeric_column('age'),
    tf.feature_column.indicator_column(
      tf.feature_column.categorical_column_with_vocabulary_list(
        'color', _COLORS
      )
    ),
    tf.feature_column.numeric_column('pair', shape=(2,)),
  ]
  export_dir = network_export.export(
    _NETWORK, columns, label_vocabulary=_LABELS
  )
  os.symlink(export_dir, os.path.join(directory, 'model'))
  regressor = numpy_network.Network(
    [([[2.0, 0.0]], [0.0, 1.0]), ([[1.5], [1.0]], [0.25])],
    activation='identity',
    is_classifier=False,
  )
  os.symlink(
    network_export.export(regressor), os.path.join(directory, 'regressor')
  )
  # tanh(500 a) - tanh(500 b) of the columns a and b: steps, but for small ones.
  steps = numpy_network.Network(
    [(500 * np.eye(2), [0.0, 0.0]), ([[1.0], [-1.0]], [0.0])], activation='tanh'
  )
  columns = [tf.feature_column.numeric_column(name) for name in 'ab']
  os.symlink(
    network_export.export(steps, columns, label_vocabulary=['größe', 'ok']),
    os.path.join(directory, 'steps'),
  )


class CliTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls._models = directories.new_dir()
    _export(cls._models)

  def setUp(self):
    super().setUp()
    self.dir = directories.new_dir()
    for name in _MODELS:
      os.symlink(os.path.join(self._models, name), self._path(name))
    self._write('x.csv', _CSV)
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(self.dir)

  def _path(self, name):
    return os.path.join(self.dir, name)

  def _write(self, name, text):
    os.makedirs(os.path.dirname(self._path(name)), exist_ok=True)
    with open(self._path(name), 'w', encoding='utf-8') as file:
      file.write(text)

  def _start(
    self,
    *arguments,
    first_on_path='',
    run_by=(),
    stdout_encoding='utf-8',
    **kwargs,
  ):
    """Starts the command in the test's directory.

    Args:
      *arguments: of the command.
      first_on_path: a directory of modules that hide others.
      run_by: arguments of a Python whose further ones are the command.
      stdout_encoding: what the command is to write.
      **kwargs: of `subprocess.Popen`.
    """
    path = [self._path(first_on_path)] if first_on_path else []
    path += [_ROOT] + list(filter(None, [os.getenv('PYTHONPATH')]))
    env = dict(os.environ, PYTHONIOENCODING=stdout_encoding)
    env['PYTHONPATH'] = os.pathsep.join(path)
    env.pop('TF_CPP_MIN_LOG_LEVEL', None)  # The command sees to it itself.
    kwargs.setdefault('stderr', subprocess.PIPE)
    program = [sys.executable, '-m', 'tf_dnn_annotations', *arguments]
    return subprocess.Popen(
      [sys.executable, *run_by, *program] if run_by else program,
      cwd=self.dir,
      env=env,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      encoding='utf-8',
      **kwargs,
    )

  def _run(self, *arguments, expected_code=0, **kwargs):
    """Runs the command; returns (stdout, stderr)."""
    process = self._start(*arguments, **kwargs)
    stdout, stderr = process.communicate()
    self.assertEqual(process.returncode, expected_code, stdout + str(stderr))
    return stdout, stderr

  def _run_here(self, *arguments, expected_code=0):
    """Runs the command in this process; returns (stdout, stderr)."""
    code, stdout, stderr = command.run(*arguments)
    self.assertEqual(code, expected_code, stdout + stderr)
    return stdout, stderr

  def _attribute(
    self,
    *arguments,
    examples='x.csv',
    output='o.jsonl',
    run=None,
    **kwargs,
  ):
    return (run or self._run_here)(
      'attribute',
      'model',
      f'--examples={examples}',
      f'--output={output}',
      '--missing=NA',
      *arguments,
      **kwargs,
    )

  def _json_rows(self, name='o.jsonl'):
    with open(self._path(name), encoding='utf-8') as file:
      return [json.loads(line) for line in file]

  def _check_row(self, row, number, target, attributions, start=None):
    """Compares a row with the closed form for an example and a target."""
    start = np.zeros(6) if start is None else start
    output, baseline_output = (
      _NETWORK.outputs(x[np.newaxis])[0, target] for x in (_X[number], start)
    )
    self.assertEqual(int(row['row']), number)
    self.assertEqual(row['target'], _LABELS[target])
    self.assertEqual(int(row['target_id']), target)
    self.assertAlmostEqual(float(row['output']), output, delta=_TOLERANCE)
    self.assertAlmostEqual(
      float(row['baseline_output']), baseline_output, delta=_TOLERANCE
    )
    self.assertAlmostEqual(float(row['gap']), 0, delta=_TOLERANCE)
    contributions = (_X[number] - start) * _WEIGHTS[:, target]
    self.assertEqual(list(attributions), list(row['attributions']))
    for name, elements in attributions.items():
      self.assertAlmostEqual(
        float(row['attributions'][name]),
        contributions[elements].sum(),
        delta=_TOLERANCE,
      )

  def test_attribute_explains_the_predicted_class_by_feature(self):
    stdout, stderr = self._attribute(run=self._run)
    self.assertEqual(
      stderr, 'note: x.csv: ignored columns that are not features: id\n'
    )
    rows = self._json_rows()
    self.assertLen(rows, 3)
    predicted = _NETWORK.outputs(_X).argmax(axis=1)
    for number, row in enumerate(rows):
      self.assertEqual(
        list(row),
        ['row', 'target', 'target_id', 'output', 'baseline_output', 'gap']
        + ['attributions'],
      )
      self._check_row(row, number, predicted[number], _OF_FEATURE)

    # The summary: the features by the mean of their absolute attributions.
    contributions = _X * _WEIGHTS.T[predicted]
    means = {
      name: np.abs(contributions[:, elements].sum(axis=1)).mean()
      for name, elements in _OF_FEATURE.items()
    }
    lines = stdout.splitlines()
    self.assertRegex(lines[0], r'^Explained 3 examples in .* s \(.* rows/s\)$')
    self.assertEqual(lines[1], 'Wrote o.jsonl')
    self.assertEqual(
      lines[3], 'Mean absolute attribution of each feature, in log-odds'
    )
    names = sorted(means, key=means.get, reverse=True)
    self.assertEqual([line.split()[0] for line in lines[4:7]], names)
    for line, name in zip(lines[4:7], names):
      self.assertAlmostEqual(
        float(line.split()[1]), means[name], delta=1e-3 * means[name]
      )
      bar = round(30 * means[name] / means[names[0]])
      self.assertEqual(line.count('\N{FULL BLOCK}'), bar)
    self.assertStartsWith(lines[7], 'Largest gap ')

  def test_attribute_all_classes_by_element_as_csv(self):
    self._attribute(
      '--targets=all', '--by=element', '--batch_size=2', output='o.csv.gz'
    )
    with gzip.open(self._path('o.csv.gz'), 'rt', newline='') as file:
      rows = list(csv.DictReader(file))
    self.assertLen(rows, 9)
    for i, row in enumerate(rows):
      row['attributions'] = {
        name[len('attributions.') :]: value
        for name, value in row.items()
        if name.startswith('attributions.')
      }
      elements = {name: [k] for k, name in enumerate(_ELEMENTS)}
      self._check_row(row, *divmod(i, 3), attributions=elements)

  def test_attribute_reads_tfrecords_and_baselines(self):
    """Two globbed TFRecord files, a label, two baselines of a CSV file."""
    examples = network_export.examples(
      age=[[0.5], [-3.0], [2.0]],
      color=[[b'green'], [], [b'red', b'blue']],
      pair=[[1.0, -2.0], [0.0, 4.0], [1.0, 1.0]],
    )
    for name, part, compression in [
      ('part-0', examples[:1], ''),
      ('part-1', examples[1:], 'GZIP'),
    ]:
      options = tf.io.TFRecordOptions(compression_type=compression)
      with tf.io.TFRecordWriter(self._path(name), options) as writer:
        for example in part:
          writer.write(example)
    self._write('typical.tsv', 'age\tcolor\tpair\n1\tred\t0|1\n3\t\t2|1\n')
    self._attribute(
      '--targets=Gentoo',
      '--by=column',
      '--baselines=typical.tsv',
      examples='part-*',
    )
    columns = {'age': [0], 'color_indicator': [1, 2, 3], 'pair': [4, 5]}
    # Of a linear network, the mean over baselines is that of their mean.
    start = np.array([2, 0.5, 0, 0, 1, 1])
    rows = self._json_rows()
    self.assertLen(rows, 3)
    for number, row in enumerate(rows):
      self._check_row(row, number, 2, columns, start)

  @parameterized.parameters('mean', 'median', 'sample')
  def test_attribute_baselines_computed_from_examples(self, strategy):
    self._attribute('--targets=1', '--by=column', f'--baselines={strategy}')
    # The sample is of more rows than there are: all. Of a linear network, the
    # mean over baselines is that of their mean.
    start = _X.mean(axis=0)
    if strategy == 'median':  # Of the numeric columns.
      start[[0, 4, 5]] = np.median(_X[:, [0, 4, 5]], axis=0)
    columns = {'age': [0], 'color_indicator': [1, 2, 3], 'pair': [4, 5]}
    rows = self._json_rows()
    self.assertLen(rows, 3)
    for number, row in enumerate(rows):
      self._check_row(row, number, 1, columns, start)

  def test_attribute_baselines_computed_from_other_examples(self):
    self._write('train.csv', 'age,color,pair\n1,red,0|1\n3,,2|1\n5,,1|1\n')
    arguments = ['--targets=2', '--by=column', '--batch_size=2']
    path = self._path('train.csv')
    arguments += ['--baselines=mean', f'--baseline_examples={path}']
    self._attribute(*arguments)
    columns = {'age': [0], 'color_indicator': [1, 2, 3], 'pair': [4, 5]}
    start = np.array([3, 1 / 3, 0, 0, 1, 1])
    rows = self._json_rows()
    self.assertLen(rows, 3)
    for number, row in enumerate(rows):
      self._check_row(row, number, 2, columns, start)
    self._write('train.csv', 'age,color,pair\n1,,0|1\n1,,0|1\nnan,,0|1\n')
    _, stderr = self._attribute(*arguments, expected_code=1)
    self.assertRegex(stderr, "train.csv, line 4: .*'age'.* finite")

  def test_attribute_probabilities(self):
    self._attribute('--explain=probabilities', '--targets=1')
    outputs = _NETWORK.outputs(_X, 'probabilities')[:, 1]
    rows = self._json_rows()
    self.assertLen(rows, len(outputs))
    for row, output in zip(rows, outputs):
      self.assertAlmostEqual(row['output'], output, delta=1e-5)
      self.assertAlmostEqual(
        sum(row['attributions'].values()) + row['gap'],
        row['output'] - row['baseline_output'],
        delta=1e-6,
      )

  def test_attribute_a_regressor(self):
    self._write('one.csv', 'x\n2\n')
    arguments = ['attribute', 'regressor', '--examples=one.csv']
    stdout, _ = self._run_here(*arguments, '--output=o.jsonl')
    (row,) = self._json_rows()
    # 3 x + 1.25; it has one output, so its rows name no target.
    self.assertEqual(
      list(row), ['row', 'output', 'baseline_output', 'gap', 'attributions']
    )
    self.assertAlmostEqual(row['output'], 7.25, places=5)
    self.assertAlmostEqual(row['baseline_output'], 1.25, places=5)
    self.assertAlmostEqual(row['attributions']['x'], 6, places=5)
    self.assertIn('attribution of each feature\n', stdout)
    _, stderr = self._run_here(
      *arguments,
      '--output=p.jsonl',
      '--explain=probabilities',
      expected_code=1,
    )
    self.assertRegex(stderr, 'for classifiers.*Leave it out')

  @parameterized.parameters(('o.jsonl', 0), ('o.csv', 1))
  def test_attribute_nothing(self, output, num_lines):
    self._write('none.csv', 'age,color,pair\n')
    self._write('none.tfrecord', '')
    stdout, stderr = self._attribute(
      examples='none.csv,none.tfrecord', output=output
    )
    self.assertStartsWith(stdout, 'Explained 0 examples')
    self.assertEqual(stderr, 'note: no examples in none.csv, none.tfrecord\n')
    with open(self._path(output)) as file:
      self.assertLen(file.readlines(), num_lines)

  def _attribute_steps(self, rows, *arguments):
    """Explains rows of `steps`; returns (stdout, stderr)."""
    self._write('s.csv', 'a,b\n' + ''.join(f'{a},{b}\n' for a, b in rows))
    return self._run_here(
      'attribute',
      'steps',
      '--examples=s.csv',
      '--output=s.jsonl',
      '--targets=ok',
      *arguments,
    )

  def test_notes_tell_of_all_batches_which_rows_mean_little(self):
    good, capped, near = (0.001, 0), (10, -10), (0.001, 0.001)
    # The fewest points, 15: hardly one is on a step.
    stdout, stderr = self._attribute_steps(
      [good, good, good, capped, capped, near, good, near, capped],
      '--num_steps=9',
      '--batch_size=2',
    )
    self.assertEqual(
      stderr.splitlines(),
      [
        'note: 3 of 9 examples did not meet --tolerance=0.001; the first: '
        's.csv, line 5. Raise --num_steps.',
        'note: 2 of 9 examples have an output nearly that of their baseline, '
        'so that their attributions cancel or are rounding, and mean little; '
        'the first: s.csv, line 7. Try another baseline.',
      ],
    )
    self.assertEndsWith(stdout, '; more --num_steps make it smaller\n')
    stdout, stderr = self._attribute_steps(
      [good, capped, near], '--num_steps=9', '--tolerance=1e-05'
    )
    self.assertEqual(
      stderr.splitlines(),
      [
        'note: 1 of 3 examples did not meet --tolerance=1e-05: s.csv, line 3. '
        'Raise --num_steps.',
        'note: 1 of 3 examples has an output nearly that of its baseline, so '
        'that its attributions cancel or are rounding, and mean little: s.csv, '
        'line 4. Try another baseline.',
      ],
    )
    # Of two outputs of 1 that differ by less than float32 can tell.
    _, stderr = self._attribute_steps([(0.03, 0.029)], '--tolerance=1e-09')
    self.assertIn(
      'note: 1 of 1 example did not meet --tolerance=1e-09: s.csv, line 2. '
      'More --num_steps do not help: float32 cannot represent the output any '
      'better: give a larger --tolerance, or scale the inputs.\n',
      stderr,
    )

  def test_what_stdout_cannot_encode_is_escaped(self):
    as_ascii = {'stdout_encoding': 'ascii'}
    stdout, _ = self._run('inspect', 'steps', **as_ascii)
    self.assertIn('one of 2 classes: gr\\xf6\\xdfe, ok\n', stdout)
    stdout, _ = self._run('inspect', 'steps', '--json', **as_ascii)
    self.assertEqual(json.loads(stdout)['labels'], ['größe', 'ok'])
    stdout, _ = self._attribute(output='ö.csv', run=self._run, **as_ascii)
    self.assertIn('Wrote \\xf6.csv\n', stdout)
    self.assertRegex(stdout, 'age .* #+\n')

  def test_inspect(self):
    stdout, stderr = self._run_here('inspect', 'model')
    self.assertEqual(stderr, '')
    lines = [line.split() for line in stdout.splitlines()]
    self.assertIn('one of 3 classes: Adelie, Chinstrap, Gentoo', stdout)
    self.assertIn(['hidden', 'layers', '4', 'units'], lines)
    self.assertIn(['color', 'string', 'any', 'number'], lines)
    self.assertIn(['pair', 'float32', '2'], lines)
    self.assertIn(
      'color_indicator 3 indicator of vocabulary list color'.split(), lines
    )
    self.assertIn('Feature columns (3), 6 elements wide together', stdout)

  def test_inspect_json(self):
    stdout, _ = self._run_here('inspect', 'model', '--json')
    model = json.loads(stdout)
    self.assertEqual(model['kind'], 'classifier')
    self.assertEqual(model['labels'], _LABELS)
    self.assertEqual(model['hidden_units'], [4])
    self.assertTrue(model['takes_examples'])
    self.assertIn('layer_annotations', model['signatures'])
    features = {feature['key']: feature for feature in model['features']}
    self.assertEqual(
      features['pair'],
      {'key': 'pair', 'dtype': 'float32', 'shape': [2], 'is_sparse': False},
    )
    self.assertTrue(features['color']['is_sparse'])
    self.assertEqual(
      [(c['name'], c['width'], c['feature_keys']) for c in model['columns']],
      [
        ('age', 1, ['age']),
        ('color_indicator', 3, ['color']),
        ('pair', 2, ['pair']),
      ],
    )

  @parameterized.parameters(
    ([], 'usage: tf_dnn_annotations COMMAND'),
    (['atribute', 'model'], "no command 'atribute'; did you mean attribute?"),
    (['model'], 'there are inspect and attribute. See tf_dnn_ann'),
    (['--debug', 'inspect'], 'the command comes first, inspect or attribute'),
    (['inspect'], 'required: EXPORT_DIR. See tf_dnn_annotations inspect --hel'),
    (['inspect', 'model', 'other'], "one EXPORT_DIR is enough; got 'other'"),
    (['inspect', 'model', '--jsn'], 'no flag --jsn; did you mean --json?'),
    (['attribute', 'model', '--output=o.csv'], 'required: --examples'),
    (['attribute', 'model', '--examples=x'], 'required: --output'),
    (['attribute', 'model'], 'are required: --examples, --output. See tf_dnn_'),
    (
      ['attribute', 'model', '--exmples=x', '--output=o.csv'],
      'attribute: error: no flag --exmples; did you mean --examples? See',
    ),
    (
      ['attribute', 'model', '--example', 'x', '--output=o.csv'],
      'no flag --example; did you mean --examples?',
    ),
    (
      ['attribute', 'model', '--examples=x', '--outptu=o.csv'],
      'no flag --outptu; did you mean --output?',
    ),
    (['inspect', 'model', '--comand'], 'no flag --comand; check the spelling'),
    (['inspect', 'model', '--hlep'], 'no flag --hlep; did you mean --help?'),
    (['--output=o.txt'], 'end in one of .jsonl, .csv, .jsonl.gz, .csv.gz; got'),
    (['--output=o.csv', '--num-steps=4'], 'did you mean --num_steps?'),
    (['--output=o.csv', '--num_steps=0'], "whole number from 1 up; got '0'"),
    (['--output=o.csv', '--tolerance=0'], "a number above 0; got '0'"),
    (
      ['--output=o.csv', '--baseline_examples=x.csv', '--baselines=y.csv'],
      '--baseline_examples is for --baselines=mean or --baselines=median or',
    ),
    (['--output=o.csv', '--by=word'], "choose from 'feature', 'column'"),
    (['--output=o.csv', '--method=simpson'], "invalid choice: 'simpson'"),
    (['--output=o.csv', '--explain=labels'], "choose from 'logits', 'prob"),
    (
      ['--output=o.csv', '--rows=3'],
      'no flag --rows; all rows of the files are explained. To explain some, ',
    ),
    (
      ['--output=o.csv', '--max_errors=3'],
      '--max_errors is for --on_error=skip. Give both',
    ),
    (
      ['--output=o.csv', '--on_error=skip', '--max_errors=-1'],
      "must be a whole number from 0 up; got '-1'",
    ),
  )
  def test_usage_errors_come_at_once(self, arguments, message):
    if arguments and arguments[0].startswith('--output'):
      arguments = ['attribute', 'model', '--examples=x.csv'] + arguments
    # Loading TensorFlow takes seconds: here, it would be an error.
    self._write('path/tensorflow.py', 'raise SystemError("loaded")')
    stdout, stderr = self._run(
      *arguments, first_on_path='path', expected_code=2
    )
    self.assertEqual(stdout, '')
    # Newer Pythons put no quotes around choices.
    unquoted = stderr.replace("'", '')
    self.assertIn(message.replace("'", ''), unquoted)
    if arguments:
      self.assertLen(stderr.splitlines(), 1)

  @parameterized.parameters(
    (['--help'], ['EXPORT_DIR', 'inspect ', 'attribute ', 'A first look:']),
    (['inspect', '-h'], ['EXPORT_DIR', '--json', '--debug']),
    (['attribute', '--help'], ['--examples', '--by', 'gap', 'Examples:']),
    (['attribute', '--help'], ["and the mean of another's; or 'sample'"]),
    (['--version'], [tfda.__version__]),
  )
  def test_help_comes_at_once(self, arguments, words):
    self._write('path/tensorflow.py', 'raise SystemError("loaded")')
    stdout, stderr = self._run(*arguments, first_on_path='path')
    self.assertEqual(stderr, '')
    for word in words:
      self.assertIn(word, ' '.join(stdout.split()))
    self.assertLessEqual(max(map(len, stdout.splitlines())), 80)

  @parameterized.parameters(
    (['--examples=no*.csv'], r"No such file: 'no\*\.csv'. Give paths"),
    (
      ['--baselines=avg'],
      'Give paths.* Or compute baselines from examples: --baselines=mean or ',
    ),
    (['--targets=Emperor'], "--targets must be .* 'Emperor'. Check the spell"),
    (['--targets=3'], r'--targets must be in \[0, 3\)'),
    (['--output=no/o.csv'], "No such directory: 'no'.*Make it first"),
    (
      ['--output=./x.csv'],
      '--output=./x.csv is one of the files to read. Give --output another',
    ),
    (['--baselines=bad.csv'], "^.*error: bad.csv, line 2: .*'age'.* finite"),
    (
      ['--baselines=mean', '--baseline_examples=empty.csv'],
      'error: --baseline_examples must hold at least one example; got none',
    ),
  )
  def test_data_errors_are_a_line_with_the_remedy(self, arguments, message):
    self._write('bad.csv', 'age,color,pair\nnan,red,1|2\n')
    self._write('empty.csv', 'age,color,pair\n')
    stdout, stderr = self._attribute(*arguments, expected_code=1)
    self.assertEqual(stdout, '')
    error = [line for line in stderr.splitlines() if 'note:' not in line]
    self.assertLen(error, 1, stderr)
    self.assertRegex(error[0], '^tf_dnn_annotations attribute: error: ')
    self.assertRegex(error[0], message)

  def test_a_saved_model_that_is_not_there(self):
    _, stderr = self._run('inspect', 'absent', expected_code=1)
    self.assertRegex(stderr, "error: EXPORT_DIR must be.*got 'absent'")
    _, stderr = self._run('inspect', 'absent', '--debug', expected_code=1)
    self.assertIn('Traceback', stderr)

  def test_a_bad_example_is_named_and_nothing_is_left(self):
    # In the third batch, of the second file.
    self._write('y.csv', 'age,color,pair\n1,red,1|2\n1,red,1|2|3\n')
    self._write('o.jsonl', 'of before')
    _, stderr = self._attribute(
      '--batch_size=2', examples='x.csv,y.csv', expected_code=1
    )
    self.assertRegex(
      stderr, "error: y.csv, line 3: column 'pair': .*--on_error=skip"
    )
    with open(self._path('o.jsonl')) as file:
      self.assertEqual(file.read(), 'of before')
    self.assertCountEqual(
      os.listdir(self.dir), _MODELS + ['x.csv', 'y.csv', 'o.jsonl']
    )

  def test_bad_examples_are_skipped_up_to_a_number(self):
    self._write('y.csv', 'age,color,pair\n1,red,1|2\nx,red,1|2\n1,red,1\n')
    stdout, _ = self._attribute('--on_error=skip', examples='y.csv')
    self.assertIn('Left out 2: see o.rejects.jsonl', stdout)
    self.assertLen(self._json_rows('o.rejects.jsonl'), 2)
    stdout, stderr = self._attribute(
      '--on_error=skip',
      '--max_errors=1',
      examples='y.csv',
      output='p.jsonl',
      expected_code=1,
    )
    self.assertEqual(stdout, '')
    (line,) = stderr.splitlines()
    self.assertRegex(line, 'error: 2 examples cannot .*: y.csv, line 3: column')
    self.assertFalse(os.path.exists(self._path('p.jsonl')))
    self.assertLen(self._json_rows('p.rejects.jsonl'), 2)

  def test_an_interrupt_leaves_nothing(self):
    self._write('long.csv', 'age,color,pair\n' + '1,red,1|2\n' * 300000)
    process = self._start(
      'attribute',
      'model',
      '--examples=long.csv',
      '--output=o.csv',
      '--batch_size=1',
      # What is started in the background, as tests may be, ignores SIGINT, and
      # so does all that it starts.
      preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    self.addCleanup(process.kill)
    # Until it writes to its temporary file; if it ends before, the test fails.
    num_files = len(_MODELS) + 2
    while len(os.listdir(self.dir)) == num_files and process.poll() is None:
      time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    self.assertEqual(process.returncode, 130)
    self.assertEqual(stderr, 'tf_dnn_annotations: interrupted\n')
    self.assertCountEqual(os.listdir(self.dir), _MODELS + ['x.csv', 'long.csv'])

  @parameterized.parameters(True, False)
  def test_a_terminal_gets_a_progress_bar_if_tqdm_is_there(self, has_tqdm):
    if not has_tqdm:
      self._write('path/tqdm.py', 'raise ImportError("as if not installed")')
    terminal, its_end = pty.openpty()
    size = struct.pack('HHHH', 24, 80, 0, 0)
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, size)
    self._attribute(
      '--batch_size=1',
      run=self._run,
      stderr=its_end,
      first_on_path='' if has_tqdm else 'path',
    )
    os.close(its_end)
    shown = os.read(terminal, 1 << 16).decode('utf-8')
    os.close(terminal)
    self.assertEqual('/3 [' in shown, has_tqdm, shown)
    self.assertIn('note: x.csv', shown)

  def test_memory_does_not_grow_with_the_rows(self):
    # A process between, as what a large process starts counts as large too.
    measured = (
      'import resource, subprocess, sys\n'
      'code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)\n'
      'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n'
      'sys.exit(code)'
    )

    def peak(num_rows):
      """Returns the peak memory of explaining 100 kB rows, in kB."""
      word = 'x' * 100000
      self._write('long.csv', 'age,color,pair\n' + f'1,{word},1|2\n' * num_rows)
      stdout, _ = self._attribute(
        '--batch_size=20',
        examples='long.csv',
        run=self._run,
        run_by=['-c', measured],
      )
      return int(stdout)

    # To hold the examples alone would take 80 MB more; two runs of the same
    # differ by less than 20 MB.
    self.assertLess(peak(810) - peak(10), 40000)


if __name__ == '__main__':
  absltest.main()
