"""What the command `attribute` has to say of the examples, said once."""

import collections
import difflib
import re

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import vocabularies
from tf_dnn_annotations.cli import flags
from tf_dnn_annotations.cli import messages
from tf_dnn_annotations.explainers import convergence

# Of the values that are in no vocabulary, how many are shown.
_NUM_EXAMPLES = 3

_REMEDIES = {
  'separator': "If {text!r} is several values, say --list_separator='{detail}' "
  '(for CSV).',
  'spelling': 'The vocabulary has {detail!r}, not {text!r}.',
  'missing': "If {text!r} stands for a missing value, say --missing='{text}' "
  '(for CSV).',
}


class Notes(object):
  """What the API warns of, put for a person.

  Of rows and values it is said once, after the last batch. Memory does not grow
  with them.

  Attributes:
    not_converged: `_Places` of the examples that did not meet --tolerance.
    near_baseline: `_Places` of those whose attributions cancel.
  """

  def __init__(self):
    self.not_converged = _Places()
    self.near_baseline = _Places()
    self._num_limited = 0
    self._unknown_counts = collections.Counter()
    self._unknown_examples = collections.defaultdict(dict)
    self._texts = set()

  def add(self, message, records):
    """Takes a warning, an exception, that came with a list of `Record`s."""
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
    """Prints what is true of some of the examples, if it is of any."""
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
        f'and mean little{self.near_baseline.where()}. Another baseline tells '
        'more.'
      )

  def _remedy(self):
    """Returns what helps examples that did not meet --tolerance."""
    if not self._num_limited:
      return 'More --num_steps may.'
    limit = (
      'float32 knows the output no better than that: give a larger '
      '--tolerance, or scale the inputs.'
    )
    if self._num_limited == self.not_converged.count:
      return f'More --num_steps cannot, since {limit}'
    return f'More --num_steps may, but for {self._num_limited} of them: {limit}'

  def warn_of_categories(self, known, missing_texts):
    """Prints which categories the model does not know, or may be none.

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
      if key not in known:  # Of others it has been said, or it is an entry.
        messages.note(
          f'Feature {key!r}: {count} cell{"s" * (count != 1)} with the text '
          f'{text!r}, read as a category like any other. If it stands for a '
          f"missing value, say --missing='{text}'."
        )

  def warn_of_absent(self, absent, known, num_examples):
    """Prints the features of which no example has a value.

    Args:
      absent: `AbsentFeatures` that has seen all examples.
      known: the keys of the features that the model reads.
      num_examples: how many examples there are.
    """
    others = absent.other_keys(known) if absent.keys else []
    for key in absent.keys:
      close = difflib.get_close_matches(key, others, n=1)
      messages.note(
        f'Feature {key!r}: no value in any of the {num_examples} examples. '
        + (
          f'The model does not read {close[0]!r}, which they have: rename it.'
          if close
          else 'Check its key, or ignore this if it is to be so.'
        )
      )

  def warn_of_signs(self, labels, counts):
    """Prints that the predicted of two classes differ, if they do.

    Args:
      labels: list of the classes' labels or ids.
      counts: {class id: number of examples that it was explained for}.
    """
    if len(labels) == 2 and len(counts) == 2:
      messages.note(
        f'--targets=predicted explains {labels[0]!r} in {counts[0]} rows and '
        f'{labels[1]!r} in {counts[1]}: what speaks for one class has the '
        f'opposite sign in the rows of the other. --targets={labels[1]} '
        'explains the same class in every row.'
      )


class _Places(object):
  """How many examples something is true of, and where the first is."""

  def __init__(self):
    self.count = 0
    self.first = None

  def add(self, records):
    if not self.count and records:
      self.first = records[0].place
    self.count += len(records)

  def where(self):
    """Returns the end of a sentence that names the first place."""
    return f'; the first: {self.first}' if self.count > 1 else f': {self.first}'


class AbsentFeatures(object):
  """The features of which no serialized tf.Example so far has a value.

  Attributes:
    keys: list of the features' keys, sorted.
  """

  def __init__(self, keys):
    self.keys = sorted(keys)
    self._patterns = {key: _pattern(key) for key in self.keys}
    self._first = None

  def look(self, examples):
    """Takes out of `keys` what one of a list of examples has."""
    if self._first is None and examples:
      self._first = examples[0]
    # Mostly the first example has them all, and nothing is left to look for.
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
  """Returns what a tf.Example has where it has values of a feature.

  In the wire format, an entry of the map of features is the key and the values,
  both with a tag and a length before them. Empty values are of no length, or
  hold a list of none.
  """
  key = key.encode('utf-8')
  length, size = b'', len(key)
  while size > 127:
    length, size = length + bytes([size & 127 | 128]), size >> 7
  length += bytes([size])
  return re.compile(
    b'\n' + re.escape(length + key) + b'\x12(?!\x00|\x02.\x00)', re.DOTALL
  )
