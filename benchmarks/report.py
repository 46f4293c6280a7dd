"""The results as Markdown and as a picture."""

import math

from benchmarks import measurements
from benchmarks import peers

_COLORS = {
  'ours': '#1b6ca8',
  'ours, gausslegendre': '#7fb2d9',
  'plain tf.function': '#d1495b',
  'captum': '#8d96a3',
  'alibi': '#66a182',
  'saliency': '#b8a1cf',
  'xplique': '#edae49',
}


def markdown(results):
  """Returns the text of those parts of the results that there are."""
  lines = ['# Results', '', _machine(results['machine'])]
  for part, function in _PARTS.items():
    if part in results:
      lines += ['', *function(results[part])]
  return '\n'.join(lines) + '\n'


def _machine(machine):
  return (
    f'{machine["cpu"]}, {machine["cores"]} cores, '
    f'{machine["memory_gb"]:.0f} GB; Linux, Python {machine["python"]}, '
    f'TensorFlow {machine["tensorflow"]}, '
    f'PyTorch {machine["torch"]}; {machine["date"]}. '
    f'{machine["exact_sum"]}. Written by `make bench`.'
  )


def _speed(cases):
  names = list(peers.PEERS)
  lines = [
    '## Speed and error',
    '',
    f'Rows/s at {measurements.NUM_STEPS} steps (ours takes none), the median '
    'of turns, and in brackets the largest error of an element relative to the '
    "row's largest attribution. The last two columns are the median over the "
    'turns of how many times faster ours is, at a better error. The load is '
    'that of the machine, one minute long: with the benchmark alone about '
    'two.',
    '',
    _row(
      ['hidden', 'classes', 'width', *names]
      + ['to fastest library', 'to plain tf.function', 'load']
    ),
    _row(['---'] * (len(names) + 6)),
  ]
  for case in cases:
    of = case['peers']
    lines.append(
      _row(
        [_units(case), case['num_classes'], case['width']]
        + [
          f'{of[name]["rows_per_second"]:,.0f} ({_rounded(of[name]["error"])})'
          for name in names
        ]
        + [
          f'**{to_fastest_library(case):.1f}x**',
          f'**{of["plain tf.function"]["ours_to_it"]:.1f}x**',
          f'{case["load"]:.1f}',
        ]
      )
    )
  others = names[1:]
  lines += [
    '',
    '### At equal error, at least',
    '',
    'With many more steps, in brackets after the error, others are still less '
    'exact than ours. Their rows/s are extrapolated from those above by the '
    'cost of a step, so the last column is a lower bound.',
    '',
    _row(['hidden', 'classes', 'width', *names, 'ours to the fastest']),
    _row(['---'] * (len(names) + 4)),
  ]
  for case in cases:
    of = case['peers']
    if 'more_steps' not in of[others[0]]:
      continue
    rates = {name: _extrapolated(of[name]) for name in others}
    ours = of['ours']
    lines.append(
      _row(
        [_units(case), case['num_classes'], case['width']]
        + [f'{ours["rows_per_second"]:,.0f} ({_rounded(ours["error"])})']
        + [
          f'{rates[name]:,.1f} ({_rounded(of[name]["more_steps"]["error"])}, '
          f'{of[name]["more_steps"]["num_steps"]})'
          for name in others
        ]
        + [f'**{ours["rows_per_second"] / max(rates.values()):.0f}x**']
      )
    )
  return lines


def to_fastest_library(case):
  """Returns how many times faster ours is than the fastest library."""
  return min(case['peers'][name]['ours_to_it'] for name in peers.LIBRARIES)


def _extrapolated(peer):
  steps = peer['more_steps']['num_steps']
  return peer['rows_per_second'] * measurements.NUM_STEPS / steps


def _classes(cases):
  lines = [
    '## All classes at once',
    '',
    "`targets='all'` at width 300, hidden layers 128-64, against one class.",
    '',
    _row(['classes', 'one class, ms per row', 'all to one']),
    _row(['---'] * 3),
  ]
  for case in cases:
    lines.append(
      _row(
        [
          case['num_classes'],
          f'{case["ms_per_row"]:.3f}',
          f'{case["all_to_one"]:.1f}x',
        ]
      )
    )
  return lines


def _end_to_end(result):
  return [
    '## End to end',
    '',
    'From the same TFRecords, 20 mixed columns, hidden layers 128-64: '
    f"{result['predict']:,.0f} rows/s with the SavedModel's `predict` "
    f'signature, {result["attribute"]:,.0f} with `attribute_batches`, which is '
    f'{result["ratio"]:.2f} of that. Load {result["load"]:.1f}.',
  ]


