"""Whether the annotations of a graph can be true of it.

A SavedModel may have been edited, or put together from two. Annotations that
are believed then give wrong numbers, or right numbers under a wrong name.
"""

import os
import re

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.framework import tensor_util

from tf_dnn_annotations.annotations import class_labels
from tf_dnn_annotations.annotations import column_configs
from tf_dnn_annotations.annotations import found_annotations
from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import recorder

AnnotationError = found_annotations.AnnotationError

_IDENTITIES = ('Identity', 'EnsureShape', 'CheckNumerics')
_TABLE_IMPORTS = ('LookupTableImport', 'LookupTableImportV2')
_TABLE_LISTS = ('InitializeTable', 'InitializeTableV2') + _TABLE_IMPORTS
_TABLE_FILES = ('InitializeTableFromTextFile', 'InitializeTableFromTextFileV2')


def check(found, predict, assets, value_fn):
  """Raises `AnnotationError` if annotations contradict the graph.

  Args:
    found: `found_annotations.Found`.
    predict: {name of an output of the signature `predict`: `Tensor`}; empty if
      there is none.
    assets: {name of a tensor of a file's name: name of the file among the
      SavedModel's assets}.
    value_fn: function of a `Tensor` that depends on no input; returns its
      value.
  """
  _check_layers(found)
  _check_logits(found, predict)
  _check_ways(found)
  keys_read = recorder.feature_keys_of_columns(found.columns, found.features)
  for name, description in found.descriptions.items():
    _check_column(found, name, description, sorted(keys_read[name]))
    behind = _operations_of_column(found, name)
    config = column_configs.of(description['class_name'], description['config'])
    what = f'the column {name!r}'
    _check_boundaries(what, config, behind)
    _check_hash_buckets(what, config, behind)
    _check_vocabularies(what, config, behind, assets, value_fn)
  unread = set(found.features).difference(*keys_read.values())
  if found.is_signed and unread:
    raise AnnotationError(
      f'the features {sorted(unread)} are annotated, and no column reads them'
    )


def check_inputs(signatures):
  """Raises `AnnotationError` if the annotations' signature takes other inputs.

  Args:
    signatures: {name: `SignatureDef`}.
  """
  inputs = [
    {
      key: info.SerializeToString(deterministic=True)
      for key, info in signatures[name].inputs.items()
    }
    for name in (names.SIGNATURE, 'predict')
    if name in signatures
  ]
  if inputs[1:] and inputs[0] != inputs[1]:
    raise AnnotationError(
      f'the inputs of the signature {names.SIGNATURE!r}, {sorted(inputs[0])}, '
      f"are not those of 'predict', {sorted(inputs[1])}"
    )


def is_largest(class_ids, logits):
  """Whether a tensor is known to be the index of the largest logit.

  Args:
    class_ids: integer `Tensor` [batch, 1].
    logits: `Tensor` [batch, num_logits]; of a single one, the other is 0.
  """
  tensor = class_ids
  while tensor.op.type in _IDENTITIES + ('ExpandDims',):
    tensor = tensor.op.inputs[0]
  if tensor.op.type != 'ArgMax':
    return False
  if tensor_util.constant_value(tensor.op.inputs[1]) not in (1, -1):
    return False
  tensor = _skip_identities(tensor.op.inputs[0])
  if logits.shape.as_list()[1] > 1:
    return _is_same(tensor, logits)
  parts = list(tensor.op.inputs)[:-1]
  return (
    tensor.op.type == 'ConcatV2'
    and len(parts) == 2
    and parts[0].op.type == 'ZerosLike'
    and _is_same(parts[1], logits)
  )


