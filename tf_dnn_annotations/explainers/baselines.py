"""Baselines: the points of a model's processed space where paths start."""

import collections.abc

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import feature_types
from tf_dnn_annotations.saved_models import raw_values
from tf_dnn_annotations.saved_models import row_errors
from tf_dnn_annotations.text import suggestions


class ColumnValues(dict):
  """{column name: array [width] or [n, width]}: processed values.

  `attribute` accepts a plain dict of columns as `baselines` unless it could be
  raw values as well. A numeric column has the name of its feature; there this
  class marks the values as processed ones.
  """


class RawExamples(dict):
  """{feature key: values}: raw examples, as unmistakable as `ColumnValues`."""


def points(model, baselines, is_dict, num_rows, output, max_rows):
  """Returns the points at which the paths start.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    baselines: as `IntegratedGradients.attribute` accepts it.
    is_dict: whether the examples that are explained are a dict of raw
      features, which decides how a dict of baselines is read.
    num_rows: n, how many examples are explained.
    output: 'logits' or 'probabilities'.
    max_rows: most rows in one model call, or None.

  Returns:
    list of `Points`, one for each baseline, each of one row or of n.

  Raises:
    RowError: a baseline cannot be used; it is a row of 'baselines'.
    ValueError: a key, a shape or a value is wrong.
    TypeError: a value is not a number.
  """
  if baselines is None:
    try:
      return [model.point_of_zeros(output)]
    except row_errors.RowError as error:
      raise ValueError(
        f'`baselines`: for zeros in every processed column {error.reason}'
      ) from error
  if isinstance(baselines, bytes):
    baselines = [baselines]
  elif raw_values.is_series(baselines) and not _holds_bytes(baselines):
    baselines = dict(baselines.items())  # A row of a DataFrame, or its mean.
  elif isinstance(baselines, collections.abc.Mapping):
    baselines = _as_dict(baselines)
  if isinstance(baselines, dict):
    if _is_processed(model, baselines, is_dict):
      values = _processed(model, baselines, num_rows)
      try:
        return [model.points_of_columns(values, output, max_rows)]
      except row_errors.RowError as error:
        raise error.among('baselines') from error
    baselines = _raw(model, baselines)
  try:
    points = model.points_of_examples(
      baselines, output, max_rows, subject='raw examples'
    )
  except row_errors.RowError as error:
    raise error.among('baselines') from error
  except (TypeError, ValueError) as error:
    kind = TypeError if isinstance(error, TypeError) else ValueError
    raise kind(f'`baselines`: {error}') from error
  if not len(points.outputs):
    raise ValueError(
      '`baselines` must hold at least one example; got none. Leave it out '
      'for zeros in every processed column.'
    )
  return [points.rows(slice(k, k + 1)) for k in range(len(points.outputs))]


def _holds_bytes(series):
  return len(series) and all(isinstance(value, bytes) for value in series)


def _as_dict(mapping):
  return mapping if isinstance(mapping, dict) else dict(mapping)


def _is_processed(model, baselines, is_dict):
  """Whether a dict holds processed values of columns, not raw examples.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    baselines: dict.
    is_dict: whether the examples that are explained are raw features.

  Raises:
    ValueError: it can be read in both ways, or in none.
  """
  keys, columns = set(baselines), {c.name: c for c in model.columns}
  if isinstance(baselines, RawExamples):
    return False
  is_whole = keys == set(model.features)
  is_of_columns = keys <= set(columns)
  if not isinstance(baselines, ColumnValues):
    if is_whole and (is_dict or not is_of_columns):
      return False
    if is_of_columns:
      _refuse_ambiguous(model, baselines, is_whole)
  if not is_of_columns:
    wrong = sorted(map(str, keys - set(columns)))
    known = [*columns, *model.features]
    hints = [
      suggestions.did_you_mean(key, known) for key in wrong if key not in known
    ]
    raise ValueError(
      f'`baselines` must be keyed by column names, {sorted(columns)}, or '
      f'have all features, {sorted(model.features)}; got '
      f'{sorted(map(str, keys))}. Leave out or correct {wrong}.'
      + ''.join(hints)
    )
  return True


