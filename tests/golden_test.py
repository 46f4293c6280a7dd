"""The kept model gives the attributions that are kept beside it.

They were computed from its checkpoint in float64 numpy, without this package,
by testdata/make_golden.py, which wrote all of testdata/golden.
"""

import json

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from testdata import make_golden
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_NUM_STEPS = 4000


def _expected():
  return json.loads(make_golden.EXPECTED.read_text('utf-8'))


def _examples():
  with tf.Graph().as_default(), tf.Session() as session:
    batch = tf.data.TFRecordDataset(make_golden.EXAMPLES).batch(100)
    batch = tf.data.make_one_shot_iterator(batch).get_next()
    return session.run(batch).tolist()


class GoldenTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.expected = _expected()
    cls.examples = _examples()
    reader = tf.train.load_checkpoint(make_golden.CHECKPOINT)
    cls.network = numpy_network.Network(
      [
        (
          reader.get_tensor(f'dnn/{name}/kernel'),
          reader.get_tensor(f'dnn/{name}/bias'),
        )
        for name in ('hiddenlayer_0', 'hiddenlayer_1', 'logits')
      ]
    )

  def _bounds(self, processed, baseline, output):
    """Returns (rounding, total variation of the slopes), both [n, 3, width]."""
    roundings, variations = [], []
    positions = np.linspace(0, 1, 4000)[:, np.newaxis]
    for x in processed:
      points = baseline + positions * (x - baseline)
      slopes = self.network.gradients(points, output) * (x - baseline)
      variations.append(np.abs(np.diff(slopes, axis=0)).sum(axis=0))
      roundings.append(self.network.rounding(x, baseline, output)[0])
    return np.array(roundings), np.array(variations)

  @parameterized.parameters(0, 1, 2, 3)
  def test_attributions(self, case):
    expected = self.expected['cases'][case]
    output, baseline_row = expected['output'], expected['baseline_row']
    names = sorted(expected['values'])
    processed = np.concatenate(
      [self.expected['processed'][name] for name in names], axis=1
    )
    baselines, baseline = None, np.zeros(processed.shape[1])
    if baseline_row is not None:
      baselines = self.examples[baseline_row]
      baseline = processed[baseline_row]
    with tfda.IntegratedGradients(make_golden.SAVED_MODEL) as ig:
      result = ig.attribute(
        self.examples,
        baselines,
        targets='all',
        output=output,
        method='midpoint',
        num_steps=_NUM_STEPS,
      )
    self.assertEqual(result.columns, names)
    for name in names:
      self.assertEqual(
        result.values[name].shape, np.shape(expected['values'][name])
      )
    values = np.concatenate([result.values[name] for name in names], axis=-1)
    wanted = np.concatenate([expected['values'][n] for n in names], axis=-1)
    rounding, variation = self._bounds(processed, baseline, output)
    # The nodes' discrepancy is half their distance (Koksma's inequality, see
    # completeness_test).
    bounds = rounding + variation / (2 * _NUM_STEPS) + 1e-9
    self.assertGreater(np.abs(wanted).max(), 100 * bounds.max())
    np.testing.assert_array_less(np.abs(values - wanted), bounds)
    np.testing.assert_allclose(
      result.outputs, expected['outputs'], rtol=1e-5, atol=1e-6
    )

  def test_exact(self):
    for expected in self.expected['cases'][:2]:
      self.assertEqual(expected['output'], 'logits')
      baseline_row = expected['baseline_row']
      with tfda.IntegratedGradients(make_golden.SAVED_MODEL) as ig:
        result = ig.attribute(
          self.examples,
          None if baseline_row is None else self.examples[baseline_row],
          targets='all',
          method='exact',
        )
      for name, value in expected['values'].items():
        # Some 100 roundings of the largest attribution's size.
        atol = 100 * numpy_network.ROUNDOFF * np.abs(value).max()
        np.testing.assert_allclose(
          result.values[name], value, rtol=0, atol=atol
        )

  def test_labels(self):
    with tfda.IntegratedGradients(make_golden.SAVED_MODEL) as ig:
      self.assertEqual(ig.model.labels, list(make_golden.LABELS))
      result = ig.attribute(self.examples)
      by_label = ig.attribute(self.examples, targets='often')
    logits = np.array(self.expected['cases'][0]['outputs'])
    np.testing.assert_array_equal(result.targets, logits.argmax(axis=1))
    np.testing.assert_array_equal(by_label.targets, [2] * len(logits))

  def test_given_features(self):
    with tfda.IntegratedGradients(make_golden.SAVED_MODEL) as ig:
      values = ig.model.given_features(self.examples, ['color', 'age'])
    ages, colors = zip(*make_golden.ROWS)
    self.assertEqual(values['age'].tolist(), list(ages))
    self.assertEqual([tuple(row) for row in values['color']], list(colors))

  def test_what_is_kept_is_what_the_script_makes(self):
    # As messages: the order of a map's entries in bytes is left to protobuf.
    kept, made = (
      [tf.train.Example.FromString(example) for example in examples]
      for examples in (self.examples, make_golden.serialized_examples())
    )
    self.assertEqual(kept, made)
    made = make_golden.expected()
    kept = self.expected
    self.assertEqual(sorted(made['processed']), sorted(kept['processed']))
    for name, value in made['processed'].items():
      np.testing.assert_allclose(value, kept['processed'][name], rtol=1e-12)
    self.assertLen(kept['cases'], len(made['cases']))
    for kept_case, made_case in zip(kept['cases'], made['cases']):
      for key in ('output', 'baseline_row'):
        self.assertEqual(kept_case[key], made_case[key])
      for name, value in made_case['values'].items():
        np.testing.assert_allclose(
          value, kept_case['values'][name], rtol=1e-9, atol=1e-12
        )


if __name__ == '__main__':
  absltest.main()
