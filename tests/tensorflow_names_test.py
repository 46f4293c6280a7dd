"""TensorFlow has every name that tensorflow_estimator's DNN estimators use.

What they import and use is read from their source, not run: so a name that a
new TensorFlow has lost is told by name, whichever line would need it.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import pathlib

from absl.testing import absltest

from tf_dnn_annotations import modern_tf
from tf_dnn_annotations.modern_tf import stand_ins

modern_tf.make_importable()

_ESTIMATOR = 'tensorflow_estimator.python.estimator'
# What a pipeline of DNN estimators imports; these import the rest.
_ROOTS = tuple(
  f'{_ESTIMATOR}.{name}'
  for name in (
    'canned.dnn',
    'canned.parsing_utils',
    'export.export',
    'exporter',
    'run_config',
    'training',
  )
)


def _path(module):
  """Returns the file of a module of tensorflow_estimator, None if none is."""
  (root,) = importlib.util.find_spec(
    'tensorflow_estimator'
  ).submodule_search_locations
  path = pathlib.Path(root).joinpath(*module.split('.')[1:])
  for file in (path.with_suffix('.py'), path / '__init__.py'):
    if file.exists():
      return file
  return None


def _imports(tree):
  """Yields (line, name bound, dotted name) for each import in a file."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        bound = alias.asname or alias.name.split('.')[0]
        yield node.lineno, bound, alias.name
    elif isinstance(node, ast.ImportFrom):
      for alias in node.names:
        dotted = f'{node.module}.{alias.name}'
        yield node.lineno, alias.asname or alias.name, dotted


@functools.lru_cache(maxsize=None)
def _trees():
  """Returns {module: syntax tree} of the estimators' modules."""
  trees = {}
  todo = list(_ROOTS)
  while todo:
    module = todo.pop()
    if module in trees or module in stand_ins.NAMES:
      continue
    trees[module] = ast.parse(_path(module).read_text('utf-8'))
    for _, _, dotted in _imports(trees[module]):
      if dotted.split('.')[0] == 'tensorflow_estimator':
        # The name of a module, or of what is in one.
        todo.append(dotted if _path(dotted) else dotted.rpartition('.')[0])
  return trees


def _dotted(node):
  """Returns the dotted name that an expression is, None if it is another."""
  if isinstance(node, ast.Name):
    return node.id
  if isinstance(node, ast.Attribute):
    value = _dotted(node.value)
    return value and f'{value}.{node.attr}'
  return None


def _used(tree):
  """Yields (line, dotted name) of all of TensorFlow that a file uses."""
  bound = {
    name: dotted
    for _, name, dotted in _imports(tree)
    if dotted.split('.')[0] == 'tensorflow'
  }
  for line, _, dotted in _imports(tree):
    if dotted.split('.')[0] == 'tensorflow':
      yield line, dotted
  for node in ast.walk(tree):
    first, _, rest = (_dotted(node) or '').partition('.')
    if isinstance(node, ast.Attribute) and first in bound:
      yield node.lineno, f'{bound[first]}.{rest}'


def _resolve(dotted):
  """Returns the module or symbol of that name; raises AttributeError."""
  first, *rest = dotted.split('.')
  found, name = importlib.import_module(first), first
  for part in rest:
    name = f'{name}.{part}'
    try:
      found = getattr(found, part)
    except AttributeError:
      if not inspect.ismodule(found):
        raise
      # A module that nobody has imported so far.
      try:
        found = importlib.import_module(name)
      except ImportError as error:
        raise AttributeError(str(error)) from error
  return found


def _is_missing(dotted):
  """Returns whether a module or class lacks the name."""
  try:
    _resolve(dotted)
    return False
  except AttributeError:
    owner = dotted.rpartition('.')[0]
  if not owner or _is_missing(owner):
    return True
  # An instance may have names that only its making gives it.
  owner = _resolve(owner)
  return inspect.ismodule(owner) or inspect.isclass(owner)


class TensorFlowNamesTest(absltest.TestCase):
  def test_no_name_is_missing(self):
    missing = [
      f'{module}, line {line}: {name}'
      for module, tree in sorted(_trees().items())
      for line, name in sorted(set(_used(tree)))
      if _is_missing(name)
    ]
    self.assertEmpty(missing, 'This TensorFlow has lost\n' + '\n'.join(missing))

  def test_reads_all_that_is_used(self):
    modules = {module[len(_ESTIMATOR) + 1 :] for module in _trees()}
    self.assertEmpty(
      {'canned.dnn', 'canned.head', 'estimator', 'model_fn', 'util'} - modules
    )
    names = {name for tree in _trees().values() for _, name in _used(tree)}
    self.assertEmpty(
      {
        'tensorflow.python.distribute.estimator_training.init_run_config',
        'tensorflow.python.ops.lookup_ops',
      }
      - names
    )
    self.assertGreater(len(names), 300)

  def test_tells_what_is_missing(self):
    for name in (
      'tensorflow.compat.v1.train.NoSuchSaver',
      'tensorflow.compat.v1.train.Saver.no_such_method',
      'tensorflow.no_such_module.name',
      'tensorflow.python.framework.no_such_module',
      'tensorflow.python.no_such_package.ops.name',
    ):
      self.assertTrue(_is_missing(name), name)


if __name__ == '__main__':
  absltest.main()
