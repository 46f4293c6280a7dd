"""Every public name can be imported, and none loads more than it needs."""

import ast
import importlib.util
import pathlib
import subprocess
import sys
import unittest

from absl.testing import absltest
from absl.testing import parameterized
import pytest

from tests.support import directories
import tf_dnn_annotations as tfda

_ROOT = pathlib.Path(tfda.__file__).resolve().parents[1]

_PROGRAM = _ROOT / 'tests' / 'support' / 'typed_program.py'

_LOADS_NO_TENSORFLOW = """
import sys
{statement}
sys.exit('tensorflow' in sys.modules)
"""


class PublicNamesTest(parameterized.TestCase):
  @parameterized.parameters(*tfda.__all__)
  def test_a_name_is_there_and_described(self, name):
    try:
      found = getattr(tfda, name)
    except ImportError as error:
      # Of an extra, or of the estimators that newer TensorFlows have lost.
      self.skipTest(str(error))
    self.assertEqual(found.__name__, name)
    self.assertNotEmpty(found.__doc__)
    self.assertIn(name, dir(tfda))

  def test_a_name_that_is_not_there(self):
    with self.assertRaisesRegex(AttributeError, "has no attribute 'Gradients'"):
      tfda.Gradients  # noqa: B018

  def test_estimators_are_those_of_their_package(self):
    try:
      estimators = tfda.estimators
    except ImportError as error:
      self.skipTest(str(error))
    names = [name for name in tfda.__all__ if name.startswith('DNN')]
    self.assertLen(names, 4)
    for name in names:
      self.assertIs(getattr(estimators, name), getattr(tfda, name))

  @parameterized.parameters(
    'import tf_dnn_annotations',
    'from tf_dnn_annotations import modern_tf',
    'import tf_dnn_annotations; tf_dnn_annotations.modern_tf.install',
    'import tf_dnn_annotations; tf_dnn_annotations.__version__',
  )
  def test_it_loads_no_tensorflow(self, statement):
    program = _LOADS_NO_TENSORFLOW.format(statement=statement)
    command = [sys.executable, '-c', program]
    self.assertEqual(subprocess.call(command, cwd=str(_ROOT)), 0)


class TypesTest(parameterized.TestCase):
  def test_type_checkers_know_the_names_that_are_loaded_when_used(self):
    tree = ast.parse(pathlib.Path(tfda.__file__).read_text('utf-8'))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    known = {
      alias.asname: f'{node.module}.{alias.name}'
      for node in block.body
      for alias in node.names
    }
    self.assertEqual(
      known,
      {
        name: f'{tfda.__name__}.{module}.{name}'
        for name, module in tfda._MODULES.items()
      },
    )

  def test_the_typed_program_has_every_public_name(self):
    names = {
      node.attr
      for node in ast.walk(ast.parse(_PROGRAM.read_text('utf-8')))
      if isinstance(node, ast.Attribute)
      and getattr(node.value, 'id', None) == 'tfda'
    }
    self.assertEqual(names, set(tfda.__all__))

  @pytest.mark.slow
  @unittest.skipUnless(importlib.util.find_spec('mypy'), 'There is no mypy.')
  @parameterized.parameters(
    ('tolerance=1e-4', "tolerance='low'", 'incompatible type "str"'),
    ('gap: np.ndarray', 'gap: str', 'Incompatible types in assignment'),
    ('tfda.ColumnValues(', 'tfda.ColumnValue(', 'Module has no attribute'),
    ('trust_model=False', 'trust=False', 'Unexpected keyword argument'),
  )
  def test_a_mistake_is_found(self, right, wrong, error):
    text = _PROGRAM.read_text('utf-8')
    self.assertIn(right, text)
    path = pathlib.Path(directories.new_dir()) / 'program.py'
    path.write_text(text.replace(right, wrong), 'utf-8')
    result = subprocess.run(
      [sys.executable, '-m', 'mypy', '--cache-dir=/dev/null', str(path)],
      cwd=str(_ROOT),
      stdout=subprocess.PIPE,
      universal_newlines=True,
    )
    self.assertRegex(result.stdout, error)
    self.assertIn('Found 1 error', result.stdout)


if __name__ == '__main__':
  absltest.main()
