"""BUILD files are the map of the imports: a rule a file, its deps the imports.

BUILD files are read as Python, of which what they use is a subset.
"""

import ast
import collections
import pathlib

from absl.testing import absltest
from absl.testing import parameterized

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_PACKAGES = (
  'tf_dnn_annotations',
  'tests',
  'tests/properties',
  'examples',
  'benchmarks',
)

Rule = collections.namedtuple(
  'Rule', ['kind', 'name', 'srcs', 'deps', 'data', 'main']
)


def _rules(package):
  """Returns the rules of `package`/BUILD that build Python."""
  rules = []
  for node in ast.parse((_ROOT / package / 'BUILD').read_text('utf-8')).body:
    call = getattr(node, 'value', None)
    if isinstance(call, ast.Call) and call.func.id.startswith('py_'):
      arguments = {
        keyword.arg: ast.literal_eval(keyword.value)
        for keyword in call.keywords
        if keyword.arg in ('name', 'srcs', 'deps', 'main')
        or keyword.arg == 'data'
        and isinstance(keyword.value, ast.List)
      }
      rules.append(
        Rule(
          kind=call.func.id,
          name=arguments['name'],
          srcs=arguments.get('srcs', []),
          deps=arguments.get('deps', []),
          data=arguments.get('data', []),
          main=arguments.get('main', arguments['name'] + '.py'),
        )
      )
  return rules


def _files(package):
  """Returns the Python files of `package` that hold something."""
  return sorted(
    path for path in (_ROOT / package).glob('*.py') if path.stat().st_size
  )


def _label(package, target, from_package):
  """Returns the shortest label of a target, as seen from a package."""
  if package == from_package:
    return f':{target}'
  if target == package.split('/')[-1]:
    return f'//{package}'
  return f'//{package}:{target}'


def _imported(tree):
  """Yields (module, name in it or None) for each import, wherever it is."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name, None
    elif isinstance(node, ast.ImportFrom):
      for alias in node.names:
        yield node.module, alias.name


def _lazily_imported(tree):
  """Returns the modules that an `__init__` loads once they are used."""
  for node in tree.body:
    if (
      isinstance(node, ast.Assign)
      and getattr(node.targets[0], 'id', None) == '_MODULES'
    ):
      return set(ast.literal_eval(node.value).values())
  return set()


def _expected_deps(path):
  """Returns the labels of what the file at `path` imports of this project."""
  package = path.parent.relative_to(_ROOT).as_posix()
  tree = ast.parse(path.read_text('utf-8'))
  deps = {_label(package, module, package) for module in _lazily_imported(tree)}
  for module, name in _imported(tree):
    parts = (module if name is None else f'{module}.{name}').split('.')
    inner = '/'.join(parts[:2])
    source = inner if inner in _PACKAGES else parts[0]
    if source not in _PACKAGES:
      continue
    target = (parts[source.count('/') + 1 :] or [''])[0]
    # What is no module is a name that the package itself gives.
    if not (_ROOT / source / f'{target}.py').exists():
      target = source.split('/')[-1]
    deps.add(_label(source, target, package))
  return deps


def _expected_rule(path):
  """Returns the (kind, name) of the rule for the file at `path`."""
  if path.name == '__init__.py':
    return 'py_library', path.parent.name
  if path.name.endswith('_test.py'):
    return 'py_test', path.stem
  if path.name == '__main__.py' or path.parent.name == 'examples':
    return 'py_binary', path.stem
  return 'py_library', path.stem


class BuildFilesTest(parameterized.TestCase):
  @parameterized.parameters(*_PACKAGES)
  def test_every_file_has_one_rule(self, package):
    expected = [_expected_rule(path) for path in _files(package)]
    self.assertNotEmpty(expected)
    self.assertCountEqual(
      [(rule.kind, rule.name) for rule in _rules(package)], expected
    )
    self.assertCountEqual(
      [rule.srcs for rule in _rules(package)],
      [[path.name] for path in _files(package)],
    )

  @parameterized.parameters(*_PACKAGES)
  def test_deps_are_the_imports(self, package):
    deps = {rule.name: sorted(rule.deps) for rule in _rules(package)}
    expected = {
      _expected_rule(path)[1]: sorted(_expected_deps(path))
      for path in _files(package)
    }
    self.assertEqual(deps, expected)

  def test_a_rule_starts_the_file_it_is_named_after(self):
    for package in _PACKAGES:
      for rule in _rules(package):
        if rule.kind != 'py_library':
          self.assertEqual([rule.main], rule.srcs)

  def test_tests_of_the_command_have_it(self):
    # What runs `python -m tf_dnn_annotations` does not import its __main__.
    data = {rule.name + '.py': rule.data for rule in _rules('tests')}
    runs = "'-m', '" + "tf_dnn_annotations'"
    names = [p.name for p in _files('tests') if runs in p.read_text('utf-8')]
    self.assertLen(names, 6)
    for name in names:
      self.assertIn('//tf_dnn_annotations:sources', data[name], name)

  def test_every_test_runs_its_tests_when_started(self):
    # Without it, Bazel would start the file, which does nothing, and call
    # that a pass.
    silent = [
      path.name
      for path in _files('tests') + _files('tests/properties')
      if path.name.endswith('_test.py')
      and "\nif __name__ == '__main__':\n" not in path.read_text('utf-8')
    ]
    self.assertEmpty(silent)


if __name__ == '__main__':
  absltest.main()
