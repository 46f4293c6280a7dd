"""Says what a column is, and what each of its elements stands for.

Both are read from the column's config in the wire contract. A column without
one (contrib wrote none, nor can every user's own column) is told by its class,
and its elements by their numbers.
"""

import itertools
import re

from tf_dnn_annotations.annotations import column_configs
from tf_dnn_annotations.annotations import vocabularies


def kind(column):
  """Returns a few words on what `column` is, such as 'indicator of hashed'."""
  return _kind(
    column_configs.of(column.class_name or 'NotDescribed', column.config)
  )


def element_names(columns, export_dir):
  """Returns what each element of each column is called.

  An element has its column's name and, in brackets, its category, its range
  of values or its position: 'island_indicator[Dream]', 'age_bucketized[x<18]',
  'pixels[0,3]', 'word_embedding[7]'. The one element of a numeric column of
  one number has the column's name alone.

  Args:
    columns: iterable of `Column`.
    export_dir: the SavedModel's directory; its assets have the vocabularies
      that the model reads from files.

  Returns:
    {column name: list of width distinct str}
  """
  columns = list(columns)
  assets = vocabularies.assets_of(columns, export_dir)
  names = {}
  for column in columns:
    config = column_configs.of(column.class_name, column.config)
    # What does not fit was not understood: numbers are never wrong. The width
    # comes first, since a config can tell of more elements than memory holds.
    elements = None
    if config.width() == column.width:
      elements = _elements(config, assets)
    if elements is None or len(set(elements)) != column.width:
      elements = [str(i) for i in range(column.width)]
    names[column.name] = [
      f'{column.name}[{element}]' if element else column.name
      for element in elements
    ]
  return names


def _kind(config):
  words = re.sub('(?<=[a-z])(?=[A-Z])', ' ', config.class_name).lower()
  words = re.sub(r'( categorical)? column( v2)?$', '', words)
  inner = config.config.get('categorical_column')
  return words + ''.join(
    ' of ' + _kind(each) for each in config.inner() if isinstance(inner, dict)
  )


def _elements(config, assets):
  """Returns names of the elements of a column, in their order, or None."""
  if config.class_name == 'NumericColumn':
    return _positions(config.shape())
  if config.class_name == 'BucketizedColumn':
    return _ranges(config)
  if config.class_name in ('IndicatorColumn', 'WeightedCategoricalColumn'):
    inner = config.inner()
    return _elements(inner[0], assets) if len(inner) == 1 else None
  if config.class_name == 'VocabularyListCategoricalColumn':
    return _with_oov(config, config.field('vocabulary_list', list))
  if config.class_name == 'VocabularyFileCategoricalColumn':
    return _with_oov(config, vocabularies.entries_of_file(config, assets))
  return None


def _positions(shape):
  """Returns the index of each element of a tensor; one element has none."""
  if not shape:
    return None
  if all(dimension == 1 for dimension in shape):
    return ['']
  return [
    ','.join(map(str, index)) for index in itertools.product(*map(range, shape))
  ]


def _ranges(config):
  """Returns the ranges of a bucketized column's one-hot elements."""
  boundaries, inner = config.field('boundaries', list), config.inner()
  positions = _positions(inner[0].shape()) if len(inner) == 1 else None
  if not boundaries or positions is None:
    return None
  ranges = (
    [f'x<{boundaries[0]}']
    + [f'{a}<=x<{b}' for a, b in zip(boundaries, boundaries[1:])]
    + [f'x>={boundaries[-1]}']
  )
  return [
    f'{position}: {name}' if position else name
    for position in positions
    for name in ranges
  ]


def _with_oov(config, vocabulary):
  """Returns a vocabulary and the buckets for what is not in it."""
  if vocabulary is None:
    return None
  count = config.num_oov_buckets()
  return [str(entry) for entry in vocabulary] + [
    'not in vocabulary' + (f' {i}' if count > 1 else '') for i in range(count)
  ]
