"""The vocabularies of a model's columns, and values outside of them.

A value outside its column's vocabulary is silently read as no category, even if
it is only misspelt. So such values are counted and reported.
"""

import collections
import itertools
import os
import threading
from typing import Dict, List
import warnings

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import column_configs

# How many of the values outside a vocabulary are shown, and how much of each.
_NUM_EXAMPLES = 3
_EXAMPLE_LENGTH = 40
# Characters that may separate several values in a text that is read as one.
_SEPARATORS = '|,;/&+ \t'
# Texts that programs write for a missing value, in lower case.
_MISSING = frozenset(
  '#n/a - -- . ? n/a na nan none null \\n <na> missing unknown'.split()
)


class Vocabulary(collections.namedtuple('Vocabulary', ['entries', 'others'])):
  """The values of a feature that columns know, and how they read others.

  Attributes:
    entries: frozenset of bytes or int, the values that are in the vocabulary of
      some column.
    others: sorted tuple of str, how columns read other values.
  """

  __slots__ = ()

  def hint(self, text):
    """Returns a guess at why a value is outside the vocabulary.

    Args:
      text: str, the value.

    Returns:
      (kind, detail): ('separator', the character between texts of which one is
      in a vocabulary), ('spelling', the entry that differs in case or in spaces
      around it), ('missing', ''), or ('', '').
    """
    entries = {_text(entry) for entry in self.entries}
    for separator in _SEPARATORS:
      if separator in text and entries & {
        part.strip() for part in text.split(separator)
      }:
        return 'separator', separator
    plain = text.strip().lower()
    for entry in sorted(entries):
      if entry.strip().lower() == plain:
        return 'spelling', entry
    return ('missing', '') if plain in _MISSING else ('', '')


class UnknownCategories(RuntimeWarning):
  """Values of features that are outside the vocabularies of their columns.

  Attributes:
    counts: {feature key: number of such values}.
    examples: {feature key: list of the texts of the first few of them}.
  """

  def __init__(
    self,
    counts: Dict[str, int],
    examples: Dict[str, List[str]],
    vocabularies: 'Dict[str, Vocabulary]',
  ) -> None:
    self.counts = counts
    self.examples = examples
    super().__init__(
      ' '.join(
        described(key, counts[key], examples[key], vocabularies[key], _REMEDIES)
        for key in counts
      )
    )


_REMEDIES = {
  'separator': 'Give the values of a row as a list, split at {detail!r}.',
  'spelling': 'The vocabulary has {detail!r}, not {text!r}.',
  'missing': "None or an empty list stands for 'no value'.",
}


def described(key, count, examples, vocabulary, remedies):
  """Returns a line on the values of a feature outside its vocabulary.

  Args:
    key: that of the feature.
    count: number of such values.
    examples: list of the texts of a few of them.
    vocabulary: the feature's `Vocabulary`.
    remedies: {kind of `Vocabulary.hint`: sentence, with {text} and {detail}}.
  """
  hints = {}
  for text in examples:
    kind, detail = vocabulary.hint(text)
    if kind:
      hints.setdefault((kind, detail), text)
  remedy = ' '.join(
    remedies[kind].format(text=text, detail=detail)
    for (kind, detail), text in hints.items()
  )
  shown = ', '.join(
    repr(text[:_EXAMPLE_LENGTH]) + '...' * (len(text) > _EXAMPLE_LENGTH)
    for text in examples
  )
  return (
    f'Feature {key!r}: {count} value{"s" * (count != 1)} outside its '
    f'vocabulary, read as {" or ".join(vocabulary.others)}, such as {shown}. '
    f'{remedy}'.rstrip()
  )