def _memory(result):
  names = list(peers.PEERS)
  lines = [
    '## Memory',
    '',
    f'MB beyond the loaded model, at most, for 256 rows and '
    f'{measurements.NUM_STEPS} steps; each in a process of its own.',
    '',
    _row(['hidden', 'classes', 'width', *names]),
    _row(['---'] * (len(names) + 3)),
  ]
  for measured in result['peers']:
    case = measured['case']
    lines.append(
      _row(
        [_units(case), case['num_classes'], case['width']]
        + [f'{measured["bytes"][name] / 1e6:.0f}' for name in names]
      )
    )
  lines += [
    '',
    'Ours, 2 rows with Gauss-Legendre nodes, and a stream of 5120 rows:',
    '',
    _row(['hidden', 'width', 'steps', 'MB']),
    _row(['---'] * 4),
  ]
  for measured in result['ours']:
    steps = measured['num_steps'] or 'exact, stream'
    case = measured['case']
    lines.append(
      _row(
        [
          _units(case),
          case['width'],
          steps,
          f'{measured["bytes"] / 1e6:.0f}',
        ]
      )
    )
  return lines


_PARTS = {
  'speed': _speed,
  'classes': _classes,
  'end_to_end': _end_to_end,
  'memory': _memory,
}


def _row(cells):
  return '| ' + ' | '.join(map(str, cells)) + ' |'


def _units(case):
  return '-'.join(map(str, case['hidden_units']))


def _rounded(error):
  return f'{error:.0e}'.replace('e-0', 'e-')


def plot(results, path):
  """Draws cost against width, steps, rows and classes."""
  import matplotlib

  matplotlib.use('Agg')
  from matplotlib import pyplot

  figure, axes = pyplot.subplots(2, 2, figsize=(10, 8))
  figure.suptitle('Cost of Integrated Gradients, hidden layers 128-64')
  by_width = {}
  for case in results.get('speed', []):
    if case['hidden_units'] == [128, 64] and case['num_classes'] == 10:
      for name, peer in case['peers'].items():
        rate = peer['rows_per_second']
        by_width.setdefault(name, {})[case['width']] = 1e3 / rate
  curves = results.get('curves', {})
  classes = results.get('classes', [])
  at_once = {
    c['num_classes']: c['ms_per_row'] * c['all_to_one'] for c in classes
  }
  one = {c['num_classes']: c['ms_per_row'] for c in classes}
  panels = [
    ('input width (10 classes, 50 steps)', by_width),
    ('steps (width 300, 10 classes)', curves.get('steps', {})),
    (
      'rows in a call (width 300, 10 classes, 50 steps)',
      curves.get('rows', {}),
    ),
    (
      'classes (width 300)',
      {'ours, all classes at once': at_once, 'ours, one class': one},
    ),
  ]
  for axis, (label, lines) in zip(axes.ravel(), panels):
    for name, line in lines.items():
      if line:
        # Keys of JSON are strings.
        points = sorted((int(x), y) for x, y in line.items())
        axis.plot(
          *zip(*points),
          marker='o',
          markersize=3.5,
          linewidth=2.5 if name.startswith('ours') else 1.5,
          linestyle='--'
          if name.endswith(('gausslegendre', 'one class'))
          else '-',
          color=_COLORS.get(name, _COLORS['ours']),
          label=name,
        )
    axis.set_xscale('log')
    axis.set_yscale('log')
    axis.set_xlabel(label)
    axis.set_ylabel('milliseconds per row')
    axis.grid(True, which='major', alpha=0.3)
    _label_ticks(axis, lines)
  # One legend for all, below, where it covers no line.
  handles = {
    line.get_label(): line for axis in axes.ravel() for line in axis.lines
  }
  figure.tight_layout(rect=(0, 0.06, 1, 1))
  figure.legend(
    handles.values(),
    handles.keys(),
    loc='lower center',
    ncol=5,
    fontsize=9,
    frameon=False,
  )
  figure.savefig(path, dpi=110)
  pyplot.close(figure)


def _label_ticks(axis, lines):
  """Writes numbers in place of powers of ten; below, those measured."""
  from matplotlib import ticker

  numbers = sorted({int(x) for line in lines.values() for x in line})
  # Too near to each other, they would overlap.
  kept = []
  for number in numbers:
    if not kept or math.log(number / kept[-1]) > 0.5:
      kept.append(number)
  axis.set_xticks(kept, [f'{number:,}' for number in kept])
  low, high = axis.get_ylim()
  # Over a decade or so, powers of ten would be one or two.
  axis.yaxis.set_major_locator(
    ticker.LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,))
  )
  axis.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
  axis.minorticks_off()
