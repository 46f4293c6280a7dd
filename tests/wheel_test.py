"""What is installed is the package, whole, and nothing but it."""

import configparser
import email
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

from absl.testing import absltest

from tests.support import directories
import tf_dnn_annotations
from tf_dnn_annotations.integrals import path_sweep

_ROOT = pathlib.Path(__file__).absolute().parents[1]


_FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE')


def _copy_source(directory):
  """Copies what a wheel is built from to a new `directory`."""
  # A build leaves files beside setup.py, and those of an earlier build would
  # get into the wheel.
  source = directory / 'source'
  source.mkdir()
  for name in _FILES:
    shutil.copy(str(_ROOT / name), str(source))
  for name in ('tf_dnn_annotations', 'tests'):
    shutil.copytree(
      str(_ROOT / name),
      str(source / name),
      ignore=shutil.ignore_patterns('__pycache__', '*.so'),
    )
  return source


def _build_wheel(directory, source=None, **environment):
  """Builds a wheel of this project in `directory`; returns its path.

  Args:
    directory: `pathlib.Path`.
    source: path of a source distribution; None for a copy of the working tree.
    **environment: variables besides those of this process.
  """
  source = source or _copy_source(directory)
  subprocess.run(
    [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps']
    + ['--no-build-isolation', '--disable-pip-version-check']
    # Which would have the wheel of an earlier source distribution.
    + ['--no-cache-dir']
    + ['--wheel-dir', str(directory), str(source)],
    check=True,
    stdin=subprocess.DEVNULL,
    env=dict(os.environ, **environment),
  )
  (wheel,) = directory.glob('*.whl')
  return wheel


class WheelTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = pathlib.Path(directories.new_dir())
    cls.wheel = zipfile.ZipFile(str(_build_wheel(directory)))
    cls.addClassCleanup(cls.wheel.close)

  def _metadata(self, name):
    (path,) = [
      path
      for path in self.wheel.namelist()
      if path.endswith(f'.dist-info/{name}')
    ]
    return self.wheel.read(path).decode('utf-8')

  def test_holds_every_module_and_no_test(self):
    # The library is there or, without a compiler, is not: path_sweep_test.
    packaged = [
      path
      for path in self.wheel.namelist()
      if '.dist-info/' not in path and not path.endswith('.so')
    ]
    modules = (_ROOT / 'tf_dnn_annotations').rglob('*.py')
    self.assertCountEqual(
      packaged,
      [path.relative_to(_ROOT).as_posix() for path in modules]
      # Type checkers read the annotations of the package for its sake.
      + ['tf_dnn_annotations/py.typed'],
    )

  def test_a_source_distribution_gives_the_same(self):
    directory = pathlib.Path(directories.new_dir())
    subprocess.run(
      [sys.executable, 'setup.py', '--quiet', 'sdist']
      + ['--dist-dir', str(directory)],
      cwd=str(_copy_source(directory)),
      check=True,
      stdin=subprocess.DEVNULL,
    )
    (source,) = directory.glob('*.tar.gz')
    path = _build_wheel(directory, source)
    self.assertEqual(path.name, os.path.basename(self.wheel.filename))
    with zipfile.ZipFile(str(path)) as wheel:
      self.assertCountEqual(wheel.namelist(), self.wheel.namelist())

  def test_holds_the_library_where_it_can_be_built(self):
    library = f'tf_dnn_annotations/integrals/{path_sweep.LIBRARY}'
    self.assertEqual(library in self.wheel.namelist(), path_sweep.is_built())

  def test_is_for_any_python_and_for_the_platform_of_its_library(self):
    platform = sysconfig.get_platform().replace('-', '_').replace('.', '_')
    if not path_sweep.is_built():
      platform = 'any'
    self.assertEndsWith(self.wheel.filename, f'-py3-none-{platform}.whl')
    is_pure = 'false' if path_sweep.is_built() else 'true'
    self.assertIn(f'Root-Is-Purelib: {is_pure}\n', self._metadata('WHEEL'))

  def test_built_without_a_compiler_is_for_any_platform(self):
    # pip would otherwise keep it in place of one with the library.
    directory = pathlib.Path(directories.new_dir())
    path = _build_wheel(directory, CC='false')
    self.assertEndsWith(path.name, '-py3-none-any.whl')
    with zipfile.ZipFile(str(path)) as wheel:
      names = wheel.namelist()
      self.assertIn('tf_dnn_annotations/integrals/path_sweep.py', names)
      self.assertEmpty([name for name in names if name.endswith('.so')])
      (metadata,) = [name for name in names if name.endswith('/WHEEL')]
      self.assertIn(b'Root-Is-Purelib: true\n', wheel.read(metadata))

  def test_carries_the_version_of_the_package(self):
    metadata = email.message_from_string(self._metadata('METADATA'))
    self.assertEqual(metadata['Version'], tf_dnn_annotations.__version__)

  def test_does_not_bring_a_tensorflow_unless_asked(self):
    # pip would install `tensorflow` over a `tensorflow-cpu` that is there.
    metadata = email.message_from_string(self._metadata('METADATA'))
    required = [
      requirement
      for requirement in metadata.get_all('Requires-Dist')
      if 'extra ==' not in requirement
    ]
    self.assertLen(required, 3)
    for requirement in required:
      self.assertRegex(requirement, '^(absl-py|numpy|tensorflow-estimator)')

  def test_has_the_extras(self):
    metadata = email.message_from_string(self._metadata('METADATA'))
    self.assertContainsSubset(
      ['cpu', 'modern', 'progress', 'tensorflow', 'test'],
      metadata.get_all('Provides-Extra'),
    )

  def test_brings_the_command_and_the_licence(self):
    entry_points = configparser.ConfigParser()
    entry_points.read_string(self._metadata('entry_points.txt'))
    self.assertEqual(
      dict(entry_points['console_scripts']),
      {'tf_dnn_annotations': 'tf_dnn_annotations.cli.main:run'},
    )
    self.assertTrue(
      any(path.endswith('/LICENSE') for path in self.wheel.namelist())
    )
    metadata = email.message_from_string(self._metadata('METADATA'))
    self.assertEqual(metadata['License'], 'Apache-2.0')


if __name__ == '__main__':
  absltest.main()
