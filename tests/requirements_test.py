"""Pinned versions are complete, and renewed by a command: `make pins`."""

import pathlib
import re
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
from packaging import requirements

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_DIRECTORY = _ROOT / 'requirements'
_PINNED = sorted(path.stem for path in _DIRECTORY.glob('*.txt'))


def _lines(name):
  """Returns the lines of a file, without comments, and of those it includes."""
  lines = []
  for line in (_DIRECTORY / name).read_text('utf-8').splitlines():
    line = line.partition('#')[0].strip()
    if line.startswith('-r '):
      lines += _lines(line[3:])
    elif line and not line.startswith('-c '):
      lines.append(line)
  return lines


def _pins(name):
  """Returns the `Requirement`s of a compiled file."""
  return [requirements.Requirement(line) for line in _lines(f'{name}.txt')]


def _normal(name):
  return re.sub('[-_.]+', '-', name).lower()


class RequirementsTest(parameterized.TestCase):
  @parameterized.parameters(*_PINNED)
  def test_every_line_is_a_version(self, name):
    for pin in _pins(name):
      self.assertRegex(str(pin.specifier), r'^==[^=*,]+$', pin)

  @parameterized.parameters(*_PINNED)
  def test_pins_are_those_asked_for(self, name):
    """An *.in that was changed was compiled."""
    pins = _pins(name)
    for line in _lines(f'{name}.in'):
      wanted = requirements.Requirement(line)
      versions = [
        str(pin.specifier)[2:]
        for pin in pins
        if _normal(pin.name) == _normal(wanted.name)
      ]
      self.assertNotEmpty(versions, f'{line}: run `make pins`')
      for version in versions:
        self.assertIn(version, wanted.specifier, f'{line}: run `make pins`')

  @parameterized.parameters(*_PINNED)
  def test_the_header_names_the_command(self, name):
    text = (_DIRECTORY / f'{name}.txt').read_text('utf-8')
    self.assertRegex(text, r'\A#.*\n# +make pins\n')

  def test_the_command_compiles_every_file(self):
    sources = {path.stem for path in _DIRECTORY.glob('*.in')}
    result = subprocess.run(
      [sys.executable, 'tools/pins.py', '--list'],
      cwd=str(_ROOT),
      stdout=subprocess.PIPE,
      universal_newlines=True,
      check=True,
    )
    self.assertCountEqual(result.stdout.split(), _PINNED)
    # Included by others.
    self.assertEqual(sources - set(_PINNED), {'test'})

  def test_no_file_names_a_registry(self):
    for path in _DIRECTORY.iterdir():
      text = path.read_text('utf-8')
      for word in ('://', '--index', '--extra-index', '--find-links'):
        self.assertNotIn(word, text, path)

  @parameterized.parameters('Makefile', 'noxfile.py')
  def test_files_that_are_installed_exist(self, name):
    text = (_ROOT / name).read_text('utf-8')
    named = set(re.findall(r'requirements/([\w-]+)\.txt', text))
    for names in re.findall(r'_pinned\(([^)]+)\)', text):
      named.update(re.findall(r"'([\w-]+)'", names))
    self.assertNotEmpty(named)
    self.assertContainsSubset(named, _PINNED)


if __name__ == '__main__':
  absltest.main()
