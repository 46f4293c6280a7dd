"""SavedModels written by other TensorFlows are read and explained on this one.

testdata/make_foreign.py wrote them, and what is expected, in float64 numpy.
"""

import importlib.util
import json
import os
import pathlib
import zipfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from testdata import make_foreign
from tests.support import command
from tests.support import directories
from tests.support import numpy_network
import tf_dnn_annotations as tfda

# Some 100 roundings to float32 of numbers of the largest one's size.
_ROUNDING = 100 * numpy_network.ROUNDOFF
_COLUMNS = {
  'age': ('age',),
  'age_bucketized_X_color_indicator': ('age', 'color'),
  'color_embedding': ('color',),
  'color_indicator': ('color',),
  'pair': ('pair',),
}
_KEPT = {
  f'{version}_{name}': (version, name)
  for version in make_foreign.VERSIONS
  for name in make_foreign.MODELS
}
# TensorFlow 1 does not know all operations of 2.
_MODELS = {
  key: (version, name)
  for key, (version, name) in _KEPT.items()
  if version < 'tf2' or tf.__version__ >= '2'
}
_CLASSIFIERS = [
  key
  for key, (_, name) in _MODELS.items()
  if make_foreign.MODELS[name].is_classifier
]


class ForeignSavedModelsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.dir = pathlib.Path(directories.new_dir())
    cls.expected = {}
    for version in make_foreign.VERSIONS:
      kept = make_foreign.DIR / f'{version}.json'
      cls.expected[version] = json.loads(kept.read_text('utf-8'))
      with zipfile.ZipFile(str(make_foreign.DIR / f'{version}.zip')) as archive:
        archive.extractall(str(cls.dir / version))

  def _export_dir(self, key):
    return str(self.dir.joinpath(*_KEPT[key]))

  def _expected(self, key):
    version, name = _MODELS[key]
    return self.expected[version][name]

  def _cases(self, key, output):
    cases = [
      case for case in self._expected(key)['cases'] if case['output'] == output
    ]
    self.assertLen(cases, 2)
    return cases

  def _attribute(self, key, examples, case, **arguments):
    row = case['baseline_row']
    baselines = None
    if row is not None:
      baselines = [make_foreign.serialized_examples()[row]]
      if isinstance(examples, dict):
        baselines = {key: [value[row]] for key, value in examples.items()}
    with tfda.IntegratedGradients(self._export_dir(key)) as ig:
      return ig.attribute(
        examples, baselines, targets='all', output=case['output'], **arguments
      )

  def _check(self, result, case, rounding):
    """Compares with float64 numpy, to `rounding` of the largest number."""
    self.assertEqual(list(result.columns), list(_COLUMNS))
    scale = max(np.abs(value).max() for value in case['values'].values())
    self.assertGreater(scale, 0.01)
    for name, value in case['values'].items():
      self.assertEqual(result.values[name].dtype, np.float32)
      np.testing.assert_allclose(
        result.values[name], value, rtol=0, atol=rounding * scale, err_msg=name
      )
    np.testing.assert_allclose(
      result.outputs,
      case['outputs'],
      rtol=0,
      atol=_ROUNDING * np.abs(case['outputs']).max(),
    )

  @parameterized.parameters(*_MODELS)
  def test_what_the_model_is(self, key):
    model = make_foreign.MODELS[_MODELS[key][1]]
    with tfda.IntegratedGradients(self._export_dir(key)) as ig:
      self.assertEqual(
        {column.name: column.feature_keys for column in ig.model.columns},
        _COLUMNS,
      )
      self.assertCountEqual(ig.model.features, ['age', 'color', 'pair'])
      self.assertEqual(ig.model.hidden_units, model.arguments['hidden_units'])
      self.assertEqual(
        ig.model.kind, 'classifier' if model.is_classifier else 'regressor'
      )
      self.assertEqual(ig.model.labels, model.arguments.get('label_vocabulary'))

  @parameterized.parameters(*_MODELS)
  def test_exact_attributions_of_logits(self, key):
    for case in self._cases(key, 'logits'):
      result = self._attribute(
        key, make_foreign.serialized_examples(), case, method='exact'
      )
      self._check(result, case, _ROUNDING)

  @parameterized.parameters(*_CLASSIFIERS)
  def test_attributions_of_probabilities(self, key):
    for case in self._cases(key, 'probabilities'):
      # In numpy they are good to 1e-8; here they are asked for to 1e-6.
      result = self._attribute(
        key, make_foreign.serialized_examples(), case, tolerance=1e-6
      )
      self._check(result, case, 1e-6 + _ROUNDING)

  @parameterized.parameters(*_MODELS)
  def test_gradients(self, key):
    """A rule of few nodes is the mean of as many of the model's gradients."""
    _, name = _MODELS[key]
    variables = tf.train.load_checkpoint(
      os.path.join(self._export_dir(key), 'variables', 'variables')
    )
    network = make_foreign.network(
      make_foreign.MODELS[name], variables.get_tensor
    )
    columns = make_foreign.processed(variables.get_tensor)
    x = np.concatenate(list(columns.values()), axis=1)
    nodes = (np.arange(16)[:, np.newaxis] + 0.5) / 16
    values = np.array(
      [network.gradients(nodes * row).mean(axis=0) * row for row in x]
    )
    cuts = np.cumsum([value.shape[1] for value in columns.values()])[:-1]
    case = dict(
      self._cases(key, 'logits')[0],
      values=dict(zip(columns, np.split(values, cuts, axis=2))),
    )
    for examples in (
      make_foreign.serialized_examples(),
      make_foreign.raw_features(),
    ):
      result = self._attribute(
        key, examples, case, method='midpoint', num_steps=16
      )
      self._check(result, case, _ROUNDING)

  @parameterized.parameters(*_CLASSIFIERS)
  def test_predicted_class(self, key):
    (case, _) = self._cases(key, 'logits')
    predicted = np.argmax(case['outputs'], axis=1)
    with tfda.IntegratedGradients(self._export_dir(key)) as ig:
      result = ig.attribute(make_foreign.serialized_examples())
    np.testing.assert_array_equal(result.targets, predicted)
    rows = np.arange(len(predicted))
    for name, value in result.per_feature().items():
      columns = [
        np.array(case['values'][column])[rows, predicted].sum(axis=-1)
        for column, keys in _COLUMNS.items()
        if ' x '.join(keys) == name
      ]
      np.testing.assert_allclose(value, np.sum(columns, axis=0), atol=1e-5)

  def test_the_writer_is_here_or_says_what_it_needs(self):
    if importlib.util.find_spec('tensorflow_estimator'):
      self.assertTrue(callable(tfda.DNNClassifierWithLayerAnnotations))
    else:  # On TensorFlow 2.16 and newer.
      with self.assertRaisesRegex(
        ImportError, 'pip install --no-deps tensorflow-estimator==2.15.0'
      ):
        tfda.DNNClassifierWithLayerAnnotations  # noqa: B018

  def test_others_are_refused(self):
    others = set(_KEPT) - set(_MODELS)
    if not others:
      self.skipTest('this TensorFlow reads all of them')
    for key in others:
      version = _KEPT[key][0][len('tf') :]
      with self.assertRaisesRegex(
        ValueError, f'written by TensorFlow {version}.*{version} or newer'
      ):
        tfda.IntegratedGradients(self._export_dir(key))

  # The first and the last.
  @parameterized.parameters(*[list(_MODELS)[i] for i in (0, -1)])
  def test_command_line(self, key):
    case = self._cases(key, 'logits')[0]
    examples, output = (str(self.dir / f'{key}.{x}') for x in ('rec', 'jsonl'))
    with tf.io.TFRecordWriter(examples) as writer:
      for example in make_foreign.serialized_examples():
        writer.write(example)

    def run(*arguments):
      code, stdout, stderr = command.run(*arguments)
      self.assertEqual(code, 0, stderr)
      return stdout

    told = json.loads(run('inspect', self._export_dir(key), '--json'))
    self.assertEqual(told['columns'][2]['name'], 'color_embedding')
    run(
      'attribute',
      self._export_dir(key),
      f'--examples={examples}',
      f'--output={output}',
      '--by=column',
      '--targets=1',
    )
    lines = pathlib.Path(output).read_text('utf-8').splitlines()
    self.assertLen(lines, len(case['outputs']))
    for row, line in enumerate(lines):
      for name, value in json.loads(line)['attributions'].items():
        expected = np.sum(case['values'][name][row][1])
        self.assertAlmostEqual(value, expected, delta=1e-4)


if __name__ == '__main__':
  absltest.main()
