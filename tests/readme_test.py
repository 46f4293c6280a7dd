"""What README.md and docs/ say can be done as they say.

Every Python block is run, those of a page one after the other in one namespace,
but a block that imports TensorFlow is a program of its own. All pages are given
one pipeline, of the penguins, and the SavedModel that the README exports.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
import xml.etree.ElementTree

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import tensorflow as tf

from examples import penguins
from examples import picture
from tests.support import directories
import tf_dnn_annotations as tfda

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PAGES = sorted((_ROOT / 'docs').glob('*.md'))


def _blocks(path):
  """Returns the Python blocks of a page, without indentation."""
  blocks = re.findall(
    r'^( *)```python\n(.*?)^\1```$',
    path.read_text('utf-8'),
    re.DOTALL | re.MULTILINE,
  )
  return [textwrap.dedent(code) for _, code in blocks]


def _namespace_after(path, given):
  """Runs the blocks of a page; returns the names that they leave."""
  namespace = dict(given)
  for code in _blocks(path):
    is_program = 'import tensorflow as tf\n' in code
    names = {} if is_program else namespace
    exec(compile(code, path.name, 'exec'), names)
  return namespace


def _pipeline():
  """Returns what the README takes for granted: a pipeline, trained."""
  training_rows, held_out_rows = penguins.read_rows()
  rows = penguins.one_of_each_species(held_out_rows) + held_out_rows[:5]
  columns = penguins.make_feature_columns(training_rows)
  parsing_spec = tf.feature_column.make_parse_example_spec(columns)
  receiver = tf.estimator.export.build_parsing_serving_input_receiver_fn(
    parsing_spec
  )
  shutil.copy(penguins.CSV_PATH, 'penguins.csv')
  penguins.write_examples(training_rows, 'penguins.tfrecord')
  input_fn = penguins.make_input_fn(
    'penguins.tfrecord', parsing_spec, is_training=True
  )
  ordinary = tf.estimator.DNNClassifier(
    hidden_units=[32, 16],
    feature_columns=columns,
    n_classes=len(penguins.SPECIES),
    label_vocabulary=penguins.SPECIES,
    model_dir='ordinary',
  )
  ordinary.train(input_fn, max_steps=30)
  serialized = [penguins.serialized_example(row) for row in rows]
  return {
    'np': np,
    'pd': pd,
    'tf': tf,
    'tfda': tfda,
    'columns': columns,
    'labels': penguins.SPECIES,
    'ordinary': ordinary,
    'serving_input_receiver_fn': receiver,
    'model_dir': 'annotated_model',
    'train_spec': tf.estimator.TrainSpec(input_fn, max_steps=2),
    'eval_spec': tf.estimator.EvalSpec(
      input_fn,
      steps=1,
      exporters=tf.estimator.FinalExporter('final', receiver),
    ),
    'frame': pd.read_csv('penguins.csv'),
    'serialized_examples': serialized,
    'batches': [serialized[:5], serialized[5:]],
  }


def _in_help():
  """Returns the set of the flags that the commands' help names."""
  path = os.pathsep.join(filter(None, [str(_ROOT), os.getenv('PYTHONPATH')]))
  text = ''
  for command in ('inspect', 'attribute'):
    text += subprocess.run(
      [sys.executable, '-m', 'tf_dnn_annotations', command, '--help'],
      env=dict(os.environ, PYTHONPATH=path),
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      encoding='utf-8',
      check=True,
    ).stdout
  return set(re.findall(r'--\w+', text))


class ReadmeTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # The blocks write beside themselves.
    cls.addClassCleanup(os.chdir, os.getcwd())
    os.chdir(directories.new_dir())
    cls.pipeline = _pipeline()
    cls.readme = _namespace_after(_ROOT / 'README.md', cls.pipeline)
    cls.given = dict(cls.pipeline, export_dir=cls.readme['export_dir'])

  def _after(self, name):
    return _namespace_after(_ROOT / 'docs' / name, self.given)

  def _logits(self):
    """Returns what the ordinary estimator predicts for the examples."""
    export_dir = self.pipeline['ordinary'].export_saved_model(
      'ordinary_export', self.pipeline['serving_input_receiver_fn']
    )
    outputs = penguins.predict(
      tf.compat.as_str(export_dir), self.pipeline['serialized_examples']
    )
    return outputs['logits']

  def _assert_adds_up(self, result, outputs):
    explained = sum(result.per_feature().values())
    # Sums of a dozen float32s about as large as 1.
    np.testing.assert_allclose(
      result.baseline_outputs + explained + result.gap, outputs, atol=2e-6
    )

  def test_explains_a_reexported_checkpoint(self):
    result = self.readme['result']
    self.assertCountEqual(
      result.per_feature(),
      [*penguins.MEASUREMENTS, 'island', 'island x sex', 'sex', 'year'],
    )
    logits = self._logits()[np.arange(len(result.targets)), result.targets]
    np.testing.assert_array_equal(result.outputs, logits)
    self._assert_adds_up(result, logits)

  def test_exporters_of_the_annotated_class_write_annotations(self):
    annotated = self.readme['annotated']
    exports = os.path.join(annotated.model_dir, 'export', 'final')
    (export_dir,) = os.listdir(exports)
    with tfda.IntegratedGradients(os.path.join(exports, export_dir)) as ig:
      self.assertLen(ig.model.columns, 8)

  def test_start_is_a_whole_program(self):
    (code, *_) = _blocks(_ROOT / 'docs' / 'start.md')
    namespace = {}
    exec(compile(code, 'start.md', 'exec'), namespace)
    self._assert_adds_up(namespace['result'], namespace['result'].outputs)

  def test_difference_of_two_classes_is_their_log_odds(self):
    namespace = self._after('reading_attributions.md')
    with tfda.IntegratedGradients(self.given['export_dir']) as ig:
      result = ig.attribute(self.given['serialized_examples'], targets='all')
    a, b = namespace['a'], namespace['b']
    logits = self._logits()
    baseline = result.baseline_outputs[:, a] - result.baseline_outputs[:, b]
    gap = result.gap[:, a] - result.gap[:, b]
    np.testing.assert_allclose(
      sum(namespace['why'].values()) + baseline + gap,
      logits[:, a] - logits[:, b],
      atol=1e-5,
    )

  def test_average_row_is_the_mean_of_the_columns(self):
    average = self._after('baselines.md')['average']
    rows = [
      tf.train.Example.FromString(example).features.feature
      for example in self.given['serialized_examples']
    ]
    islands = [row['island'].bytes_list.value[0].decode() for row in rows]
    np.testing.assert_allclose(
      average['island_indicator'],
      [np.mean([i == name for i in islands]) for name in sorted(set(islands))],
      rtol=1e-6,
    )

  def test_inputs_gives_the_same_rows_in_three_forms(self):
    namespace = self._after('inputs.md')
    frame = self.given['frame'].dropna()
    with tfda.IntegratedGradients(self.given['export_dir']) as ig:
      raw = ig.attribute(frame[list(ig.model.features)], targets=0)
      parsed = ig.attribute(namespace['serialized'](frame), targets=0)
    self.assertLen(raw.outputs, len(frame))
    np.testing.assert_array_equal(raw.per_column(), parsed.per_column())

  @parameterized.parameters(
    page.name
    for page in _PAGES
    if _blocks(page)
    and page.name
    not in ('baselines.md', 'inputs.md', 'reading_attributions.md')
  )
  def test_blocks_run(self, name):
    with warnings.catch_warnings():
      self._after(name)

  def test_every_flag_is_on_the_page_of_the_command_line(self):
    page = (_ROOT / 'docs' / 'command_line.md').read_text('utf-8')
    of_help = _in_help()
    self.assertNotEmpty(of_help)
    # `--version` belongs to no command.
    told = set(re.findall(r'--\w+', page)) - {'--version'}
    self.assertSameElements(told, of_help)

  def test_flags_in_the_readme_are_known(self):
    text = (_ROOT / 'README.md').read_text('utf-8')
    lines = re.findall('^ +tf_dnn_annotations .*', text, re.MULTILINE)
    flags = set(re.findall(r'--\w+', ' '.join(lines)))
    self.assertNotEmpty(flags)
    self.assertContainsSubset(flags, _in_help())

  @parameterized.parameters(
    path.relative_to(_ROOT).as_posix()
    for path in [_ROOT / 'README.md', *_PAGES]
  )
  def test_links_lead_somewhere(self, name):
    path = _ROOT / name
    for link in re.findall(r'\]\(([^)#]+)[^)]*\)', path.read_text('utf-8')):
      if not link.startswith('https://'):
        self.assertTrue((path.parent / link).exists(), link)

  def test_every_page_is_in_the_navigation(self):
    text = (_ROOT / 'mkdocs.yml').read_text('utf-8')
    listed = re.findall(r': (\w+\.md)$', text, re.MULTILINE)
    self.assertCountEqual(listed, [page.name for page in _PAGES])

  def test_modules_that_the_architecture_names_are_there(self):
    text = (_ROOT / 'docs' / 'architecture.md').read_text('utf-8')
    table = text.partition('## Where to look')[2].partition('\n## ')[0]
    names = re.findall(r'`(\w+\.\w+)`', table)
    self.assertNotEmpty(names)
    for name in names:
      path = _ROOT / 'tf_dnn_annotations' / f'{name.replace(".", "/")}.py'
      self.assertTrue(path.is_file(), name)

  def test_readme_is_short(self):
    lines = (_ROOT / 'README.md').read_text('utf-8').splitlines()
    self.assertLessEqual(len(lines), 130)

  def test_extras_are_those_of_the_package(self):
    text = (_ROOT / 'README.md').read_text('utf-8')
    text += (_ROOT / 'docs' / 'start.md').read_text('utf-8')
    extras = set(','.join(re.findall(r"'\.\[([\w,]+)\]'", text)).split(','))
    metadata = (_ROOT / 'pyproject.toml').read_text('utf-8')
    metadata += (_ROOT / 'setup.py').read_text('utf-8')
    for extra in {*extras, 'progress'}:
      self.assertRegex(metadata, rf"""(?m)^ *'?{extra}'?(:| =) """)


