"""A SavedModel that does not tell its hidden layers gives the same numbers.

With them, the path is followed in the first layer's pre-activation, which is
affine in the columns; without them, it may have to be in the columns.
"""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_RNG = np.random.RandomState(1)
_X = np.float32(_RNG.randn(6, 4))
_BASELINE = np.float32(_RNG.randn(1, 4))


def _drop_hidden_layers(meta_graph):
  outputs = meta_graph.signature_def['layer_annotations'].outputs
  for name in [name for name in outputs if name.startswith('hidden_layers/')]:
    del outputs[name]


class FirstLayerTest(parameterized.TestCase):
  @parameterized.product(
    # Of each kind: one whose layers can be told from the graph, and one whose
    # activation may be anything.
    activation=['relu', 'tanh'],
    has_batch_norm=[False, True],
    output=['logits', 'probabilities'],
    method=['gausslegendre', 'trapezoid'],
  )
  def test_same_attributions(self, activation, has_batch_norm, output, method):
    network = numpy_network.random(
      1,
      [4, 6, 5, 3],
      activation=activation,
      batch_norms=numpy_network.random_batch_norms(4, [6, 5])
      if has_batch_norm
      else None,
    )
    export_dir = network_export.export(network)
    results = []
    for path in (
      export_dir,
      saved_model_files.edited_copy(export_dir, _drop_hidden_layers),
    ):
      with tfda.IntegratedGradients(path) as ig:
        told = [6, 5] if path == export_dir else []
        self.assertEqual(ig.model.hidden_units, told)
        results.append(
          ig.attribute(
            {'x': _X},
            baselines={'x': _BASELINE},
            targets='all',
            output=output,
            method=method,
            num_steps=50,
          )
        )
    with_layers, without = results
    # Both are the same sums but for their rounding.
    x, baseline = np.float64(_X), np.float64(_BASELINE[0])
    bounds = [network.rounding(row, baseline, output)[0] for row in x]
    output_bounds = [network.rounding(row, baseline, output)[1] for row in x]
    np.testing.assert_array_less(
      np.abs(without.outputs - with_layers.outputs), 2 * np.array(output_bounds)
    )
    self.assertGreater(np.abs(without.values['x']).max(), 100 * np.max(bounds))
    np.testing.assert_array_less(
      np.abs(without.values['x'] - with_layers.values['x']),
      2 * np.array(bounds) + 1e-12,
    )

  def test_same_bits_where_nothing_is_rounded(self):
    network = numpy_network.whole_numbers(3, [4, 6, 5, 3])
    export_dir = network_export.export(network)
    x = np.float32(np.random.RandomState(1).randint(-8, 9, (6, 4)) / 4)
    values = []
    for path in (
      export_dir,
      saved_model_files.edited_copy(export_dir, _drop_hidden_layers),
    ):
      with tfda.IntegratedGradients(path) as ig:
        result = ig.attribute(
          {'x': x}, targets='all', method='midpoint', num_steps=32
        )
        values.append(result.values['x'])
    self.assertGreater(np.abs(values[0]).max(), 1)
    np.testing.assert_array_equal(*values)


if __name__ == '__main__':
  absltest.main()
