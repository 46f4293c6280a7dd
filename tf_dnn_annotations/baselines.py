"""The points of a model's processed space that rows are compared with."""

import numpy as np


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
    return [model.point_of_zeros(output)]
  if isinstance(baselines, dict):
    keys, columns = set(baselines), {c.name for c in model.columns}
    is_raw = keys == set(model.features) and (is_dict or not keys <= columns)
    if not is_raw and keys <= columns:
      values = _processed(model, baselines, num_rows)
      return [model.points_of_columns(values, output, max_rows)]
    if not is_raw:
      raise ValueError(
        f'`baselines` must be keyed by column names, {sorted(columns)}, or '
        f'have all features, {sorted(model.features)}; got '
        f'{sorted(map(str, keys))}. Leave out or correct '
        f'{sorted(map(str, keys - columns))}.'
      )
    baselines = {
      key: [value] if _is_single(value) else value
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


def _is_single(value):
  # Not np.ndim: it refuses lists of different lengths.
  return np.isscalar(value) or isinstance(value, np.ndarray) and not value.ndim


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