class UnknownCounter(object):
  """Counts the values of a call that are outside their vocabularies.

  Attributes:
    vocabularies: {feature key: `Vocabulary`} of the features to look at.
  """

  def __init__(self, vocabularies):
    self.vocabularies = vocabularies
    # A column reads neither an empty text nor -1 in a dense tensor as a value.
    self._known = {
      key: vocabulary.entries | {b'', -1}
      for key, vocabulary in vocabularies.items()
    }
    self._counts = collections.Counter()
    self._examples = collections.defaultdict(dict)  # Dicts as ordered sets.
    self._lock = threading.Lock()

  def add(self, values):
    """Counts some rows' {feature key: values}; threads may share this."""
    for key, value in values.items():
      is_sparse = isinstance(value, tf.SparseTensorValue)
      array = value.values if is_sparse else value
      known = self._known[key]
      given = array.ravel().tolist()
      if not known.issuperset(given):  # Fast, and rarely true.
        unknown = [value for value in given if value not in known]
        with self._lock:
          self._counts[key] += len(unknown)
          shown = self._examples[key]
          for value in unknown:
            if len(shown) >= _NUM_EXAMPLES:
              break
            shown[_text(value)] = None

  def warn(self, stacklevel):
    """Warns with `UnknownCategories` if any was counted."""
    if self._counts:
      warning = UnknownCategories(
        dict(sorted(self._counts.items())),
        {key: list(texts) for key, texts in self._examples.items()},
        self.vocabularies,
      )
      warnings.warn(warning, stacklevel=stacklevel + 1)


def _text(value):
  if isinstance(value, bytes):
    return value.decode('utf-8', 'backslashreplace')
  return str(value)


def find(columns, features, export_dir):
  """Returns {feature key: `Vocabulary`} of the features that are looked up.

  Args:
    columns: iterable of `Column`.
    features: {feature key: object with `dtype`}.
    export_dir: the SavedModel's directory; its assets have the vocabularies
      that the model reads from files.
  """
  columns = list(columns)
  assets = assets_of(columns, export_dir)
  entries, others = collections.defaultdict(set), collections.defaultdict(set)
  unreadable = set()
  for config in _configs(columns):
    key = config.field('key', str)
    vocabulary = config.field('vocabulary_list', list)
    if config.field('vocabulary_file', str):
      vocabulary = entries_of_file(config, assets)
    elif vocabulary is None:
      continue
    if vocabulary is None or key not in features:
      unreadable.add(key)
      continue
    is_integer = features[key].dtype.is_integer
    try:
      entries[key].update(
        int(entry) if is_integer else tf.compat.as_bytes(entry)
        for entry in vocabulary
      )
    except (TypeError, ValueError):
      unreadable.add(key)
      continue
    others[key].add(_other(config, vocabulary))
  return {
    key: Vocabulary(frozenset(entries[key]), tuple(sorted(others[key])))
    for key in sorted(set(others) - unreadable)
  }


def _other(config, vocabulary):
  """Returns how a column reads values outside its vocabulary."""
  if config.num_oov_buckets():
    return 'an out-of-vocabulary bucket'
  default = config.field('default_value', int)
  if default is not None and 0 <= default < len(vocabulary):
    return f'{_text(vocabulary[default])!r}'
  return 'no category'


def _configs(columns):
  """Returns the `ColumnConfig`s of columns and of the columns within them."""
  return [
    config
    for column in columns
    for config in column_configs.of(column.class_name, column.config).all()
  ]


def entries_of_file(config, assets):
  """Returns the entries of a vocabulary file, None if they cannot be read.

  Args:
    config: the `column_configs.ColumnConfig` of the column.
    assets: as `assets_of` returns them.
  """
  path = assets.get(config.field('vocabulary_file', str))
  size = config.field('vocabulary_size', int) or 0
  if path is None or config.config.get('file_format') or size < 1:
    return None
  with tf.io.gfile.GFile(path, 'rb') as file:
    lines = itertools.islice(file, size)
    return [line.decode('utf-8', 'replace').rstrip('\r\n') for line in lines]


def assets_of(columns, export_dir):
  """Returns {path of a vocabulary file in training: its path in assets/}.

  Args:
    columns, export_dir: as in `columns.element_names`.
  """
  paths = {config.field('vocabulary_file', str) for config in _configs(columns)}
  by_name = collections.defaultdict(list)
  for path in filter(None, paths):
    by_name[os.path.basename(path)].append(path)
  assets = {}
  for name, same_name in by_name.items():
    asset = os.path.join(export_dir, 'assets', name)
    # An export renames one of two files of the same name, and does not say
    # which.
    if len(same_name) == 1 and tf.io.gfile.exists(asset):
      assets[same_name[0]] = asset
  return assets
