"""Checks of a column's description against the graph."""

import os
import re

import numpy as np

from tf_dnn_annotations.annotations import annotation_error
from tf_dnn_annotations.annotations import column_configs
from tf_dnn_annotations.annotations import features as raw_features
from tf_dnn_annotations.annotations import graph_walks

AnnotationError = annotation_error.AnnotationError

_TABLE_IMPORTS = ('LookupTableImport', 'LookupTableImportV2')
_TABLE_LISTS = ('InitializeTable', 'InitializeTableV2') + _TABLE_IMPORTS
_TABLE_FILES = ('InitializeTableFromTextFile', 'InitializeTableFromTextFileV2')


def check(found, name, keys_read, assets, value_fn):
  """Raises `AnnotationError` if a column's description contradicts the graph.

  Args:
    found: `contract.Found`.
    name: str, the column's.
    keys_read: sorted list of the keys of the features that it reads.
    assets, value_fn: as in `annotation_checks.check`.
  """
  description = found.descriptions[name]
  config = column_configs.of(description['class_name'], description['config'])
  _check_column(found, name, description, config, keys_read)
  behind = _operations_of_column(found, name)
  what = f'the column {name!r}'
  _check_boundaries(what, config, behind)
  _check_hash_buckets(what, config, behind)
  _check_vocabularies(what, config, behind, assets, value_fn)


def _check_column(found, name, description, config, keys_read):
  """Checks a column's name, width and feature keys."""
  tensor = found.columns[name]
  what = f'the column {name!r}'
  if description['width'] != tensor.shape.as_list()[-1]:
    raise AnnotationError(
      f'{what} is said to be {description["width"]} wide, but {tensor.name!r} '
      f'has the shape {tensor.shape}'
    )
  if sorted(description['feature_keys']) != keys_read:
    raise AnnotationError(
      f'{what} is said to read the features '
      f'{sorted(description["feature_keys"])}, but reads {keys_read}'
    )
  # Without a description, the name may show which feature it reads.
  stem = re.sub('_(bucketized|embedding|indicator)$', '', name)
  if description['class_name'] is None and (
    stem in found.features and stem not in keys_read
  ):
    raise AnnotationError(
      f'{what} does not read the feature {stem!r}, but {keys_read}'
    )
  for configured, actual in (
    (config.name(), name),
    (config.width(), description['width']),
  ):
    if configured not in (None, actual):
      raise AnnotationError(
        f'{what} is {description["width"]} wide, but its config is that of a '
        f'column named {config.name()!r} with the width {config.width()}'
      )


def _operations_of_column(found, name):
  """Returns the operations between the features and a column."""
  return graph_walks.ancestors(
    [found.columns[name]], end=raw_features.tensor_names(found.features)
  )


def _check_boundaries(what, config, behind):
  actual = [
    np.float32(op.get_attr('boundaries')).tolist()
    for op in behind
    if op.type == 'Bucketize'
  ]
  for each in config.all():
    if each.class_name == 'BucketizedColumn' and actual:
      said = _floats(each.field('boundaries', list))
      if said not in actual:
        raise AnnotationError(
          f'{what} is said to have the boundaries {said}, but the graph has '
          f'{actual[0]}'
        )


def _floats(values):
  try:
    return np.float32(values).tolist()
  except (TypeError, ValueError):
    return values


def _check_hash_buckets(what, config, behind):
  actual = [
    op.get_attr('num_buckets')
    for op in behind
    if op.type == 'StringToHashBucketFast'
  ]
  for each in config.all():
    if each.class_name == 'HashedCategoricalColumn' and actual:
      said = each.field('hash_bucket_size', int)
      if said not in actual:
        raise AnnotationError(
          f'{what} is said to have {said} hash buckets, but the graph has '
          f'{actual[0]}'
        )


def _check_vocabularies(what, config, behind, assets, value_fn):
  lists, files = [], []
  for each in config.all():
    if each.class_name == 'VocabularyListCategoricalColumn':
      lists.append([str(v) for v in each.field('vocabulary_list', list) or []])
    elif each.class_name == 'VocabularyFileCategoricalColumn':
      files.append(str(each.field('vocabulary_file', str)))
  if not lists and not files:
    return
  vocabularies, read_files = _tables(behind, assets, value_fn)
  for said in lists:
    if vocabularies and said not in vocabularies:
      raise AnnotationError(
        f'{what} is said to have the vocabulary {_shortened(said)}, but the '
        f'table in the graph has {_shortened(vocabularies[0])}'
      )
  # An export numbers the second of two files of the same name.
  actual = {re.sub(r'_\d+$', '', file) for file in read_files}
  for path in files:
    said = os.path.basename(path)
    if actual and not actual & {said, re.sub(r'_\d+$', '', said)}:
      raise AnnotationError(
        f'{what} is said to have the vocabulary file {said!r}, but the table '
        f'in the graph reads {sorted(read_files)}'
      )


def _shortened(vocabulary, most=5):
  more = ', ...' if len(vocabulary) > most else ''
  return f'[{", ".join(map(repr, vocabulary[:most]))}{more}]'


def _tables(behind, assets, value_fn):
  """Returns the contents of the tables that some operations look up.

  Returns:
    (list of lists of keys in the order of their ids, list of names of files);
    a table that is filled in another way is in neither.
  """
  vocabularies, files = [], []
  handles = {
    op.inputs[0].name: op.inputs[0]
    for op in behind
    if op.type in ('LookupTableFind', 'LookupTableFindV2')
  }
  for handle in handles.values():
    for op in handle.consumers():
      if op.type in _TABLE_LISTS:
        vocabulary = _vocabulary(op, value_fn)
        if vocabulary is not None:
          vocabularies.append(vocabulary)
      elif op.type in _TABLE_FILES:
        file = assets.get(
          graph_walks.skip(op.inputs[1], graph_walks.IDENTITIES).name
        )
        if file is not None:
          files.append(file)
  return vocabularies, files


def _vocabulary(op, value_fn):
  """Returns the keys that an operation puts into a table, in id order."""
  keys, ids = (_constant(tensor, value_fn) for tensor in list(op.inputs)[1:3])
  if keys is None or ids is None or keys.shape != ids.shape:
    return None
  entries = sorted(zip(ids.ravel().tolist(), keys.ravel().tolist()))
  if [i for i, _ in entries] != list(range(len(entries))):
    return [f'{i}: {_as_text(key)}' for i, key in entries]
  return [_as_text(key) for _, key in entries]


def _as_text(key):
  return key.decode('utf-8', 'replace') if isinstance(key, bytes) else str(key)


def _constant(tensor, value_fn):
  """Returns the value of a constant tensor, None if it is not constant."""
  if any(
    'Placeholder' in op.type or op.op_def.is_stateful
    for op in graph_walks.ancestors([tensor])
  ):
    return None
  return value_fn(tensor)
