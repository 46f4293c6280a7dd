"""What cannot be explained is refused, with a remedy."""

import os
import re
import shutil

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_RAW = {
  'color': [[b'red'], [b'green', b'blue'], []],
  'count': np.float32([[3], [0], [-2]]),
  'day': np.int64([[0], [1], [2]]),
  'size': np.float32([[1, 2], [-0.5, 0], [3, 1.25]]),
}
_EXAMPLES = network_export.examples(**_RAW)


def _columns():
  fc = tf.feature_column
  color = fc.categorical_column_with_vocabulary_list('color', ['red', 'blue'])
  return [
    fc.numeric_column('size', shape=(2,)),
    fc.numeric_column('count'),
    fc.numeric_column('day', dtype=tf.int64),
    fc.indicator_column(color),
  ]


class ExportDirTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    network = numpy_network.whole_numbers(1, [2, 3, 1])
    cls.export_dir = network_export.export(network)

  def _check(self, export_dir, error, regex):
    with self.assertRaisesRegex(error, regex):
      tfda.IntegratedGradients(export_dir)

  def test_no_directory(self):
    missing = os.path.join(directories.new_dir(), 'missing')
    self._check(
      missing, FileNotFoundError, r'missing.*does not exist\. Give what export_'
    )

  def test_no_saved_model(self):
    self._check(
      directories.new_dir(),
      FileNotFoundError,
      r'holds no saved_model\.pb .*Give what export_saved_model returned',
    )

  def test_directory_of_saved_models(self):
    self._check(
      os.path.dirname(self.export_dir),
      FileNotFoundError,
      rf"holds no saved_model\.pb .*newest SavedModel .*'{self.export_dir}'",
    )

  def test_a_file(self):
    self._check(
      os.path.join(self.export_dir, 'saved_model.pb'),
      FileNotFoundError,
      r'must be the directory of a SavedModel.*which is a file\. Give .*'
      rf"'{self.export_dir}'",
    )

  @parameterized.parameters('binary', 'regression')
  def test_no_annotations(self, head):
    """An ordinary export is refused with lines that mend it when they run."""
    case = model_cases.CASES['numeric']
    arguments = dict(
      hidden_units=[2],
      feature_columns=case.columns(),
      model_dir=directories.new_dir(),
    )
    # That of the tf.estimator at hand.
    is_tf_1 = tf.__version__.startswith('1.')
    version = 1 if is_tf_1 else 2
    estimator = model_cases.estimator_class(head, version)(**arguments)
    estimator.train(case.input_fn(head), steps=1)
    export_dir = estimator.export_saved_model(
      directories.new_dir(), case.serving_input_receiver_fn()
    )
    name = 'DNNRegressor' if head == 'regression' else 'DNNClassifier'
    name += 'WithLayerAnnotations' + ('' if is_tf_1 else 'V2')
    with self.assertRaisesRegex(
      ValueError,
      r"No layer annotations in .*signatures are \[.*'predict'.*\]\. Export "
      f'it from {name}: .* without training',
    ) as raised:
      tfda.IntegratedGradients(export_dir)
    lines = re.findall('^    (.*)$', str(raised.exception), re.MULTILINE)
    self.assertLen(lines, 3)
    # The names that the lines use.
    names = {
      'arguments': arguments,
      'export_dir_base': directories.new_dir(),
      'serving_input_receiver_fn': case.serving_input_receiver_fn(),
      'checkpoint_path': estimator.latest_checkpoint(),
    }
    exec('\n'.join(lines), names)
    (timestamp,) = os.listdir(names['export_dir_base'])
    with tfda.IntegratedGradients(
      os.path.join(names['export_dir_base'], timestamp)
    ) as ig:
      outputs = ig.attribute(case.serialized_examples()).outputs
    predictions = estimator.predict(case.input_fn(head))
    self.assertLen(outputs, model_cases.NUM_ROWS)
    for output, prediction in zip(outputs, predictions):
      expected = (
        prediction['predictions'][0]
        if head == 'regression'
        else np.abs(prediction['logits'][0])
      )
      self.assertAlmostEqual(output, expected, places=5)

  @parameterized.parameters(True, False)
  def test_written_by_a_newer_tensorflow(self, is_newer):
    """What this TensorFlow lacks is the cause if its number is higher."""
    export_dir = self._edited_copy('99.1.0' if is_newer else tf.__version__)
    if not is_newer:
      with self.assertRaisesRegex(Exception, 'OperationToCome') as raised:
        tfda.IntegratedGradients(export_dir)
      self.assertNotIn('written by', str(raised.exception))
      return
    self._check(
      export_dir,
      ValueError,
      rf'was written by TensorFlow 99\.1\.0, and {tf.__version__}, .* too old '
      r'to load it\. Read it with TensorFlow 99\.1 or newer.*OperationToCome',
    )

  def test_files_that_are_missing_are_not_laid_to_a_newer_tensorflow(self):
    export_dir = self._edited_copy('99.1.0', 'Identity')
    shutil.rmtree(os.path.join(export_dir, 'variables'))
    with self.assertRaisesRegex(Exception, 'variables') as raised:
      tfda.IntegratedGradients(export_dir)
    self.assertNotIn('written by', str(raised.exception))

  def _edited_copy(self, version, op='OperationToCome'):
    """Returns an export of another TensorFlow, with one operation changed."""

    def edit(meta_graph):
      meta_graph.meta_info_def.tensorflow_version = version
      nodes = [n for n in meta_graph.graph_def.node if n.op == 'Identity']
      nodes[0].op = op

    return saved_model_files.edited_copy(self.export_dir, edit)

  def test_path_objects_and_bytes_are_taken(self):
    copy = os.path.join(directories.new_dir(), 'copy')
    shutil.copytree(self.export_dir, copy)
    for export_dir in (copy.encode(), _PathLike(copy)):
      with tfda.IntegratedGradients(export_dir) as ig:
        self.assertLen(ig.attribute({'x': [[1, 2]]}).targets, 1)

  def test_use_after_close(self):
    ig = tfda.IntegratedGradients(self.export_dir)
    ig.attribute({'x': [[1, 2]]})
    ig.close()
    for examples in ([], network_export.examples(x=[[1, 2]]), {'x': [[1, 2]]}):
      with self.assertRaisesRegex(ValueError, r'is closed\. Load it again'):
        ig.attribute(examples)
    ig.close()  # Closing twice is allowed.

  def test_use_after_with(self):
    with tfda.IntegratedGradients(self.export_dir) as ig:
      pass
    with self.assertRaisesRegex(ValueError, r'is closed\. Load it again'):
      ig.attribute([])


