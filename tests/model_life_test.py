"""A model that is closed in use, or forked, ends in an error and not a hang."""

import os
import pathlib
import subprocess
import sys
import threading

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_ROOT = pathlib.Path(__file__).absolute().parents[1]

# A process with a model, or none yet, and what a fork of it does.
_FORK = """
import os, sys
import tf_dnn_annotations as tfda

def explain(ig):
  return ig.attribute({{'x': [[1.0, 2.0]]}}, method='midpoint').outputs.tolist()

export_dir = sys.argv[1]
parent = {parent}
child = os.fork()
if not child:
  try:
    {child}
  except ValueError as error:
    print(error, flush=True)
  os._exit(0)
os.waitpid(child, 0)
print('parent', explain(parent or tfda.IntegratedGradients(export_dir)))
"""
_USED = 'tfda.IntegratedGradients(export_dir); explain(parent)'


class CloseTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.export_dir = network_export.export(
      numpy_network.random(1, [8, 64, 64, 3], activation='tanh')
    )

  @parameterized.parameters(
    ({'method': 'midpoint', 'num_steps': 64},),
    ({'max_rows': 7},),
    ({'targets': 'all', 'output': 'probabilities'},),
  )
  def test_in_use(self, arguments):
    ig = tfda.IntegratedGradients(self.export_dir)
    x = np.float32(np.random.RandomState(2).randn(200, 8))
    errors, has_begun = [], threading.Barrier(5)

    def explain():
      ig.attribute({'x': x[:1]})
      has_begun.wait()
      try:
        while True:
          ig.attribute({'x': x}, **arguments)
      except Exception as error:
        errors.append(error)

    threads = [threading.Thread(target=explain) for _ in range(4)]
    for thread in threads:
      thread.start()
    has_begun.wait()
    threading.Event().wait(0.2)
    ig.close()
    for thread in threads:
      thread.join()
    self.assertLen(errors, 4)
    for error in errors:
      self.assertIsInstance(error, ValueError)
      self.assertRegex(
        str(error), r'^The model of .* is closed\. Load it again, or use it bef'
      )
    ig.close()


@absltest.skipUnless(hasattr(os, 'fork'), 'processes are not forked here')
class ForkTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.export_dir = network_export.export(
      numpy_network.whole_numbers(1, [2, 3, 1])
    )

  def _output_of(self, parent, child):
    return subprocess.run(
      [
        sys.executable,
        '-c',
        _FORK.format(parent=parent, child=child),
        self.export_dir,
      ],
      cwd=str(_ROOT),
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      universal_newlines=True,
      timeout=120,
      check=True,
    ).stdout

  @parameterized.parameters(
    'print(explain(parent))',
    'parent.baselines_of([{"x": [[1.0, 2.0]]}])',
    'tfda.IntegratedGradients(export_dir)',
  )
  def test_of_a_process_that_has_used_a_model(self, child):
    self.assertRegex(
      self._output_of(_USED, child),
      r'^The model of .* cannot be used in process \d+, a fork of process \d+'
      r".*'spawn'.*, or fork before .*\nparent \[",
    )

  def test_that_closes_the_model(self):
    self.assertRegex(
      self._output_of(_USED, 'parent.close(); print("closed", flush=True)'),
      r'^closed\nparent \[',
    )

  def test_before_the_first_model(self):
    child, parent = self._output_of(
      'None', 'print(explain(tfda.IntegratedGradients(export_dir)), flush=True)'
    ).splitlines()
    self.assertEqual('parent ' + child, parent)


if __name__ == '__main__':
  absltest.main()
