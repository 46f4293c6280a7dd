"""Writes the BUILD files: a rule per Python file, whose deps are its imports.

    python tools/build_files.py           # writes them
    python tools/build_files.py --check   # exits with 1 if one is not current

Rules of other languages, and attributes that do not follow from imports, such
as `size` and `data`, are written by hand and kept.
"""

import ast
import pathlib
import sys

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_TREES = ('benchmarks', 'examples', 'tests', 'tf_dnn_annotations', 'tools')

_HEAD = """\
# Written by tools/build_files.py: `make build-files`. Third-party packages come
# from the interpreter: see //:WORKSPACE.
"""
# Attributes written by hand, in buildifier's order.
_KEPT = ('size', 'timeout', 'data', 'flaky', 'main', 'shard_count', 'tags')


def main(arguments):
  stale = []
  for package in packages():
    path = package / 'BUILD'
    old = path.read_text('utf-8') if path.exists() else ''
    new = text(package, old)
    if new != old:
      stale.append(path.relative_to(_ROOT).as_posix())
      if '--check' not in arguments:
        path.write_text(new, 'utf-8')
  if stale and '--check' in arguments:
    sys.exit(f'Not current: {", ".join(stale)}. Run `make build-files`.')


def packages():
  """Returns the directories that hold Python files, sorted."""
  return sorted(
    {path.parent for tree in _TREES for path in (_ROOT / tree).rglob('*.py')}
  )


def text(package, old):
  """Returns the text of the BUILD file of a package.

  Args:
    package: path of the directory.
    old: its present text.
  """
  kept, attributes = _by_hand(old)
  rules = sorted(
    (*_kind_and_name(path), path)
    for path in package.glob('*.py')
    if path.stat().st_size
  )
  kinds = sorted({f'"{kind}"' for kind, _, _ in rules})
  parts = [
    f'load("@rules_python//python:defs.bzl", {", ".join(kinds)})',
    'package(default_visibility = ["//visibility:public"])',
    _sources(package),
    *kept,
  ]
  parts += [
    _rule(kind, name, path, attributes.get(name, {}))
    for kind, name, path in rules
  ]
  return _HEAD + '\n' + '\n\n'.join(parts) + '\n'


def _by_hand(old):
  """Returns (texts of rules, {name: {attribute: text}}) to keep of a file."""
  kept, attributes = [], {}
  lines = old.splitlines()
  end = 0
  for node in ast.parse(old).body:
    # With the comment above it.
    own, end = '\n'.join(lines[end : node.end_lineno]), node.end_lineno
    call = node.value
    keywords = {k.arg: k.value for k in call.keywords}
    name = keywords.get('name')
    if call.func.id.startswith('py_'):
      attributes[name.value] = {
        key: ast.get_source_segment(old, value)
        for key, value in keywords.items()
        if key in _KEPT
      }
    elif name is not None and name.value != 'sources':
      kept.append(own.strip('\n'))
  return kept, attributes


def _kind_and_name(path):
  if path.name == '__init__.py':
    return 'py_library', path.parent.name
  if path.name.endswith('_test.py'):
    return 'py_test', path.stem
  if path.name == '__main__.py' or path.parent.name in ('examples', 'tools'):
    return 'py_binary', path.stem
  return 'py_library', path.stem


def _sources(package):
  """Returns the rule of the sources of a package and of those within it."""
  kinds = sorted(
    {'*' + path.suffix for path in package.iterdir() if path.is_file()}
    & {'*.c', '*.h', '*.py', '*.typed'}
  )
  inner = [
    f'"//{other.relative_to(_ROOT).as_posix()}:sources"'
    for other in packages()
    if other.parent == package
  ]
  own = f'["BUILD"] + glob({_list([f"{chr(34)}{k}{chr(34)}" for k in kinds])})'
  return (
    'filegroup(\n    name = "sources",\n    srcs = '
    + own
    + (f' + {_list(inner)}' if inner else '')
    + ',\n)'
  )


def _rule(kind, name, path, attributes):
  """Returns the text of a rule."""
  if kind == 'py_test':
    attributes = {'size': '"medium"', **attributes}
  lines = [f'name = "{name}"', f'srcs = ["{path.name}"]']
  kept = {
    key: f'{key} = {attributes[key]}' for key in _KEPT if key in attributes
  }
  if 'size' in kept:
    lines.insert(1, kept.pop('size'))
  lines += kept.values()
  deps = sorted(dependencies(path), key=lambda d: (not d.startswith(':'), d))
  if deps:
    lines.append('deps = ' + _list([f'"{label}"' for label in deps]))
  return f'{kind}(\n' + ''.join(f'    {line},\n' for line in lines) + ')'


def _list(items):
  """Returns the text of a list of texts, as the value of an attribute."""
  if len(items) < 2:
    return f'[{"".join(items)}]'
  return '[\n' + ''.join(f'        {item},\n' for item in items) + '    ]'


def dependencies(path):
  """Returns the set of labels of this project's modules that a file imports."""
  tree = ast.parse(path.read_text('utf-8'))
  names = set()
  if path.name == '__init__.py':
    names |= _loaded_when_used(tree, path)
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return {_label(name, path.parent) for name in names} - {
    None,
    _label(
      '.'.join(path.relative_to(_ROOT).with_suffix('').parts), path.parent
    ),
  }


def _loaded_when_used(tree, path):
  """Returns the modules that an `__init__` loads when a name is first used."""
  package = '.'.join(path.parent.relative_to(_ROOT).parts)
  return {
    f'{package}.{module}'
    for node in tree.body
    if isinstance(node, ast.Assign)
    and getattr(node.targets[0], 'id', None) == '_MODULES'
    for module in ast.literal_eval(node.value).values()
  }


def _label(name, seen_from):
  """Returns the label of a dotted name, None if it is not this project's."""
  parts = name.split('.')
  if parts[0] not in _TREES:
    return None
  # The label of a name in a module or package is that of the latter.
  for length in range(len(parts), 0, -1):
    path = _ROOT.joinpath(*parts[:length])
    if path.with_suffix('.py').is_file():
      package, target = path.parent, path.stem
      break
    if (path / '__init__.py').is_file():
      package, target = path, path.name
      break
  else:
    return None
  if target == '__init__':
    target = package.name
  if package == seen_from:
    return f':{target}'
  label = '//' + package.relative_to(_ROOT).as_posix()
  return label if target == package.name else f'{label}:{target}'


if __name__ == '__main__':
  main(sys.argv[1:])
