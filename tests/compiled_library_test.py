"""A library that does not fit is never loaded, and `--version` says so."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

from tests.support import directories
import tf_dnn_annotations as tfda
from tf_dnn_annotations.integrals import path_sweep

_PACKAGE = pathlib.Path(tfda.__file__).parent


class CompiledLibraryTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.dir = pathlib.Path(directories.new_dir())
    package = self.dir / _PACKAGE.name
    shutil.copytree(
      str(_PACKAGE),
      str(package),
      ignore=shutil.ignore_patterns('__pycache__', '*.so'),
    )
    self.library = package / 'integrals' / path_sweep.LIBRARY
    # Loading TensorFlow takes seconds: here, it would be an error.
    (self.dir / 'tensorflow.py').write_text('raise SystemError("loaded")')

  def _run(self, *arguments):
    """Runs Python with the copy of the package; returns (stdout, stderr)."""
    result = subprocess.run(
      [sys.executable, *arguments],
      cwd=str(self.dir),
      env=dict(os.environ, PYTHONPATH=str(self.dir)),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      universal_newlines=True,
    )
    # Also if the process was ended by a signal.
    self.assertEqual(result.returncode, 0, result.stderr)
    return result.stdout, result.stderr

  def _check(self, why_not):
    """Compares what is said of the library with a pattern; '' for none."""
    stdout, stderr = self._run('-m', 'tf_dnn_annotations', '--version')
    how = f'numpy; {why_not}' if why_not else 'compiled'
    self.assertRegex(
      stdout,
      rf'^tf_dnn_annotations {re.escape(tfda.__version__)} '
      rf'\(exact sums: {how}\)\n$',
    )
    self.assertEqual(stderr, '')
    stdout, stderr = self._run(
      '-c',
      'from tf_dnn_annotations.integrals import path_sweep\n'
      'print(path_sweep.is_built())',
    )
    self.assertEqual(stdout, f'{not why_not}\n')
    return stderr

  def _copy(self, num_bytes=None):
    if not path_sweep.is_built():
      self.skipTest('path_sweep was not built')
    content = _PACKAGE.joinpath('integrals', path_sweep.LIBRARY).read_bytes()
    self.library.write_bytes(content[:num_bytes])
    return content

  def _check_unfit(self, reason):
    stderr = self._check(f'the compiled library does not fit: .*{reason}')
    self.assertRegex(
      stderr, f'RuntimeWarning: .*{reason}.* Install tf_dnn_annotations again'
    )

  def test_one_that_fits(self):
    self._copy()
    self.assertEqual(self._check(''), '')

  def test_none(self):
    self.assertEqual(self._check('the compiled library is missing'), '')

  @parameterized.parameters(0.1, 0.5, 0.9, 0.999)
  def test_one_that_is_cut_short(self, share):
    content = self._copy()
    self._copy(int(share * len(content)))
    self._check_unfit('cut short' if sys.platform == 'linux' else '')

  @parameterized.parameters(-1, 1, 64, 63, 16, 5, 1, 0)
  def test_every_length(self, num_bytes):
    self._copy(num_bytes)
    stdout, _ = self._run('-m', 'tf_dnn_annotations', '--version')
    self.assertIn('the compiled library does not fit: ', stdout)

  def test_what_is_no_library(self):
    self.library.write_text('# Not a library.\n' * 100)
    self._check_unfit('')

  @parameterized.parameters(
    'int path_sweep_interface(void) { return 0; }',
    # Of the same number, though the struct has changed.
    f'int path_sweep_interface(void) {{ return {path_sweep._INTERFACE}; }}\n'
    'int path_sweep_problem_bytes(void) { return 8; }',
    # Older than that its size is asked for.
    f'int path_sweep_interface(void) {{ return {path_sweep._INTERFACE}; }}\n',
    'int something_else(void) { return 0; }',
  )
  def test_one_of_another_version(self, text):
    source = self.dir / 'other.c'
    source.write_text(text)
    if not shutil.which('gcc'):
      self.skipTest('There is no gcc.')
    subprocess.run(
      ['gcc', '-shared', '-fPIC', str(source), '-o', str(self.library)],
      check=True,
    )
    self._check_unfit('another version')


if __name__ == '__main__':
  absltest.main()
