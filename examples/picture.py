"""Draws docs/images/penguin.svg: why the demo's model calls a bird a Gentoo.

    make demo
    python -m examples.picture penguins_demo/penguins-annotated/<number>

From the root of the repository. The picture is a waterfall: it begins at the
model's output for the baseline, each feature moves it by its attribution, and
it ends at the output for the bird.
"""

import pathlib
import xml.sax.saxutils

from absl import app

from examples import penguins
import tf_dnn_annotations as tfda

PATH = pathlib.Path(__file__).resolve().parents[1] / 'docs/images/penguin.svg'
SPECIES = 'Gentoo'

WIDTH = 760
LEFT, RIGHT = 268, 668  # Where the bars may be, in pixels from the left.
TOP, ROW, BAR = 78, 27, 17
COLORS = {'total': '#5f6b7a', 'up': '#1f77a4', 'down': '#c4532f'}


def terms_of_a_bird(export_dir):
  """Returns what leads from the baseline to the output of one bird.

  Returns:
    (label of the predicted class, output for the baseline, list of (name of a
    feature with its value, attribution), output for the bird)
  """
  _, held_out = penguins.read_rows()
  rows = penguins.one_of_each_species(held_out)
  row = rows[penguins.SPECIES.index(SPECIES)]
  with tfda.IntegratedGradients(export_dir) as ig:
    result = ig.attribute([penguins.serialized_example(row)])
    label = ig.model.labels[result.targets[0]]
  terms = []
  for key, values in result.per_feature().items():
    value = ' x '.join(row[part] for part in key.split(' x '))
    terms.append((f'{key} = {value}', float(values[0])))
  terms.sort(key=lambda term: -abs(term[1]))
  return (
    label,
    float(result.baseline_outputs[0]),
    terms,
    float(result.outputs[0]),
  )


def drawn(label, baseline, terms, output):
  """Returns the picture as the text of an SVG file.

  Args:
    label: of the class that is explained.
    baseline: float, the output for the baseline.
    terms: list of (text, float), what moves the output.
    output: float, the output for the bird.
  """
  # Where the output is after each term.
  levels = [baseline]
  for _, value in terms:
    levels.append(levels[-1] + value)
  low, high = min(0.0, *levels, output), max(0.0, *levels, output)

  def x(value):
    return LEFT + (RIGHT - LEFT) * (value - low) / (high - low)

  bottom = TOP + ROW * (len(terms) + 2)
  height = bottom + 34
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
    f'height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
    'font-family="Helvetica, Arial, sans-serif" font-size="14">',
    f'<title>Attributions of one penguin, predicted to be {_text(label)}'
    '</title>',
    f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
    f'<text x="24" y="32" font-size="17" font-weight="bold" fill="#1c2733">'
    f'Why does the model call this penguin a {_text(label)}?</text>',
    f'<text x="24" y="54" fill="#5f6b7a">How far each feature moves the logit '
    f'of {_text(label)} away from its value at the baseline</text>',
  ]
  for tick in range(int(low), int(high) + 1):
    if tick % 2 == 0:
      parts.append(
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 4}" '
        f'y2="{bottom}" stroke="{"#9aa5b1" if tick == 0 else "#e3e8ed"}"/>'
        f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle" '
        f'font-size="12" fill="#5f6b7a">{tick}</text>'
      )
  bars = [('baseline', 0.0, baseline, 'total')]
  for (text, value), start in zip(terms, levels):
    kind = 'up' if value >= 0 else 'down'
    bars.append((text, start, start + value, kind))
  bars.append(('this penguin', 0.0, output, 'total'))
  for index, (text, start, end, kind) in enumerate(bars):
    y = TOP + ROW * index
    weight = ' font-weight="bold"' if kind == 'total' else ''
    parts.append(
      f'<text x="{LEFT - 14}" y="{y + 13}" text-anchor="end" fill="#1c2733"'
      f'{weight}>{_text(text)}</text>'
    )
    # A sliver for what moves nothing, so that its place is seen.
    parts.append(
      f'<rect x="{x(min(start, end)):.1f}" y="{y}" height="{BAR}" '
      f'width="{max(abs(x(end) - x(start)), 1.5):.1f}" '
      f'fill="{COLORS[kind]}"/>'
    )
    if index + 1 < len(bars):
      parts.append(
        f'<line x1="{x(end):.1f}" x2="{x(end):.1f}" y1="{y + BAR}" '
        f'y2="{y + ROW}" stroke="#9aa5b1"/>'
      )
    number = end if kind == 'total' else end - start
    color = COLORS[kind] if number else COLORS['total']
    parts.append(
      f'<text x="{WIDTH - 24}" y="{y + 13}" text-anchor="end" class="number" '
      f'fill="{color}"{weight}>{_signed(number)}</text>'
    )
  return '\n'.join(parts) + '\n</svg>\n'


def _signed(number):
  # A hyphen is shorter than the plus sign above or below it.
  return f'{number:+.2f}'.replace('-', '\u2212')


def _text(text):
  return xml.sax.saxutils.escape(text)


def main(arguments):
  if len(arguments) != 2:
    raise app.UsageError('Name the annotated SavedModel that `make demo` made.')
  penguins.quiet()
  PATH.write_text(drawn(*terms_of_a_bird(arguments[1])), 'utf-8')
  print(f'Wrote {PATH}')


if __name__ == '__main__':
  app.run(main)
