"""The feature values of examples, as they were given or as they are parsed."""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import example_forms
from tf_dnn_annotations.saved_models import feature_arrays
from tf_dnn_annotations.saved_models import feature_types
from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import serialized_examples
from tf_dnn_annotations.text import suggestions


def read(inputs, examples, keys, max_rows):
  """Returns the values of features of each row.

  Args:
    inputs: the `model_inputs.ModelInputs`.
    examples: as its `reader` accepts them.
    keys: iterable of feature keys, None for those that the model reads.
    max_rows: most rows in one model call.

  Returns:
    {feature key: values}, as `AnnotatedModel.given_features` returns them.

  Raises:
    RowError: an example cannot be parsed.
    ValueError: raw examples do not have a key.
  """
  examples = example_forms.plain(examples)
  keys = sorted(inputs.features) if keys is None else list(keys)
  others = [key for key in keys if key not in inputs.features]
  if others and isinstance(examples, dict):
    raise ValueError(
      f'`keys` must be features of the model, {sorted(inputs.features)}; got '
      f'{others}. Give serialized tf.Examples, which may have others.'
      + suggestions.did_you_mean(others[0], sorted(inputs.features))
    )
  values = {}
  if len(others) < len(keys):
    values.update(_of_model(inputs, examples, keys, max_rows))
  if others:
    values.update(_of_protos(examples, others))
  return {key: values[key] for key in keys}


def _of_model(inputs, examples, keys, max_rows):
  """Returns the values of those of the keys that the model reads."""
  num_rows, read_fn = inputs.reader(examples)
  parts = [
    inputs.values_of_rows(read_fn, first, min(first + max_rows, num_rows))
    for first in range(0, num_rows, max_rows)
  ]
  return {
    key: _joined(feature, [_rows(feature, part[key]) for part in parts])
    for key, feature in inputs.features.items()
    if key in keys
  }


def _joined(feature, parts):
  """Returns the rows of all parts, of which there may be none."""
  if not _has_fixed_shape(feature):
    return [row for part in parts for row in part]
  if parts:
    return np.concatenate(parts)
  dtype = feature.dtype.as_numpy_dtype
  shape = [] if feature.shape == [1] else feature.shape
  return np.zeros([0, *shape], object if feature.dtype == tf.string else dtype)


def _has_fixed_shape(feature):
  return not (
    feature.is_sparse or feature.shape is None or None in feature.shape
  )


def _rows(feature, value):
  """Returns values of one call as an array [n, ...], or a list of n arrays."""
  if feature.is_sparse:
    return list(map(_texts, feature_values.row_arrays(value)))
  value = _texts(value)
  if feature.shape == [1]:
    return value[:, 0]
  if not feature_types.takes_any_number(feature):
    return value if _has_fixed_shape(feature) else list(value)
  # Shorter rows were filled up.
  is_filled = value == _texts(
    np.array([feature_arrays.padding(feature)], value.dtype)
  )
  ends = value.shape[1] - np.argmin(
    np.pad(is_filled[:, ::-1], [(0, 0), (0, 1)], 'constant'), axis=1
  )
  return [row[:end] for row, end in zip(value, ends)]


def _of_protos(serialized, keys):
  """Returns {key: list of n arrays} of any features of tf.Examples."""
  values = {key: [] for key in keys}
  for row, example in enumerate(serialized):
    features = serialized_examples.parsed(example, row).features.feature
    for key in keys:
      # A look at an absent key would add it.
      feature = features[key] if key in features else tf.train.Feature()
      values[key].append(_array(feature))
  return values


def _array(feature):
  """Returns the values of a `tf.train.Feature`, an array [k]."""
  kind = feature.WhichOneof('kind')
  if kind == 'float_list':
    return np.array(feature.float_list.value, np.float32)
  if kind == 'int64_list':
    return np.array(feature.int64_list.value, np.int64)
  return _texts(np.array(list(feature.bytes_list.value), object))


def _texts(array):
  """Returns an array with its bytes as str; others unchanged."""
  if array.dtype != object:
    return array
  texts = np.empty(array.shape, object)
  texts.ravel()[:] = [
    value.decode('utf-8', 'backslashreplace') for value in array.ravel()
  ]
  return texts
