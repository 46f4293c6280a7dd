"""Whether what the reader says of a SavedModel is what the SavedModel does."""

import re

import numpy as np

from tests.properties import oracle as oracles
from tests.properties import reports

_PREDICTED = ('logits', 'probabilities', 'predictions', 'class_ids', 'classes')
# An element that is called by its number, or by its place in a tensor.
_NUMBERED = re.compile(r'(?s).*\[[\d,]*\]$')
# What is in no vocabulary is the rest, whatever the vocabulary is.
_REST = re.compile(r'(?s).*\[not in vocabulary')
# What 'auto' allows itself, relative to a row's attributions, and more.
_TOLERANCE = 3e-3
_ROUNDING = 1e-4


def judge(export_dir, base, expected=None):
  """Judges the reader on a SavedModel.

  Args:
    export_dir: its directory.
    base: the `bases.Base` that it is a copy of, spoilt or not.
    expected: (`Report`, `Oracle`'s predictions, its values) of `base`; None
      for the base itself.

  Returns:
    (list of `Outcome`, the first of the worst verdict; what is `expected` of
    copies, None if nothing was computed).
  """
  found = reports.report(export_dir, base)
  outcomes = list(found.outcomes)
  if found.told is None and not found.results:
    return _sorted(outcomes), None
  try:
    oracle = oracles.Oracle(export_dir, base)
  except oracles.NoOracle as error:
    outcomes.append(reports.Outcome(reports.NOT_JUDGED, str(error)))
    return _sorted(outcomes), None
  try:
    outcomes += _compared(found, oracle, expected)
  except oracles.NoOracle as error:
    outcomes.append(reports.Outcome(reports.NOT_JUDGED, str(error)))
  finally:
    oracle.close()
  return _sorted(outcomes), (found, oracle.predictions, oracle.values)


def _sorted(outcomes):
  rank = reports.VERDICTS.index
  outcomes = outcomes or [reports.Outcome(reports.RIGHT, '')]
  return sorted(outcomes, key=lambda outcome: -rank(outcome.verdict))


def _compared(found, oracle, expected):
  """Returns the `Outcome`s of comparing with plain TensorFlow."""
  if oracle.is_random:
    return []  # Nothing can be compared, and the model is what it is.
  is_as_before = expected is not None and _is_same(found, expected[0])
  # Where all numbers are refused, what is served need not be as before.
  if is_as_before and (
    not found.results or _serves_the_same(oracle.predictions, expected[1])
  ):
    return []
  wrong = list(oracle.contradictions)
  if is_as_before:
    wrong = wrong or ['as before, but other predictions are served']
  if not wrong:
    wrong += _wrong_facts(found, oracle)
    for setting, result in found.results.items():
      if not result.notices:
        wrong += [f'{setting}: {x}' for x in _wrong(setting, result, oracle)]
  if not wrong and found.elements is not None:
    wrong += _wrong_elements(found, oracle, expected)
  return [reports.Outcome(reports.WRONG, reason) for reason in wrong]


def _is_same(found, other):
  """Whether two reports say the same, but for roundings."""
  if found.facts() != other.facts() or set(found.results) - set(other.results):
    return False
  for setting, result in found.results.items():
    one, two = result.attributions, other.results[setting].attributions
    if list(one.values) != list(two.values):
      return False
    if set(result.by_feature) != set(other.results[setting].by_feature):
      return False
    pairs = [(one.values[name], two.values[name]) for name in one.values]
    pairs += [
      (getattr(one, name), getattr(two, name))
      for name in ('outputs', 'baseline_outputs', 'targets')
    ]
    pairs += [
      (value, other.results[setting].by_feature[key])
      for key, value in result.by_feature.items()
    ]
    if not all(oracles.same(a, b) for a, b in pairs):
      return False
  return _element_names(found) is None or all(
    name == before or _NUMBERED.match(name)
    for name, before in zip(_element_names(found), _element_names(other))
  )


def _element_names(found):
  return list(found.elements[0]) if found.elements else None


def _serves_the_same(predictions, expected):
  """Whether a predict signature serves what it did, as far as it does."""
  return all(
    oracles.same(value, expected[name])
    for name, value in (predictions or {}).items()
    if name in _PREDICTED and name in expected
  )


def _wrong_facts(found, oracle):
  """Yields what `inspect` says and the graph does not."""
  facts = found.facts()
  if facts is None:
    return
  if oracle.predictions is not None:
    kind = 'classifier' if oracle.is_classifier else 'regressor'
    if facts['kind'] != kind:
      yield f'is called a {facts["kind"]}'
    yield from _wrong_labels(facts, oracle.predictions)
  if list(facts['columns']) != sorted(oracle.columns):
    yield f'columns are said to be {list(facts["columns"])}'
    return
  for name, (keys, width) in facts['columns'].items():
    if keys != oracle.feature_keys[name]:
      yield f'{name} is said to read {keys}'
    if width != oracle.values[name].shape[-1]:
      yield f'{name} is said to be {width} wide'


