"""The config of a feature column, as the wire contract has it in JSON.

The config of TensorFlow's own columns gives the name, the width and the
vocabulary. Nothing is derived from the config of any other class, or from one
that lacks a field.
"""

import collections

_SUFFIXES = {
  'BucketizedColumn': '_bucketized',
  'IndicatorColumn': '_indicator',
  'EmbeddingColumn': '_embedding',
}
# Fields of a config that hold a column or a list of columns.
_INNER = ('categorical_column', 'source_column', 'keys')


class ColumnConfig(
  collections.namedtuple('ColumnConfig', ['class_name', 'config'])
):
  """The class of a column and the dict of the arguments that made it.

  Attributes:
    class_name: str, without the underscore of the classes before TF 1.13.
    config: dict.
  """

  __slots__ = ()

  def field(self, name, types):
    """Returns a field of the config, or None if it has another type."""
    value = self.config.get(name)
    is_right = isinstance(value, types) and not isinstance(value, bool)
    return value if is_right else None

  def inner(self):
    """Returns the `ColumnConfig`s of the columns within this one, a list."""
    found = []
    for name in _INNER:
      value = self.config.get(name)
      for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict) and isinstance(each.get('class_name'), str):
          found.append(of(each['class_name'], each.get('config')))
    return found

  def all(self):
    """Returns this config and those that it is made of, at any depth."""
    return [self] + [each for inner in self.inner() for each in inner.all()]

  def name(self):
    """Returns the name that TensorFlow gives such a column, or None."""
    if self.class_name in _SUFFIXES:
      inner = self.inner()
      name = inner[0].name() if len(inner) == 1 else None
      return None if name is None else name + _SUFFIXES[self.class_name]
    if self.class_name in (
      'NumericColumn',
      'IdentityCategoricalColumn',
      'HashedCategoricalColumn',
      'VocabularyListCategoricalColumn',
      'VocabularyFileCategoricalColumn',
    ):
      return self.field('key', str)
    return None

  def width(self):
    """Returns the number of elements of such a column, or None."""
    if self.class_name == 'NumericColumn':
      return self._num_positions()
    if self.class_name == 'BucketizedColumn':
      boundaries, inner = self.field('boundaries', list), self.inner()
      size = inner[0]._num_positions() if len(inner) == 1 else None
      if boundaries is None or size is None:
        return None
      return (len(boundaries) + 1) * size
    if self.class_name == 'EmbeddingColumn':
      return self.field('dimension', int)
    if self.class_name == 'IndicatorColumn':
      inner = self.inner()
      return inner[0].num_categories() if len(inner) == 1 else None
    return None

  def num_categories(self):
    """Returns the number of categories of a categorical column, or None."""
    if self.class_name in ('HashedCategoricalColumn', 'CrossedColumn'):
      return self.field('hash_bucket_size', int)
    if self.class_name == 'IdentityCategoricalColumn':
      number = self.field('number_buckets', int)
      return self.field('num_buckets', int) if number is None else number
    if self.class_name == 'BucketizedColumn':
      return self.width()
    if self.class_name == 'WeightedCategoricalColumn':
      inner = self.inner()
      return inner[0].num_categories() if len(inner) == 1 else None
    size = None
    if self.class_name == 'VocabularyListCategoricalColumn':
      vocabulary = self.field('vocabulary_list', list)
      size = None if vocabulary is None else len(vocabulary)
    elif self.class_name == 'VocabularyFileCategoricalColumn':
      size = self.field('vocabulary_size', int)
    return None if size is None else size + self.num_oov_buckets()

  def num_oov_buckets(self):
    """Returns the number of categories for out-of-vocabulary values."""
    return self.field('num_oov_buckets', int) or 0

  def shape(self):
    """Returns the shape of a numeric column, a list of int, or None."""
    shape = self.field('shape', list)
    if not shape or not all(
      isinstance(size, int) and not isinstance(size, bool) and size > 0
      for size in shape
    ):
      return None
    return shape

  def _num_positions(self):
    shape = self.shape()
    if shape is None:
      return None
    # Not numpy's product, whose integers overflow.
    number = 1
    for size in shape:
      number *= size
    return number


def of(class_name, config):
  """Returns the `ColumnConfig` of a class name and a config, None or not."""
  return ColumnConfig(
    (class_name or '').lstrip('_'), config if isinstance(config, dict) else {}
  )
