"""Baselines computed from data, in one pass over a stream of examples."""

import copy

import numpy as np

from tf_dnn_annotations import baselines

# How many rows the medians are taken over at most, a uniform sample of all:
# the standard error of a median of as many is about 1 % of a deviation.
_MEDIAN_ROWS = 16384

STRATEGIES = ('mean', 'median', 'sample')


def compute(model, batches, strategy, num_rows, seed):
  """Returns baselines as `IntegratedGradients.attribute` takes them.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    batches: iterable of batches of examples, each as `attribute` takes it, all
      of one form.
    strategy: 'mean', 'median' or 'sample'.
    num_rows: how many rows 'sample' takes.
    seed: int, of the random choice of rows.

  Returns:
    For 'mean' and 'median' `baselines.ColumnValues`, [width] each. For 'sample'
    a list of serialized tf.Examples, or `baselines.RawExamples`.

  Raises:
    ValueError: no such strategy, or no examples.
  """
  if strategy not in STRATEGIES:
    raise ValueError(
      f'`strategy` must be one of {list(STRATEGIES)}; got {strategy!r}. The '
      'mean is the cheapest to explain with.'
    )
  reservoir = _Reservoir(
    num_rows if strategy == 'sample' else _MEDIAN_ROWS, seed
  )
  numeric = _numeric_elements(model)
  sums, count = 0.0, 0
  for batch in batches:
    if strategy == 'sample':
      count += reservoir.add(_rows_of_examples(batch))
      continue
    columns = model.points_of_examples(batch, 'logits').columns
    sums = sums + columns.sum(axis=0, dtype=np.float64)
    count += len(columns)
    if strategy == 'median':
      reservoir.add(list(columns[:, numeric]))
  if not count:
    raise ValueError(
      '`batches` must hold at least one example; got none. Give the training '
      'data, or a part of it.'
    )
  if strategy == 'sample':
    return _together(reservoir.rows)
  baseline = sums / count
  if strategy == 'median':
    baseline[numeric] = np.median(reservoir.rows, axis=0)
  return baselines.ColumnValues(
    (name, baseline[part].astype(np.float32))
    for name, part in model.column_slices.items()
  )


def _numeric_elements(model):
  """Returns the places of numeric columns' elements among all columns'."""
  places = [np.zeros(0, np.int64)]
  for column in model.columns:
    if column.class_name in ('NumericColumn', '_NumericColumn'):
      part = model.column_slices[column.name]
      places.append(np.arange(part.start, part.stop))
  return np.concatenate(places)


def _rows_of_examples(batch):
  """Returns a list of the single examples of a batch."""
  if not isinstance(batch, dict):
    return list(batch)
  keys = list(batch)
  return [dict(zip(keys, values)) for values in zip(*batch.values())]


def _together(rows):
  """Returns single examples as one batch again."""
  if not isinstance(rows[0], dict):
    return rows
  batch = {key: [row[key] for row in rows] for key in rows[0]}
  # Rows of a sparse feature stay lists, which may differ in length.
  return baselines.RawExamples(
    (key, np.array(values) if np.ndim(rows[0][key]) == 0 else values)
    for key, values in batch.items()
  )


class _Reservoir(object):
  """A uniform sample of the rows of a stream.

  Source: algorithm R, Vitter, "Random Sampling with a Reservoir", 1985.
  """

  def __init__(self, size, seed):
    self.rows = []
    self._size = size
    self._num_seen = 0
    self._random = np.random.RandomState(seed)

  def add(self, rows):
    """Offers rows to the sample; returns how many."""
    for row in rows:
      self._num_seen += 1
      # What is kept is a copy: a view would hold its whole batch in memory, and
      # change with it where the caller fills the same arrays again.
      if len(self.rows) < self._size:
        self.rows.append(copy.deepcopy(row))
        continue
      place = self._random.randint(self._num_seen)
      if place < self._size:
        self.rows[place] = copy.deepcopy(row)
    return len(rows)
