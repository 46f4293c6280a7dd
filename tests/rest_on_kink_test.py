"""A unit that rests on a kink has TensorFlow's gradient there, everywhere."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
from tests.support import rational_network
import tf_dnn_annotations as tfda
from tf_dnn_annotations.integrals import linear_regions
from tf_dnn_annotations.integrals import path_sweep
from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.integrals import region_sums

_ACTIVATIONS = {
  'relu': piecewise_linear.RELU,
  'relu6': piecewise_linear.RELU6,
  'leaky_relu': piecewise_linear.leaky_relu(0.25),
}
_VECTOR_BYTES = (16, 32, 64)


def _network(activation, *layers):
  """Returns a network of (kernel, bias); one logit is the last layer's sum."""
  layers += ((np.ones((np.shape(layers[-1][0])[1], 1)), [0]),)
  kernels, biases = zip(*layers)
  return piecewise_linear.Network(
    (_ACTIVATIONS[activation],) * len(layers),
    tuple(np.array(kernel, float) for kernel in kernels),
    tuple(np.array(bias, float) for bias in biases),
  )


class _Case(parameterized.TestCase):
  def check(self, network, start, end, expected, output='logits'):
    """Compares all implementations with the integral of one row's logit."""
    start, end = np.array([start], float), np.array([end], float)
    classes = np.array([[-1.0], [1.0]])
    if network.kernels[-1].shape[1] > 1:
      classes = np.eye(network.kernels[-1].shape[1])
    targets = np.array([1])
    found = {}
    for name, arguments in (('one', targets), ('all', None)):
      summed = region_sums.Summed(network, output, classes)
      integrals = summed.integrate(start, end, arguments).gradients
      found[f'numpy, {name}'] = integrals[0, 0 if name == 'one' else 1]
      if not path_sweep.is_built():
        continue
      for num_bytes in _VECTOR_BYTES:
        if num_bytes > path_sweep.vector_bytes():
          continue
        with mock.patch.object(
          path_sweep, 'vector_bytes', return_value=num_bytes
        ):
          swept = linear_regions.Swept(network, output, classes)
        integrals = swept.integrate(start, end, arguments).gradients
        found[f'C {num_bytes}, {name}'] = integrals[
          0, 0 if name == 'one' else 1
        ]
    # Roundings of small numbers, and kinks shifted by some hundred; the nodes
    # for probabilities are good to about 1e-9.
    atol = 1e-11 if output == 'logits' else 1e-8
    for name, actual in found.items():
      np.testing.assert_allclose(
        actual, expected, rtol=0, atol=atol, err_msg=name
      )


class ClosedFormTest(_Case):
  @parameterized.parameters(
    ('relu', 0, 0), ('relu6', 0, 0), ('relu6', 6, 0), ('leaky_relu', 0, 0.25)
  )
  def test_first_layer(self, activation, kink, slope):
    # Alone, and below another layer that hands it on; the other unit moves.
    network = piecewise_linear.Network(
      (_ACTIVATIONS[activation],), (np.ones((2, 1)),), (np.zeros(1),)
    )
    self.check(network, [kink, 1], [kink, 3], [slope, 1])
    network = _network(activation, (np.eye(2) / 2, [1, 1]))
    self.check(network, [kink, 1], [kink, 3], [slope / 2, 1 / 2])

  @parameterized.parameters('logits', 'probabilities')
  def test_second_layer_rests_where_all_below_is_off(self, output):
    # relu(relu(a) + 1 - 1), with the 1 a unit that does not move: it counts
    # only as long as the other is on.
    network = _network('relu', ([[1], [1]], [-1]))
    share, mean = 0.5, 0.5
    if output == 'probabilities':
      # The mean of the sigmoid's slope between 0 and 1.
      mean = share * (1 / (1 + np.exp(-1.0)) - 0.5)
    self.check(network, [1, 1], [-1, 1], [mean, mean], output)

  @parameterized.parameters(1, 2, 3)
  def test_units_that_cancel(self, num_layers):
    # relu(relu(a) + 0.3 b - 0.3 c) with b = c; then handed on.
    layers = [([[1], [0.3], [-0.3]], [0])] + (num_layers - 1) * [([[1]], [0])]
    network = _network('relu', *layers)
    self.check(network, [-1, 0.1, 0.1], [3, 0.7, 0.7], [0.75, 0.225, -0.225])
    self.check(network, [-1, 0.1, 0.1], [-3, 0.7, 0.7], [0, 0, 0])

  @parameterized.parameters(1, 2)
  def test_relu6_rests_on_six(self, num_layers):
    # relu6(relu6(a) + 5) with a from 2 over 1 to 0, and one that rests on 6.
    layers = [([[1], [1]], [4])] + (num_layers - 1) * [([[1]], [0])]
    network = _network('relu6', *layers)
    # It is above 6 until a = 1, and never on it.
    self.check(network, [2, 1], [0, 1], [0.5, 0.5])
    # The sum is 6 all along: b - c + 6 - 0.
    network = _network('relu6', ([[1], [-1]], [6]), *layers[1:])
    self.check(network, [1, 1], [3, 3], [0, 0])

  def test_touches_without_rest(self):
    # Two units that turn at the same place: zero there, but for no stretch.
    network = _network('relu', ([[1], [1]], [0]))
    self.check(network, [1, -1], [-1, 1], [0.5, 0.5])


