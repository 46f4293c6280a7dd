"""The reader works where tensorflow_estimator cannot be imported."""

import json
import os
import pathlib
import subprocess
import sys

from absl.testing import absltest
import numpy as np

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_ROOT = str(pathlib.Path(tfda.__file__).resolve().parents[1])

# As with TensorFlow 2.16 and later, which has no tf.estimator.
_PROGRAM = """
import json
import sys
sys.modules['tensorflow_estimator'] = None
import numpy as np
import tf_dnn_annotations as tfda

export_dir, x = sys.argv[1], json.loads(sys.argv[2])
with tfda.IntegratedGradients(export_dir) as ig:
  result = ig.attribute(
      {'x': x}, targets='all', method='midpoint', num_steps=16)
json.dump({
    'values': result.values['x'].tolist(),
    'outputs': result.outputs.tolist(),
    'imported': sorted(
        name for name in sys.modules
        if name.startswith('tensorflow_estimator')
        and sys.modules[name] is not None),
}, sys.stdout)
"""


class WithoutEstimatorTest(absltest.TestCase):
  def test_reader(self):
    network = numpy_network.whole_numbers(1, [3, 5, 3])
    export_dir = network_export.export(network)
    x = np.float64([[1, 2, -1], [0.5, 0, 3]])
    path = os.pathsep.join(
      p for p in (_ROOT, os.environ.get('PYTHONPATH')) if p
    )
    output = subprocess.run(
      [sys.executable, '-c', _PROGRAM, export_dir, json.dumps(x.tolist())],
      stdout=subprocess.PIPE,
      check=True,
      env=dict(os.environ, PYTHONPATH=path),
    ).stdout
    found = json.loads(output.decode())
    self.assertEqual(found['imported'], [])
    nodes = (np.arange(16)[:, np.newaxis] + 0.5) / 16
    expected = [network.gradients(nodes * row).mean(axis=0) * row for row in x]
    np.testing.assert_array_equal(found['values'], expected)
    np.testing.assert_array_equal(found['outputs'], network.outputs(x))

  def test_writer_says_what_it_needs(self):
    program = (
      "import sys; sys.modules['tensorflow_estimator'] = None\n"
      'import tf_dnn_annotations as tfda\n'
      'tfda.DNNClassifierWithLayerAnnotations\n'
    )
    path = os.pathsep.join(
      p for p in (_ROOT, os.environ.get('PYTHONPATH')) if p
    )
    done = subprocess.run(
      [sys.executable, '-c', program],
      stderr=subprocess.PIPE,
      env=dict(os.environ, PYTHONPATH=path),
    )
    self.assertNotEqual(done.returncode, 0)
    self.assertRegex(done.stderr.decode(), r'Error: .*tensorflow_estimator')


if __name__ == '__main__':
  absltest.main()
