"""A model exported for batches of one size explains any number of rows."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_RNG = np.random.RandomState(5)
_NUM_ROWS = 7
_RAW = {
  'color': [[b'red'], [b'blue', b'red'], [], [b'no'], [b'blue']]
  + [[b'red']] * 2,
  'size': np.float32(_RNG.randn(_NUM_ROWS, 2)),
}
# Of the categories of `color`, and of `size`: side by side.
_X = np.concatenate(
  [
    [[c.count(b'red'), c.count(b'blue')] for c in _RAW['color']],
    np.float64(_RAW['size']),
  ],
  axis=1,
)
_LABELS = ['low', 'middle', 'high']
_FORMS = ('examples', 'dense', 'sparse')


def _columns():
  color = tf.feature_column.categorical_column_with_vocabulary_list(
    'color', ['red', 'blue']
  )
  return [
    tf.feature_column.indicator_column(color),
    tf.feature_column.numeric_column('size', shape=(2,)),
  ]


def _receiver_fn(form, batch_size):
  """Returns a serving_input_receiver_fn for batches of one size."""

  def receive():
    if form == 'examples':
      examples = tf.placeholder(tf.string, [batch_size])
      spec = tf.feature_column.make_parse_example_spec(_columns())
      features, received = tf.io.parse_example(examples, spec), examples
    else:
      features = received = {
        'color': tf.placeholder(tf.string, [batch_size, 2])
        if form == 'dense'
        else tf.sparse_placeholder(tf.string, [batch_size, 2]),
        'size': tf.placeholder(tf.float32, [batch_size, 2]),
      }
    return tf.estimator.export.ServingInputReceiver(features, received)

  return receive


def _given(form, rows=slice(None)):
  """Returns rows in a form that the model takes."""
  raw = {key: value[rows] for key, value in _RAW.items()}
  if form == 'dense':
    padded = [(row + [b'', b''])[:2] for row in raw['color']]
    return dict(raw, color=np.array(padded, object).reshape(-1, 2))
  return network_export.examples(**raw) if form == 'examples' else raw


class FixedBatchTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.network = numpy_network.random(3, [4, 5, 4, 3])
    cls.tanh = numpy_network.random(4, [4, 5, 3], activation='tanh')
    cls.explainers = {}

  @classmethod
  def tearDownClass(cls):
    for explainer in cls.explainers.values():
      explainer.close()
    super().tearDownClass()

  def _explainer(self, form, batch_size, network=None):
    key = form, batch_size, network
    if key not in self.explainers:
      self.explainers[key] = tfda.IntegratedGradients(
        network_export.export(
          network or self.network,
          _columns(),
          receiver=_receiver_fn(form, batch_size),
          label_vocabulary=_LABELS,
        )
      )
    return self.explainers[key]

  def _check(self, result, method_fn, rows=slice(None), starts=None):
    """Holds attributions of all targets to those of numpy."""
    actual = np.concatenate(
      [result.values['color_indicator'], result.values['size']], axis=-1
    )
    self.assertLen(actual, len(_X[rows]))
    for row, x in enumerate(_X[rows]):
      bound = sum(
        self.network.rounding(x, start)[0]
        for start in ([0 * x] if starts is None else starts)
      )
      np.testing.assert_array_less(
        np.abs(actual[row] - method_fn(x)), bound + 1e-12
      )

  @parameterized.product(
    form=_FORMS, batch_size=[1, 4, 9], max_rows=[None, 3, 5]
  )
  def test_exact(self, form, batch_size, max_rows):
    ig = self._explainer(form, batch_size)
    self.assertEqual(ig.model.batch_size, batch_size)
    result = ig.attribute(
      _given(form), targets='all', method='exact', max_rows=max_rows
    )
    self._check(result, lambda x: self.network.attributions(x, 0 * x))
    np.testing.assert_allclose(
      result.outputs, self.network.outputs(_X), rtol=1e-5, atol=1e-5
    )

  @parameterized.product(form=_FORMS, batch_size=[1, 4], max_rows=[None, 3])
  def test_rule(self, form, batch_size, max_rows):
    nodes = (np.arange(6)[:, np.newaxis] + 0.5) / 6
    result = self._explainer(form, batch_size).attribute(
      _given(form),
      targets='all',
      method='midpoint',
      num_steps=6,
      max_rows=max_rows,
    )
    self._check(
      result, lambda x: self.network.gradients(nodes * x).mean(axis=0) * x
    )

  @parameterized.product(form=_FORMS, output=['logits', 'probabilities'])
  def test_added_nodes(self, form, output):
    result = self._explainer(form, 4, self.tanh).attribute(
      _given(form), targets='all', output=output, tolerance=1e-4
    )
    actual = np.concatenate(
      [result.values['color_indicator'], result.values['size']], axis=-1
    )
    for row, x in enumerate(_X):
      nodes = (np.arange(4096)[:, np.newaxis] + 0.5) / 4096
      gradients = self.tanh.gradients(nodes * x, output)
      # `tolerance` is of the units of the first layer, whose kernel follows.
      np.testing.assert_allclose(
        actual[row], gradients.mean(axis=0) * x, atol=2e-3
      )

  @parameterized.product(form=_FORMS, batch_size=[1, 4])
  def test_any_number_of_rows(self, form, batch_size):
    """Copies that fill up the last batch change nothing."""
    ig = self._explainer(form, batch_size)
    for num_rows in (0, 1, 3, 4, 5):
      rows = slice(2, 2 + num_rows)
      result = ig.attribute(_given(form, rows), targets='all')
      self._check(result, lambda x: self.network.attributions(x, 0 * x), rows)

  @parameterized.parameters(*_FORMS)
  def test_baselines(self, form):
    result = self._explainer(form, 4).attribute(
      _given(form), _given(form, slice(1, 3)), targets='all', method='exact'
    )
    self._check(
      result,
      lambda x: np.mean(
        [self.network.attributions(x, start) for start in _X[1:3]], axis=0
      ),
      starts=_X[1:3],
    )

  @parameterized.product(form=_FORMS, batch_size=[1, 4])
  def test_predicted_classes_and_labels(self, form, batch_size):
    ig = self._explainer(form, batch_size)
    self.assertEqual(ig.model.labels, _LABELS)
    np.testing.assert_array_equal(
      ig.attribute(_given(form)).targets,
      np.argmax(self.network.outputs(_X), axis=1),
    )

  @parameterized.product(batch_size=[1, 4], row=[0, 5], max_rows=[None, 2])
  def test_a_bad_row_is_named(self, batch_size, row, max_rows):
    examples = _given('examples')
    examples[row] = network_export.examples(color=[[b'red']])[0]
    for _ in range(2):  # And the next call is none the worse for it.
      with self.assertRaisesRegex(ValueError, f'^row {row}: .*size'):
        self._explainer('examples', batch_size).attribute(
          examples, max_rows=max_rows
        )

  def test_sizes_that_contradict_each_other(self):
    export_dir = network_export.export(
      self.network, _columns(), receiver=_receiver_fn('dense', 4)
    )

    def edit(meta_graph):
      for node in meta_graph.graph_def.node:
        node.attr.pop('_output_shapes', None)
        if node.op == 'Placeholder' and node.attr['dtype'].type == 7:
          node.attr['shape'].shape.dim[0].size = 3

    with self.assertRaisesRegex(
      ValueError, 'cannot be read: .*|are not those of its graph'
    ):
      tfda.IntegratedGradients(saved_model_files.edited_copy(export_dir, edit))


if __name__ == '__main__':
  absltest.main()
