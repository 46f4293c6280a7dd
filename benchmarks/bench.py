"""Measures the speed and the error of this package and its peers in one run.

    python -m benchmarks.bench --quick
    python -m benchmarks.bench --only=speed,memory

`make bench` runs all of it. README.md in this directory explains the numbers.
"""

import importlib.metadata
import json
import logging
import os
import pathlib
import platform
import tempfile
import time

from absl import app
from absl import flags

from benchmarks import cases
from benchmarks import end_to_end
from benchmarks import measurements
from benchmarks import report
from tf_dnn_annotations.integrals import path_sweep

_PARTS = ('speed', 'classes', 'end_to_end', 'memory', 'curves')

_QUICK = flags.DEFINE_bool(
  'quick',
  False,
  'Two widths and fewer repeats, to see that all of it runs; results go to a '
  'temporary directory.',
)
_ONLY = flags.DEFINE_list(
  'only',
  None,
  f'Which parts to run, of {", ".join(_PARTS)}. Results of other parts are '
  'kept. By default all are run.',
)
_OUTPUT_DIR = flags.DEFINE_string(
  'output_dir', None, 'Where to write. By default benchmarks/results.'
)


@flags.validator('only', f'--only takes parts among {", ".join(_PARTS)}.')
def _are_parts(only):
  return only is None or set(only) <= set(_PARTS)


def run(parts, quick, output_dir):
  """Measures some parts and writes the results of these and of earlier ones.

  Args:
    parts: iterable of the names of parts.
    quick: whether to do little of each.
    output_dir: `Path`; results.json, results.md and cost.png are in it.
  """
  path = output_dir / 'results.json'
  results = json.loads(path.read_text('utf-8')) if path.exists() else {}
  results['machine'] = _machine()
  bench = measurements.Bench(repeats=2 if quick else 5)
  try:
    for part in _PARTS:
      if part in parts:
        start = time.monotonic()
        results[part] = _measure(bench, part, quick, results)
        print(f'{part}: {time.monotonic() - start:.0f} s', flush=True)
        path.write_text(json.dumps(results, indent=1) + '\n', 'utf-8')
  finally:
    bench.close()
  # Once more as they are read, with strings for keys.
  results = json.loads(path.read_text('utf-8'))
  (output_dir / 'results.md').write_text(report.markdown(results), 'utf-8')
  report.plot(results, output_dir / 'cost.png')
  print(f'Wrote {output_dir}')


def _measure(bench, part, quick, results):
  """Returns the results of one part."""
  if part == 'speed':
    return bench.speed(
      cases.WIDTHS[:2] if quick else cases.WIDTHS,
      cases.HIDDEN_UNITS[:2] if quick else cases.HIDDEN_UNITS,
      cases.NUM_CLASSES[1:] if quick else cases.NUM_CLASSES,
    )
  if part == 'classes':
    return bench.classes((2, 10) if quick else (2, 10, 30, 100))
  if part == 'end_to_end':
    return end_to_end.measure(2 if quick else 5)
  if part == 'memory':
    hidden = cases.HIDDEN_UNITS
    ours = [cases.Case(3000, hidden[0], 10), cases.Case(10000, hidden[-1], 10)]
    return bench.memory(
      [
        cases.Case(width, units, 10)
        for units in (hidden[:1] if quick else hidden)
        for width in ((3000,) if quick else (300, 3000))
      ],
      (1, 100) if quick else (1, 10, 100, 1000, 10000),
      ours[:1] if quick else ours,
      _settings(results),
    )
  return bench.curves(
    (10, 50) if quick else (10, 50, 200, 1000),
    (1, 64) if quick else (1, 8, 64, 512, 4096),
  )


def _settings(results):
  """Returns {(case, peer): the setting that was the fastest}."""
  return {
    (
      cases.Case(c['width'], tuple(c['hidden_units']), c['num_classes']),
      name,
    ): peer['setting']
    for c in results.get('speed', [])
    for name, peer in c['peers'].items()
  }


def _exact_sum():
  """Returns how this package computes the exact sum here."""
  if not path_sweep.is_built():
    return 'path_sweep was not built: exact sums by numpy'
  return f'path_sweep uses vectors of {path_sweep.vector_bytes()} bytes'


def _machine():
  with open('/proc/cpuinfo') as file:
    models = [line for line in file if line.startswith('model name')]
  pages = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  return {
    'cpu': models[0].partition(':')[2].strip() if models else 'unknown CPU',
    'cores': len(os.sched_getaffinity(0)),
    'memory_gb': pages / 1e9,
    'python': platform.python_version(),
    'tensorflow': importlib.metadata.version('tensorflow'),
    'torch': importlib.metadata.version('torch'),
    'exact_sum': _exact_sum(),
    'date': time.strftime('%Y-%m-%d'),
  }


def main(argv):
  if len(argv) > 1:
    raise app.UsageError(f'Only flags are accepted; got {argv[1:]}.')
  logging.getLogger('tensorflow').setLevel('ERROR')
  default = pathlib.Path(__file__).parent / 'results'
  if _QUICK.value:
    default = tempfile.mkdtemp(prefix='bench-')
  output_dir = pathlib.Path(_OUTPUT_DIR.value or default)
  output_dir.mkdir(parents=True, exist_ok=True)
  run(_ONLY.value or _PARTS, _QUICK.value, output_dir)


if __name__ == '__main__':
  app.run(main)
