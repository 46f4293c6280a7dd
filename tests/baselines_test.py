"""Every form of a baseline means what it says.

The networks are linear, so that IG_i = (x_i - x'_i) * dF/dx_i, and of small
whole numbers, so that float32 has room for all of it: equal means equal bits.
"""

import collections
import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_NETWORK = numpy_network.whole_numbers(3, [5, 4, 3], activation='identity')
_SLOPES = (_NETWORK.layers[0][0] @ _NETWORK.layers[1][0]).T  # [3, 5].

# Columns in the model's order: 'color_indicator' of blue, green, red, 'size'.
_COLORS = ['blue', 'green', 'red']
_RAW = {
  'color': [[b'red'], [b'green', b'blue'], [], [b'blue']],
  'size': np.float32([[1, 2], [-0.5, 0], [3, 1.25], [0, -2]]),
}
_X = np.float64(
  [
    [0, 0, 1, 1, 2],
    [1, 1, 0, -0.5, 0],
    [0, 0, 0, 3, 1.25],
    [1, 0, 0, 0, -2],
  ]
)
# Four raw baselines, and their processed values.
_RAW_BASELINES = {
  'color': [[b'green'], [], [b'red', b'blue'], [b'blue']],
  'size': np.float32([[2, 0.5], [0, 0], [-1, 1], [4, 4]]),
}
_BASELINES = np.float64(
  [
    [0, 1, 0, 2, 0.5],
    [0, 0, 0, 0, 0],
    [1, 0, 1, -1, 1],
    [1, 0, 0, 4, 4],
  ]
)


def _columns():
  color = tf.feature_column.categorical_column_with_vocabulary_list(
    'color', _COLORS
  )
  return [
    tf.feature_column.numeric_column('size', shape=(2,)),
    tf.feature_column.indicator_column(color),
  ]


def _rows(raw, rows):
  """Returns some rows of raw features."""
  return {
    'color': [raw['color'][row] for row in rows],
    'size': raw['size'][list(rows)],
  }


def _serialized(raw):
  return network_export.examples(**raw)


_FORMS = {
  'dict': lambda raw: raw,
  'examples': _serialized,
}


class BaselinesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.ig = tfda.IntegratedGradients(
      network_export.export(_NETWORK, _columns())
    )

  @classmethod
  def tearDownClass(cls):
    cls.ig.close()
    super().tearDownClass()

  def _check(self, baselines, processed, examples=_RAW):
    """Compares with the closed form.

    Args:
      baselines: what is given.
      processed: [k, 1 or n, 5]: the processed values that it means.
      examples: `_RAW` in either form.
    """
    result = self.ig.attribute(
      examples,
      baselines=baselines,
      targets='all',
      method='midpoint',
      num_steps=2,
    )
    self.assertEqual(result.columns, ['color_indicator', 'size'])
    values = np.concatenate(
      [result.values[name] for name in result.columns], axis=-1
    )
    differences = (_X - np.float64(processed)).mean(axis=0)
    np.testing.assert_array_equal(values, differences[:, np.newaxis] * _SLOPES)
    outputs = [
      _NETWORK.outputs(np.broadcast_to(baseline, _X.shape))
      for baseline in processed
    ]
    np.testing.assert_array_equal(
      result.baseline_outputs, np.mean(outputs, axis=0)
    )
    np.testing.assert_array_equal(result.outputs, _NETWORK.outputs(_X))
    np.testing.assert_array_equal(result.gap, np.zeros((4, 3)))

  @parameterized.parameters(*_FORMS)
  def test_zeros(self, form):
    examples = _FORMS[form](_RAW)
    for baselines in (None, {}):
      self._check(baselines, np.zeros((1, 1, 5)), examples)

  @parameterized.product(
    form=list(_FORMS), baseline_form=list(_FORMS), row=[0, 1, 2, 3]
  )
  def test_one_raw_example(self, form, baseline_form, row):
    self._check(
      _FORMS[baseline_form](_rows(_RAW_BASELINES, [row])),
      _BASELINES[[row], np.newaxis],
      _FORMS[form](_RAW),
    )

  def test_one_example_without_a_list(self):
    one = _serialized(_rows(_RAW_BASELINES, [2]))[0]
    self._check(one, _BASELINES[[2], np.newaxis])

  @parameterized.product(
    form=list(_FORMS),
    baseline_form=list(_FORMS),
    rows=[[0, 1], [3, 2, 1, 0], [1, 1]],
  )
  def test_mean_over_several(self, form, baseline_form, rows):
    # Two or four: as many rows as examples are not taken for pairs.
    self._check(
      _FORMS[baseline_form](_rows(_RAW_BASELINES, rows)),
      _BASELINES[rows, np.newaxis],
      _FORMS[form](_RAW),
    )

  @parameterized.product(
    form=list(_FORMS),
    value=[
      np.float32([2, 3]),
      np.float64([[2, 3]]),
      [2, 3],
      np.float32([[2, 3], [1, 0], [0.5, 0.25], [-1, 8]]),
      np.int32([[2, 3], [1, 0], [5, 2], [-1, 8]]),
    ],
  )
  def test_per_column(self, form, value):
    # The column that is left out is compared with zeros.
    processed = np.zeros((1, 4, 5))
    processed[..., 3:] = value
    self._check({'size': value}, processed, _FORMS[form](_RAW))

  def test_every_column(self):
    processed = np.float64([[[0.5, 0.25, 0.25, 1, 2]]])
    baselines = {'size': [1, 2], 'color_indicator': [0.5, 0.25, 0.25]}
    self._check(baselines, processed)

  def test_rows_of_one_column_and_one_value_of_another(self):
    size = np.float32([[2, 3], [1, 0], [0.5, 0.25], [-1, 8]])
    processed = np.zeros((1, 4, 5))
    processed[..., :3] = [0.5, 0.25, 0.25]
    processed[..., 3:] = size
    baselines = {'size': size, 'color_indicator': [0.5, 0.25, 0.25]}
    self._check(baselines, processed)

  @parameterized.parameters(
    ({'length': [1, 2]}, ValueError, r"column names, \['color_indic.*'length'"),
    ({'color': [[b'red']]}, ValueError, r"or have all features.*'color'\]"),
    ({'size': [1, 2, 3]}, ValueError, r"shape \[2\] or \[4, 2\] .*'size'"),
    ({'size': np.ones((3, 2))}, ValueError, r'\[4, 2\].*got \[3, 2\]'),
    ({'size': ['a', 'b']}, TypeError, r"numbers.*'size'; got .*raw example"),
    ({'size': [1, np.nan]}, ValueError, r"finite.*'size'.*Give a number"),
    ([], ValueError, r'`baselines` must hold at least one.*Leave it out'),
    ([b'\xff\xff'], ValueError, r'`baselines`: row 0: .*Check the example'),
    (_rows(_RAW_BASELINES, []), ValueError, r'`baselines` must hold at least'),
    (
      dict(_RAW_BASELINES, size=[[1, 2], [3, np.inf], [0, 0], [0, 0]]),
      ValueError,
      r"`baselines`: row 1: feature 'size' must be finite; got inf",
    ),
    (
      dict(_RAW_BASELINES, size=[1, 2, 3, 4]),
      ValueError,
      r"`baselines`.*'size' must have the shape \[n, 2\]; got \[4\]",
    ),
    (
      dict(_RAW_BASELINES, size=[['a', 'b']] * 4),
      TypeError,
      r"`baselines`.*'size' must be float32; got 'a'",
    ),
    (3, TypeError, r'`baselines`.*raw examples must be a list; got 3'),
    (['red'], TypeError, r'`baselines`.*must hold bytes; got str'),
  )
  def test_errors(self, baselines, error, regex):
    with self.assertRaisesRegex(error, regex):
      self.ig.attribute(_RAW, baselines=baselines)


