"""What a model parses of tf.Examples is known, and CSV is read for it."""

import contextlib
import io
import json
import os

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.cli import attribute_command
from tf_dnn_annotations.cli import flags
from tf_dnn_annotations.cli import inspect_command
from tf_dnn_annotations.saved_models import feature_values

# 2 * day + 1, as whole numbers.
_NETWORK = numpy_network.Network(
  [([[2.0]], [1.0])], activation='identity', is_classifier=False
)
# The weight is read by no column, the day is cast and renamed.
_SPEC = {
  'DAY': tf.io.FixedLenFeature([1], tf.int64),
  'weight': tf.io.FixedLenFeature([], tf.float32),
  'grid': tf.io.FixedLenFeature([2, 3], tf.float32, default_value=[0.0] * 6),
  'pixels': tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
  'tags': tf.io.VarLenFeature(tf.string),
  'ids': tf.io.VarLenFeature(tf.int64),
}


def _feature(key, dtype, shape, is_sparse=False):
  return feature_values.Feature(key, dtype, shape, is_sparse)


_FEATURES = {
  'DAY': _feature('DAY', tf.int64, [1]),
  'grid': _feature('grid', tf.float32, [2, 3]),
  'ids': _feature('ids', tf.int64, None, is_sparse=True),
  'pixels': _feature('pixels', tf.float32, [None]),
  'tags': _feature('tags', tf.string, None, is_sparse=True),
  'weight': _feature('weight', tf.float32, []),
}


def _receiver_fn():
  examples = tf.placeholder(tf.string, [None])
  spec = dict(_SPEC)
  if hasattr(tf.io, 'RaggedFeature'):  # Not in TF 1.15.
    spec['ragged'] = tf.io.RaggedFeature(tf.int64)
  parsed = tf.io.parse_example(examples, spec)
  features = {'day': tf.cast(parsed['DAY'], tf.float32)}
  return tf.estimator.export.ServingInputReceiver(
    features, {'examples': examples}
  )


def _day(serialized):
  spec = {'DAY': _SPEC['DAY']}
  return tf.cast(tf.io.parse_example(serialized, spec)['DAY'], tf.float32)


def _day_of_one(serialized):
  spec = {'DAY': _SPEC['DAY']}
  parsed = tf.io.parse_single_example(serialized, spec)
  return tf.cast(parsed['DAY'], tf.float32)


class ExampleFeaturesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.export_dir = network_export.export(
      _NETWORK, [tf.feature_column.numeric_column('day')], receiver=_receiver_fn
    )

  def _run(self, command, *arguments):
    argv = ['', command, self.export_dir, *arguments]
    module = {'attribute': attribute_command, 'inspect': inspect_command}
    module[command].run(flags.parsed(argv))

  def test_all_that_is_parsed(self):
    with tfda.IntegratedGradients(self.export_dir) as ig:
      self.assertEqual(
        ig.model.features, {'day': _feature('day', tf.float32, [1])}
      )
      features = dict(ig.model.example_features)
    ragged = features.pop('ragged', None)
    if hasattr(tf.io, 'RaggedFeature'):
      self.assertEqual(ragged, _feature('ragged', tf.int64, None, True))
    self.assertEqual(features, _FEATURES)

  def test_what_must_be_there_and_what_makes_no_difference(self):
    with tfda.IntegratedGradients(self.export_dir) as ig:
      self.assertEqual(ig.model.required_features, {'DAY', 'weight'})
      self.assertEqual(
        ig.model.unread_features, set(ig.model.example_features) - {'DAY'}
      )
    spec = {
      'dense': tf.io.FixedLenFeature([1], tf.float32),
      'sparse': tf.io.VarLenFeature(tf.float32),
      'other': tf.io.VarLenFeature(tf.float32),
    }

    def receiver_fn():
      examples = tf.placeholder(tf.string, [None])
      parsed = tf.io.parse_example(examples, spec)
      total = tf.sparse_reduce_sum(parsed['sparse'], axis=1, keepdims=True)
      day = parsed['dense'] + tf.reshape(total, [-1, 1])
      return tf.estimator.export.ServingInputReceiver(
        {'day': day}, {'examples': examples}
      )

    export_dir = network_export.export(
      _NETWORK, [tf.feature_column.numeric_column('day')], receiver=receiver_fn
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertEqual(ig.model.required_features, {'dense'})
      self.assertEqual(ig.model.unread_features, {'other'})

  @parameterized.parameters(1, 2)
  def test_an_ordinary_receiver(self, version):
    """Where it parses the columns' features, and those alone."""
    export_dir = model_cases.annotated_export('mixed', version=version)
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertEqual(ig.model.example_features, ig.model.features)
      self.assertLen(ig.model.features, 4)

  @parameterized.named_parameters(
    ('with_a_constant', lambda s: _day(s) + tf.ones([tf.shape(s)[0], 1]), 3, 2),
    (
      'in_a_loop',
      lambda s: tf.map_fn(lambda one: 5 * _day_of_one(one), s, tf.float32),
      1,
      10,
    ),
    ('parsed_twice', lambda s: _day(s) + 2 * _day(tf.identity(s)), 1, 6),
    (
      'with_a_default',
      lambda s: _day(s) + tf.placeholder_with_default(4.0, []),
      9,
      2,
    ),
  )
  def test_receivers_that_compute(self, day_fn, shift, slope):
    """tf.Examples take the way that they take where the model is served."""

    def receiver_fn():
      serialized = tf.placeholder(tf.string, [None])
      return tf.estimator.export.ServingInputReceiver(
        {'day': day_fn(serialized)}, {'examples': serialized}
      )

    export_dir = network_export.export(
      _NETWORK, [tf.feature_column.numeric_column('day')], receiver=receiver_fn
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertTrue(ig.model.takes_examples)
      result = ig.attribute(network_export.examples(DAY=[[3], [-2]]))
    np.testing.assert_array_equal(
      result.outputs, slope * np.array([3, -2]) + shift
    )

  def test_examples_for_a_model_of_raw_booleans(self):
    def receiver_fn():
      received = {'is_open': tf.placeholder(tf.bool, [None, 1])}
      return tf.estimator.export.ServingInputReceiver(received, received)

    export_dir = network_export.export(
      _NETWORK,
      [tf.feature_column.numeric_column('is_open')],
      receiver=receiver_fn,
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      for examples in (
        network_export.examples(is_open=[[1], [0]]),
        {'is_open': [True, False]},
        {'is_open': [1, 0]},
      ):
        np.testing.assert_array_equal(ig.attribute(examples).outputs, [3, 1])
      with self.assertRaisesRegex(TypeError, "'is_open' must be bool; got 2"):
        ig.attribute({'is_open': [1, 2]})

  def test_a_model_of_raw_features(self):
    export_dir = network_export.export(_NETWORK, receiver='raw')
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertFalse(ig.model.takes_examples)
      self.assertEqual(ig.model.example_features, ig.model.features)

  def test_csv_of_what_is_parsed(self):
    directory = directories.new_dir()
    path, output = (os.path.join(directory, n) for n in ('x.csv', 'o.jsonl'))
    with open(path, 'w') as file:
      file.write('DAY,weight,tags\n3,0.5,a|b\n-2,1,\n')
    self._run('attribute', f'--examples={path}', f'--output={output}')
    with open(output) as file:
      rows = [json.loads(line) for line in file]
    np.testing.assert_array_equal([row['output'] for row in rows], [7, -3])
    np.testing.assert_array_equal(
      [row['attributions']['day'] for row in rows], [6, -4]
    )

  def test_csv_without_what_must_be_there(self):
    directory = directories.new_dir()
    path, output = (os.path.join(directory, n) for n in ('x.csv', 'o.jsonl'))
    with open(path, 'w') as file:
      file.write('DAY\n3\n')
    with self.assertRaisesRegex(
      ValueError, r"x\.csv: no column for the features \['weight'\], which"
    ):
      self._run('attribute', f'--examples={path}', f'--output={output}')

  def test_inspect_lists_it(self):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      self._run('inspect')
    self.assertRegex(
      stdout.getvalue(), r'  also parsed of tf\.Examples: DAY, .*, weight\n'
    )
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      self._run('inspect', '--json')
    described = json.loads(stdout.getvalue())['example_features']
    self.assertIn(
      {'key': 'DAY', 'dtype': 'int64', 'shape': [1], 'is_sparse': False},
      described,
    )


if __name__ == '__main__':
  absltest.main()
