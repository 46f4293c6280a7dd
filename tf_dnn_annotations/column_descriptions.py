"""Says what a column is, and what each of its elements stands for.

Both are read from the column's config in the wire contract. A column without
one (contrib wrote none, nor can every user's own column) is told by its class,
and its elements by their numbers.
"""

import itertools
import re

from tf_dnn_annotations import vocabularies


def kind(column):
  """Returns a few words on what `column` is, such as 'indicator of hashed'."""
  return _kind(column.class_name or 'NotDescribed', column.config)


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
    elements = _elements(column.class_name or '', column.config or {}, assets)
    # What does not fit was not understood: numbers are never wrong.
    if elements is None or len(set(elements)) != column.width:
      elements = [str(i) for i in range(column.width)]
    names[column.name] = [
      f'{column.name}[{element}]' if element else column.name
      for element in elements
    ]
  return names


def _kind(class_name, config):
  words = re.sub('(?<=[a-z])(?=[A-Z])', ' ', class_name.lstrip('_')).lower()
  words = re.sub(r'( categorical)? column( v2)?$', '', words)
  inner = (config or {}).get('categorical_column')
  if isinstance(inner, dict):
    words += ' of ' + _kind(inner['class_name'], inner.get('config'))
  return words


def _elements(class_name, config, assets):
  """Returns names of the elements of a column, in their order, or None."""
  class_name = class_name.lstrip('_')  # Classes of before TF 1.13 have one.
  if class_name == 'NumericColumn':
    return _positions(config.get('shape'))
  if class_name == 'BucketizedColumn':
    return _ranges(config)
  if class_name in ('IndicatorColumn', 'WeightedCategoricalColumn'):
    inner = config.get('categorical_column') or {}
    return _elements(
      inner.get('class_name', ''), inner.get('config') or {}, assets
    )
  if class_name == 'VocabularyListCategoricalColumn':
    return _with_oov(config, config.get('vocabulary_list'))
  if class_name == 'VocabularyFileCategoricalColumn':
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
  boundaries = config.get('boundaries')
  source = (config.get('source_column') or {}).get('config') or {}
  positions = _positions(source.get('shape'))
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
  count = config.get('num_oov_buckets') or 0
  return [str(entry) for entry in vocabulary] + [
    'not in vocabulary' + (f' {i}' if count > 1 else '') for i in range(count)
  ]