class SameNamesTest(parameterized.TestCase):
  """A model whose columns are called as its features are."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # size = 2 (x - 1): what is raw and what is processed differ.
    columns = [
      tf.feature_column.numeric_column(
        'size', shape=(2,), normalizer_fn=lambda x: 2 * (x - 1)
      )
    ]
    cls.network = numpy_network.whole_numbers(
      3, [2, 4, 1], activation='identity', is_classifier=False
    )
    cls.ig = tfda.IntegratedGradients(
      network_export.export(cls.network, columns)
    )

  @classmethod
  def tearDownClass(cls):
    cls.ig.close()
    super().tearDownClass()

  def _attribute(self, form, baselines):
    raw = {'size': np.float32([[3, -1], [0.5, 2]])}
    values = self.ig.attribute(
      _FORMS[form](raw), baselines=baselines, method='midpoint', num_steps=1
    ).values['size']
    slopes = (self.network.layers[0][0] @ self.network.layers[1][0])[:, 0]
    self.assertTrue(slopes.all())
    # x - x', from (x - x') * slope.
    return values / slopes

  # The rows are [[4, -4], [-1, 2]] processed; [3, 2] raw is [4, 2].

  def test_a_dict_beside_a_dict_is_raw(self):
    np.testing.assert_array_equal(
      self._attribute('dict', {'size': [[3, 2]]}), [[0, -6], [-5, 0]]
    )

  @parameterized.parameters(
    {'size': [[3, 2]]}, {'size': [3, 2]}, {'size': [[3, 2], [0, 0]]}
  )
  def test_a_dict_beside_examples_is_refused(self, **baselines):
    with self.assertRaisesRegex(
      ValueError,
      r"`baselines`.*got \['size'\]\..*ColumnValues\(.*\[baselines\]",
    ):
      self._attribute('examples', baselines)

  @parameterized.parameters(*_FORMS)
  def test_a_list_of_dicts_is_raw(self, form):
    np.testing.assert_array_equal(
      self._attribute(form, [{'size': [3, 2]}]), [[0, -6], [-5, 0]]
    )

  def test_a_frame_and_its_mean_are_raw(self):
    baselines = pd.DataFrame({'size': [[3, 2]]})
    for form in _FORMS:
      np.testing.assert_array_equal(
        self._attribute(form, baselines), [[0, -6], [-5, 0]]
      )

  @parameterized.parameters(*_FORMS)
  def test_column_values_are_processed(self, form):
    baselines = tfda.ColumnValues(size=[[3, 2]])
    with warnings.catch_warnings():
      warnings.simplefilter('error')
      values = self._attribute(form, baselines)
    np.testing.assert_array_equal(values, [[1, -6], [-4, 0]])

  @parameterized.product(form=list(_FORMS), strategy=('mean', 'median'))
  def test_baselines_of_data_are_processed(self, form, strategy):
    # Raw the two rows are [3, 1] and [2, 4]: processed [4, 0] and [2, 6], on
    # average, and by the median, [3, 3].
    batch = _FORMS[form]({'size': np.float32([[3, 1], [2, 4]])})
    baselines = self.ig.baselines_of([batch], strategy)
    np.testing.assert_array_equal(
      self._attribute(form, baselines), [[1, -7], [-4, -1]]
    )

  @parameterized.product(form=list(_FORMS), batch_form=list(_FORMS))
  def test_a_sample_of_data_is_raw(self, form, batch_form):
    batch = _FORMS[batch_form]({'size': np.float32([[3, 2]])})
    baselines = self.ig.baselines_of([batch], 'sample', num_rows=1)
    np.testing.assert_array_equal(
      self._attribute(form, baselines), [[0, -6], [-5, 0]]
    )

  def test_one_example_without_its_axis(self):
    np.testing.assert_array_equal(
      self._attribute('dict', {'size': [3, 2]}), [[0, -6], [-5, 0]]
    )


class MeansTest(parameterized.TestCase):
  """Means of raw features are not taken for processed values."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    fc = tf.feature_column
    color = fc.categorical_column_with_vocabulary_list('color', _COLORS)
    cls.ig = tfda.IntegratedGradients(
      network_export.export(
        numpy_network.whole_numbers(3, [5, 3]),
        [
          fc.numeric_column('mass', normalizer_fn=lambda x: (x - 4000) / 800),
          fc.numeric_column('year'),
          fc.indicator_column(color),
        ],
      )
    )
    cls.raw = {
      'color': _RAW['color'],
      'mass': np.float32([3200, 4000, 4800, 5600]),
      'year': np.float32([1, 2, 3, 4]),
    }

  @classmethod
  def tearDownClass(cls):
    cls.ig.close()
    super().tearDownClass()

  @parameterized.product(
    is_raw=[True, False],
    baselines=[
      {'mass': 4400.0},
      {'mass': 4400.0, 'year': 2.5},
      {'mass': 4400.0, 'color_indicator': [0, 1, 0]},
      pd.Series({'mass': 4400.0, 'year': 2.5}),
      collections.ChainMap({'mass': 4400.0}),
    ],
  )
  def test_refused(self, is_raw, baselines):
    with self.assertRaisesRegex(
      ValueError,
      r"`baselines` must say .*got \['mass'\]\. .*ColumnValues\(baselines\), .*"
      r"\[baselines\], .*\['color', 'mass', 'year'\].*baselines_of\(batches\)",
    ):
      self.ig.attribute(
        self.raw if is_raw else _serialized(self.raw), baselines=baselines
      )

  @parameterized.product(
    is_raw=[True, False],
    baselines=[
      # None of them can be raw, or the raw values are the same.
      {'color_indicator': [0, 1, 0]},
      {'year': 2.5, 'color_indicator': [0, 1, 0]},
      {'year': 2.5},
      tfda.ColumnValues(mass=0.5),
      # All features, which are not all columns.
      {'mass': 4400.0, 'year': 2.5, 'color': []},
      {'mass': [4400.0], 'year': [2.5], 'color': []},
      {'mass': 4400.0, 'year': 2.5, 'color': ['red', 'blue']},
      pd.Series({'mass': 4400.0, 'year': 2.5, 'color': None}),
    ],
  )
  def test_taken(self, is_raw, baselines):
    result = self.ig.attribute(
      self.raw if is_raw else _serialized(self.raw),
      baselines=baselines,
      targets='all',
    )
    keys = set(baselines.keys())
    expected = np.zeros(5)  # color, mass, year.
    if 'color_indicator' in keys:
      expected[:3] = 0, 1, 0
    if 'color' in keys and np.size(baselines['color']) == 2:
      expected[:3] = 1, 0, 1
    if 'mass' in keys:
      expected[3] = 0.5
    if 'year' in keys:
      expected[4] = 2.5
    network = numpy_network.whole_numbers(3, [5, 3])
    np.testing.assert_array_equal(
      result.baseline_outputs,
      np.repeat(network.outputs(expected[np.newaxis]), 4, axis=0),
    )

  @parameterized.product(
    is_raw=[True, False], strategy=['mean', 'median', 'sample']
  )
  def test_by_name(self, is_raw, strategy):
    examples = self.raw if is_raw else _serialized(self.raw)
    expected = self.ig.attribute(
      examples, baselines=self.ig.baselines_of([examples], strategy)
    )
    got = self.ig.attribute(examples, baselines=strategy)
    (of_batch,) = self.ig.attribute_batches([examples], baselines=strategy)
    for result in (got, of_batch):
      for column in result.columns:
        np.testing.assert_array_equal(
          result.values[column], expected.values[column]
        )
    # The numbers themselves: mean and median are 0.5 and 2.5.
    if strategy != 'sample':
      outputs = numpy_network.whole_numbers(3, [5, 3]).outputs(
        np.float64([[0.5, 0.25, 0.25, 0.5, 2.5]])
      )
      np.testing.assert_array_equal(
        got.baseline_outputs, outputs[0, got.targets]
      )

  def test_by_name_over_several_batches(self):
    examples = _serialized(self.raw)
    batches = [examples[:1], examples[1:]]
    expected = self.ig.attribute(examples, baselines='mean').values['mass']
    results = list(self.ig.attribute_batches(batches, baselines='mean'))
    np.testing.assert_array_equal(
      np.concatenate([result.values['mass'] for result in results]), expected
    )
    with self.assertRaisesRegex(
      ValueError,
      r"'mean' needs a pass over `batches` .*got a list_iterator.*baselines="
      r"ig\.baselines_of\(batches, 'mean'\)",
    ):
      list(self.ig.attribute_batches(iter(batches), baselines='mean'))

  def test_by_name_of_no_examples(self):
    with self.assertRaisesRegex(ValueError, '`examples` must hold at least on'):
      self.ig.attribute([], baselines='mean')


if __name__ == '__main__':
  absltest.main()
