"""What pipelines ask of an estimator, asked of the ordinary and the annotated.

In one process; tests/cluster_test.py has those of several. What is expected is
what the ordinary estimator of the same arguments gives.
"""

import functools
import os

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import model_cases
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

# Every way of training and exporting, for ordinary and annotated estimators.
pytestmark = pytest.mark.slow

_CASE = model_cases.CASES['mixed']
_HEAD = 'multi_class'
_MODES = tf.estimator.ModeKeys
_VERSIONS = parameterized.parameters(1, 2)
# The model's numbers are of size 1 to 100, summed over fewer than 100
# elements, in float32: 100 roundings of 100 * 2**-24.
_TOLERANCE = 6e-4


def _pair(version, head=_HEAD, case=_CASE, model_dir=None, **arguments):
  """Returns the ordinary estimator and the annotated one."""
  arguments.setdefault('config', tf.estimator.RunConfig(tf_random_seed=3))
  return [
    model_cases.estimator_class(head, version, annotated)(
      hidden_units=[4, 3],
      feature_columns=case.columns(),
      model_dir=model_dir or directories.new_dir(),
      **dict(model_cases.HEADS[head][1], **arguments),
    )
    for annotated in (False, True)
  ]


@functools.lru_cache(maxsize=None)
def _model_dir(version, head=_HEAD):
  """Returns the directory of what an ordinary estimator has trained."""
  ordinary, _ = _pair(version, head)
  ordinary.train(_CASE.input_fn(head, repeat=True), steps=5)
  return ordinary.model_dir


def _trained(version, head=_HEAD, **arguments):
  """Returns the two estimators of one ordinary checkpoint."""
  return _pair(version, head, model_dir=_model_dir(version, head), **arguments)


def _export(estimator, receiver_fn=None, **kwargs):
  return tf.compat.as_text(
    estimator.export_saved_model(
      directories.new_dir(),
      receiver_fn or _CASE.serving_input_receiver_fn(),
      **kwargs,
    )
  )


def _called(export_dir, signature_name, feeds):
  """Returns {output name: array} of a signature fed {input name: value}."""
  with tf.Graph().as_default(), tf.Session() as session:
    meta_graph = tf.saved_model.load(
      session, [tf.saved_model.SERVING], export_dir
    )
    signature = meta_graph.signature_def[signature_name]
    return session.run(
      {name: info.name for name, info in signature.outputs.items()},
      {signature.inputs[name].name: value for name, value in feeds.items()},
    )


def _predicted(estimator, output='logits', input_fn=None):
  rows = estimator.predict(input_fn or _CASE.input_fn())
  return np.array([row[output] for row in rows])


def _checkpoint_files(estimator):
  """Returns {file name: bytes} of all checkpoints but for their graphs."""
  files = {}
  for path in tf.gfile.Glob(os.path.join(estimator.model_dir, 'model.ckpt-*')):
    if not path.endswith('.meta'):
      with open(path, 'rb') as file:
        files[os.path.basename(path)] = file.read()
  return files


