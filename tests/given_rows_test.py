"""Rows carry their features and their ids, in every form of input."""

import contextlib
import csv
import io
import json
import os
import pickle

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.cli import attribute_command
from tf_dnn_annotations.cli import flags
from tf_dnn_annotations.results import element_names
from tf_dnn_annotations.results import files

# Of the columns age, color_indicator (2), day, pair (2), tags_indicator (2).
_NETWORK = numpy_network.Network(
  [(np.eye(8), np.zeros(8)), (np.arange(24).reshape(8, 3) - 9.0, np.zeros(3))],
  activation='identity',
)
_LABELS = ['Adelie', '=Chinstrap', 'Gentoo']

_EXAMPLES = {
  'age': [[0.1], [2.0], [-3.5]],
  'color': [[b'red'], [b'=blue'], []],
  'day': [[2**53 + 1], [7], [-1]],
  'pair': [[0.5, 1.5], [0.0, -1.0], [3.0, 4.0]],
  'tags': [[b'a', b'b'], [], [b'a']],
  'client': [[b'A17'], [b'-5'], [b'\xc3\xa6']],  # Not read by the model.
  'number': [[2**60 + 1], [2], [3]],
}
# The same as JSON has it.
_FEATURES = [
  {'age': 0.1, 'color': ['red'], 'day': 2**53 + 1, 'pair': [0.5, 1.5]},
  {'age': 2.0, 'color': ['=blue'], 'day': 7, 'pair': [0.0, -1.0]},
  {'age': -3.5, 'color': [], 'day': -1, 'pair': [3.0, 4.0]},
]
for _row, _tags in zip(_FEATURES, (['a', 'b'], [], ['a'])):
  _row['tags'] = _tags
_CLIENTS = ['A17', '-5', 'æ']
_CSV = (
  'client,age,color,day,pair,tags\n'
  'A17,0.1,red,9007199254740993,0.5|1.5,a|b\n'
  '-5,2,=blue,7,0|-1,\n'
  'æ,-3.5,,-1,3|4,a\n'
)


def _columns():
  fc = tf.feature_column
  return [
    fc.numeric_column('age'),
    fc.indicator_column(
      fc.categorical_column_with_vocabulary_list('color', ['red', '=blue'])
    ),
    fc.numeric_column('day', dtype=tf.int64),
    fc.numeric_column('pair', shape=(2,)),
    fc.indicator_column(
      fc.categorical_column_with_vocabulary_list('tags', ['a', 'b'])
    ),
  ]


def _serialized():
  return network_export.examples(**_EXAMPLES)


def _as_lists(features):
  """Returns the features of a result as a list of dicts, as JSON has them."""

  def plain(value):
    return value.tolist() if hasattr(value, 'tolist') else value

  num_rows = len(features['age'])
  return [
    {key: plain(values[i]) for key, values in features.items()}
    for i in range(num_rows)
  ]


class GivenRowsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.export_dir = network_export.export(
      _NETWORK, _columns(), label_vocabulary=_LABELS
    )

  def setUp(self):
    super().setUp()
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(directories.new_dir())

  def _write(self, name, content):
    if isinstance(content, str):
      with open(name, 'w', encoding='utf-8') as file:
        file.write(content)
      return
    with tf.io.TFRecordWriter(name) as writer:
      for example in content:
        writer.write(example)

  def _run(self, examples, *arguments, output='o.jsonl'):
    argv = ['', 'attribute', self.export_dir, f'--examples={examples}']
    attribute_command.run(
      flags.parsed([*argv, f'--output={output}', *arguments])
    )

  def _json_rows(self, name='o.jsonl'):
    with open(name, encoding='utf-8') as file:
      return [json.loads(line) for line in file]

  def _check_features(self, rows):
    self.assertLen(rows, len(_FEATURES))
    for row, expected in zip(rows, _FEATURES):
      self.assertEqual(sorted(row), sorted(expected))
      for key, value in expected.items():
        if key in ('age', 'pair'):  # They went through float32.
          np.testing.assert_array_equal(np.float32(row[key]), np.float32(value))
        else:
          self.assertEqual(row[key], value)

  @parameterized.parameters(None, 2)
  def test_features_of_serialized_examples(self, max_rows):
    with tfda.IntegratedGradients(self.export_dir) as ig:
      result = ig.attribute(
        _serialized(), with_features=True, max_rows=max_rows
      )
      self._check_features(_as_lists(result.features))
      self.assertIsNone(ig.attribute(_serialized()).features)
      empty = ig.attribute([], with_features=True).features
    self.assertEqual(list(empty), list(result.features))
    self.assertEqual([len(values) for values in empty.values()], [0] * 5)

  def test_features_of_raw_values(self):
    raw = {
      'age': np.float32([0.1, 2, -3.5]),
      'color': ['red', '=blue', None],
      'day': [2**53 + 1, 7, -1],
      'pair': _EXAMPLES['pair'],
      'tags': [['a', 'b'], [], ['a']],
    }
    with tfda.IntegratedGradients(self.export_dir) as ig:
      result = ig.attribute(raw, with_features=True)
      self._check_features(_as_lists(result.features))
      rows = [{key: raw[key][i] for key in raw} for i in range(3)]
      results = ig.attribute_batches(
        [rows[:2], rows[2:]], with_features=True, on_error='skip'
      )
      self._check_features(sum([_as_lists(r.features) for r in results], []))

  def test_features_are_those_of_the_rows_that_are_explained(self):
    examples = _serialized()
    examples.insert(1, b'not a tf.Example')
    with tfda.IntegratedGradients(self.export_dir) as ig:
      (result,) = ig.attribute_batches(
        [examples], on_error=lambda *_: None, with_features=True
      )
    self._check_features(_as_lists(result.features))

  def test_a_result_needs_no_model(self):
    with tfda.IntegratedGradients(self.export_dir) as ig:
      result = ig.attribute(_serialized(), with_features=True, targets='all')
      again = ig.attribute(
        _serialized(), output='probabilities', targets='Gentoo'
      )
    copy = pickle.loads(pickle.dumps(result))
    for each in (result, copy):
      self.assertEqual(each.kind, 'classifier')
      self.assertEqual(each.unit, 'log-odds')
      self.assertEqual(each.num_outputs, 3)
      self.assertEqual(each.labels, _LABELS)
      self.assertEqual(list(each.element_names), each.columns)
      self.assertEqual(
        each.element_names['color_indicator'],
        ['color_indicator[red]', 'color_indicator[=blue]'],
      )
      self.assertEqual(each.element_names['pair'], ['pair[0]', 'pair[1]'])
      for name in each.columns:
        width = each.values[name].shape[-1]
        self.assertLen(each.element_names[name], width)
      self._check_features(_as_lists(each.features))
    self.assertEqual(again.unit, 'probability')
    # Made once per model.
    self.assertIs(again.element_names, result.element_names)
    regressor = network_export.export(
      numpy_network.Network([([[2.0]], [1.0])], is_classifier=False)
    )
    with tfda.IntegratedGradients(regressor) as ig:
      result = ig.attribute({'x': [1.0]})
    self.assertEqual(result.kind, 'regressor')
    self.assertIsNone(result.unit)
    self.assertIsNone(result.labels)
    self.assertEqual(result.num_outputs, 1)

  def test_element_names_are_made_when_read_and_once(self):
    calls = []

    def names_fn():
      calls.append(1)
      return {'a': ['a[x]', 'a[y]'], 'b': ['b']}

    names = element_names.ElementNames(['a', 'b'], names_fn)
    self.assertEqual(list(names), ['a', 'b'])
    self.assertLen(names, 2)
    self.assertIn('a', list(names))
    self.assertEmpty(calls)
    self.assertEqual(names['a'], ['a[x]', 'a[y]'])
    self.assertEqual(names['b'], ['b'])
    self.assertEqual(
      pickle.loads(pickle.dumps(names)), {'a': ['a[x]', 'a[y]'], 'b': ['b']}
    )
    self.assertLen(calls, 1)
    with self.assertRaises(KeyError):
      names['c']

  @parameterized.product(
    by=['feature', 'column', 'element'], targets=['Gentoo', 'all']
  )
  def test_a_file_is_written_without_the_model(self, by, targets):
    with tfda.IntegratedGradients(self.export_dir) as ig:
      result = ig.attribute(_serialized(), targets=targets, with_features=True)
    result = pickle.loads(pickle.dumps(result))
    with files.AttributionWriter('o.jsonl', result, by, 'client') as writer:
      writer.write(result, _CLIENTS)
    rows = self._json_rows()
    num_targets = 3 if targets == 'all' else 1
    self.assertEqual(
      [row['client'] for row in rows], np.repeat(_CLIENTS, num_targets).tolist()
    )
    self._check_features([row['features'] for row in rows[::num_targets]])
    ids = np.ravel(result.targets)
    self.assertEqual([row['target'] for row in rows], [_LABELS[i] for i in ids])
    np.testing.assert_array_equal(
      np.float32([row['output'] for row in rows]), np.ravel(result.outputs)
    )
    expected = {
      'feature': sorted(result.per_feature()),
      'column': sorted(result.columns),
      'element': sorted(sum(result.element_names.values(), [])),
    }[by]
    # Of a linear network, an attribution is the input times its weight. The
    # columns are age, color_indicator, day, pair and tags_indicator.
    weights = _NETWORK.layers[0][0] @ _NETWORK.layers[1][0]
    x = np.array([-3.5, 0, 0, -1, 3, 4, 1, 0])
    for row, target in zip(rows[-num_targets:], ids[-num_targets:]):
      self.assertEqual(sorted(row['attributions']), expected)
      values = list(row['attributions'].values())
      self.assertAlmostEqual(sum(values), x @ weights[:, target], places=4)
      if by == 'element':
        np.testing.assert_allclose(values, x * weights[:, target], atol=1e-4)

  @parameterized.parameters('x.csv', 'x.tfrecord')
  def test_the_command_writes_features_as_json(self, name):
    self._write(name, _CSV if name == 'x.csv' else _serialized())
    self._run(name, '--with_features', '--targets=all', '--batch_size=2')
    rows = self._json_rows()
    self.assertEqual([row['row'] for row in rows], [0] * 3 + [1] * 3 + [2] * 3)
    self.assertEqual(list(rows[0])[-2:], ['attributions', 'features'])
    for target in range(3):
      self._check_features([row['features'] for row in rows[target::3]])

  def test_the_command_writes_features_as_csv(self):
    self._write('x', _serialized())
    self._run('x', '--with_features', output='o.csv')
    with open('o.csv', encoding='utf-8', newline='') as file:
      rows = list(csv.DictReader(file))
    keys = ['age', 'color', 'day', 'pair', 'tags']
    self.assertCountEqual(
      list(rows[0])[-5:], [f'features.{key}' for key in keys]
    )
    self._check_features(
      [
        {key: json.loads(row[f'features.{key}']) for key in keys}
        for row in rows
      ]
    )

  def test_text_of_features_is_no_formula(self):
    def receiver_fn():
      features = {'name': tf.placeholder(tf.string, [None, 1])}
      return tf.estimator.export.ServingInputReceiver(features, features)

    name = tf.feature_column.categorical_column_with_vocabulary_list(
      'name', ['=a', 'b']
    )
    self.export_dir = network_export.export(
      numpy_network.Network(
        [(np.eye(2), np.zeros(2)), ([[1.0], [2.0]], [0.0])]
      ),
      [tf.feature_column.indicator_column(name)],
      receiver=receiver_fn,
    )
    self._write('x.csv', 'name,id\n=a,@1\nb,2\n')
    self._run('x.csv', '--with_features', '--id=id', output='o.csv')
    with open('o.csv', encoding='utf-8', newline='') as file:
      rows = list(csv.DictReader(file))
    self.assertEqual([row['features.name'] for row in rows], ["'=a", 'b'])
    self.assertEqual([row['id'] for row in rows], ["'@1", '2'])

  @parameterized.parameters(
    ('x.csv', 'client', _CLIENTS),
    ('x.csv', 'day', ['9007199254740993', '7', '-1']),
    ('x.tfrecord', 'client', _CLIENTS),
    ('x.tfrecord', 'number', [2**60 + 1, 2, 3]),
    ('x.tfrecord', 'day', [2**53 + 1, 7, -1]),
    ('x.tfrecord', 'age', [0.1, 2, -3.5]),
  )
  def test_an_id_is_in_every_row_in_place_of_its_number(
    self, name, key, expected
  ):
    self._write(name, _CSV if name == 'x.csv' else _serialized())
    self._run(name, f'--id={key}', '--targets=all', '--batch_size=2')
    rows = self._json_rows()
    self.assertEqual(list(rows[0])[:2], ['id', 'target'])
    ids = [each for each in expected for _ in range(3)]
    self.assertEqual([row['id'] for row in rows], ids)

  def test_the_summary_has_the_id(self):
    self._write('x.csv', _CSV.splitlines()[0] + '\nA17,1,red,1,1|2,a\n')
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      self._run('x.csv', '--id=client')
    self.assertIn(', in row A17, whose', stdout.getvalue())

  def test_rejected_rows_have_the_id_if_it_can_be_read(self):
    self._write(
      'x.csv',
      _CSV
      + 'B1,old,red,1,1|2,a\n'  # Not a number.
      + 'B2,1\n'  # Cells are missing.
      + ',1,red,1,1|2,a\n'  # No id.
      + 'B4,1,red,1,1|2,a\n',
    )
    examples = network_export.examples(
      age=[[float('nan')], [1.0], [1.0]],
      color=[[]] * 3,
      day=[[1]] * 3,
      pair=[[1.0, 2.0]] * 3,
      tags=[[]] * 3,
      client=[[b'C1'], [], [b'C3', b'C4']],
    )
    self._write('y', [*examples, b'not a tf.Example'])
    for batch_size in (1, 512):
      self._run(
        'x.csv,y',
        '--id=client',
        '--on_error=skip',
        f'--batch_size={batch_size}',
      )
      self.assertEqual(
        [row['id'] for row in self._json_rows()], [*_CLIENTS, 'B4']
      )
      rejects = self._json_rows('o.rejects.jsonl')
      self.assertEqual(
        [(row['id'], row['place']) for row in rejects],
        [
          ('B1', 'x.csv, line 5'),
          (None, 'x.csv, line 6'),
          (None, 'x.csv, line 7'),
          ('C1', 'y, record 0'),
          (None, 'y, record 1'),
          (None, 'y, record 2'),
          (None, 'y, record 3'),
        ],
      )
      for row, reason in zip(
        rejects,
        [
          "column 'age': 'old' is not of type float32",
          '2 cells; the header has 6',
          "column 'client', which --id names: '' stands for no value. Give",
          "'age' must be finite; got nan",
          "no value of the feature 'client', which --id names. Give every ex",
          "2 values of the feature 'client', which --id names. Name a feature",
          'ould not parse',
        ],
      ):
        self.assertRegex(row['reason'], reason)

  def test_examples_without_an_id_are_errors(self):
    self._write('x.csv', _CSV)
    with self.assertRaisesRegex(
      ValueError,
      r"^x.csv: no column 'clent', which --id names; .* Did you mean 'client'",
    ):
      self._run('x.csv', '--id=clent')
    self._write('y.csv', _CSV.replace('client', 'age'))
    with self.assertRaisesRegex(ValueError, r"names \['age'\] more than once"):
      self._run('y.csv', '--id=age')
    self._write('z.csv', _CSV.replace('A17', 'NA'))
    with self.assertRaisesRegex(
      ValueError,
      "^z.csv, line 2: column 'client', .*'NA' stands for no.*=skip.$",
    ):
      self._run('z.csv', '--id=client', '--missing=NA')
    self._write('x', _serialized())
    with self.assertRaisesRegex(
      ValueError, "^x, record 0: no value of the feature 'clent'.* 'client'.*"
    ):
      self._run('x', '--id=clent')
    with self.assertRaisesRegex(ValueError, "record 0: 2 values .*'pair'"):
      self._run('x', '--id=pair')

  def test_baselines_need_no_id_unless_they_are_the_examples(self):
    self._write('x.csv', _CSV + ',1,red,1,1|2,a\n')
    header, *rows = _CSV.splitlines()
    del header
    self._write(
      'b.csv',
      'age,color,day,pair,tags\n'
      + ''.join(row.split(',', 1)[1] + '\n' for row in rows),
    )
    outputs = []
    for baselines in (
      ['--baselines=mean'],
      ['--baselines=mean', '--baseline_examples=b.csv'],
    ):
      self._run('x.csv', '--id=client', '--on_error=skip', *baselines)
      outputs.append([row['baseline_output'] for row in self._json_rows()])
    # The row without an id is not part of the mean.
    self.assertEqual(*outputs)
    self._run('x.csv', '--id=client', '--on_error=skip', '--baselines=b.csv')


if __name__ == '__main__':
  absltest.main()
