"""Every public name can be imported, and none loads more than it needs."""

import pathlib
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

import tf_dnn_annotations as tfda

_ROOT = pathlib.Path(tfda.__file__).resolve().parents[1]

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


if __name__ == '__main__':
  absltest.main()
