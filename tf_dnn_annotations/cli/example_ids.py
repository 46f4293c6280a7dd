"""What identifies an example: the value of a feature, or the cell of a column.

The model need not read it.
"""

from google.protobuf import message
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.results import row_values
from tf_dnn_annotations.text import suggestions


def of_example(example, key):
  """Returns the one value of a feature of a serialized tf.Example.

  Args:
    example: bytes.
    key: the feature's.

  Returns:
    int, float or str; None for bytes that are not a tf.Example, which the model
    refuses in its own words.

  Raises:
    ValueError: there is no value, or more than one.
  """
  try:
    features = tf.train.Example.FromString(example).features.feature
  except message.DecodeError:
    return None
  values = []
  if key in features:  # To look it up would add it.
    feature = features[key]
    kind = feature.WhichOneof('kind')
    values = list(getattr(feature, kind).value) if kind else []
  if not values:
    hint = '' if key in features else suggestions.did_you_mean(key, features)
    raise ValueError(
      f'no value of the feature {key!r}, which --id names. Give every example '
      'one, or name another feature.' + hint
    )
  if len(values) > 1:
    raise ValueError(
      f'{len(values)} values of the feature {key!r}, which --id names. Name a '
      'feature that has one value in every example.'
    )
  if kind == 'float_list':
    return row_values.numbers(values)[0]
  return row_values.plain(values[0])


def of_cell(cell, key, missing):
  """Returns the text of the cell of a CSV column, as it is.

  Args:
    cell: str.
    key: the name of the column.
    missing: collection of the texts that stand for no value.

  Raises:
    ValueError: it is one of those.
  """
  if cell in missing:
    raise ValueError(
      f'column {key!r}, which --id names: {cell!r} is no value. Give every row '
      'one, or name another column.'
    )
  return cell