class RationalTest(_Case):
  """Small whole weights: ties, dead and duplicated units, rests everywhere."""

  @parameterized.product(
    seed=list(range(12)),
    activation=sorted(_ACTIVATIONS),
    output=['logits', 'probabilities'],
  )
  def test_equals_rational_numbers(self, seed, activation, output):
    random = np.random.RandomState(seed)
    for _ in range(3):
      num_layers = random.randint(1, 4)
      units = list(random.randint(1, 5, num_layers)) + [random.randint(1, 4)]
      units[-1] = 1 if units[-1] == 1 else 3
      network = piecewise_linear.Network(
        (_ACTIVATIONS[activation],) * num_layers,
        tuple(
          random.randint(-2, 3, shape).astype(float)
          for shape in zip(units, units[1:])
        ),
        tuple(random.choice([0, 0, 1, -1, 6], n) * 1.0 for n in units[1:]),
      )
      start, end = random.choice([-2, -1, 0, 0, 1, 3, 6], (2, units[0]))
      end = np.where(random.rand(units[0]) < 0.3, start, end)
      classes = np.eye(3) if units[-1] == 3 else np.array([[-1.0], [1.0]])
      expected = rational_network.integrals(
        network, start, end, output, classes, 1
      )
      self.check(network, start, end, expected, output)


class TensorFlowTest(parameterized.TestCase):
  @parameterized.parameters(
    (tf.nn.relu, 'relu'),
    (tf.nn.relu6, 'relu6'),
    (lambda z: tf.nn.leaky_relu(z, 0.25), 'leaky_relu'),
  )
  def test_slope_on_a_kink_is_that_of_tensorflow(self, function, name):
    kinks = _ACTIVATIONS[name].kinks
    with tf.Graph().as_default(), tf.Session() as session:
      # As many as whole vectors and a rest.
      z = tf.constant(np.repeat(np.float32(kinks), 19))
      slopes = session.run(tf.gradients(function(z), z)[0])
    expected = np.repeat(_ACTIVATIONS[name].kink_slopes, 19)
    np.testing.assert_array_equal(slopes, expected)

  @parameterized.product(activation=['relu', 'relu6'], is_swept=[False, True])
  def test_of_a_saved_model(self, activation, is_swept):
    # Zero biases and the zero baseline: the second unit below hands on 0, but
    # for the part of the path where the first is on.
    network = numpy_network.Network(
      [
        (np.eye(3), np.array([-1.0, 1.0, 1.0])),
        (np.array([[1.0], [1.0], [-1.0]]), np.zeros(1)),
        (np.ones((1, 1)), np.zeros(1)),
      ],
      activation=activation,
      is_classifier=False,
    )
    self.enter_context(
      mock.patch.object(
        path_sweep,
        'is_built',
        return_value=is_swept and path_sweep.is_built(),
      )
    )
    x = np.array([[2.0, 0.5, 0.5]])
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      exact = ig.attribute({'x': x})
      # 3000 nodes miss the kink by at most one.
      fine = ig.attribute({'x': x}, method='midpoint', num_steps=3000)
    np.testing.assert_allclose(exact.values['x'], [[1, 0.25, -0.25]], atol=1e-6)
    np.testing.assert_allclose(exact.values['x'], fine.values['x'], atol=2e-3)


if __name__ == '__main__':
  absltest.main()
