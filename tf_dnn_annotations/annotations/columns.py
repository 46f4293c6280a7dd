"""Feature columns as the wire contract describes them, and their elements.

The writer describes each column in JSON; the reader parses it and names the
elements of the column's tensor by it. A column without a description (contrib
wrote none, and a user's own column may have no config) is known by its class,
and its elements by their positions.
"""

import itertools
import json
import math
import re

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import annotation_error
from tf_dnn_annotations.annotations import column_configs
from tf_dnn_annotations.annotations import vocabularies

# How deeply the JSON of a column may be nested: a crossed column made of a
# user's own columns has about twenty levels.
_MAX_DEPTH = 100

# The fields of a column's JSON, and the types of their values.
_FIELDS = {
  'name': str,
  'class_name': str,
  'feature_keys': list,
  'width': int,
  'config': (dict, type(None)),
}


def width(column):
  """Returns the number of elements of a feature column per example."""
  # Column classes from before TF 1.13 have only the underscored name.
  shape = getattr(column, 'variable_shape', None)
  if shape is None:
    shape = column._variable_shape
  return tf.TensorShape(shape).num_elements()


def describe(column, feature_keys):
  """Returns the description of a column in the wire contract, a JSON object.

  Args:
    column: a feature column.
    feature_keys: the keys of the features that it reads.
  """
  return {
    'name': column.name,
    'class_name': type(column).__name__,
    'feature_keys': sorted(feature_keys),
    'width': width(column),
    'config': _json_value(_config(column)),
  }


def parse(item):
  """Returns a description that the wire contract carries, None if not JSON.

  Args:
    item: str or bytes, the JSON of what `describe` returned. contrib wrote
      pickles, which are never loaded: they could run anything.

  Raises:
    AnnotationError: the JSON is not that of a column.
  """
  try:
    description = json.loads(tf.compat.as_text(item))
  except RecursionError as error:
    raise annotation_error.AnnotationError(
      f'the JSON of a column is nested deeper than {_MAX_DEPTH} levels'
    ) from error
  except (ValueError, TypeError):
    return None
  if not isinstance(description, dict):
    raise annotation_error.AnnotationError(
      f'the JSON of a column is a {type(description).__name__} and not an '
      'object'
    )
  for field, types in _FIELDS.items():
    value = description.get(field)
    is_right = field in description and isinstance(value, types)
    if not is_right or isinstance(value, bool):
      raise annotation_error.AnnotationError(
        f'the JSON of the column {description.get("name")!r:.80} has '
        f'{value!r:.80} for {field!r}'
      )
  if not all(isinstance(key, str) for key in description['feature_keys']):
    raise annotation_error.AnnotationError(
      f'the JSON of the column {description["name"]!r:.80} has feature keys '
      'that are not text'
    )
  _check_depth(description)
  return description


def kind(column):
  """Returns a short description of a column, such as 'indicator of hashed'.

  Args:
    column: `Column`.
  """
  return _kind(
    column_configs.of(column.class_name or 'NotDescribed', column.config)
  )


def element_names(columns, export_dir):
  """Returns the names of the elements of each column.

  An element's name is that of its column and, in brackets, its category, its
  range of values or its position: 'island_indicator[Dream]',
  'age_bucketized[x<18]', 'pixels[0,3]', 'word_embedding[7]'. The only element
  of a numeric column of one number is named after the column alone.

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
    # A config that does not fit the column is not trusted; positions are always
    # right. The width is compared first, since a config can describe more
    # elements than memory holds.
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


def _check_depth(value):
  level = [value]
  for _ in range(_MAX_DEPTH):
    level = [
      inner
      for outer in level
      for inner in (outer.values() if isinstance(outer, dict) else outer)
      if isinstance(inner, (dict, list))
    ]
    if not level:
      return
  raise annotation_error.AnnotationError(
    f'the JSON of a column is nested deeper than {_MAX_DEPTH} levels'
  )


def _config(value):
  """Returns the arguments that made a column or an initializer, or None."""
  try:
    # Every column of TensorFlow is a namedtuple.
    if hasattr(value, '_asdict'):
      return dict(value._asdict())
    return value.get_config()
  except Exception:  # A user's own class; the export does without its config.
    return None


def _json_value(value):
  """Returns the JSON form of anything that a column's arguments may hold."""
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)  # JSON has no such numbers.
  if value is None or isinstance(value, (bool, int, float, str)):
    return value
  if isinstance(value, bytes):
    return value.decode('utf-8', 'replace')
  if isinstance(value, np.generic):
    return _json_value(value.item())
  if isinstance(value, np.ndarray):
    return _json_value(value.tolist())
  if isinstance(value, tf.DType):
    return value.name
  if isinstance(value, tf.TensorShape):
    return value.as_list() if value.rank is not None else None
  if isinstance(value, dict):
    return {str(k): _json_value(v) for k, v in value.items()}
  if isinstance(value, (list, tuple)) and not hasattr(value, '_asdict'):
    return [_json_value(item) for item in value]
  config = _config(value)
  if config is not None:
    return {
      'class_name': type(value).__name__,
      'config': _json_value(config),
    }
  # A function or an object without a config is described by its name.
  described = value if hasattr(value, '__qualname__') else type(value)
  return f'{described.__module__}.{described.__qualname__}'


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
  """Returns the index of each element of a tensor, '' for an only element."""
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
  """Returns names of a vocabulary's entries and out-of-vocabulary buckets."""
  if vocabulary is None:
    return None
  count = config.num_oov_buckets()
  return [str(entry) for entry in vocabulary] + [
    'not in vocabulary' + (f' {i}' if count > 1 else '') for i in range(count)
  ]
