"""What TensorFlow's own readers of SavedModels make of an annotated one.

The kept one, so that a TensorFlow without estimators can be tested too.
"""

import json
import os
import re
import subprocess
import sys

from absl.testing import absltest
import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2
from tensorflow.python.eager import context

from testdata import make_golden
from tests.support import directories
import tf_dnn_annotations as tfda

_SIGNATURES = (
  'classification',
  'layer_annotations',
  'predict',
  'serving_default',
)
_NUM_STEPS = 16
# Each command line in a process of its own, which begins with TensorFlow
# loaded: that takes most of the time.
_SAVED_MODEL_CLI = """
import json, os, sys
from tensorflow.python.tools import saved_model_cli
for arguments in json.loads(sys.argv[1]):
  process = os.fork()
  if not process:
    sys.argv = ['saved_model_cli'] + arguments
    saved_model_cli.main()
    sys.exit()
  if os.waitpid(process, 0)[1]:
    sys.exit('failed: ' + ' '.join(arguments))
"""


def _examples():
  """Returns a list of serialized tf.Examples."""
  with tf.Graph().as_default():
    return list(tf.io.tf_record_iterator(make_golden.EXAMPLES))


def _as_dict(example):
  """Returns {key: list of values} of a serialized tf.Example."""
  features = tf.train.Example.FromString(example).features.feature
  values = {
    key: list(getattr(feature, feature.WhichOneof('kind')).value)
    for key, feature in features.items()
    if feature.WhichOneof('kind')
  }
  return {key: value for key, value in values.items() if value}


def _by_session(examples):
  """Returns {signature: {output: value}} by tf.compat.v1.saved_model.load."""
  with tf.Graph().as_default(), tf.Session() as session:
    signatures = tf.saved_model.load(
      session, [tf.saved_model.SERVING], make_golden.SAVED_MODEL
    ).signature_def
    results = {}
    for name, signature in signatures.items():
      (receiver,) = signature.inputs.values()
      results[name] = session.run(
        {output: info.name for output, info in signature.outputs.items()},
        {receiver.name: examples},
      )
    return results


class OtherReadersTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.examples = _examples()
    cls.expected = _by_session(cls.examples)

  def test_session(self):
    self.assertCountEqual(self.expected, _SIGNATURES)
    annotations = self.expected['layer_annotations']
    np.testing.assert_array_equal(
      annotations['logits'], self.expected['predict']['logits']
    )
    with tfda.IntegratedGradients(make_golden.SAVED_MODEL) as ig:
      self.assertLen(self.examples, len(annotations['logits']))
      points = ig.model.points_of_examples(self.examples, 'logits')
      np.testing.assert_array_equal(points.outputs, annotations['logits'])
      for name, part in ig.model.column_slices.items():
        np.testing.assert_array_equal(
          points.columns[:, part], annotations[f'processed_features/{name}']
        )

  def test_signatures_of_the_loaded_object(self):
    with context.eager_mode():
      model = tf2.saved_model.load(make_golden.SAVED_MODEL)
      self.assertCountEqual(model.signatures, _SIGNATURES)
      for name, function in model.signatures.items():
        (receiver,) = function.structured_input_signature[1]
        outputs = function(**{receiver: tf.constant(self.examples)})
        self.assertCountEqual(outputs, self.expected[name])
        for output, value in self.expected[name].items():
          np.testing.assert_array_equal(outputs[output].numpy(), value, output)

  def test_integrated_gradients_of_the_pruned_object(self):
    """The contract is enough to compute them with TensorFlow alone."""
    with context.eager_mode():
      model = tf2.saved_model.load(make_golden.SAVED_MODEL)
      prefix = 'processed_features/'
      columns = {
        name[len(prefix) :]: tf.constant(value)
        for name, value in self.expected['layer_annotations'].items()
        if name.startswith(prefix)
      }
      tensors = _output_names(make_golden.SAVED_MODEL)
      function = model.prune(
        [tensors[prefix + name] for name in columns], tensors['logits']
      )
      values = _midpoint(function, columns)
    with tfda.IntegratedGradients(make_golden.SAVED_MODEL) as ig:
      result = ig.attribute(
        self.examples, targets='all', method='midpoint', num_steps=_NUM_STEPS
      )
    self.assertCountEqual(result.columns, values)
    for name, expected in values.items():
      self.assertGreater(np.abs(expected).max(), 0)
      # Sums of some 100 float32 products, in another order.
      np.testing.assert_allclose(
        result.values[name], expected, rtol=1e-4, atol=1e-5, err_msg=name
      )

  def test_saved_model_cli(self):
    directory = directories.new_dir()
    # It makes a file of an output, but not the directories in its name.
    for output in self.expected['layer_annotations']:
      path = os.path.join(directory, 'layer_annotations', output)
      os.makedirs(os.path.dirname(path), exist_ok=True)
    model = [f'--dir={make_golden.SAVED_MODEL}']
    commands = [['show'] + model + ['--all']]
    receivers = {'predict': 'examples', 'layer_annotations': 'examples'}
    for name in _SIGNATURES:
      rows = repr([_as_dict(example) for example in self.examples])
      commands.append(
        ['run', *model, '--tag_set=serve', f'--signature_def={name}']
        + [f'--input_examples={receivers.get(name, "inputs")}={rows}']
        + [f'--outdir={os.path.join(directory, name)}', '--overwrite']
      )
    result = subprocess.run(
      [sys.executable, '-c', _SAVED_MODEL_CLI, json.dumps(commands)],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      universal_newlines=True,
    )
    self.assertEqual(result.returncode, 0, result.stderr)
    shown = re.findall(r"signature_def\['(\w+)'\]", result.stdout)
    self.assertCountEqual(shown, _SIGNATURES)
    for name, outputs in self.expected.items():
      for output, value in outputs.items():
        self.assertIn(f"outputs['{output}']", result.stdout)
        path = os.path.join(directory, name, output + '.npy')
        if value.dtype == object:  # Strings, which numpy would unpickle.
          self.assertTrue(os.path.exists(path), path)
        else:
          np.testing.assert_array_equal(np.load(path), value, output)


def _output_names(export_dir):
  """Returns {output of the annotations' signature: name of its tensor}."""
  with tf.Graph().as_default(), tf.Session() as session:
    signatures = tf.saved_model.load(
      session, [tf.saved_model.SERVING], export_dir
    ).signature_def
  outputs = signatures['layer_annotations'].outputs
  return {name: info.name for name, info in outputs.items()}


def _midpoint(function, columns):
  """Returns {column: [n, classes, width]}, attributions against zeros."""
  values = {name: 0.0 for name in columns}
  for k in range(_NUM_STEPS):
    share = (k + 0.5) / _NUM_STEPS
    inputs = [share * column for column in columns.values()]
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(inputs)
      logits = tf.unstack(function(*inputs), axis=1)
    for name, tensor in zip(columns, inputs):
      gradients = [tape.gradient(logit, tensor) for logit in logits]
      values[name] = values[name] + np.stack(gradients, axis=1) / _NUM_STEPS
  return {
    name: value * columns[name].numpy()[:, np.newaxis]
    for name, value in values.items()
  }


if __name__ == '__main__':
  absltest.main()