def _check_layers(found):
  """Checks each column's and each layer's tensor by itself."""
  for what, tensor in (
    [(f'column {name!r}', column) for name, column in found.columns.items()]
    + [(f'hidden layer {i}', t) for i, t in enumerate(found.hidden_layers)]
    + [('layer of the logits', found.logits)]
  ):
    if not isinstance(tensor, tf.Tensor) or not tensor.dtype.is_floating:
      raise AnnotationError(
        f'the {what} must hold floats, and is {tensor.dtype.name}'
      )
    if tensor.shape.rank != 2 or tensor.shape.as_list()[1] is None:
      raise AnnotationError(
        f'the {what} must have the shape [batch, width] with a known width, '
        f'and {tensor.name!r} has {tensor.shape}'
      )
  dtypes = {tensor.dtype.name for tensor in found.columns.values()}
  if len(dtypes) > 1:
    raise AnnotationError(f'the columns are of several types, {sorted(dtypes)}')


def _check_logits(found, predict):
  """Checks the logits against what the signature `predict` gives."""
  if 'logits' in predict and not _is_same(predict['logits'], found.logits):
    raise AnnotationError(
      f'the logits are {found.logits.name!r}, and those of the signature '
      f"'predict' are {predict['logits'].name!r}"
    )
  downstream = graph_walks.descendants([found.logits])
  for name in ('predictions', 'probabilities', 'class_ids', 'classes'):
    if name in predict and predict[name].name not in downstream:
      raise AnnotationError(
        f"the output {name!r} of the signature 'predict' is not computed from "
        f'the logits, {found.logits.name!r}'
      )


def check_probabilities(run_fn, logits, served, computed):
  """Checks that the probabilities that are served are those of the logits.

  Args:
    run_fn: function of a list of `Tensor`s and {`Tensor`: array}, that runs the
      model.
    logits: `Tensor` [batch, num_logits], which is fed.
    served: the output 'probabilities' of the signature `predict`.
    computed: `Tensor` [batch, num_classes], softmax or sigmoid of the logits.

  Raises:
    AnnotationError: they differ.
  """
  is_alike = (
    served.dtype == computed.dtype
    and served.shape.as_list()[1:] == computed.shape.as_list()[1:]
  )
  if is_alike:
    rising = np.linspace(-2.0, 2.0, logits.shape.as_list()[-1] + 1)[1:]
    values = run_fn([served, computed], {logits: [rising, rising[::-1]]})
    # Softmax and sigmoid are good to some roundings, whoever computes them.
    is_alike = np.allclose(*values, rtol=1e-4, atol=1e-6)
  if not is_alike:
    raise AnnotationError(
      "the output 'probabilities' of the signature 'predict', "
      f'{served.name!r}, is not the probabilities of its logits'
    )


def check_labels(run_fn, logits, all_classes, labels):
  """Checks that the labels that are predicted are those that are listed.

  Args:
    run_fn, logits: as in `check_probabilities`.
    all_classes: the output of the signature `predict`, [batch, num_classes].
    labels: list of str, read off the predictions.

  Raises:
    AnnotationError: they differ.
  """
  zeros = np.zeros((1, logits.shape.as_list()[-1]))
  listed = class_labels.texts(run_fn(all_classes, {logits: zeros}))
  if listed != labels:
    raise AnnotationError(
      "the output 'all_classes' of the signature 'predict' lists the labels "
      f'{listed[:10]}, and those that it predicts are {labels[:10]}'
    )


def _check_ways(found):
  """Checks that all goes from features by columns and layers to logits."""
  columns = {tensor.name: name for name, tensor in found.columns.items()}
  if found.is_signed and len(columns) < len(found.columns):
    raise AnnotationError('several columns have the same tensor')
  layer, what = list(found.columns.values()), 'the columns'
  for i, pre_activation in enumerate(found.hidden_layers + [found.logits]):
    downstream = graph_walks.descendants(layer)
    is_logits = i == len(found.hidden_layers)
    name = 'the layer of the logits' if is_logits else f'hidden layer {i}'
    if pre_activation.name not in downstream or pre_activation.name in {
      tensor.name for tensor in layer
    }:
      raise AnnotationError(f'{name} is not computed from {what}')
    layer, what = [pre_activation], name
  behind = graph_walks.ancestors([found.logits], end=columns)
  inputs = [op.name for op in behind if op.type == 'Placeholder']
  if inputs:
    raise AnnotationError(
      f'the logits depend on the input {inputs[0]!r} by other ways than the '
      f'columns {sorted(found.columns)}'
    )
  read = {tensor.name for op in behind for tensor in op.inputs}
  for tensor_name, name in columns.items():
    if tensor_name not in read:
      raise AnnotationError(
        f'the logits do not depend on the column {name!r}, {tensor_name!r}'
      )