def _refuse_ambiguous(model, baselines, is_whole):
  """Raises ValueError where values of columns may be meant as raw ones."""
  ambiguous = sorted(
    column.name
    for column in model.columns
    if column.name in baselines
    and column.name in model.features
    and not _is_its_feature(column)
  )
  if is_whole and not ambiguous:
    # The values are the same, but a row of them is a baseline for all rows, or
    # that of one row.
    ambiguous = sorted(key for key in baselines if np.ndim(baselines[key]) > 1)
  if ambiguous:
    raise ValueError(
      f'`baselines` must say what they are where columns and features have the '
      f'same name; got {ambiguous}. Give values of columns, after their '
      'normalizer_fn, as tf_dnn_annotations.ColumnValues(baselines), and a raw '
      f'example as [baselines], a list of dicts with all features '
      f'{sorted(model.features)}. The mean of data is '
      'ig.baselines_of(batches).'
    )


def _is_its_feature(column):
  """Whether the values of a column are known to be those of its feature."""
  return (
    column.class_name in ('NumericColumn', '_NumericColumn')
    and column.config is not None
    and not column.config.get('normalizer_fn')
  )


def _raw(model, baselines):
  """Returns a dict of raw examples, each value with an axis of examples."""
  features = model.features
  is_single = {
    key: _is_single(value, features[key]) for key, value in baselines.items()
  }
  # Beside a single value, lists of values are those of one example too.
  is_one = any(is_single.values())
  is_one_row = is_one or any(
    _num_rows(value) == 1 for value in baselines.values()
  )
  values = {}
  for key, value in baselines.items():
    is_flat = isinstance(value, (list, tuple, np.ndarray)) and not any(
      isinstance(entry, (list, tuple, np.ndarray)) for entry in value
    )
    if is_single[key] or (
      feature_types.takes_any_number(features[key])
      and is_flat
      and (is_one or (is_one_row and not len(value)))
    ):
      value = [value]
    values[key] = value
  return RawExamples(values)


def _num_rows(value):
  return len(value) if hasattr(value, '__len__') else None


def _is_single(value, feature):
  """Whether `value` is that of one example, without an axis of examples."""
  # Not np.ndim: it refuses lists of different lengths.
  if raw_values.is_scalar(value) or getattr(value, 'ndim', 1) == 0:
    return True
  if feature.is_sparse or feature.shape in (None, [1]):
    return False
  if None in feature.shape or not isinstance(value, (list, tuple, np.ndarray)):
    return False
  return np.shape(value) == tuple(feature.shape)


def _processed(model, baselines, num_rows):
  """Returns processed baselines, [1 or n, width of all columns]."""
  values = {}
  for column in model.columns:
    value = _array(column, baselines.get(column.name, 0))
    if value.dtype.kind not in 'biuf':
      raise TypeError(
        f'`baselines` must be numbers for column {column.name!r}; got '
        f'{value.ravel()[:1].tolist()[0]!r}. Give processed values, or a raw '
        'example.'
      )
    wanted = [(), (column.width,), (1, column.width)]
    wanted.append((num_rows, column.width))
    if value.shape not in wanted:
      raise ValueError(
        f'`baselines` must have the shape [{column.width}] or [{num_rows}, '
        f'{column.width}] for column {column.name!r}; got '
        f'{list(value.shape)}. Give one value an element.'
      )
    if not np.isfinite(value).all():
      raise ValueError(
        f'`baselines` must be finite; got {value} for column '
        f'{column.name!r}. Give a number in place of NaN or infinity.'
      )
    if value.ndim < 2:
      value = np.broadcast_to(value, (1, column.width))
    values[column.name] = value
  # One, or as many as the examples, which may be none.
  rows = 1 if all(len(v) == 1 for v in values.values()) else num_rows
  columns = np.empty((rows, model.width), model.dtype)
  for name, part in model.column_slices.items():
    columns[:, part] = values[name]
  return columns


def _array(column, value):
  """Returns the values of a column as an array."""
  if raw_values.is_scalar(value):
    return np.asarray(value)
  if isinstance(value, (tf.Tensor, tf.Variable)):
    value = raw_values.concrete(f'`baselines` of {column.name!r}', value)
  try:
    array = np.asarray(
      raw_values.plain(column.name, value) if np.ndim(value) else value
    )
  except ValueError:  # Lists of different lengths.
    array = None
  if array is None or (
    array.dtype == object
    and any(isinstance(entry, (list, np.ndarray)) for entry in array.ravel())
  ):
    raise ValueError(
      f'`baselines` must have the shape [{column.width}] for column '
      f'{column.name!r}; got {raw_values.shown(value)}. Give one value an '
      'element.'
    )
  return array