class PipelineFeaturesTest(parameterized.TestCase):
  def _assert_same_signatures(self, ordinary_dir, annotated_dir):
    """The annotated one has the annotations' signature in addition."""
    expected, actual = (
      dict(saved_model_files.meta_graphs(export_dir)['serve'].signature_def)
      for export_dir in (ordinary_dir, annotated_dir)
    )
    more = {name for name in actual if name.endswith('layer_annotations')}
    self.assertIn('layer_annotations', more)
    self.assertEqual(
      expected, {name: actual[name] for name in set(actual) - more}
    )

  def _assert_explains(self, export_dir, outputs, examples=None, **kwargs):
    """Attributions of each row against the first add up to the difference.

    Args:
      export_dir: a SavedModel.
      outputs: [8, num_outputs], those of the ordinary estimator.
      examples: the rows, as the SavedModel takes them.
      **kwargs: of `IntegratedGradients.attribute`.
    """
    examples = examples or _CASE.serialized_examples()
    first = (
      {key: value[:1] for key, value in examples.items()}
      if isinstance(examples, dict)
      else examples[:1]
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute(examples, baselines=first, targets='all', **kwargs)
    self.assertEqual(
      list(result.values), sorted(column.name for column in _CASE.columns())
    )
    np.testing.assert_allclose(
      sum(value.sum(axis=-1) for value in result.values.values()),
      outputs - outputs[:1],
      rtol=0,
      atol=_TOLERANCE,
    )
    # Nothing adds up to nothing, too.
    self.assertGreater(np.abs(outputs - outputs[:1]).max(), 0.1)

  @_VERSIONS
  def test_add_metrics(self, version):
    def metric_fn(features, predictions):
      if version == 1:
        return {
          'age': tf.metrics.mean(features['age']),
          'highest': tf.metrics.mean(predictions['probabilities'][:, 0]),
        }
      metrics = {'age': tf.keras.metrics.Mean(), 'highest': None}
      metrics['highest'] = tf.keras.metrics.Mean()
      metrics['age'].update_state(features['age'])
      metrics['highest'].update_state(predictions['probabilities'][:, 0])
      return metrics

    ordinary, annotated = (
      tf.estimator.add_metrics(estimator, metric_fn)
      for estimator in _trained(version)
    )
    expected = ordinary.evaluate(_CASE.input_fn(_HEAD), name='ordinary')
    self.assertIn('highest', expected)
    self.assertEqual(
      expected, annotated.evaluate(_CASE.input_fn(_HEAD), name='annotated')
    )
    export_dir = _export(annotated)
    self._assert_same_signatures(_export(ordinary), export_dir)
    self._assert_explains(export_dir, _predicted(ordinary))

  @_VERSIONS
  def test_forwarded_features(self, version):
    """As tf.contrib.estimator.forward_features did: ids next to predictions."""

    def forwarding(estimator):
      def model_fn(features, labels, mode, config):
        spec = estimator.model_fn(features, labels, mode, config)
        forwarded = {key: features[key] for key in ('age', 'weight')}
        spec.predictions.update(forwarded)
        for name in ('predict', 'serving_default'):
          output = (spec.export_outputs or {}).get(name)
          if isinstance(output, tf.estimator.export.PredictOutput):
            output.outputs.update(forwarded)
        return spec

      return tf.estimator.Estimator(
        model_fn, model_dir=estimator.model_dir, config=estimator.config
      )

    ordinary, annotated = map(forwarding, _trained(version))
    receiver_fn = tf.estimator.export.build_parsing_serving_input_receiver_fn(
      _CASE.parsing_spec(('weight',))
    )
    export_dir = _export(annotated, receiver_fn)
    self._assert_same_signatures(_export(ordinary, receiver_fn), export_dir)
    examples = _CASE.serialized_examples(('weight',))
    raw = _CASE.raw_features(('weight',))
    served = _called(export_dir, 'predict', {'examples': examples})
    for key in ('age', 'weight'):
      np.testing.assert_array_equal(served[key], raw[key])
    input_fn = _CASE.input_fn(None, extra_keys=('weight',))
    logits = _predicted(ordinary, input_fn=input_fn)
    np.testing.assert_array_equal(served['logits'], logits)
    # Forwarded or not, what no column reads is no input of the network.
    self._assert_explains(export_dir, logits, examples)
    annotations = saved_model_files.meta_graphs(export_dir)[
      'serve'
    ].signature_def['layer_annotations']
    self.assertIn('unprocessed_features/age', annotations.outputs)
    self.assertNotIn('unprocessed_features/weight', annotations.outputs)

  @_VERSIONS
  def test_hooks_find_the_tensors_of_the_ordinary_graph(self, version):
    class FetchingHook(tf.train.SessionRunHook):
      def before_run(self, run_context):
        graph = run_context.session.graph
        # What Keras calls its ops differs between the versions.
        self.names = sorted(
          op.outputs[0].name
          for op in graph.get_operations()
          if op.type == 'BiasAdd' and 'gradient' not in op.name
        )
        return tf.train.SessionRunArgs(self.names)

      def after_run(self, run_context, run_values):
        self.values = dict(zip(self.names, run_values.results))

    fetched = []
    for estimator in _pair(version):
      hooks = [FetchingHook() for _ in range(3)]
      estimator.train(_CASE.input_fn(_HEAD), hooks=hooks[:1])
      estimator.evaluate(_CASE.input_fn(_HEAD), hooks=hooks[1:2])
      list(estimator.predict(_CASE.input_fn(), hooks=hooks[2:]))
      fetched.append([hook.values for hook in hooks])
    for expected, actual in zip(*fetched):
      self.assertLen(expected, 3)
      self.assertEqual(list(expected), list(actual))
      for name, value in expected.items():
        np.testing.assert_array_equal(value, actual[name], name)

  @_VERSIONS
  def test_early_stopping(self, version):
    """Nothing is learned at rate 0, so both stop once that has been seen."""
    optimizers = {
      1: lambda: tf.train.GradientDescentOptimizer(0.0),
      2: lambda: (
        tf.keras.optimizers.legacy.SGD(0.0)
        if hasattr(tf.keras.optimizers, 'legacy')
        else tf.keras.optimizers.SGD(0.0)
      ),
    }
    steps = []
    for estimator in _pair(
      version,
      optimizer=optimizers[version],
      config=tf.estimator.RunConfig(tf_random_seed=3, save_checkpoints_steps=2),
    ):
      hook = tf.estimator.experimental.stop_if_no_decrease_hook(
        estimator, 'loss', 4, run_every_secs=None, run_every_steps=1
      )
      exporter = tf.estimator.FinalExporter(
        'final', _CASE.serving_input_receiver_fn()
      )
      tf.estimator.train_and_evaluate(
        estimator,
        tf.estimator.TrainSpec(
          _CASE.input_fn(_HEAD, repeat=True), max_steps=40, hooks=[hook]
        ),
        tf.estimator.EvalSpec(
          _CASE.input_fn(_HEAD),
          exporters=[exporter],
          throttle_secs=0,
        ),
      )
      steps.append(estimator.get_variable_value('global_step'))
    # After more than 4 steps without a decrease, as seen by a checkpoint, of
    # which there is one every 2 steps. A hook reads the step while it changes:
    # checkpoint and stop may each come one later, for ordinary estimators too.
    for step in steps:
      self.assertBetween(step, 5, 8)
    # The variable that stops training is in this checkpoint, too.
    self.assertIn('signal_early_stopping/STOP', estimator.get_variable_names())
    self._assert_explains(_export(estimator), _predicted(estimator))

  @_VERSIONS
  def test_run_config(self, version):
    config = functools.partial(
      tf.estimator.RunConfig,
      tf_random_seed=11,
      save_checkpoints_steps=2,
      save_summary_steps=3,
      keep_checkpoint_max=2,
      log_step_count_steps=1,
      session_config=tf.ConfigProto(
        allow_soft_placement=False, inter_op_parallelism_threads=1
      ),
    )
    files = []
    for estimator in _pair(version, config=config()):
      estimator.train(_CASE.input_fn(_HEAD, repeat=True), steps=7)
      self.assertEqual(estimator.config.tf_random_seed, 11)
      files.append(_checkpoint_files(estimator))
    self.assertContainsSubset(
      ['model.ckpt-6.index', 'model.ckpt-7.index'], files[0]
    )
    self.assertNotIn('model.ckpt-4.index', files[0])
    self.assertEqual(*files)

  @_VERSIONS
  def test_all_modes_in_one_saved_model(self, version):
    """Training and evaluation are exported as by the ordinary estimator."""

    def supervised_receiver_fn():
      features = {
        key: tf.placeholder(tf.as_dtype(value.dtype), (None,) + value.shape[1:])
        for key, value in _CASE.dense_features().items()
        if key != 'color'
      }
      features['color'] = tf.placeholder(tf.string, [None, None])
      labels = tf.placeholder(tf.int64, [None, 1])
      return tf.estimator.experimental.build_raw_supervised_input_receiver_fn(
        features, labels
      )()

    receiver_fns = {
      _MODES.PREDICT: _CASE.serving_input_receiver_fn(),
      _MODES.TRAIN: supervised_receiver_fn,
      _MODES.EVAL: supervised_receiver_fn,
    }
    export_dirs = [
      tf.compat.as_text(
        estimator.experimental_export_all_saved_models(
          directories.new_dir(), receiver_fns
        )
      )
      for estimator in _trained(version)
    ]
    self._assert_same_signatures(*export_dirs)
    expected, actual = map(saved_model_files.meta_graphs, export_dirs)
    self.assertCountEqual(expected, ['serve', 'train', 'eval'])
    self.assertCountEqual(actual, expected)
    for tag in ('train', 'eval'):
      self.assertEqual(expected[tag].signature_def, actual[tag].signature_def)
      self.assertEqual(
        [(n.name, n.op, n.input) for n in expected[tag].graph_def.node],
        [(n.name, n.op, n.input) for n in actual[tag].graph_def.node],
      )
      self.assertCountEqual(
        expected[tag].collection_def, actual[tag].collection_def
      )
    self._assert_explains(export_dirs[1], _predicted(_trained(version)[0]))

  @_VERSIONS
  def test_parsing_receiver_with_default_values(self, version):
    """A feature that an example leaves out has its default."""
    ordinary, annotated = _trained(version)
    spec = _CASE.parsing_spec()
    spec['age'] = tf.FixedLenFeature([1], tf.float32, default_value=[2.5])
    spec['pair'] = tf.FixedLenFeature([2], tf.float32, default_value=[1.0, 0.5])
    receiver_fn = tf.estimator.export.build_parsing_serving_input_receiver_fn(
      spec
    )
    export_dir = _export(annotated, receiver_fn)
    self._assert_same_signatures(_export(ordinary, receiver_fn), export_dir)
    examples = []
    for serialized in _CASE.serialized_examples():
      example = tf.train.Example.FromString(serialized)
      del example.features.feature['age']
      del example.features.feature['pair']
      examples.append(example.SerializeToString())

    def input_fn():
      features = _CASE.features()
      features['age'] = tf.fill([8, 1], 2.5)
      features['pair'] = tf.tile([[1.0, 0.5]], [8, 1])
      return tf.data.Dataset.from_tensors(features)

    self._assert_explains(
      export_dir, _predicted(ordinary, input_fn=input_fn), examples
    )

  @_VERSIONS
  def test_raw_receiver_with_default_values(self, version):
    """A feature that is not fed has the default of its placeholder."""
    ordinary, annotated = _trained(version)
    days = np.float32(np.arange(8) / 4).reshape(8, 1)

    def receiver_fn():
      features = {
        'age': tf.placeholder_with_default(days, [None, 1], 'age'),
        'pair': tf.placeholder(tf.float32, [None, 2], 'pair'),
        'grid': tf.placeholder(tf.float32, [None, 2, 2], 'grid'),
        'color': tf.placeholder(tf.string, [None, None], 'color'),
      }
      return tf.estimator.export.ServingInputReceiver(features, features)

    export_dir = _export(annotated, receiver_fn)
    self._assert_same_signatures(_export(ordinary, receiver_fn), export_dir)
    raw = _CASE.dense_features()
    default = dict(raw, age=days)

    def input_fn():
      return tf.data.Dataset.from_tensors(
        {key: tf.constant(value) for key, value in default.items()}
      )

    logits = _predicted(ordinary, input_fn=input_fn)
    unfed = {key: value for key, value in raw.items() if key != 'age'}
    for name in ('predict', 'layer_annotations'):
      np.testing.assert_array_equal(
        _called(export_dir, name, unfed)['logits'], logits
      )
    self._assert_explains(export_dir, logits, default)
    self._assert_explains(
      export_dir,
      _predicted(ordinary, input_fn=_CASE.input_fn(None, 'dense')),
      raw,
    )

  @_VERSIONS
  def test_receiver_alternatives(self, version):
    """Each way in has the annotations as it has the predictions."""
    ordinary, annotated = _trained(version)

    def receiver_fn():
      serialized = tf.placeholder(tf.string, [None], 'serialized')
      features = tf.io.parse_example(serialized, _CASE.parsing_spec())
      return tf.estimator.export.ServingInputReceiver(
        features,
        {'examples': serialized},
        receiver_tensors_alternatives={'parsed': dict(features)},
      )

    export_dir = _export(annotated, receiver_fn)
    self._assert_same_signatures(_export(ordinary, receiver_fn), export_dir)
    raw = _CASE.dense_features()
    with tf.Session(graph=tf.Graph()) as session:
      raw['color'] = session.run(_CASE.features('sparse')['color'])
    examples = _CASE.serialized_examples()
    by_examples = _called(
      export_dir, 'layer_annotations', {'examples': examples}
    )
    by_features = {}
    with tf.Graph().as_default(), tf.Session() as session:
      signature = tf.saved_model.load(
        session, [tf.saved_model.SERVING], export_dir
      ).signature_def['parsed:layer_annotations']
      by_features = session.run(
        {name: info.name for name, info in signature.outputs.items()},
        {
          tf.saved_model.get_tensor_from_tensor_info(info): raw[name]
          for name, info in signature.inputs.items()
        },
      )
    self.assertCountEqual(by_examples, by_features)
    for name, value in by_examples.items():
      np.testing.assert_array_equal(value, by_features[name], name)
    self._assert_explains(export_dir, _predicted(ordinary), examples)

  @_VERSIONS
  def test_text_and_extra_assets(self, version):
    """A SavedModel as text is read as the binary one."""
    ordinary, annotated = _trained(version)
    note = os.path.join(directories.new_dir(), 'note')
    with open(note, 'w') as file:
      file.write('approved')
    kwargs = {'assets_extra': {'deep/note.txt': note}}
    binary_dir = _export(annotated, **kwargs)
    text_dir = _export(annotated, as_text=True, **kwargs)
    self.assertIn('saved_model.pbtxt', os.listdir(text_dir))
    self.assertNotIn('saved_model.pb', os.listdir(text_dir))
    self._assert_explains(text_dir, _predicted(ordinary))
    results = []
    for export_dir in (binary_dir, text_dir):
      with open(os.path.join(export_dir, 'assets.extra/deep/note.txt')) as file:
        self.assertEqual(file.read(), 'approved')
      with tfda.IntegratedGradients(export_dir) as ig:
        results.append(ig.attribute(_CASE.serialized_examples()).values)
    for name, value in results[0].items():
      np.testing.assert_array_equal(value, results[1][name], name)

  @_VERSIONS
  def test_model_fn_around_ours(self, version):
    """A user's own variables, predictions, outputs and summaries of a model."""

    def calibrated(estimator):
      def model_fn(features, labels, mode, config):
        spec = estimator.model_fn(features, labels, mode, config)
        temperature = tf.get_variable(
          'calibration/temperature', initializer=np.float32(1.5)
        )
        if mode == _MODES.TRAIN:
          train_op = tf.group(spec.train_op, temperature.assign_add(0.25))
          return spec._replace(train_op=train_op)
        probabilities = tf.nn.softmax(
          spec.predictions['logits'] / temperature, name='calibrated'
        )
        spec.predictions['calibrated'] = probabilities
        if mode == _MODES.PREDICT:
          spec.export_outputs['calibrated'] = tf.estimator.export.PredictOutput(
            {'calibrated': probabilities}
          )
        return spec

      return tf.estimator.Estimator(
        model_fn, model_dir=estimator.model_dir, config=estimator.config
      )

    pair = [calibrated(estimator) for estimator in _pair(version)]
    for estimator in pair:
      estimator.train(_CASE.input_fn(_HEAD, repeat=True), steps=4)
    ordinary, annotated = pair
    self.assertEqual(_checkpoint_files(ordinary), _checkpoint_files(annotated))
    self.assertEqual(
      ordinary.evaluate(_CASE.input_fn(_HEAD)),
      annotated.evaluate(_CASE.input_fn(_HEAD)),
    )
    self.assertEqual(
      annotated.get_variable_value('calibration/temperature'), 2.5
    )
    for output in ('calibrated', 'probabilities'):
      np.testing.assert_array_equal(
        _predicted(ordinary, output), _predicted(annotated, output)
      )
    path = ordinary.latest_checkpoint()
    ordinary_dir = _export(ordinary)
    export_dir = _export(annotated, checkpoint_path=path)
    self._assert_same_signatures(ordinary_dir, export_dir)
    np.testing.assert_array_equal(
      _called(
        export_dir, 'calibrated', {'examples': _CASE.serialized_examples()}
      )['calibrated'],
      _predicted(ordinary, 'calibrated'),
    )
    self._assert_explains(export_dir, _predicted(ordinary))
    self._assert_explains(
      export_dir, _predicted(ordinary, 'probabilities'), output='probabilities'
    )


if __name__ == '__main__':
  absltest.main()
