"""How the work is cut into model calls changes no result."""

from concurrent import futures

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_NUM_ROWS = 5
_NUM_STEPS = 16
_METHOD = 'midpoint'  # Its nodes and weights are powers of two here.
_NETWORK = numpy_network.whole_numbers(1, [4, 6, 5, 3])
_RNG = np.random.RandomState(2)
_X = np.float32(_RNG.randint(-12, 13, (_NUM_ROWS, 4)) / 4)
_BASELINES = np.float32(_RNG.randint(-12, 13, (3, 4)) / 4)
# One, less and more than a path, such that one step is left over, all but one
# point of all of them, all, and more than there are.
_MAX_ROWS = (1, 3, 5, 7, 15, 16, 17, 79, 80, 81, 1000)


def _ceil(numerator, denominator):
  return -(-numerator // denominator)


def _arrays(result):
  return dict(
    result.values,
    outputs=result.outputs,
    baseline_outputs=result.baseline_outputs,
    gap=result.gap,
    targets=result.targets,
  )


class BatchingTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.ig = tfda.IntegratedGradients(network_export.export(_NETWORK))

  @classmethod
  def tearDownClass(cls):
    cls.ig.close()
    super().tearDownClass()

  def _attribute(self, x=_X, **arguments):
    arguments = dict(
      dict(targets='all', method=_METHOD, num_steps=_NUM_STEPS), **arguments
    )
    return self.ig.attribute({'x': x}, **arguments)

  def _check_same(self, got, expected):
    got, expected = _arrays(got), _arrays(expected)
    self.assertSameElements(got, expected)
    for name in expected:
      np.testing.assert_array_equal(got[name], expected[name])
      self.assertEqual(got[name].dtype, expected[name].dtype)

  def test_there_is_something_to_compare(self):
    # And float64 finds no rounding in it.
    result = self._attribute(num_steps=1024)
    values = result.values['x']
    self.assertGreater(np.abs(values).min(axis=1).max(), 0)
    self.assertGreater(np.ptp(values, axis=0).min(), 0)
    nodes = (np.arange(1024)[:, np.newaxis] + 0.5) / 1024
    for row, x in enumerate(np.float64(_X)):
      expected = _NETWORK.gradients(nodes * x).mean(axis=0) * x
      np.testing.assert_array_equal(values[row], expected)

  @parameterized.product(
    max_rows=_MAX_ROWS, baselines=[None, {'x': _BASELINES}]
  )
  def test_max_rows(self, max_rows, baselines):
    self._check_same(
      self._attribute(baselines=baselines, max_rows=max_rows),
      self._attribute(baselines=baselines),
    )

  @parameterized.product(
    max_rows=(1, 2, 5, None),
    method=['exact', 'auto'],
    output=['logits', 'probabilities'],
  )
  def test_max_rows_and_other_rows_without_nodes(
    self, max_rows, method, output
  ):
    if (method, output) == ('exact', 'probabilities'):
      output = 'logits'  # Probabilities are not a finite sum.
    arguments = dict(method=method, output=output, num_steps=None)
    together = self._attribute(max_rows=max_rows, **arguments)
    self.assertGreater(np.abs(together.values['x']).max(), 1e-3)
    for row in range(_NUM_ROWS):
      alone = self._attribute(_X[row : row + 1], **arguments)
      # Nothing but the order of the sums is another.
      x = np.float64(_X[row])
      bound, _ = _NETWORK.rounding(x, 0 * x, output)
      np.testing.assert_array_less(
        np.abs(together.values['x'][row] - alone.values['x'][0]),
        2 * bound + 1e-12,
      )

  @parameterized.product(
    max_rows=(1, 7, 16), examples_are_serialized=[True, False]
  )
  def test_max_rows_of_every_kind_of_column(
    self, max_rows, examples_are_serialized
  ):
    case = model_cases.CASES['mixed']
    examples = (
      case.serialized_examples()
      if examples_are_serialized
      else case.raw_features()
    )
    export_dir = model_cases.annotated_export('mixed', 'multi_class')
    with tfda.IntegratedGradients(export_dir) as ig:
      arguments = dict(method='gausslegendre', num_steps=16)
      expected = ig.attribute(examples, **arguments)
      got = ig.attribute(examples, max_rows=max_rows, **arguments)
    for name, value in _arrays(expected).items():
      # Products of matrices of other sizes round otherwise: sums of at most 24
      # terms, three layers forward and back.
      scale = np.abs(value).max() + 1
      np.testing.assert_allclose(
        _arrays(got)[name],
        value,
        atol=6 * 24 * numpy_network.ROUNDOFF * scale,
        rtol=0,
      )

  @parameterized.product(max_rows=_MAX_ROWS, num_baselines=[1, 3])
  def test_number_of_calls(self, max_rows, num_baselines):
    # A call for each `max_rows` points of all rows' paths together: none
    # holds more, and none is cut short but the last.
    def num_calls(num_steps):
      before = self.ig.model.num_calls
      self._attribute(
        targets='predicted',
        baselines={'x': _BASELINES[:num_baselines]},
        num_steps=num_steps,
        max_rows=max_rows,
      )
      return self.ig.model.num_calls - before

    def num_path_calls(num_steps):
      return num_baselines * _ceil(_NUM_ROWS * num_steps, max_rows)

    few, many = num_calls(2), num_calls(37)
    self.assertEqual(many - few, num_path_calls(37) - num_path_calls(2))
    # What it takes beside the paths: the ends of them, and for each baseline
    # the way back to the columns.
    per_row = _ceil(_NUM_ROWS, max_rows)
    self.assertLessEqual(
      few - num_path_calls(2),
      per_row + _ceil(num_baselines, max_rows) + num_baselines * per_row,
    )

  def test_rows_in_another_order(self):
    order = [3, 0, 4, 1, 2]
    got, expected = self._attribute(_X[order]), self._attribute()
    for name, value in _arrays(expected).items():
      np.testing.assert_array_equal(_arrays(got)[name], value[order])

  @parameterized.product(rows=[[2], [4, 1], [0, 0, 0]], max_rows=[None, 3])
  def test_other_rows_beside(self, rows, max_rows):
    got = self._attribute(_X[rows], max_rows=max_rows)
    for name, value in _arrays(self._attribute()).items():
      np.testing.assert_array_equal(_arrays(got)[name], value[rows])

  def test_no_state_is_left(self):
    expected = self._attribute()
    self._attribute(targets=0, output='probabilities', method='right')
    self._attribute(_X[:2], baselines={'x': _BASELINES}, max_rows=2)
    self._check_same(self._attribute(), expected)

  def test_several_baselines_are_the_mean_of_single_ones(self):
    # The mean over four: a power of two.
    baselines = np.concatenate([_BASELINES, _X[:1]])
    got = _arrays(self._attribute(baselines={'x': baselines}))
    single = [
      _arrays(self._attribute(baselines={'x': baselines[k : k + 1]}))
      for k in range(4)
    ]
    for name, value in got.items():
      np.testing.assert_array_equal(
        value, np.mean([s[name] for s in single], axis=0)
      )

  @parameterized.product(
    is_serialized=[True, False],
    targets=['predicted', 1, 'all', []],
    max_rows=[None, 2],
  )
  def test_empty_input(self, is_serialized, targets, max_rows):
    result = self.ig.attribute(
      [] if is_serialized else {'x': np.zeros((0, 4), np.float32)},
      targets=targets,
      max_rows=max_rows,
    )
    shape = (0, 3) if targets == 'all' else (0,)
    self.assertEqual(result.columns, ['x'])
    self.assertEqual(result.values['x'].shape, shape + (4,))
    for name in ('outputs', 'baseline_outputs', 'gap', 'targets'):
      self.assertEqual(getattr(result, name).shape, shape)
    self.assertEqual(result.per_column().shape, shape + (1,))
    self.assertEqual(result.per_feature()['x'].shape, shape)

  def test_empty_input_with_baselines(self):
    for baselines in ({'x': _BASELINES}, network_export.examples(x=_BASELINES)):
      result = self.ig.attribute(
        {'x': np.zeros((0, 4))}, baselines=baselines, targets='all'
      )
      self.assertEqual(result.values['x'].shape, (0, 3, 4))

  def test_no_rows_of_features_of_any_length(self):
    export_dir = model_cases.annotated_export('mixed')
    with tfda.IntegratedGradients(export_dir) as ig:
      empty = {
        'age': [],
        'pair': np.zeros((0, 2)),
        'grid': np.zeros((0, 2, 2)),
        'color': [],
      }
      for examples in ([], empty):
        result = ig.attribute(examples)
        self.assertEqual(result.per_column().shape, (0, 7))


class MemoryTest(parameterized.TestCase):
  """What a call holds is bounded, however many targets there are."""

  @parameterized.parameters(
    # Rows that fit into one chunk of a forward call; steps that fill calls.
    ([1024, 512, 256], 10, 2300, {'method': 'midpoint', 'num_steps': 1}),
    ([1024, 512, 256], 100, 2, {'method': 'midpoint', 'num_steps': 1000}),
    ([128, 64], 1000, 600, {}),
  )
  def test_all_targets(self, hidden_units, num_classes, num_rows, arguments):
    network = numpy_network.random(3, [20, *hidden_units, num_classes])
    x = np.float32(np.random.RandomState(0).randn(num_rows, 20))
    with tfda.IntegratedGradients(network_export.export(network)) as ig:
      ig.attribute({'x': x[:1]}, targets='all', **arguments)
      idle = _resident_bytes('VmRSS')
      with open('/proc/self/clear_refs', 'w') as file:
        file.write('5')  # Forgets the peak so far.
      ig.attribute({'x': x}, targets='all', **arguments)
      peak = _resident_bytes('VmHWM')
    self.assertLess(peak - idle, 300e6)


def _resident_bytes(which):
  with open('/proc/self/status') as file:
    (line,) = [line for line in file if line.startswith(which + ':')]
  return int(line.split()[1]) * 1024


class ThreadsTest(parameterized.TestCase):
  @parameterized.parameters('relu', 'tanh')
  def test_of_a_caller(self, activation):
    network = numpy_network.random(4, [4, 8, 6, 5], activation=activation)
    export_dir = network_export.export(network)
    calls = [
      {},
      {'targets': 'all', 'method': 'midpoint', 'num_steps': 4},
      {'method': 'midpoint', 'num_steps': 4},
      {'output': 'probabilities', 'targets': 3},
    ] * 6
    with tfda.IntegratedGradients(export_dir) as ig:
      expected = [_arrays(ig.attribute({'x': _X}, **call)) for call in calls]
    # New models each time: what is made at first use is made by all at once.
    for _ in range(4):
      with tfda.IntegratedGradients(
        export_dir
      ) as ig, futures.ThreadPoolExecutor(12) as pool:
        results = list(
          pool.map(lambda call, ig=ig: ig.attribute({'x': _X}, **call), calls)
        )
      for result, arrays in zip(results, expected):
        for name, array in _arrays(result).items():
          np.testing.assert_array_equal(array, arrays[name])


if __name__ == '__main__':
  absltest.main()
