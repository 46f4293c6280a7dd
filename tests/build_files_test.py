"""BUILD files map the imports: a rule per file, whose deps are its imports."""

import pathlib
import subprocess
import sys

from absl.testing import absltest

_ROOT = pathlib.Path(__file__).absolute().parents[1]


class BuildFilesTest(absltest.TestCase):
  def test_they_are_current(self):
    result = subprocess.run(
      [sys.executable, 'tools/build_files.py', '--check'],
      cwd=str(_ROOT),
      stderr=subprocess.PIPE,
      universal_newlines=True,
    )
    self.assertEqual(result.stderr, '')
    self.assertEqual(result.returncode, 0)

  def test_tests_of_the_command_have_it(self):
    # What runs `python -m tf_dnn_annotations` does not import its __main__.
    text = (_ROOT / 'tests' / 'BUILD').read_text('utf-8')
    rules = {
      rule.split('"')[1]: rule for rule in text.split('\n\n') if '"' in rule
    }
    runs = "'-m', '" + "tf_dnn_annotations'"
    tests = [
      path
      for path in (_ROOT / 'tests').glob('*_test.py')
      if runs in path.read_text('utf-8')
    ]
    self.assertGreaterEqual(len(tests), 4)
    for path in tests:
      self.assertIn('"//tf_dnn_annotations:sources"', rules[path.stem])

  def test_every_test_runs_its_tests_when_started(self):
    # Without it, Bazel would start the file, which does nothing, and call
    # that a pass.
    tests = list((_ROOT / 'tests').rglob('*_test.py'))
    self.assertNotEmpty(tests)
    for path in tests:
      self.assertIn(
        "\nif __name__ == '__main__':\n", path.read_text('utf-8'), path
      )


if __name__ == '__main__':
  absltest.main()
