"""The compiled sweep: on every kind of vector, and of whatever it is given.

That it gives the integral is held by linear_regions_test.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from tests.support import directories
from tf_dnn_annotations.integrals import path_sweep

_ROOT = str(pathlib.Path(path_sweep.__file__).resolve().parents[2])

_RELU = (0.0,), (0.0, 1.0), (0.0,)
_RELU6 = (0.0, 6.0), (0.0, 1.0, 0.0), (0.0, 0.0)


def _sweep(units, activation=_RELU, kernels=None, **kwargs):
  """Returns a `PathSweep` of a random network and paths from one start."""
  random = np.random.RandomState(len(units))
  kernels = kernels or [
    random.randn(a, b) * 1.4 / np.sqrt(a) for a, b in zip(units, units[1:])
  ]
  sweep = path_sweep.PathSweep(
    [activation] * len(units),
    kernels,
    [0.1 * random.randn(size) for size in units[1:]],
    **kwargs,
  )
  return sweep, (random.randn(1, units[0]), 4 * random.randn(7, units[0]))


class BuildTest(absltest.TestCase):
  def test_is_built_where_there_is_a_compiler(self):
    # Without the library all works as well, so nothing else would tell.
    compiler = (sysconfig.get_config_var('CC') or 'cc').split()[0]
    if sys.platform == 'win32' or not shutil.which(compiler):
      self.skipTest(f'There is no C compiler, {compiler}.')
    self.assertTrue(path_sweep.is_built())


@absltest.skipUnless(path_sweep.is_built(), 'path_sweep was not built')
class PathSweepTest(parameterized.TestCase):
  @parameterized.product(
    max_bytes=[16, 32],
    units=[(5,), (40, 9), (33, 70, 20), (20, 17, 16, 15)],
    activation=[_RELU, _RELU6],
    targets=[np.arange(7) % 3, None],
  )
  def test_narrower_vectors_give_the_same(
    self, max_bytes, units, activation, targets
  ):
    if max_bytes >= path_sweep.vector_bytes():
      self.skipTest('This processor has none wider.')
    weights = np.random.RandomState(0).randn(3, units[-1])
    sweep, path = _sweep(units, activation)
    expected = sweep.logits(*path, weights, targets)
    sweep, _ = _sweep(units, activation, max_bytes=max_bytes)
    actual = sweep.logits(*path, weights, targets)
    # Sums in another order: some hundred roundings of numbers of size 10.
    np.testing.assert_allclose(
      actual.gradients, expected.gradients, rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(actual.num_steps, expected.num_steps)

  @parameterized.parameters(((5,),), ((9, 7),), ((9, 8, 7, 6),))
  def test_regions_cover_the_path(self, *units):
    (units,) = units
    sweep, path = _sweep(units + (3,))
    ends, steps, num_regions = sweep.regions(*path)
    self.assertEqual(ends.shape, (num_regions.sum(), 2, 3))
    self.assertGreater(steps.min(), 0)
    bounds = np.cumsum(num_regions)
    np.testing.assert_allclose(
      np.add.reduceat(steps, np.append(0, bounds[:-1])), 1, atol=1e-12
    )
    # Each begins where the last one of its row ended.
    is_first = np.isin(np.arange(len(ends)), np.append(0, bounds[:-1]))
    np.testing.assert_array_equal(
      ends[1:, 0][~is_first[1:]], ends[:-1, 1][~is_first[1:]]
    )

  def test_more_regions_than_there_was_room_for(self):
    # Half of the second layer's units zigzag: they pass zero as often as the
    # first layer has units, many more times than is usual.
    signs = np.tile([2.0, -2.0], 20)
    kernel = np.tile(signs[:, np.newaxis], (1, 30))
    sweep = path_sweep.PathSweep(
      [_RELU] * 3,
      [kernel, np.eye(30)],
      [-0.05 + 0.001 * np.arange(30), np.zeros(30)],
    )
    ends, steps, num_regions = sweep.regions(
      -np.arange(40.0)[np.newaxis] / 40 - 0.01,
      1 - np.arange(40.0)[np.newaxis] / 40,
    )
    self.assertGreater(len(ends), int(0.6 * 100) + 2)
    self.assertLen(ends, num_regions.sum())
    self.assertAlmostEqual(steps.sum(), 1)

  @parameterized.product(
    value=[np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324],
    layer=[0, 1],
    output=['logits', 'regions'],
  )
  def test_broken_weights_end(self, value, layer, output):
    # What comes out means nothing, but it comes out.
    units = (6, 5, 4)
    kernels = [np.ones((6, 5)), -np.ones((5, 4))]
    kernels[layer][::2, 1:] = value
    with np.errstate(all='ignore'):
      sweep, path = _sweep(units, _RELU6, kernels=kernels)
      if output == 'logits':
        integral = sweep.logits(*path, np.ones((2, 4)), None)
        self.assertEqual(integral.gradients.shape, (7, 2, 6))
      else:
        self.assertGreaterEqual(sweep.regions(*path)[2].min(), 1)

  @parameterized.named_parameters(
    ('end', 'end', dict(end=np.ones((7, 8)))),
    ('start', 'start', dict(start=np.ones((2, 9)))),
    ('weights', 'weights', dict(weights=np.ones((3, 6)))),
    ('num_targets', 'targets', dict(targets=np.zeros(6, int))),
    ('target', 'targets', dict(targets=np.full(7, 3))),
    ('negative', 'targets', dict(targets=np.full(7, -1))),
  )
  def test_what_does_not_fit_is_refused(self, name, changed):
    # C would read beyond the end of it.
    sweep, (start, end) = _sweep((9, 7))
    arguments = dict(
      start=start, end=end, weights=np.ones((3, 7)), targets=np.zeros(7, int)
    )
    sweep.logits(**arguments)
    with self.assertRaisesRegex(ValueError, f'`{name}` must .* got .* Give '):
      sweep.logits(**dict(arguments, **changed))

  def test_weights_of_other_regions_are_refused(self):
    sweep, path = _sweep((9, 7))
    num_regions = sweep.regions(*path)[2].sum()
    sweep.weighted(*path, np.ones((num_regions, 7)))
    for change in (-1, 1):
      with self.assertRaisesRegex(
        ValueError, f'must have {num_regions} rows; got .* Give one for each'
      ):
        sweep.weighted(*path, np.ones((num_regions + change, 7)))

  def test_network_that_does_not_fit_is_refused(self):
    with self.assertRaisesRegex(
      ValueError, r'`kernels\[1\]` must .* Give what'
    ):
      path_sweep.PathSweep(
        [_RELU] * 3,
        [np.ones((9, 7)), np.ones((6, 5))],
        [np.ones(7), np.ones(5)],
      )
    with self.assertRaisesRegex(ValueError, 'got 1 and 0 for 2. Give those'):
      path_sweep.PathSweep([_RELU] * 2, [np.ones((9, 7))], [])

  @parameterized.parameters(128, 8, 48, 0, -16)
  def test_vectors_that_there_are_not(self, max_bytes):
    with self.assertRaisesRegex(
      ValueError, f'at most .* got {max_bytes}. Leave it out'
    ):
      _sweep((5,), max_bytes=max_bytes)

  @parameterized.named_parameters(
    ('as_many_slopes_as_kinks', ((0.0, 6.0), (0.0, 1.0), (0.0, 0.0)), 'more'),
    ('no_slope', ((), (), ()), 'one slope more than kinks'),
    ('no_slope_on_a_kink', ((0.0,), (0.0, 1.0), ()), 'slope on each kink'),
    ('falling', ((6.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0)), 'kinks that rise'),
    ('twice', ((0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0)), 'kinks that rise'),
    ('no_number', ((np.nan,), (0.0, 1.0), (0.0,)), 'finite'),
    ('infinite', ((0.0,), (0.0, np.inf), (0.0,)), 'finite'),
    ('other_slope', ((0.0,), (0.0, 1.0), (0.5,)), 'left or right of it'),
  )
  def test_what_is_no_activation_is_refused(self, activation, message):
    # C would read beyond the slopes.
    for layers in ([activation, _RELU], [_RELU, activation]):
      i = layers.index(activation)
      with self.assertRaisesRegex(
        ValueError, rf'`activations\[{i}\]` must .*{message}.* got .* Give '
      ):
        path_sweep.PathSweep(layers, [np.ones((3, 2))], [np.ones(2)])

  @parameterized.named_parameters(
    ('no_layer', [], [], []),
    ('one_axis', [_RELU] * 2, [np.ones(3)], [np.ones(2)]),
    ('kernel_of_three', [_RELU] * 2, [np.ones((3, 2, 1))], [np.ones(2)]),
    ('bias_of_two_axes', [_RELU] * 2, [np.ones((3, 2))], [np.ones((1, 2))]),
    ('short_bias', [_RELU] * 2, [np.ones((3, 2))], [np.ones(1)]),
  )
  def test_layers_that_are_none_are_refused(self, activations, kernels, biases):
    with self.assertRaisesRegex(
      ValueError, r'`(kernels|biases).* must .* got .* Give '
    ):
      path_sweep.PathSweep(activations, kernels, biases)

  @parameterized.named_parameters(
    ('no_classes', 'weights', dict(weights=np.ones((0, 7)), targets=None)),
    ('weights_of_one_axis', 'weights', dict(weights=np.ones(7))),
    ('targets_of_two_axes', 'targets', dict(targets=np.zeros((7, 1), int))),
    ('fractions', 'targets', dict(targets=np.full(7, 0.5))),
    ('huge', 'targets', dict(targets=np.full(7, 2**63, np.uint64))),
    ('end_of_one_axis', 'end', dict(end=np.ones(9))),
    ('start_of_one_axis', 'start', dict(start=np.ones(9))),
  )
  def test_what_cannot_be_read_is_refused(self, name, changed):
    sweep, (start, end) = _sweep((9, 7))
    arguments = dict(
      start=start, end=end, weights=np.ones((3, 7)), targets=np.zeros(7, int)
    )
    with self.assertRaisesRegex(ValueError, f'`{name}` must .* got .* Give '):
      sweep.logits(**dict(arguments, **changed))

  def test_regions_of_one_layer_are_refused(self):
    sweep, path = _sweep((5,))
    with self.assertRaisesRegex(ValueError, 'two layers or more.*Use `logits`'):
      sweep.regions(*path)
    with self.assertRaisesRegex(ValueError, 'two layers or more.*Use `logits`'):
      sweep.weighted(*path, np.ones((7, 5)))

  def test_no_units_and_no_rows(self):
    sweep = path_sweep.PathSweep(
      [_RELU] * 3, [np.ones((3, 0)), np.ones((0, 2))], [np.ones(0), np.ones(2)]
    )
    integral = sweep.logits(
      np.zeros((1, 3)), np.ones((4, 3)), np.ones((2, 2)), None
    )
    np.testing.assert_array_equal(integral.gradients, np.zeros((4, 2, 3)))
    integral = sweep.logits(
      np.zeros((0, 3)), np.ones((0, 3)), np.ones((2, 2)), None
    )
    self.assertEqual(integral.gradients.shape, (0, 2, 3))


class OtherBuildTest(absltest.TestCase):
  """The library built in another way, by gcc, and used by another process."""

  def _build(self, *flags):
    """Returns the directory of a path_sweep.py and its library."""
    directory = pathlib.Path(directories.new_dir())
    shutil.copy(path_sweep.__file__, str(directory))
    source = pathlib.Path(path_sweep.__file__).with_name('path_sweep.c')
    library = directory / path_sweep.LIBRARY
    command = ['gcc', '-shared', '-fPIC', '-lm', *flags]
    if not shutil.which('gcc') or subprocess.call(
      command + [str(source), '-o', str(library)], stderr=subprocess.DEVNULL
    ):
      self.skipTest(f'There is no gcc that takes {flags}.')
    return str(directory)

  def test_library_of_another_version_is_not_used(self):
    # It would take fields for others, and read and write anywhere.
    result = subprocess.run(
      [sys.executable, '-c', 'import path_sweep; print(path_sweep.is_built())'],
      cwd=self._build('-DINTERFACE=0'),
      env=dict(os.environ, PYTHONPATH=_ROOT),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      universal_newlines=True,
    )
    self.assertEqual(result.stdout, 'False\n')
    self.assertRegex(
      result.stderr, 'RuntimeWarning: .* Install tf_dnn_annotations again'
    )

  @pytest.mark.slow  # It is compiled with sanitizers.
  def test_no_access_out_of_bounds(self):
    directory = self._build(
      *('-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover')
    )
    asan = (
      subprocess.run(
        ['gcc', '-print-file-name=libasan.so'], stdout=subprocess.PIPE
      )
      .stdout.decode()
      .strip()
    )
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import path_sweep
random = np.random.RandomState(0)
for units in [(5,), (1, 1), (40, 9), (33, 70, 20), (20, 17, 16, 15), (8, 8, 8)]:
  for activation in [((), (1.0,), ()), ((0.0,), (0.0, 1.0), (0.0,)),
                     ((0.0, 6.0), (0.0, 1.0, 0.0), (0.0, 0.0))]:
    for num_rows in (0, 1, 3):
      for max_bytes in (16, 32, 64):
        if max_bytes <= path_sweep.vector_bytes():
          sweep = path_sweep.PathSweep(
            [activation] * len(units),
            [random.randn(a, b) for a, b in zip(units, units[1:])],
            [random.randn(b) for b in units[1:]],
            max_bytes,
          )
          path = random.randn(2, num_rows, units[0]) * [[[1.0]], [[9.0]]]
          weights = np.ones((3, units[-1]))
          sweep.logits(*path, weights, None)
          sweep.logits(*path, weights, np.full(num_rows, 2))
          if len(units) > 1:
            _, steps, _ = sweep.regions(*path)
            sweep.weighted(*path, np.ones((len(steps), units[-1])))
print('swept')
"""
    result = subprocess.run(
      [sys.executable, '-c', program, directory],
      env={
        'LD_PRELOAD': asan,
        'ASAN_OPTIONS': 'detect_leaks=0',
        'PYTHONPATH': _ROOT,
      },
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      universal_newlines=True,
    )
    self.assertEqual(result.stdout, 'swept\n', result.stderr)


if __name__ == '__main__':
  absltest.main()