def _wrong_labels(facts, predictions):
  if not {'classes', 'class_ids'} <= set(predictions):
    return
  labels = facts['labels'] or [str(i) for i in range(facts['num_outputs'])]
  if len(labels) != facts['num_outputs']:
    yield f'{len(labels)} labels for {facts["num_outputs"]} classes'
    return
  class_ids, classes = (
    np.ravel(predictions[name]) for name in ('class_ids', 'classes')
  )
  if len(class_ids) != len(classes):
    return  # Other tensors than one class for each row.
  for class_id, served in zip(class_ids, classes):
    if isinstance(served, bytes):
      served = served.decode('utf-8', 'backslashreplace')
    if 0 <= class_id < len(labels) and str(labels[class_id]) != str(served):
      yield f'label {labels[class_id]!r} is served as {served!r}'
      return


def _wrong(setting, result, oracle):
  """Yields what is wrong with the attributions in one of the settings."""
  found = result.attributions
  end = oracle.values
  start = {name: 0 * value for name, value in end.items()}
  output, num_steps = 'logits', None
  if setting == 'against_first':
    start = {
      name: np.broadcast_to(value[:1], value.shape)
      for name, value in end.items()
    }
    output = 'probabilities' if oracle.is_classifier else 'logits'
  elif setting == 'against_constant':
    start = {name: value + reports.CONSTANT for name, value in start.items()}
    num_steps = reports.NUM_STEPS
  if list(found.values) != sorted(end):
    yield f'columns {list(found.values)}'
    return
  rows = np.arange(len(found.targets))
  outputs = oracle.outputs(output)
  baseline_outputs = oracle.outputs_at(start, output)
  if not np.all(found.targets < outputs.shape[-1]):
    yield f'targets {found.targets.tolist()}'
    return
  class_ids = (oracle.predictions or {}).get('class_ids')
  if setting == 'default' and oracle.is_classifier and class_ids is not None:
    if not np.array_equal(found.targets, np.ravel(class_ids)):
      yield f'predicted {found.targets.tolist()} for {class_ids.tolist()}'
  for what, ours, theirs in (
    ('outputs', found.outputs, outputs[rows, found.targets]),
    (
      'baseline outputs',
      found.baseline_outputs,
      baseline_outputs[rows, found.targets],
    ),
  ):
    if not oracles.same(ours, theirs, _ROUNDING):
      yield f'{what} {ours.tolist()} for {theirs.tolist()}'
      return
  expected, unsure = oracle.attributions(
    start, end, found.targets, output, num_steps
  )
  size = np.abs(reports.side_by_side(expected)).sum(axis=-1)
  change = (outputs - baseline_outputs)[rows, found.targets]
  scale = np.maximum(np.abs(outputs), np.abs(baseline_outputs)).max(axis=-1)
  bound = _ROUNDING * (size + 0.1 * scale) + 1e-6
  if num_steps is None:
    bound = bound + _TOLERANCE * size + 3 * found.error_estimate
  for name in expected:
    allowed = bound[:, np.newaxis] + 4 * unsure[name]
    # A NaN is never below.
    error = np.abs(found.values[name] - expected[name])
    if error.shape != allowed.shape and error.shape != expected[name].shape:
      yield f'{name}: shape {found.values[name].shape}'
    elif not np.all(error <= allowed):
      yield (
        f'{name}: off by {np.max(error):.3g} where {np.min(bound):.3g} is '
        'allowed'
      )
  if num_steps is None:
    sums = reports.side_by_side(found.values).sum(axis=-1)
    unsure = reports.side_by_side(unsure).sum(axis=-1)
    if not np.all(np.abs(sums - change) <= bound + 4 * unsure):
      yield f'sums to {sums.tolist()} for {change.tolist()}'
  yield from _wrong_features(result, oracle)


def _wrong_features(result, oracle):
  """Yields what is wrong with the sums over the columns of a feature."""
  sums = {}
  for name, value in result.attributions.values.items():
    key = ' x '.join(oracle.feature_keys[name]) or name
    sums[key] = sums.get(key, 0) + value.sum(axis=-1)
  if set(sums) != set(result.by_feature):
    yield f'features {sorted(result.by_feature)} for {sorted(sums)}'
    return
  for key, value in sums.items():
    if not oracles.same(result.by_feature[key], value, _ROUNDING):
      yield f'sum of feature {key}'


def _wrong_elements(found, oracle, expected):
  """Yields elements that are called what they are not.

  What an element is called by a text, it must be: 1, or a weight, in the rows
  in which the element of that name was so before anything was spoilt.
  """
  values = reports.side_by_side(found.results['default'].attributions.values)
  told = _element_names(found)
  if len(told) != values.shape[-1]:
    yield f'{len(told)} elements for {values.shape[-1]}'
    return
  for row, line in enumerate(found.elements):
    if not oracles.same(list(line.values()), values[row], _ROUNDING):
      yield f'row {row}: --by=element has other numbers'
      return
  if expected is None:
    return
  names = iter(told)
  places = {name: i for i, name in enumerate(_element_names(expected[0]))}
  before = reports.side_by_side(expected[2]) != 0
  for column, value in oracle.values.items():
    now = value != 0
    was = expected[2].get(column)
    # A column that a node more has emptied says nothing of names.
    is_comparable = np.shape(was) == now.shape and np.array_equal(
      now.sum(axis=1), np.sum(was != 0, axis=1)
    )
    for i in range(now.shape[1]):
      name = next(names)
      if '[' not in name or _NUMBERED.match(name) or _REST.match(name):
        continue
      if not is_comparable:
        continue
      was_named = np.zeros(len(now), bool)
      if name in places:
        was_named = before[:, places[name]]
      if not np.array_equal(now[:, i], was_named):
        yield f'element {i} of {column} is not {name!r}'
