"""The errors and warnings that users catch are the classes that they import."""

import copy
import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda


def _network(activation):
  # The logit of x = 1 is 0, as of x = 0; in between it is not.
  layers = [([[1.0, 1.0]], [0.0, -0.5]), ([[1.0], [-2.0]], [0.0])]
  return numpy_network.Network(layers, activation=activation)


class RaisedClassesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.relu = network_export.export(_network('relu'), receiver='raw')
    cls.tanh = network_export.export(_network('tanh'), receiver='raw')

  def _warning(self, export_dir, category, **arguments):
    """Returns the one warning of a category that attributions give."""
    with warnings.catch_warnings(record=True) as caught:
      warnings.simplefilter('always')
      with tfda.IntegratedGradients(export_dir) as ig:
        result = ig.attribute(targets=1, **arguments)
    self.assertIs(type(result), tfda.Attributions)
    (warning,) = [w for w in caught if issubclass(w.category, category)]
    self.assertIs(warning.category, category)
    return warning.message

  def test_near_baseline(self):
    x = {'x': np.float32([[2], [1]])}
    self.assertEqual(
      self._warning(self.relu, tfda.NearBaseline, examples=x).rows, [1]
    )

  def test_not_converged(self):
    x = {'x': np.float32([[2], [30]])}
    warning = self._warning(
      self.tanh, tfda.NotConverged, examples=x, num_steps=15, tolerance=1e-5
    )
    self.assertIn(1, warning.rows)

  @parameterized.parameters(
    ({'examples': {'x': [[1], [np.nan]]}}, 'examples', r'^row 1: feature .x. '),
    (
      {'examples': {'x': [[1]]}, 'baselines': [{'x': [1]}, {'x': [np.inf]}]},
      'baselines',
      r'^`baselines`: row 1: feature .x. ',
    ),
    (
      {
        'examples': {'x': [[1], [2]]},
        'baselines': tfda.ColumnValues(x=[[1], [1e39]]),
      },
      'baselines',
      r'^`baselines`: row 1: the model computes a NaN or an infinity',
    ),
  )
  def test_row_error(self, arguments, of, message):
    with tfda.IntegratedGradients(self.relu) as ig:
      with self.assertRaisesRegex(tfda.RowError, message) as caught:
        ig.attribute(targets=1, **arguments)
    error = caught.exception
    self.assertIs(type(error), tfda.RowError)
    self.assertEqual((error.row, error.of), (1, of))
    self.assertEndsWith(str(error), f'row 1: {error.reason}')
    # As where it crosses from one process to another.
    again = copy.copy(error)
    self.assertEqual(
      (type(again), again.args, vars(again)),
      (type(error), error.args, vars(error)),
    )

  def test_values_of_another_type_are_type_errors_too(self):
    for arguments in (
      {'examples': {'x': [['a']]}},
      {'examples': {'x': [[1]]}, 'baselines': [{'x': ['a']}]},
    ):
      with tfda.IntegratedGradients(self.relu) as ig:
        with self.assertRaises(TypeError) as caught:
          ig.attribute(targets=1, **arguments)
      self.assertIsInstance(caught.exception, tfda.RowError)

  def test_bad_baselines_are_not_skipped_examples(self):
    x = {'x': [[1], [np.nan], [2]]}
    with tfda.IntegratedGradients(self.relu) as ig:
      results = ig.attribute_batches(
        [x], on_error='skip', targets=1, baselines=[{'x': [np.nan]}]
      )
      with self.assertRaisesRegex(tfda.RowError, '^`baselines`: row 0: '):
        next(results)


if __name__ == '__main__':
  absltest.main()
