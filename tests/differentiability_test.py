"""Attributions are of what a model computes, not of what trains it.

Training stops gradients on purpose, and has none for steps. The reader
differentiates what is computed, and refuses what has no derivative.
"""

import argparse
import contextlib
import io
import warnings

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.cli import inspect_command

_X = np.float32(np.random.RandomState(3).randn(5, 4))


def _prevented(x):
  return tf.raw_ops.PreventGradient(input=x)


class StopGradientTest(parameterized.TestCase):
  @parameterized.product(
    stop_fn=[tf.stop_gradient, _prevented],
    activation=['relu', 'tanh'],
    method=['auto', 'midpoint'],
  )
  def test_the_identity_is_differentiated(self, stop_fn, activation, method):
    network = numpy_network.random(2, [4, 5, 3], activation=activation)
    act_fn = {'relu': tf.nn.relu, 'tanh': tf.nn.tanh}[activation]
    export_dir = network_export.export(
      network, activation_fn=lambda x: stop_fn(act_fn(x))
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertLen(ig.model.stopped, 1)
      with self.assertWarnsRegex(
        RuntimeWarning, r'stops gradients at .*StopG|stops gradients at .*Prev'
      ):
        result = ig.attribute(
          {'x': _X}, targets='all', method=method, num_steps=513
        )
    nodes = (np.arange(513)[:, np.newaxis] + 0.5) / 513
    for row, x in enumerate(np.float64(_X)):
      bound, _ = network.rounding(x, 0 * x)
      if activation == 'relu' and method == 'auto':  # The exact sum.
        expected = network.attributions(x, 0 * x)
      else:
        expected = network.gradients(nodes * x).mean(axis=0) * x
      if (activation, method) == ('tanh', 'auto'):
        bound = 2e-3 * np.abs(expected).sum()  # Its tolerance, twice.
      np.testing.assert_array_less(
        np.abs(result.values['x'][row] - expected), bound + 1e-12
      )

  @parameterized.parameters('midpoint', 'auto')
  def test_within_a_function(self, method):
    """Right numbers or an error, and never zeros."""

    @tf.function
    def activation_fn(x):
      return tf.stop_gradient(tf.nn.relu(x))

    network = numpy_network.random(2, [4, 5, 3])
    export_dir = network_export.export(network, activation_fn=activation_fn)
    with tfda.IntegratedGradients(export_dir) as ig:
      try:
        result = ig.attribute(
          {'x': _X}, targets='all', method=method, num_steps=1025
        )
      except ValueError as error:
        self.assertRegex(
          str(error), r'function called by .* stops them .*Export the model wi'
        )
        return
    for row, x in enumerate(np.float64(_X)):
      expected = network.attributions(x, 0 * x)
      # Of so many nodes at kinks.
      np.testing.assert_allclose(
        result.values['x'][row], expected, atol=5e-3 * np.abs(expected).sum()
      )

  def test_none_is_reported_where_none_is(self):
    network = numpy_network.random(2, [4, 5, 3])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      self.assertEqual(ig.model.stopped, [])
      with warnings.catch_warnings():
        warnings.simplefilter('error')
        ig.attribute({'x': _X}, targets='all')

  def test_inspect(self):
    export_dir = network_export.export(
      numpy_network.random(2, [4, 5, 3]),
      activation_fn=lambda x: tf.stop_gradient(tf.nn.relu(x)),
    )
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
      inspect_command.run(
        argparse.Namespace(export_dir=export_dir, trust_model=False, json=False)
      )
    self.assertRegex(
      out.getvalue(), r'\nstops gradients at +dnn/.*StopGradient'
    )


class StepsTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ('round', tf.round, r"those of 'dnn/.*Round' \(Round\)"),
    ('rint', tf.math.rint, r"'dnn/.*' \(Rint\)"),
    ('floor', tf.floor, r"'dnn/.*Floor' \(Floor\)"),
    ('ceil', tf.math.ceil, r"'dnn/.*Ceil' \(Ceil\)"),
    ('sign', tf.sign, r"'dnn/.*Sign' \(Sign\)"),
    (
      'integers',
      lambda x: tf.cast(tf.cast(x, tf.int32), tf.float32),
      r"'dnn/.*Cast' \(Cast\)",
    ),
    (
      'comparison',
      lambda x: tf.where(x > 0, tf.ones_like(x), tf.zeros_like(x)),
      r"'dnn/.*Greater' \(Greater\)",
    ),
  )
  def test_is_refused(self, activation_fn, regex):
    export_dir = network_export.export(
      numpy_network.random(2, [4, 5, 3]), activation_fn=activation_fn
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      for method in ('auto', 'midpoint'):
        for targets in ('predicted', 'all'):
          with self.assertRaisesRegex(
            ValueError,
            'depends on its first layer only by steps, whose derivative is '
            f'zero or not known, .*{regex}.* with an `activation_fn` that has',
          ):
            ig.attribute({'x': _X}, method=method, targets=targets)

  @parameterized.named_parameters(
    # The condition of a choice, and a step beside what has a derivative.
    ('condition', lambda x: tf.where(x > 0, x, tf.zeros_like(x)), 'relu'),
    ('product', lambda x: x * (tf.sign(x) + 1) / 2, 'relu'),
    ('shape', lambda x: tf.reshape(tf.nn.relu(x), tf.shape(x)), 'relu'),
  )
  def test_is_not_all_that_there_is(self, activation_fn, activation):
    network = numpy_network.random(2, [4, 5, 3], activation=activation)
    export_dir = network_export.export(network, activation_fn=activation_fn)
    with tfda.IntegratedGradients(export_dir) as ig:
      result = ig.attribute(
        {'x': _X}, targets='all', method='midpoint', num_steps=33
      )
    nodes = (np.arange(33)[:, np.newaxis] + 0.5) / 33
    for row, x in enumerate(np.float64(_X)):
      bound, _ = network.rounding(x, 0 * x)
      np.testing.assert_array_less(
        np.abs(
          result.values['x'][row]
          - network.gradients(nodes * x).mean(axis=0) * x
        ),
        bound + 1e-12,
      )


if __name__ == '__main__':
  absltest.main()
