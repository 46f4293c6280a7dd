"""The measurements: each method of `Bench` returns one part of the results.

Peers take turns within every measurement, so that other load on the machine
affects all of them alike. A measurement is the median over such turns.
"""

import functools
import os
import statistics

import numpy as np

from benchmarks import cases
from benchmarks import peers
from benchmarks import worker
from tests.support import directories
from tests.support import numpy_network

NUM_STEPS = 50
# How many steps the others are given to become as exact as this package. Those
# with only 1000 compute Gauss-Legendre nodes first, which takes a minute for
# more.
MOST_STEPS = {
  'plain tf.function': 5000,
  'captum': 1000,
  'alibi': 1000,
  'saliency': 5000,
  'xplique': 5000,
}

_NUM_ROWS = 512
_ROWS_OF_TRIALS = 96
_ROWS_OF_ERRORS = 8
_ROWS_OF_MOST_STEPS = 4
# A turn takes about this long: fewer rows for slow peers, several calls for
# fast ones.
_SECONDS_PER_TURN = 0.2


class Bench(object):
  """Workers of all peers, and the SavedModels of the cases so far."""

  def __init__(self, repeats):
    self._repeats = repeats
    self._exports = {}
    self._workers = {}

  def speed(self, widths, hidden_units, num_classes):
    """Returns a dict for each case: rows/s and errors of all peers."""
    results = []
    for hidden in hidden_units:
      for classes in num_classes:
        for width in widths:
          case = cases.Case(width, hidden, classes)
          measured = self._turns(case, self._settings(case))
          for name, setting in self._found.items():
            measured[name]['error'] = self._error(
              case, name, setting, NUM_STEPS, _ROWS_OF_ERRORS
            )
          # Other widths have much the same errors; this takes long.
          if width == widths[min(1, len(widths) - 1)]:
            self._add_most_steps(case, measured)
          results.append(
            {
              'width': width,
              'hidden_units': list(hidden),
              'num_classes': classes,
              'load': os.getloadavg()[0],
              'peers': measured,
            }
          )
          print(_line(results[-1]), flush=True)
    return results

  def classes(self, num_classes):
    """Returns the cost of all classes at once, for each number of classes."""
    results = []
    for classes in num_classes:
      case = cases.Case(300, (128, 64), classes)
      ours = self._load(case, 'ours')
      ours.seconds(num_rows=_NUM_ROWS, num_steps=1, setting='{}', is_all=True)
      ours.seconds(num_rows=_NUM_ROWS, num_steps=1, setting='{}')
      ratios, ones = [], []
      for _ in range(self._repeats):
        arguments = {'num_rows': _NUM_ROWS, 'num_steps': 1, 'setting': '{}'}
        ones.append(ours.seconds(**arguments))
        ratios.append(ours.seconds(**arguments, is_all=True) / ones[-1])
      results.append(
        {
          'num_classes': classes,
          'ms_per_row': 1e3 * statistics.median(ones) / _NUM_ROWS,
          'all_to_one': statistics.median(ratios),
        }
      )
      print(results[-1], flush=True)
    return results

  def curves(self, steps, rows):
    """Returns milliseconds per row against the number of steps and of rows."""
    case = cases.Case(300, (128, 64), 10)
    settings = self._settings(case)
    ours = 'ours, gausslegendre'
    result = {'steps': {name: {} for name in [*settings, ours]}, 'rows': {}}
    for num_steps in steps:
      num_rows = max(8, min(_NUM_ROWS, 20000 // num_steps))
      for name in result['steps']:
        more = {'method': 'gausslegendre'} if name == ours else {}
        arguments = {
          # The exact sum has no steps, so that it can have all rows.
          'num_rows': _NUM_ROWS if name == 'ours' else num_rows,
          'num_steps': num_steps,
          'setting': settings.get(name, '{}'),
        }
        run = self._workers[name.split(',')[0]].seconds
        run(**arguments, **more)
        seconds = min(run(**arguments, **more) for _ in range(2))
        result['steps'][name][num_steps] = 1e3 * seconds / arguments['num_rows']
    for name in settings:
      result['rows'][name] = {}
    for num_rows in rows:
      for name, setting in settings.items():
        if name != 'ours' and num_rows > _NUM_ROWS:
          continue  # Their chunks are full by then.
        arguments = {
          'num_rows': num_rows,
          'num_steps': NUM_STEPS,
          'setting': setting,
        }
        self._workers[name].seconds(**arguments)
        seconds = min(self._workers[name].seconds(**arguments) for _ in '12')
        result['rows'][name][num_rows] = 1e3 * seconds / num_rows
    return result

  def memory(self, peer_cases, steps, our_cases, settings):
    """Returns the peak memory beyond that of a loaded model, in bytes.

    Args:
      peer_cases: list of `Case` for which all peers are measured.
      steps: list of numbers of steps for this package alone.
      our_cases: list of `Case` for this package alone.
      settings: {(case, peer): its best setting}.
    """
    self.close_workers()
    result = {'peers': [], 'ours': []}
    for case in peer_cases:
      measured = {}
      for name in peers.PEERS:
        process = self._load(case, name)
        setting = settings.get((case, name)) or repr(
          peers.PEERS[name].SETTINGS[-1]
        )
        measured[name] = process.memory(
          num_rows=256, num_steps=NUM_STEPS, setting=setting
        )
        self.close_workers()
      result['peers'].append(dict(case=_named(case), bytes=measured))
      print(result['peers'][-1], flush=True)
    for case in our_cases:
      ours = self._load(case, 'ours')
      for num_steps in steps:
        result['ours'].append(
          {
            'case': _named(case),
            'num_steps': num_steps,
            'bytes': ours.memory(
              num_rows=2,
              num_steps=num_steps,
              setting="{'method': 'gausslegendre'}",
            ),
          }
        )
        print(result['ours'][-1], flush=True)
      # A stream: batch after batch.
      result['ours'].append(
        {
          'case': _named(case),
          'num_steps': None,
          'num_rows': 20 * 256,
          'bytes': ours.memory(
            num_rows=256, num_steps=1, setting='{}', num_calls=20
          ),
        }
      )
      print(result['ours'][-1], flush=True)
      self.close_workers()
    return result

  def close_workers(self):
    for process in self._workers.values():
      process.close()
    self._workers = {}

  def close(self):
    self.close_workers()

  def _load(self, case, name):
    """Returns the worker of a peer, with a case loaded."""
    if case not in self._exports:
      self._exports[case] = case.export()
    if name not in self._workers:
      self._workers[name] = worker.Worker(name)
    self._workers[name].load(
      case=list(case), export_dir=self._exports[case], num_rows=_NUM_ROWS
    )
    return self._workers[name]

  def _settings(self, case):
    """Loads a case everywhere; returns {peer: its best setting}."""
    self._found, self._rates = {}, {}
    for name in peers.PEERS:
      self._found[name], self._rates[name] = self._load(
        case, name
      ).best_setting(num_steps=NUM_STEPS, num_rows=_ROWS_OF_TRIALS)
    return self._found

  def _turns(self, case, settings):
    """Returns {peer: {'rows_per_second', 'setting', ...}}, taken in turns."""
    rates = {name: [] for name in settings}
    names = list(settings)
    arguments = {}
    for name in names:
      rows = self._rates[name] * _SECONDS_PER_TURN
      num_rows = int(np.clip(rows, 8, _NUM_ROWS))
      arguments[name] = {
        'num_rows': num_rows,
        'num_calls': max(1, int(rows / num_rows)),
        'num_steps': NUM_STEPS,
        'setting': settings[name],
      }
      # The first call with a new number of rows is not part of a turn.
      self._workers[name].seconds(**dict(arguments[name], num_calls=1))
    for turn in range(self._repeats):
      for name in names[turn % len(names) :] + names[: turn % len(names)]:
        seconds = self._workers[name].seconds(**arguments[name])
        rates[name].append(
          arguments[name]['num_rows'] * arguments[name]['num_calls'] / seconds
        )
    return {
      name: {
        'rows_per_second': statistics.median(rates[name]),
        # Of the same turn, in which the load was the same for both.
        'ours_to_it': statistics.median(
          ours / its for ours, its in zip(rates['ours'], rates[name])
        ),
        'turns': [round(rate, 1) for rate in rates[name]],
        'setting': settings[name],
      }
      for name in names
    }

  def _error(self, case, name, setting, num_steps, num_rows):
    path = os.path.join(directories.new_dir(), 'values.npy')
    self._workers[name].values(
      num_rows=num_rows, num_steps=num_steps, setting=setting, path=path
    )
    return error(np.load(path), _exact(case)[:num_rows])

  def _add_most_steps(self, case, measured):
    """Adds the errors of the others with `MOST_STEPS`."""
    for name, setting in self._found.items():
      if name == 'ours':
        continue
      num_steps = MOST_STEPS[name]
      measured[name]['more_steps'] = {
        'num_steps': num_steps,
        'error': self._error(
          case, name, setting, num_steps, _ROWS_OF_MOST_STEPS
        ),
      }


@functools.lru_cache(maxsize=1)
def _exact(case):
  x = case.rows(_ROWS_OF_ERRORS)
  return exact(case, x, case.targets(x))


def exact(case, x, targets):
  """Returns float64 [n, width]: the exact attributions of rows of a case.

  Args:
    case: `cases.Case`.
    x: [n, width].
    targets: int [n], which logits.
  """
  network = numpy_network.Network(case.layers(), is_classifier=False)
  return np.stack(
    [
      network.attributions(row, np.zeros_like(row), targets=[target])[0]
      for row, target in zip(x, targets)
    ]
  )


def error(values, expected):
  """Returns the largest error of some rows' attributions, both [n, width].

  An error is the largest absolute difference of an element from the exact
  value, relative to the row's largest absolute exact attribution.
  """
  differences = np.abs(values - expected).max(axis=1)
  return float((differences / np.abs(expected).max(axis=1)).max())


def _named(case):
  return dict(case._asdict(), hidden_units=list(case.hidden_units))


def _line(result):
  rates = '  '.join(
    f'{name} {peer["rows_per_second"]:.0f}'
    for name, peer in result['peers'].items()
  )
  return (
    f'{result["width"]} {result["hidden_units"]} {result["num_classes"]} '
    f'classes, load {result["load"]:.1f}, rows/s: {rates}'
  )
