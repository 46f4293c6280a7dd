"""What the README says can be done as it says."""

import os
import pathlib
import re
import subprocess
import sys
import textwrap

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from tests.support import directories
import tf_dnn_annotations

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_LABELS = ['Adelie', 'Chinstrap', 'Gentoo']
_ISLANDS = ['Torgersen', 'Dream', 'Biscoe']
_BILL_LENGTHS = np.float32([[39.1], [46.5], [47.2]])


def _readme():
  return (_ROOT / 'README.md').read_text('utf-8')


def _snippets():
  """Returns the Python code blocks of the README, without indentation."""
  blocks = re.findall(
    r'^( *)```python\n(.*?)^\1```$', _readme(), re.DOTALL | re.MULTILINE
  )
  return [textwrap.dedent(code) for _, code in blocks]


def _serialized_examples():
  """Returns three tf.Examples, one of each species."""
  examples = []
  for label, island, length in zip(_LABELS, _ISLANDS, _BILL_LENGTHS):
    example = tf.train.Example()
    feature = example.features.feature
    feature['species'].bytes_list.value.append(label.encode())
    feature['island'].bytes_list.value.append(island.encode())
    feature['bill_length_mm'].float_list.value.extend(length)
    examples.append(example.SerializeToString())
  return examples


class ReadmeTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # The snippets write beside themselves.
    cls.addClassCleanup(os.chdir, os.getcwd())
    os.chdir(directories.new_dir())
    cls.given = cls._pipeline()
    # The snippets in their order, in one namespace: {name: value} after each.
    cls.after, namespace = [], dict(cls.given)
    for code in _snippets():
      exec(compile(code, 'README.md', 'exec'), namespace)
      cls.after.append(dict(namespace))

  @staticmethod
  def _pipeline():
    """Returns what the README takes for granted: a pipeline, trained."""
    estimator = tf.estimator
    island = tf.feature_column.categorical_column_with_vocabulary_list(
      'island', _ISLANDS
    )
    columns = [
      tf.feature_column.numeric_column(
        'bill_length_mm', normalizer_fn=lambda x: (x - 44) / 5
      ),
      tf.feature_column.indicator_column(island),
    ]
    parsing_spec = tf.feature_column.make_parse_example_spec(columns)
    label_spec = {'species': tf.io.FixedLenFeature([], tf.string)}
    receiver = tf.estimator.export.build_parsing_serving_input_receiver_fn(
      parsing_spec
    )
    serialized = _serialized_examples()

    def parsed(serialized):
      features = tf.io.parse_example(serialized, {**parsing_spec, **label_spec})
      return features, features.pop('species')

    def input_fn(num_epochs=1):
      dataset = tf.data.Dataset.from_tensor_slices(serialized).batch(3)
      return dataset.map(parsed).repeat(num_epochs)

    ordinary = estimator.DNNClassifier(
      hidden_units=[32, 16],
      feature_columns=columns,
      n_classes=3,
      label_vocabulary=_LABELS,
      model_dir='ordinary',
    )
    ordinary.train(lambda: input_fn(num_epochs=20))
    return {
      'tf': tf,
      'columns': columns,
      'labels': _LABELS,
      'ordinary': ordinary,
      'input_fn': input_fn,
      'serving_input_receiver_fn': receiver,
      'model_dir': 'annotated_model',
      'train_spec': estimator.TrainSpec(
        lambda: input_fn(num_epochs=None), max_steps=2
      ),
      'eval_spec': estimator.EvalSpec(
        input_fn,
        steps=1,
        exporters=estimator.FinalExporter('final', receiver),
      ),
      'serialized_examples': serialized,
      'batches': [serialized[:2], serialized[2:]],
      'a': 1,
      'b': 0,
    }

  def _defining(self, name):
    """Returns the namespace after the first snippet that gives `name`."""
    return next(namespace for namespace in self.after if name in namespace)

  def _ordinary_probabilities(self):
    predictions = self.given['ordinary'].predict(self.given['input_fn'])
    return np.stack([row['probabilities'] for row in predictions])

  def test_explains_a_reexported_checkpoint(self):
    result = self._defining('result')['result']
    self.assertCountEqual(result.per_feature(), ['bill_length_mm', 'island'])
    logits = [
      row['logits'][target]
      for row, target in zip(
        self.given['ordinary'].predict(self.given['input_fn']), result.targets
      )
    ]
    np.testing.assert_array_equal(result.outputs, np.stack(logits))
    explained = sum(result.per_feature().values())
    # Sums of a few float32s about as large as 1.
    np.testing.assert_allclose(
      result.baseline_outputs + explained + result.gap, logits, atol=1e-6
    )

  def test_exporters_of_the_annotated_class_write_annotations(self):
    annotated = self._defining('annotated')['annotated']
    exports = os.path.join(annotated.model_dir, 'export', 'final')
    (export_dir,) = os.listdir(exports)
    with tf_dnn_annotations.IntegratedGradients(
      os.path.join(exports, export_dir)
    ) as ig:
      self.assertLen(ig.model.columns, 2)

  def test_difference_of_two_classes_is_their_log_odds(self):
    namespace = self._defining('why')
    result = namespace['result']
    probabilities = self._ordinary_probabilities()
    log_odds = np.log(probabilities[:, 1] / probabilities[:, 0])
    baseline = result.baseline_outputs[:, 1] - result.baseline_outputs[:, 0]
    gap = result.gap[:, 1] - result.gap[:, 0]
    np.testing.assert_allclose(
      sum(namespace['why'].values()) + baseline + gap, log_odds, atol=1e-5
    )

  def test_average_row_is_the_mean_of_the_columns(self):
    average = self._defining('average')['average']
    np.testing.assert_allclose(
      average['bill_length_mm'], [np.mean((_BILL_LENGTHS - 44) / 5)], rtol=1e-5
    )
    # Each bird has another island.
    np.testing.assert_allclose(average['island_indicator'], [1 / 3] * 3)

  def test_takes_raw_features_and_a_raw_baseline(self):
    result = self.after[-1]['result']
    self.assertEqual(result.targets.tolist(), [1, 1])
    # Both rows have the one baseline, whose bill is of average length.
    self.assertEqual(*result.baseline_outputs)
    self.assertTrue(all(np.all(v != 0) for v in result.per_feature().values()))

  def test_api_table_names_what_there_is(self):
    table = _readme().partition('## API')[2].partition('## ')[0]
    names = re.findall(r'^\| `(\w+)', table, re.MULTILINE)
    self.assertNotEmpty(names)
    for name in names:
      self.assertTrue(hasattr(tf_dnn_annotations, name), name)
    result = self._defining('result')['result']
    members = re.findall(r'^\| result (.*?) \|', table, re.MULTILINE)
    for name in re.findall(r'\.(\w+)', ' '.join(members)):
      self.assertTrue(hasattr(result, name), name)
    signature = re.search(r'^\| `\.attribute\((.*?)\)`', table, re.MULTILINE)
    attribute = tf_dnn_annotations.IntegratedGradients.attribute
    # Without `self` and the defaults of functions, as inspect would show them.
    defaults = ', '.join(map('{!r}'.format, attribute.__defaults__))
    self.assertEqual(
      re.findall(r'=([^,]+)', signature.group(1)), defaults.split(', ')
    )

  def test_flags_of_the_command_line_are_known(self):
    section = _readme().partition('## Command line')[2].partition('\n## ')[0]
    path = os.pathsep.join(filter(None, [str(_ROOT), os.getenv('PYTHONPATH')]))
    known = ''
    for command in ('inspect', 'attribute'):
      known += subprocess.run(
        [sys.executable, '-m', 'tf_dnn_annotations', command, '--help'],
        env=dict(os.environ, PYTHONPATH=path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding='utf-8',
        check=True,
      ).stdout
    flags = set(re.findall(r'--\w+', section))
    self.assertNotEmpty(flags)
    self.assertContainsSubset(flags, re.findall(r'--\w+', known))

  def test_links_lead_somewhere(self):
    links = re.findall(r'\]\(([^)#][^)]*)\)', _readme())
    for link in links:
      if not link.startswith('https://'):
        self.assertTrue((_ROOT / link).exists(), link)

  def test_extras_are_those_of_setup(self):
    setup = (_ROOT / 'setup.py').read_text('utf-8')
    extras = re.findall(r"'\.\[(\w+)\]'", _readme()) + ['progress']
    for extra in extras:
      self.assertIn(f"    '{extra}': ", setup)


if __name__ == '__main__':
  absltest.main()
