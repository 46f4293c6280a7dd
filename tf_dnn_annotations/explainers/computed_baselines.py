"""Baselines computed from data, in one pass over a stream of examples."""

import copy

import numpy as np

from tf_dnn_annotations.explainers import baselines
from tf_dnn_annotations.explainers import choices
from tf_dnn_annotations.saved_models import example_forms
from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.text import suggestions

# Medians are those of a uniform sample of at most so many rows, which has a
# standard error of about 1 % of a standard deviation.
_MEDIAN_ROWS = 16384


def compute(model, batches, strategy, num_rows=100, seed=0, given='batches'):
  """Returns baselines as `IntegratedGradients.attribute` accepts them.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    batches: iterable of batches of examples, each as `attribute` accepts it,
      all serialized or all raw.
    strategy: one of `choices.STRATEGIES`.
    num_rows: number of rows that 'sample' chooses.
    seed: int, of the random choice of rows.
    given: the name of the argument that holds the batches, for messages.

  Returns:
    For 'mean' and 'median' `baselines.ColumnValues`, [width] each. For 'sample'
    a list of serialized tf.Examples, or `baselines.RawExamples`.

  Raises:
    ValueError: an unknown strategy, or no examples.
  """
  check(strategy, 'strategy')
  reservoir = _Reservoir(
    num_rows if strategy == 'sample' else _MEDIAN_ROWS, seed
  )
  numeric = _numeric_elements(model)
  sums, count, kinds = 0.0, 0, set()
  example_forms.check_batches(batches)
  for batch in batches:
    batch = example_forms.plain(batch)
    kinds.add(type(batch) is list)
    if len(kinds) > 1 and strategy == 'sample':
      raise ValueError(
        '`batches` must be all serialized tf.Examples or all raw features; got '
        'both. Give one of them.'
      )
    if isinstance(batch, dict):
      batch, _ = feature_values.batch(model.features, batch)
    # Whatever the strategy, rows that cannot be explained are refused here.
    columns = model.points_of_examples(batch, 'logits').columns
    sums = sums + columns.sum(axis=0, dtype=np.float64)
    count += len(columns)
    if strategy == 'median':
      reservoir.add(len(columns), _row_fn(columns[:, numeric]))
    elif strategy == 'sample':
      reservoir.add(len(columns), _row_fn(batch))
  if not count:
    raise ValueError(
      f'`{given}` must hold at least one example; got none. Give the training '
      'data, or a part of it.'
    )
  if strategy == 'sample':
    return _together(model.features, reservoir.rows)
  baseline = sums / count
  if strategy == 'median':
    baseline[numeric] = np.median(reservoir.rows, axis=0)
  return baselines.ColumnValues(
    (name, baseline[part].astype(np.float32))
    for name, part in model.column_slices.items()
  )


def of_examples(model, examples, strategy):
  """Returns the baselines that examples are for themselves, by `compute`."""
  check(strategy, 'baselines')
  return compute(model, [examples], strategy, given='examples')


def of_batches(model, batches, strategy):
  """Returns the baselines that batches are for themselves, by `compute`.

  Raises:
    ValueError: as `compute` does, or if `batches` can be iterated only once.
  """
  check(strategy, 'baselines')
  if iter(batches) is batches:
    raise ValueError(
      f'`baselines`: {strategy!r} needs a pass over `batches` before the '
      f'attributions; got a {type(batches).__name__}, which can be iterated '
      'only once. Give a list of batches, or compute them first: baselines=ig.'
      f'baselines_of(batches, {strategy!r}).'
    )
  return compute(model, batches, strategy)


def check(strategy, argument):
  """Raises ValueError, naming the argument, unless `strategy` is known."""
  if strategy not in choices.STRATEGIES:
    raise ValueError(
      f'`{argument}` must be '
      + ('' if argument == 'strategy' else 'examples, values of columns or ')
      + f'one of {list(choices.STRATEGIES)}; got {strategy!r}.'
      + (
        suggestions.did_you_mean(strategy, choices.STRATEGIES)
        or ' The mean is the cheapest of them; None, the default, stands for '
        'zeros in every processed column.'
      )
    )


def _numeric_elements(model):
  """Returns the places of numeric columns' elements among all columns'."""
  places = [np.zeros(0, np.int64)]
  for column in model.columns:
    if column.class_name in ('NumericColumn', '_NumericColumn'):
      part = model.column_slices[column.name]
      places.append(np.arange(part.start, part.stop))
  return np.concatenate(places)


def _row_fn(batch):
  """Returns a function from an index to a copy of that row of a batch.

  A copy, as a view would hold its whole batch in memory, and change with it
  where the caller fills the same arrays again.
  """

  def row(i):
    if isinstance(batch, dict):
      return copy.deepcopy(feature_values.rows(batch, i, i + 1))
    return copy.copy(batch[i])

  return row


def _together(features, rows):
  """Returns single examples as one batch again."""
  if not isinstance(rows[0], dict):
    return rows
  return baselines.RawExamples(feature_values.joined(features, rows))


class _Reservoir(object):
  """A uniform sample of the rows of a stream.

  Source: algorithm R, Vitter, "Random Sampling with a Reservoir", 1985.
  """

  def __init__(self, size, seed):
    self.rows = []
    self._size = size
    self._num_seen = 0
    self._random = np.random.RandomState(seed)

  def add(self, num_rows, row_fn):
    """Offers rows to the sample.

    Args:
      num_rows: number of rows.
      row_fn: function that returns a row to keep, given its index.
    """
    for i in range(num_rows):
      self._num_seen += 1
      if len(self.rows) < self._size:
        self.rows.append(row_fn(i))
        continue
      place = self._random.randint(self._num_seen)
      if place < self._size:
        self.rows[place] = row_fn(i)
