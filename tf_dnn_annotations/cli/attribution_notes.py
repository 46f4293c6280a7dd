"""Notes on the examples that the command `attribute` explains, each once."""

import collections
import re

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import vocabularies
from tf_dnn_annotations.cli import flags
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.explainers import convergence
from tf_dnn_annotations.text import suggestions

# The number of values outside a vocabulary that are shown.
_NUM_EXAMPLES = 3

_REMEDIES = {
  'separator': 'If {text!r} is several values, pass '
  "--list_separator='{detail}' (for CSV).",
  'spelling': 'The vocabulary has {detail!r}, not {text!r}.',
  'missing': "If {text!r} stands for a missing value, pass --missing='{text}' "
  '(for CSV).',
}


class Notes(object):
  """Collects the API's warnings.

  Those of rows and values are counted and reported once, after the last batch;
  others at once. Memory does not grow with the rows.

  Attributes:
    not_converged: `_Places` of the examples that did not meet --tolerance.
    near_baseline: `_Places` of the examples whose attributions cancel.
  """

  def __init__(self):
    self.not_converged = _Places()
    self.near_baseline = _Places()
    self._num_limited = 0
    self._unknown_counts = collections.Counter()
    self._unknown_examples = collections.defaultdict(dict)
    self._texts = set()

  def add(self, message, records):
    """Adds a warning that was given while a list of `Record`s was explained."""
    rows = getattr(message, 'rows', None)
    if isinstance(message, vocabularies.UnknownCategories):
      self._unknown_counts.update(message.counts)
      for key, texts in message.examples.items():
        shown = self._unknown_examples[key]
        for text in texts[: _NUM_EXAMPLES - len(shown)]:
          shown[text] = None
    elif rows is None:
      self._warn_once(message, records)
    elif isinstance(message, convergence.NotConverged):
      self.not_converged.add([records[row] for row in rows])
      self._num_limited += len(message.limited_rows)
    elif isinstance(message, convergence.NearBaseline):
      self.near_baseline.add([records[row] for row in rows])
    else:
      self._warn_once(message, [records[row] for row in rows])

  def _warn_once(self, message, records):
    text = flags.in_flags(str(message))
    if text not in self._texts:
      self._texts.add(text)
      place = f'{records[0].place} and following: ' if records else ''
      messages.note(place + text)

  def warn_of_rows(self, num_examples, tolerance):
    """Prints how many examples did not converge or are near their baseline."""
    of_all = f'of {num_examples} example{"s" * (num_examples != 1)}'
    if self.not_converged.count:
      messages.note(
        f'{self.not_converged.count} {of_all} did not meet '
        f'--tolerance={tolerance:g}{self.not_converged.where()}. '
        + self._remedy()
      )
    if self.near_baseline.count:
      has, its = 'has', 'its'
      if self.near_baseline.count > 1:
        has, its = 'have', 'their'
      messages.note(
        f'{self.near_baseline.count} {of_all} {has} an output nearly that of '
        f'{its} baseline, so that {its} attributions cancel or are rounding, '
        f'and mean little{self.near_baseline.where()}. Try another baseline.'
      )

  def _remedy(self):
    """Returns the remedy for examples that did not meet --tolerance."""
    if not self._num_limited:
      return 'Raise --num_steps.'
    limit = (
      'float32 cannot represent the output any better: give a larger '
      '--tolerance, or scale the inputs.'
    )
    if self._num_limited == self.not_converged.count:
      return f'More --num_steps do not help: {limit}'
    return f'Raise --num_steps; for {self._num_limited} of them, {limit}'

  def warn_of_categories(self, known, missing_texts):
    """Prints which categories are unknown, or may stand for missing values.

    Args:
      known: {feature key: `vocabularies.Vocabulary`} of the model.
      missing_texts: {(feature key, cell): count} of the cells of CSV files that
        may stand for a missing value.
    """
    for key, count in sorted(self._unknown_counts.items()):
      texts = list(self._unknown_examples[key])
      messages.note(
        vocabularies.described(key, count, texts, known[key], _REMEDIES)
      )
    for (key, text), count in sorted(missing_texts.items()):
      if key not in known:  # Otherwise it is an entry, or was noted above.
        messages.note(
          f'Feature {key!r}: {count} cell{"s" * (count != 1)} with the text '
          f'{text!r}, read as a category like any other. If it stands for a '
          f"missing value, pass --missing='{text}'."
        )

  def warn_of_absent(self, absent, known, num_examples):
    """Prints the features that have no value in any example.

    Args:
      absent: `AbsentFeatures` that has seen all examples.
      known: the keys of the features that the model reads.
      num_examples: how many examples there are.
    """
    others = absent.other_keys(known) if absent.keys else []
    for key in absent.keys:
      close = suggestions.closest(key, others)
      messages.note(
        f'Feature {key!r}: no value in any of the {num_examples} examples. '
        + (
          f'The model does not read {close!r}, which they have: rename it.'
          if close
          else 'Check its key, or ignore this if that is intended.'
        )
      )

  def warn_of_signs(self, labels, counts):
    """Prints that signs do not compare, if both of two classes are predicted.

    Args:
      labels: list of the classes' labels or ids.
      counts: {class id: number of examples that it was explained for}.
    """
    if len(labels) == 2 and len(counts) == 2:
      messages.note(
        f'--targets=predicted explains {labels[0]!r} in {counts[0]} rows and '
        f'{labels[1]!r} in {counts[1]}: an attribution to one class has the '
        f'opposite sign for the other. --targets={labels[1]} explains the same '
        'class in every row.'
      )


class _Places(object):
  """The number of some examples, and the place of the first."""

  def __init__(self):
    self.count = 0
    self.first = None

  def add(self, records):
    if not self.count and records:
      self.first = records[0].place
    self.count += len(records)

  def where(self):
    """Returns the end of a sentence, with the place of the first."""
    return f'; the first: {self.first}' if self.count > 1 else f': {self.first}'


class AbsentFeatures(object):
  """The features without a value in any serialized tf.Example so far.

  Attributes:
    keys: list of the features' keys, sorted.
  """

  def __init__(self, keys):
    self.keys = sorted(keys)
    self._patterns = {key: _pattern(key) for key in self.keys}
    self._first = None

  def look(self, examples):
    """Removes from `keys` the features that some of the examples have."""
    if self._first is None and examples:
      self._first = examples[0]
    # Usually the first example has them all, and nothing is left to search.
    self.keys = [
      key
      for key in self.keys
      if not any(map(self._patterns[key].search, examples))
    ]

  def other_keys(self, known):
    """Returns the keys in the first example that are not among `known`."""
    if self._first is None:
      return []
    example = tf.train.Example.FromString(self._first)
    return sorted(set(example.features.feature) - set(known))


def _pattern(key):
  """Returns a pattern of the bytes of a tf.Example with values of a feature.

  In the wire format, an entry of the map of features is the key and the values,
  each after a tag and a length. Without values, the length is 0, or that of an
  empty list.
  """
  key = key.encode('utf-8')
  length, size = b'', len(key)
  while size > 127:
    length, size = length + bytes([size & 127 | 128]), size >> 7
  length += bytes([size])
  return re.compile(
    b'\n' + re.escape(length + key) + b'\x12(?!\x00|\x02.\x00)', re.DOTALL
  )
