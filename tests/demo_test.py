"""The demo runs, twice in one directory, and what it shows is true."""

import json
import os
import pathlib
import re
import subprocess
import sys

from absl.testing import absltest
import pytest
import tensorflow.compat.v1 as tf

from tests.support import directories

# It trains two models, as a user does.
pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_MEASUREMENTS = (
  'bill_length_mm',
  'bill_depth_mm',
  'flipper_length_mm',
  'body_mass_g',
)
# What TensorFlow 2.21 notes of itself, whatever its log level.
_NOTES = (
  'WARNING: All log messages before absl::InitializeLog() is called',
  'I0000 ',
)
_NUMBER = r'([+-]\d+\.\d+(?:e[+-]\d+)?)'


def _run(directory):
  """Runs the demo with few steps in `directory`; returns the process."""
  path = os.pathsep.join(filter(None, [str(_ROOT), os.getenv('PYTHONPATH')]))
  return subprocess.run(
    [sys.executable, str(_ROOT / 'examples' / 'penguins.py')]
    + ['--train_steps=60'],
    cwd=directory,
    env=dict(os.environ, PYTHONPATH=path, PYTHONIOENCODING='utf-8'),
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    encoding='utf-8',
  )


def _examples(directory):
  """Returns the tf.Examples in the order in which `attribute` reads them."""
  return [
    tf.train.Example.FromString(record)
    for name in ('penguins-held-out.tfrecord', 'penguins-train.tfrecord')
    for record in tf.io.tf_record_iterator(
      os.path.join(directory, 'penguins_demo', name)
    )
  ]


def _explanations(printed):
  """Returns the part of the output that explains three penguins."""
  return printed.partition('=== 6.')[2].partition('=== The files')[0]


class DemoTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.directory = directories.new_dir()
    cls.runs = [_run(cls.directory), _run(cls.directory)]
    cls.printed = cls.runs[-1].stdout
    path = os.path.join(
      cls.directory, 'penguins_demo', 'penguins-attributions.jsonl'
    )
    with open(path, encoding='utf-8') as file:
      cls.rows = [json.loads(line) for line in file]
    cls.examples = _examples(cls.directory)

  def test_succeeds_again_in_its_directory_and_is_quiet(self):
    for run in self.runs:
      self.assertEqual(run.returncode, 0, run.stderr)
      noted = run.stderr.splitlines()
      self.assertEmpty([line for line in noted if not line.startswith(_NOTES)])

  def test_explains_the_same_in_every_run(self):
    first, second = (_explanations(run.stdout) for run in self.runs)
    self.assertNotEmpty(first)
    self.assertEqual(first, second)

  def test_learns(self):
    accuracy = re.search(r'accuracy .* ([\d.]+)$', self.printed, re.MULTILINE)
    # The commonest species is 44 % of the penguins.
    self.assertGreater(float(accuracy.group(1)), 0.6)

  def test_compares_all_predictions(self):
    self.assertIn('of 344 penguins: equal to the last bit.', self.printed)

  def test_explains_every_penguin(self):
    self.assertLen(self.examples, 344)
    self.assertEqual([row['row'] for row in self.rows], list(range(344)))

  def test_attributions_sum_to_the_change_of_the_output(self):
    for row in self.rows:
      terms = [row['baseline_output'], row['gap']]
      terms += row['attributions'].values()
      # Eleven numbers, each rounded to float32.
      bound = 11 * max(map(abs, terms + [row['output']])) * 2**-24
      self.assertAlmostEqual(sum(terms), row['output'], delta=bound)

  def test_attributes_nothing_to_what_is_missing(self):
    num_missing = dict.fromkeys((*_MEASUREMENTS, 'sex'), 0)
    for row, example in zip(self.rows, self.examples):
      for key in num_missing:
        if key not in example.features.feature:
          num_missing[key] += 1
          self.assertEqual(row['attributions'][key], 0.0)
    # As testdata/README.md has it.
    self.assertEqual(
      num_missing, {**dict.fromkeys(_MEASUREMENTS, 2), 'sex': 11}
    )

  def test_prints_explanations_that_add_up(self):
    explained = re.split(r'\nA penguin of species ', self.printed)[1:]
    self.assertEqual(
      [text.split(';')[0] for text in explained],
      ['Adelie', 'Chinstrap', 'Gentoo'],
    )
    for text in explained:
      text = text.partition('\n===')[0]
      *terms, logit = map(float, re.findall(_NUMBER + '$', text, re.MULTILINE))
      self.assertLen(terms, 10)  # Baseline, eight features or pairs, gap.
      # Eleven numbers, each printed with four decimals.
      self.assertAlmostEqual(sum(terms), logit, delta=11 * 0.00005)

  def test_says_where_the_files_are(self):
    listed = self.printed.partition('=== The files\n')[2].splitlines()
    self.assertLen(listed, 6)
    for line in listed:
      path = os.path.join(self.directory, line.split()[-1])
      self.assertTrue(os.path.exists(path), line)

  def test_the_documentation_shows_what_it_prints(self):
    page = (_ROOT / 'docs' / 'command_line.md').read_text('utf-8')
    page = re.sub('^    ', '', page, flags=re.MULTILINE)
    # The table of columns does not depend on the training.
    table = re.search(
      r'\nFeatures \(7\)\n.*?\n  year_bucketized [^\n]*\n',
      self.printed,
      re.DOTALL,
    )
    self.assertIn(table.group(), page)


if __name__ == '__main__':
  absltest.main()