def _check_column(found, name, description, keys_read):
  """Checks the description of a column against the graph."""
  tensor = found.columns[name]
  what = f'the column {name!r}'
  if description['width'] != tensor.shape.as_list()[-1]:
    raise AnnotationError(
      f'{what} is said to be {description["width"]} wide, and {tensor.name!r} '
      f'has the shape {tensor.shape}'
    )
  if sorted(description['feature_keys']) != keys_read:
    raise AnnotationError(
      f'{what} is said to read the features '
      f'{sorted(description["feature_keys"])}, and reads {keys_read}'
    )
  # Without a description, the name may tell.
  stem = re.sub('_(bucketized|embedding|indicator)$', '', name)
  if description['class_name'] is None and (
    stem in found.features and stem not in keys_read
  ):
    raise AnnotationError(
      f'{what} does not read the feature {stem!r}, but {keys_read}'
    )
  config = column_configs.of(description['class_name'], description['config'])
  for says, is_so in (
    (config.name(), name),
    (config.width(), description['width']),
  ):
    if says not in (None, is_so):
      raise AnnotationError(
        f'{what} is {description["width"]} wide, and its config is that of one '
        f'of the name {config.name()!r} and the width {config.width()}'
      )


def _operations_of_column(found, name):
  """Returns the operations between the features and a column."""
  ends = {
    part.name
    for feature in found.features.values()
    for part in tf.nest.flatten(feature, expand_composites=True)
  }
  return graph_walks.ancestors([found.columns[name]], end=ends)


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
          f'{what} is said to have the boundaries {said}, and the graph has '
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
          f'{what} is said to have {said} hash buckets, and the graph has '
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
        f'{what} is said to have the vocabulary {_shortened(said)}, and the '
        f'table in the graph has {_shortened(vocabularies[0])}'
      )
  # Of two files of one name, an export gives the second a number.
  actual = {re.sub(r'_\d+$', '', file) for file in read_files}
  for path in files:
    said = os.path.basename(path)
    if actual and not actual & {said, re.sub(r'_\d+$', '', said)}:
      raise AnnotationError(
        f'{what} is said to have the vocabulary file {said!r}, and the table '
        f'in the graph reads {sorted(read_files)}'
      )


def _shortened(vocabulary, most=5):
  more = ', ...' if len(vocabulary) > most else ''
  return f'[{", ".join(map(repr, vocabulary[:most]))}{more}]'


def _tables(behind, assets, value_fn):
  """Returns what is in the tables that some operations look up.

  Returns:
    (list of lists of keys in the order of their ids, list of names of files);
    a table that is filled otherwise is in neither.
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
        file = assets.get(_skip_identities(op.inputs[1]).name)
        if file is not None:
          files.append(file)
  return vocabularies, files


def _vocabulary(op, value_fn):
  """Returns the keys that an operation puts into a table, by their ids."""
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
  """Returns the value of a tensor that is always the same, or None."""
  if any(
    'Placeholder' in op.type or op.op_def.is_stateful
    for op in graph_walks.ancestors([tensor])
  ):
    return None
  return value_fn(tensor)


def _skip_identities(tensor):
  while tensor.op.type in _IDENTITIES:
    tensor = tensor.op.inputs[0]
  return tensor


def _is_same(tensor, other):
  return _skip_identities(tensor).name == _skip_identities(other).name
