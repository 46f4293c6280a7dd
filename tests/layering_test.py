"""Imports point one way, and nothing is imported before it is needed.

Which package may import which is read from the table in docs/architecture.md.
"""

import ast
import pathlib
import re
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_NAME = 'tf_dnn_annotations'
_PACKAGE = _ROOT / _NAME

# What is loaded only once something needs it.
_EXTRAS = ('apache_beam', 'matplotlib', 'pandas', 'tqdm')
_HEAVY = ('numpy', 'tensorflow', 'tensorflow_estimator') + _EXTRAS


def _table():
  """Returns {package or module: those that it may import}, low to high."""
  text = (_ROOT / 'docs' / 'architecture.md').read_text('utf-8')
  rows = re.search(r'\| may import \|\n\|[-|]+\n((?:\|.*\n)+)', text).group(1)
  table = {}
  for row in rows.splitlines():
    part, _, allowed = row.strip('|').split('|')
    (part,) = re.findall('`([^`]+)`', part)
    names = set(re.findall('`([^`]+)`', allowed))
    if 'all above but' in allowed:
      names = set(table) - names
    table[part] = names
  return table


_TABLE = _table()


def _module(path):
  """Returns the dotted name of the module in a file."""
  parts = path.relative_to(_ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


_MODULES = {_module(path): path for path in sorted(_PACKAGE.rglob('*.py'))}


def _part(module):
  """Returns the row of the table that a module belongs to."""
  return (module.split('.') + ['__init__'])[1]


def _imports(module):
  """Returns the dotted names that a module imports, wherever in its file."""
  names = set()
  tree = ast.parse(_MODULES[module].read_text('utf-8'))
  if module == _NAME:  # Without what is for type checkers alone.
    tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      names.update(f'{node.module}.{alias.name}' for alias in node.names)
  return names


def _own_imports(module):
  """Returns the modules of this project that a module imports."""
  found = set()
  for name in _imports(module):
    if name.split('.')[0] == _NAME:
      while name not in _MODULES:
        name = name.rpartition('.')[0]
      found.add(name)
  return found


def _modules_of(*parts):
  return [module for module in _MODULES if _part(module) in parts]


def _loaded_by(program, absent=()):
  """Returns the packages that a program loads in a process of its own.

  Args:
    program: Python source.
    absent: packages whose import fails in it, as if they were not installed.
  """
  program = (
    f'import sys\nsys.modules.update(dict.fromkeys({absent!r}))\n{program}\n'
    'print(*{name for name, module in sys.modules.items() if module})'
  )
  result = subprocess.run(
    [sys.executable, '-c', program],
    cwd=str(_ROOT),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    universal_newlines=True,
  )
  if result.returncode:
    raise AssertionError(result.stderr)
  return set(result.stdout.split())


class LayeringTest(parameterized.TestCase):
  def test_the_table_has_every_part(self):
    parts = {_part(module) for module in _MODULES} - {'__init__'}
    self.assertCountEqual(parts, _TABLE)

  def test_the_table_points_down(self):
    parts = list(_TABLE)
    for index, part in enumerate(parts):
      self.assertContainsSubset(_TABLE[part], parts[:index])

  @parameterized.parameters(*_MODULES)
  def test_imports_are_in_the_table(self, module):
    part = _part(module)
    # Of the package itself, which loads the rest when used, its version.
    allowed = _TABLE.get(part, set()) | {part, '__init__'}
    self.assertContainsSubset(map(_part, _own_imports(module)), allowed)

  def test_no_module_imports_itself_by_others(self):
    imports = {module: _own_imports(module) for module in _MODULES}
    while imports:
      free = [m for m, others in imports.items() if not others & set(imports)]
      self.assertNotEmpty(free, f'These import each other: {sorted(imports)}')
      for module in free:
        del imports[module]

  def test_reader_and_writer_do_not_meet(self):
    for part in ('annotations', 'saved_models', 'explainers', 'cli'):
      self.assertNoCommonElements(_TABLE[part], ['estimators', 'modern_tf'])
    self.assertNoCommonElements(
      _TABLE['estimators'], ['saved_models', 'explainers', 'cli']
    )

  @parameterized.parameters(*_MODULES)
  def test_only_the_writer_imports_tensorflow_estimator(self, module):
    imports_it = any(
      name.split('.')[0] == 'tensorflow_estimator' for name in _imports(module)
    )
    # TensorFlow has another name for it, tf.estimator, loaded when used.
    uses_it = any(
      isinstance(node, ast.Attribute) and node.attr == 'estimator'
      for node in ast.walk(ast.parse(_MODULES[module].read_text('utf-8')))
    )
    if imports_it or uses_it:
      # `modern_tf` sets it.
      self.assertIn(_part(module), ('estimators', 'modern_tf'))

  @parameterized.parameters(
    ('integrals', ['numpy']),
    ('results', ['numpy']),
    ('text', []),
    ('system', []),
    ('modern_tf', []),
  )
  def test_the_core_knows_no_framework(self, part, expected):
    # `modern_tf` above all: TensorFlow is not to be loaded before its Keras is
    # chosen. Its stand-ins are loaded where it puts them into TensorFlow.
    modules = (
      [_NAME + '.modern_tf'] if part == 'modern_tf' else _modules_of(part)
    )
    program = '\n'.join(f'import {module}' for module in modules)
    self.assertCountEqual(_loaded_by(program) & set(_HEAVY), expected)

  def test_plain_import_loads_nothing_heavy(self):
    loaded = _loaded_by(f'import {_NAME}')
    self.assertIn(_NAME, loaded)
    self.assertEmpty(loaded & set(_HEAVY))

  def test_the_names_of_choices_load_no_tensorflow(self):
    loaded = _loaded_by(f'import {_NAME}.explainers.choices')
    self.assertCountEqual(loaded & set(_HEAVY), ['numpy'])

  def test_packages_are_there_after_a_plain_import(self):
    loaded = _loaded_by(
      f'import {_NAME} as tfda\n'
      'tfda.modern_tf.make_importable\n'
      'tfda.integrals\n'
      'assert not hasattr(tfda, "path_swept")'
    )
    self.assertNotIn('tensorflow', loaded)

  def test_readers_need_neither_tensorflow_estimator_nor_an_extra(self):
    readers = _modules_of('annotations', 'saved_models', 'explainers', 'cli')
    loaded = _loaded_by(
      '\n'.join(f'import {module}' for module in readers),
      absent=('tensorflow_estimator',) + _EXTRAS,
    )
    self.assertIn('tensorflow', loaded)


if __name__ == '__main__':
  absltest.main()
