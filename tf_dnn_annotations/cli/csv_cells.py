"""The cells of CSV files, which become features of tf.Examples or an error."""

import collections
import decimal
import re

import tensorflow.compat.v1 as tf

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
# From here on a float32 is infinite: its largest value and half a unit more.
_FLOAT32_END = (2 - 2**-24) * 2.0**127

# Numbers as programs write them. Python accepts more: 1_000 and digits of other
# scripts.
_NUMBER = re.compile(r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?')
_NOT_FINITE = re.compile(r'[+-]?(nan|inf|infinity)', re.IGNORECASE)
_BOOLS = {'true': 1, '1': 1, 'false': 0, '0': 0}

# The texts that programs write for a missing value.
_MISSING_TEXTS = frozenset(
  '#N/A,-,--,.,?,N/A,NA,NULL,NaN,None,\\N,n/a,na,nan,none,null,<NA>'.split(',')
)


class CsvFormat(object):
  """How the cells of a CSV file become the features of a tf.Example.

  Attributes:
    features: dict of feature key to an object with `dtype` (`tf.DType`),
      `shape` (list without the batch, or None) and `is_sparse`.
    list_separator: str between the values of a cell, for features that take
      several; '' where every cell is one value.
    missing: set of the cell texts that stand for no value; the empty one is
      always among them.
    allow_missing: set of the keys of features for which a file need not have a
      column.
    required: set of the keys of features that every example must have.
    unread: set of the keys of features that make no difference.
    missing_texts: `collections.Counter` of (feature key, text) of the cells
      read so far that may have been meant as missing.

  Args:
    warn_fn: function that is called with a line of text on columns that are
      not used, or features without a column; once per text.
  """

  def __init__(
    self,
    features,
    list_separator='|',
    missing=(),
    allow_missing=(),
    required=(),
    unread=(),
    warn_fn=None,
  ):
    self.features = features
    self.list_separator = list_separator
    self.missing = frozenset(missing) | {''}
    self.allow_missing = frozenset(allow_missing)
    self.required = frozenset(required)
    self.unread = frozenset(unread)
    self.missing_texts = collections.Counter()
    self._warn_fn = warn_fn
    self._warned = set()

  def warn(self, path, text):
    """Passes `text` on for the first file to which it applies."""
    if self._warn_fn and text not in self._warned:
      self._warned.add(text)
      self._warn_fn(f'{path}: {text}')


def add(example, key, feature, cell, csv_format):
  """Adds the values in a cell to a tf.Example, as those of a feature.

  Raises:
    ValueError: the text is not a value of the feature.
  """
  column = f'column {key!r}: '
  if cell in csv_format.missing:
    if key in csv_format.required:
      raise ValueError(
        f'{column}{cell!r} stands for no value, and the model has no default. '
        'Fill it in.'
      )
    return
  separator = csv_format.list_separator
  is_list = separator and _takes_many(feature)
  texts = cell.split(separator) if is_list else [cell]
  # A tf.Example has three types only.
  dtype, value = feature.dtype, example.features.feature[key]
  if dtype == tf.string:
    value.bytes_list.value.extend(text.encode('utf-8') for text in texts)
    if cell in _MISSING_TEXTS:
      csv_format.missing_texts[key, cell] += 1
  else:
    try:
      if dtype.is_floating:
        value.float_list.value.extend(map(_parsed_float, texts))
      elif dtype == tf.bool:
        value.int64_list.value.extend(map(_parsed_bool, texts))
      elif dtype.is_integer:
        value.int64_list.value.extend(map(_parsed_int, texts))
      else:
        raise ValueError(f'is not of type {dtype.name}, which CSV cannot hold')
    except ValueError as error:
      raise ValueError(
        f'{column}{_shown(cell)} {error}. {_remedy(feature, csv_format)}'
      ) from error
  num_values = _num_values(feature)
  if num_values is not None and len(texts) != num_values:
    raise ValueError(
      f'{column}{_shown(cell)} must be {num_values} values; got '
      f'{len(texts)}. {_remedy(feature, csv_format)}'
    )


def _shown(cell):
  return repr(cell) if len(cell) <= 80 else repr(cell[:80]) + '...'


def _remedy(feature, csv_format):
  remedy = 'Correct it.'
  if feature.key not in csv_format.required:
    remedy = (
      'Leave a missing value empty, or name the text that stands for one with '
      '--missing.'
    )
  if _takes_many(feature):
    remedy += (
      ' --list_separator is what separates several values; now it is '
      f'{csv_format.list_separator!r}.'
    )
  return remedy


def _takes_many(feature):
  if feature.is_sparse or feature.shape is None:
    return True
  return any(dimension != 1 for dimension in feature.shape)


def _num_values(feature):
  """Returns the number of values of a feature; None if it differs by row."""
  if feature.is_sparse or feature.shape is None or None in feature.shape:
    return None
  count = 1
  for dimension in feature.shape:
    count *= dimension
  return count


def _parsed_float(text):
  try:
    value = float(text)
  except ValueError:
    value = None
  if value is None or '_' in text or not text.isascii():
    raise ValueError('is not of type float32')
  if not abs(value) < _FLOAT32_END:
    if _NOT_FINITE.fullmatch(text.strip()):
      raise ValueError('is not a finite number')
    raise ValueError('is out of range for a float32')
  return value


def _parsed_int(text):
  if len(text) < 19 and text.isdigit() and text.isascii():
    return int(text)  # Most are like this.
  text = text.strip(' \t')
  if not _NUMBER.fullmatch(text):
    raise ValueError('is not of type int64')
  # pandas writes a column of whole numbers as floats if some are missing. Not
  # by way of float(), which has too few digits for ids.
  try:
    number = decimal.Decimal(text)
  except decimal.InvalidOperation as error:  # An exponent of many digits.
    raise ValueError('is out of range for an int64') from error
  if not number:
    return 0
  if number.adjusted() > 18:
    raise ValueError('is out of range for an int64')
  if number != number.to_integral_value():
    raise ValueError('is not of type int64: not a whole number')
  value = int(number)
  if not _INT64_MIN <= value <= _INT64_MAX:
    raise ValueError('is out of range for an int64')
  return value


def _parsed_bool(text):
  value = _BOOLS.get(text.strip(' \t').lower())
  if value is None:
    raise ValueError('is not of type bool: neither true nor false')
  return value