class PictureTest(absltest.TestCase):
  def test_its_numbers_add_up(self):
    svg = xml.etree.ElementTree.parse(_ROOT / 'docs/images/penguin.svg')
    baseline, *terms, output = (
      float(text.text.replace('\N{MINUS SIGN}', '-'))
      for text in svg.iter('{http://www.w3.org/2000/svg}text')
      if text.get('class') == 'number'
    )
    self.assertLen(terms, 8)
    # Ten numbers with two decimals.
    self.assertAlmostEqual(baseline + sum(terms), output, delta=0.05)

  def test_bars_are_as_long_as_their_numbers(self):
    text = picture.drawn('A & B', -1.0, [('up', 3.0), ('down', -0.5)], 1.5)
    svg = xml.etree.ElementTree.fromstring(text)
    widths = [
      float(bar.get('width'))
      for bar in svg.iter('{http://www.w3.org/2000/svg}rect')
      if bar.get('height') == str(picture.BAR)
    ]
    # From -1 to 2, the lowest and the highest output on the way.
    scale = (picture.RIGHT - picture.LEFT) / 3
    # Rounded to a tenth of a pixel.
    np.testing.assert_allclose(
      widths, np.multiply([1, 3, 0.5, 1.5], scale), atol=0.06
    )


if __name__ == '__main__':
  absltest.main()
