"""SavedModels of tf.contrib's own class are read, but for their pickles."""

import argparse
import contextlib
import io
import json
import os
import pathlib
import pickle

from absl.testing import absltest
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import saved_model_files
import tf_dnn_annotations as tfda
from tf_dnn_annotations.cli import inspect_command

_TESTDATA = pathlib.Path(__file__).absolute().parents[1] / 'testdata'
_EXPORT_DIR = str(_TESTDATA / 'contrib_saved_model')
_NAMES = tfda.LayerAnnotationsCollectionNames
_COLUMNS = {
  # Name: (width, keys of the features)
  'age': (1, ('age',)),
  'age_bucketized': (3, ('age',)),
  'city_embedding': (2, ('city',)),
  'color_indicator': (3, ('color',)),
  'pair': (2, ('pair',)),
}


class _Bomb(object):
  """Makes a file when it is unpickled."""

  def __init__(self, path):
    self._path = path

  def __reduce__(self):
    return open, (self._path, 'w')


def _expected():
  path = _TESTDATA / 'contrib_attributions.json'
  return json.loads(path.read_text('utf-8'))


def _raw_features():
  return {
    key: values if isinstance(values[0][0], str) else np.float32(values)
    for key, values in _expected()['features'].items()
  }


def _serialized_examples():
  examples = []
  for row in range(8):
    example = tf.train.Example()
    for key, values in _expected()['features'].items():
      feature = example.features.feature[key]
      for value in values[row]:
        if isinstance(value, str):
          feature.bytes_list.value.append(value.encode())
        else:
          feature.float_list.value.append(value)
    examples.append(example.SerializeToString())
  return examples


class ContribSavedModelTest(absltest.TestCase):
  def _check_attributions(self, export_dir, examples):
    expected = _expected()['attributions']
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute(examples, targets='all')
    self.assertEqual(result.columns, list(_COLUMNS))
    for name, values in expected.items():
      # float32 sums of 11 products, the model's and ours, against float64.
      np.testing.assert_allclose(
        result.values[name], values, rtol=1e-5, atol=1e-5, err_msg=name
      )

  def test_attributions_of_features(self):
    self._check_attributions(_EXPORT_DIR, _raw_features())

  def test_attributions_of_tf_examples(self):
    self._check_attributions(_EXPORT_DIR, _serialized_examples())

  def test_the_expected_attributions_tell_all_columns_apart(self):
    for values in _expected()['attributions'].values():
      self.assertGreater(np.abs(values).max(), 0.1)

  def test_what_is_told_of_the_model(self):
    with tfda.IntegratedGradients(_EXPORT_DIR) as ig:
      model = ig.model
      self.assertEqual(
        {c.name: (c.width, c.feature_keys) for c in model.columns}, _COLUMNS
      )
      self.assertEqual({c.class_name for c in model.columns}, {None})
      self.assertEqual({c.config for c in model.columns}, {None})
      self.assertEqual(model.hidden_units, [6, 5])
      self.assertEqual((model.kind, model.num_classes), ('classifier', 3))
      self.assertIsNotNone(model.network)
      self.assertCountEqual(model.features, ['age', 'pair', 'color', 'city'])

  def test_inspect(self):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      inspect_command.run(
        argparse.Namespace(
          export_dir=_EXPORT_DIR, json=False, trust_model=False
        )
      )
    lines = [line.split() for line in stdout.getvalue().splitlines()]
    self.assertIn('hidden layers 6, 5 units'.split(), lines)
    self.assertIn('color string 1'.split(), lines)
    self.assertIn('age_bucketized 3 not described age'.split(), lines)

  def test_the_order_of_the_collections_does_not_matter(self):
    """Python 2 wrote them in the order of a dict, which is none."""

    def reverse(meta_graph):
      collection = _NAMES.PROCESSED_FEATURES
      for name in (_NAMES.keys(collection), _NAMES.values(collection)):
        values = meta_graph.collection_def[name]
        values = getattr(values, values.WhichOneof('kind')).value
        turned = list(values)[::-1]
        del values[:]
        values.extend(turned)

    self._check_attributions(
      saved_model_files.edited_copy(_EXPORT_DIR, reverse), _raw_features()
    )

  def test_pickles_are_not_loaded(self):
    path = os.path.join(directories.new_dir(), 'made')

    def plant(meta_graph):
      collection = meta_graph.collection_def[_NAMES.FEATURE_COLUMNS]
      pickles = collection.bytes_list.value
      self.assertLen(pickles, len(_COLUMNS))
      for i, original in enumerate(pickles):
        self.assertStartsWith(original, b'\x80')  # As pickles do.
        pickles[i] = pickle.dumps(_Bomb(path))

    export_dir = saved_model_files.edited_copy(_EXPORT_DIR, plant)
    self._check_attributions(export_dir, _raw_features())
    self.assertFalse(os.path.exists(path))
    pickle.loads(pickle.dumps(_Bomb(path))).close()
    self.assertTrue(os.path.exists(path))


if __name__ == '__main__':
  absltest.main()
