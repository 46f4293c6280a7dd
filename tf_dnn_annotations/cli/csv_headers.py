"""The header of a CSV file, held against the features of a model."""

import collections

from tf_dnn_annotations.text import suggestions


def check(path, header, csv_format, id_key=None):
  """Raises where a header does not fit; warns of columns that are not used.

  Args:
    path: the file's, for messages.
    header: list of str, the names of the columns.
    csv_format: `csv_cells.CsvFormat`.
    id_key: the name of the column that identifies the rows, or None.

  Raises:
    ValueError: a column is missing or repeated, or none is a feature.
  """
  features = csv_format.features
  _check_not_repeated(path, header, set(features) | {id_key})
  ignored = [key for key in header if key not in features]
  absent = sorted(set(features) - set(header))
  if len(ignored) == len(header):
    raise ValueError(
      f'{path}: no column is a feature of the model; the header is {header}, '
      f'the features are {absent}. Start the file with a line of feature keys, '
      'separated by commas (tabs in a .tsv file).'
    )
  _check_features(path, header, csv_format, ignored, absent)
  if id_key is not None and id_key not in header:
    raise ValueError(
      f'{path}: no column {id_key!r}, which --id names; the header is '
      f'{header}. Name one of these.' + suggestions.did_you_mean(id_key, header)
    )
  named = [key or "''" for key in ignored if key != id_key]
  if named:
    csv_format.warn(
      path, f'ignored columns that are not features: {", ".join(named)}'
    )
  absent = [key for key in absent if key not in csv_format.unread]
  if absent:
    csv_format.warn(path, f'no column for the features: {", ".join(absent)}')


def _check_not_repeated(path, header, keys):
  counts = collections.Counter(header)
  repeated = sorted(key for key in keys if counts[key] > 1)
  if repeated:
    raise ValueError(
      f'{path}: the header names {repeated} more than once. Give every column '
      'a name of its own.'
    )


def _check_features(path, header, csv_format, ignored, absent):
  """Raises ValueError where a feature has no column and needs one.

  Args:
    path, header, csv_format: as for `check`.
    ignored: list of the columns that are not features.
    absent: list of the features that have no column.
  """
  required = [key for key in absent if key in csv_format.required]
  absent = [key for key in absent if key not in csv_format.unread]
  missing = [key for key in absent if key not in csv_format.allow_missing]
  if not required and not missing:
    return
  alike = suggestions.closest((required or missing)[0], ignored)
  remedy = (
    f'Rename {alike!r}, or add a column' if alike else 'Add a column for each'
  )
  raise ValueError(
    f'{path}: no column for the features {required}, which every example '
    f'must have; the header is {header}. {remedy}.'
    if required
    else f'{path}: no column for the features {missing}; the header is '
    f'{header}. {remedy}; or have every example explained without: '
    f'--allow_missing={",".join(absent)}'
  )
