"""The points of a model's processed space that rows are compared with."""

import warnings

import numpy as np


class ColumnValues(dict):
  """{column name: array [width] or [n, width]}: processed values.

  `attribute` takes any such dict as `baselines`. This class says that these are
  processed values where a dict alone could be read in two ways: a numeric
  column has the name of its feature.
  """


class RawExamples(dict):
  """{feature key: values}: raw examples, beyond doubt as `ColumnValues` are."""


def points(model, baselines, is_dict, num_rows, output, max_rows):
  """Returns the points at which the paths start.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    baselines: as `IntegratedGradients.attribute` takes it.
    is_dict: whether the examples that are explained are a dict of raw
      features; tells how a dict of baselines is meant.
    num_rows: n, how many examples are explained.
    output: 'logits' or 'probabilities'.
    max_rows: most rows in one model call, or None.

  Returns:
    list of `Points`, one for each baseline, each of one row or of n.

  Raises:
    ValueError: a key, a shape or a value is wrong.
    TypeError: a value is no number.
  """
  if baselines is None:
    try:
      return [model.point_of_zeros(output)]
    except ValueError as error:
      raise ValueError(
        f'`baselines`: for zeros in every processed column {error}'
      ) from error
  if isinstance(baselines, dict):
    keys, columns = set(baselines), {c.name for c in model.columns}
    is_raw = isinstance(baselines, RawExamples) or (
      not isinstance(baselines, ColumnValues)
      and keys == set(model.features)
      and (is_dict or not keys <= columns)
    )
    if not is_raw and keys <= columns:
      if not isinstance(baselines, ColumnValues):
        _warn_of_raw_values(model, baselines)
      values = _processed(model, baselines, num_rows)
      try:
        return [model.points_of_columns(values, output, max_rows)]
      except ValueError as error:
        raise ValueError(f'`baselines`: {error}') from error
    if not is_raw:
      raise ValueError(
        f'`baselines` must be keyed by column names, {sorted(columns)}, or '
        f'have all features, {sorted(model.features)}; got '
        f'{sorted(map(str, keys))}. Leave out or correct '
        f'{sorted(map(str, keys - columns))}.'
      )
    baselines = {
      key: [value] if _is_single(value, model.features[key]) else value
      for key, value in baselines.items()
    }
  elif isinstance(baselines, bytes):
    baselines = [baselines]
  try:
    points = model.points_of_examples(baselines, output, max_rows)
  except (TypeError, ValueError) as error:
    # The same words, said of this argument.
    kind = TypeError if isinstance(error, TypeError) else ValueError
    reason = str(error).replace('`examples`', 'raw examples')
    raise kind(f'`baselines`: {reason}') from error
  if not len(points.outputs):
    raise ValueError(
      '`baselines` must hold at least one example; got none. Leave it out '
      'for zeros in every processed column.'
    )
  return [points.rows(slice(k, k + 1)) for k in range(len(points.outputs))]


def _warn_of_raw_values(model, baselines):
  """Warns where what is taken for processed values may be meant as raw ones."""
  normalized = [
    column.name
    for column in model.columns
    if column.name in baselines
    and column.name in model.features
    and (column.config or {}).get('normalizer_fn')
  ]
  if normalized:
    warnings.warn(
      f'`baselines` are taken as processed values of the columns {normalized}, '
      'after their normalizer_fn. If they are, say so: '
      'tf_dnn_annotations.ColumnValues(baselines). For a raw example, give one '
      'in the form of `examples`, with all features '
      f'{sorted(model.features)}.',
      RuntimeWarning,
      stacklevel=4,
    )


def _is_single(value, feature):
  """Whether `value` is that of one example, without an axis of examples."""
  # Not np.ndim: it refuses lists of different lengths.
  if np.isscalar(value) or isinstance(value, np.ndarray) and not value.ndim:
    return True
  if feature.is_sparse or feature.shape in (None, [1]):
    return False
  return None not in feature.shape and np.shape(value) == tuple(feature.shape)


def _processed(model, baselines, num_rows):
  """Returns processed baselines, [1 or n, width of all columns]."""
  values = {}
  for column in model.columns:
    value = np.asarray(baselines.get(column.name, 0))
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