class _PathLike(object):
  def __init__(self, path):
    self._path = path

  def __fspath__(self):
    return self._path


def _without(key):
  return {k: value for k, value in _RAW.items() if k != key}


class AttributeTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    network = numpy_network.whole_numbers(2, [6, 3, 1])
    cls.explainers = {
      receiver: tfda.IntegratedGradients(
        network_export.export(network, _columns(), receiver=receiver)
      )
      for receiver in ('examples', 'sparse')
    }

  @classmethod
  def tearDownClass(cls):
    for explainer in cls.explainers.values():
      explainer.close()
    super().tearDownClass()

  def _check(self, examples, error, regex, **arguments):
    for explainer in self.explainers.values():
      with self.assertRaisesRegex(error, regex):
        explainer.attribute(examples, **arguments)
      # And the next call is none the worse for it.
      self.assertLen(explainer.attribute(_EXAMPLES).targets, 3)

  @parameterized.parameters(
    (
      _without('size'),
      ValueError,
      r"features \['color', 'count', 'day', 'size'\].*Add \['size'\]",
    ),
    (
      dict(_RAW, length=[1, 2, 3]),
      ValueError,
      r"Not known to the model: \['length'\]\. Leave them out",
    ),
    (
      dict(_without('size'), sise=_RAW['size']),
      ValueError,
      r"Not known .*: \['sise'\]\. Did you mean 'size'\? Add \['size'\]",
    ),
    ({}, ValueError, r"Add \['color', 'count', 'day', 'size'\]"),
    (
      dict(_RAW, size=[1, 2, 3]),
      ValueError,
      r"'size' must have the shape \[n, 2\]; got \[3\]\. Reshape",
    ),
    (
      dict(_RAW, size=np.zeros((3, 3))),
      ValueError,
      r"'size' must have the shape \[n, 2\]; got \[3, 3\]\. Reshape",
    ),
    (
      dict(_RAW, count=np.zeros((3, 1, 1))),
      ValueError,
      r"'count' must have the shape \[n, 1\]; got \[3, 1, 1\]\. Reshape",
    ),
    (
      dict(_RAW, size=[[1, 2], [3], [4, 5]]),
      ValueError,
      r"'size' must be .*\[n, 2\].*Give every row the same number",
    ),
    (
      dict(_RAW, count=[1, None, 2]),
      ValueError,
      r"row 1: feature 'count' must be .*; got None\. It needs a value in each",
    ),
    (
      dict(_RAW, count=[[1], [2]]),
      ValueError,
      r"as many rows for each feature; got .*'count': 2.*Make the first",
    ),
    (
      dict(_RAW, count=['one', 'two', 'three']),
      TypeError,
      r"'count' must be float32; got 'one'\. Convert it to numbers",
    ),
    (
      dict(_RAW, count=['1', '2', '3']),
      TypeError,
      r"'count' must be float32; got '1'\. Convert it to numbers",
    ),
    (
      dict(_RAW, count=[1j, 2j, 3j]),
      TypeError,
      r"'count' must be float32; got 1j\. Convert it to numbers",
    ),
    (
      dict(_RAW, day=[0.5, 1, 2]),
      TypeError,
      r"'day' must be int64; got 0\.5\. Round it",
    ),
    (
      dict(_RAW, color=[[1], [2], [3]]),
      TypeError,
      r"'color' must be strings; got 1\. Convert it with str\(\)",
    ),
    (
      dict(_RAW, color=[[['red']], [['red']], [['blue']]]),
      (TypeError, ValueError),
      r"'color' must .*(Flatten each row|Convert it with str)",
    ),
  )
  def test_raw_features(self, examples, error, regex):
    self._check(examples, error, regex)

  @parameterized.parameters(
    ({}, r'row 1: the model computes .*Leave out or scale down'),
    ({'targets': 'all', 'output': 'probabilities'}, 'row 1: the model'),
    (
      {'baselines': {'size': np.float32([3e38, 3e38])}},
      '`baselines`: row 0: the model computes',
    ),
  )
  def test_too_large_for_float32(self, arguments, regex):
    size = np.float32([[1, 2], [3e38, 3e38], [0, 0]])
    if 'baselines' in arguments:
      size = _RAW['size']
    self._check(dict(_RAW, size=size), ValueError, regex, **arguments)

  @parameterized.product(value=[np.nan, np.inf, -np.inf], row=[0, 2])
  def test_nan_and_infinity(self, value, row):
    size = _RAW['size'].copy()
    size[row, 1] = value
    examples = dict(_RAW, size=size)
    regex = f"row {row}: feature 'size' must be finite; got {value}. Give a num"
    for max_rows in (None, 1, 2):
      self._check(examples, ValueError, regex, max_rows=max_rows)
      self._check(
        network_export.examples(**examples),
        ValueError,
        regex,
        max_rows=max_rows,
      )

  def test_the_first_bad_row_is_named(self):
    count = np.float32([[1], [np.nan], [np.inf]])
    self._check(
      dict(_RAW, count=count), ValueError, r"row 1: feature 'count'.*got nan"
    )

  @parameterized.product(
    bad=[
      b'',  # An example without features.
      b'not an example',
      b'\xff\xfe\xfd',  # No UTF-8 either.
      _EXAMPLES[0][:-3],  # Cut short.
      network_export.examples(**dict(_RAW, count=[[b'3']] * 3))[0],
      network_export.examples(**dict(_RAW, size=[[1.0]] * 3))[0],
    ],
    row=[0, 1, 4],
    max_rows=[None, 1, 2],
  )
  def test_malformed_example_names_its_index(self, bad, row, max_rows):
    examples = _EXAMPLES + _EXAMPLES[:1]
    examples.insert(row, bad)
    self._check(
      examples,
      ValueError,
      rf'^row {row}: (?!.*(Name: |Index: )).*Check the example against the fe',
      max_rows=max_rows,
    )

  @parameterized.parameters(
    ('count', [], r'^row 1: Feature: count \(data type: float\) is required'),
    (
      'count',
      [b'3'],
      r"^row 1: Key: count: Data types don't match\. Data type",
    ),
    ('size', [1.0], r'^row 1: Key: size: Number of float values != expected'),
  )
  def test_what_is_wrong_with_an_example(self, key, values, regex):
    bad = network_export.examples(**dict(_RAW, **{key: [values] * 3}))[:1]
    with self.assertRaisesRegex(ValueError, regex):
      self.explainers['examples'].attribute(_EXAMPLES[:1] + bad + _EXAMPLES)

  def test_several_malformed_examples(self):
    self._check(_EXAMPLES + [b'a', b'b'] + _EXAMPLES, ValueError, r'^row 3: ')

  def test_batches_that_are_examples(self):
    for explainer in self.explainers.values():
      with self.assertRaisesRegex(TypeError, 'Of batches, each is such a list'):
        explainer.baselines_of(_EXAMPLES)
      with self.assertRaisesRegex(TypeError, 'Of batches, each is such a list'):
        list(explainer.attribute_batches(_EXAMPLES))

  @parameterized.parameters(
    (b'example', r"must be a list; got b'example'\. Give a list of serialized"),
    ('example', r"must be a list; got 'example'\. Give a list of serialized"),
    (None, r'must be a list; got None\. Give a list of serialized'),
    (7, r'must be a list; got 7\. Give a list of serialized'),
    (['example'], r'must hold bytes; got str at row 0\. Give a list'),
    (
      _EXAMPLES + [tf.train.Example()],
      r'must hold bytes; got Example at row 3\. Give a list of serialized',
    ),
  )
  def test_no_list_of_examples(self, examples, regex):
    self._check(examples, TypeError, '`examples` ' + regex)

  @parameterized.parameters(
    ({'output': 'logit'}, ValueError, r"`output` must be one of \['logits', "),
    ({'output': None}, ValueError, r'`output` must be .*got None\. Logits are'),
    ({'method': 'simpson'}, ValueError, r"`method` must be .*got 'simpson'"),
    (
      {'method': 'midpoint', 'num_steps': 0},
      ValueError,
      r'`num_steps` must be at least 1 .*got 0\. Give more',
    ),
    (
      {'method': 'trapezoid', 'num_steps': 1},
      ValueError,
      r'`num_steps` must be at least 2 .*got 1\. Give more',
    ),
    (
      {'method': 'left', 'num_steps': 2.5},
      TypeError,
      r'`num_steps` must be an integer; got 2\.5\. Give the number',
    ),
    (
      {'max_rows': 0},
      ValueError,
      r'`max_rows` must be.*got 0\. Leave it',
    ),
    ({'max_rows': -5}, ValueError, r'`max_rows` .*got -5\. Leave it out'),
    ({'max_rows': 1.5}, ValueError, r'`max_rows` .*got 1\.5\. Leave it out'),
    ({'max_rows': True}, ValueError, r'`max_rows` .*got True\. Leave it out'),
    # The model's network is one whose exact sum takes neither.
    ({'num_steps': 0}, ValueError, '`num_steps` .*got 0. Leave it out'),
    ({'num_steps': 'x'}, ValueError, "`num_steps` .*got 'x'. Leave it out"),
    (
      {'method': 'exact', 'tolerance': -1},
      ValueError,
      '`tolerance` .*got -1. Leave it out',
    ),
    ({'tolerance': None}, ValueError, '`tolerance` .*got None. Leave it out'),
    ({'targets': 2}, ValueError, r'`targets` .*1 is the positive class'),
    ({'targets': 'yes'}, ValueError, r"`targets` .*labels \['0', '1'\].*spell"),
  )
  def test_other_arguments(self, arguments, error, regex):
    self._check(_EXAMPLES, error, regex, **arguments)
    # Before the model is run: with no examples, too.
    self._check([], error, regex, **arguments)


class RegressorTest(absltest.TestCase):
  def test_a_regressor_has_no_probabilities(self):
    network = numpy_network.whole_numbers(1, [2, 3, 1], is_classifier=False)
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      with self.assertRaisesRegex(
        ValueError, r"`output` must be 'logits' for a regressor.*Leave it out"
      ):
        ig.attribute({'x': [[1, 2]]}, output='probabilities')


if __name__ == '__main__':
  absltest.main()
