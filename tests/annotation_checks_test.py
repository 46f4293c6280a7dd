"""Annotations that cannot be true of their graph are refused, not believed.

Each case changes the proto of a real export, as an edit, a bad copy or a
hostile writer would, and reads it.
"""

import json
import re

from absl.testing import absltest
from absl.testing import parameterized
from tensorflow.core.framework import types_pb2

from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_COLUMNS = 'layer_annotations/feature_columns'
_PROCESSED = 'layer_annotatons/processed_features'
_UNPROCESSED = 'layer_annotations/unprocessed_features'
_SIGNATURE = 'layer_annotations'
_REMEDY = r'Copy the SavedModel again .* or export it again\.$'


def _edit_json(column_name, **fields):
  """Returns an edit of the JSON of a column; a field may be a function."""

  def edit(meta_graph):
    items = meta_graph.collection_def[_COLUMNS].bytes_list.value
    for i, item in enumerate(items):
      column = json.loads(item.decode('utf-8'))
      if column['name'] == column_name:
        for field, value in fields.items():
          column[field] = value(column[field]) if callable(value) else value
        items[i] = json.dumps(column).encode('utf-8')
        return
    raise KeyError(column_name)

  return edit


def _edit_config(name, *path, **fields):
  """Returns an edit of a column's config, or of one inside it."""

  def edited(config):
    inner = config
    for key in path:
      inner = inner[key]
    inner.update(fields)
    return config

  return _edit_json(name, config=edited)


def _json_is(item):
  """Returns an edit that puts bytes in the place of a column's JSON."""

  def edit(meta_graph):
    meta_graph.collection_def[_COLUMNS].bytes_list.value[0] = item

  return edit


def _no_json(meta_graph):
  del meta_graph.collection_def[_COLUMNS]


def _exchange_keys(collection, first, second, and_signature=False):
  """Returns an edit that exchanges two keys of a collection."""
  kind = collection.split('/')[1]

  def edit(meta_graph):
    keys = meta_graph.collection_def[collection + '/keys'].bytes_list.value
    i, j = (list(keys).index(key.encode()) for key in (first, second))
    keys[i], keys[j] = keys[j], keys[i]
    if and_signature:
      _exchange(_outputs(meta_graph), f'{kind}/{first}', f'{kind}/{second}')

  return edit


def _exchange(infos, first, second):
  kept = type(infos[first])()
  kept.CopyFrom(infos[first])
  infos[first].CopyFrom(infos[second])
  infos[second].CopyFrom(kept)


def _outputs(meta_graph, signature=_SIGNATURE):
  return meta_graph.signature_def[signature].outputs


def _output_is(name, other, signature=_SIGNATURE):
  """Returns an edit that gives an output the tensor of another."""

  def edit(meta_graph):
    outputs = _outputs(meta_graph, signature)
    outputs[name].CopyFrom(outputs[other])

  return edit


def _without_output(name):
  def edit(meta_graph):
    del _outputs(meta_graph)[name]

  return edit


def _renamed_output(name, other):
  def edit(meta_graph):
    outputs = _outputs(meta_graph)
    outputs[other].CopyFrom(outputs[name])
    del outputs[name]

  return edit


def _output_has(output_name, **fields):
  def edit(meta_graph):
    for field, value in fields.items():
      setattr(_outputs(meta_graph)[output_name], field, value)

  return edit


def _width_of_output(name, width):
  def edit(meta_graph):
    _outputs(meta_graph)[name].tensor_shape.dim[1].size = width

  return edit


def _all(*edits):
  def edit(meta_graph):
    for each in edits:
      each(meta_graph)

  return edit


def _without_column(name):
  """Returns an edit that forgets a column wherever it is annotated."""

  def edit(meta_graph):
    keys = meta_graph.collection_def[_PROCESSED + '/keys'].bytes_list.value
    values = meta_graph.collection_def[_PROCESSED + '/values'].any_list.value
    i = list(keys).index(name.encode())
    del keys[i], values[i]
    items = meta_graph.collection_def[_COLUMNS].bytes_list.value
    kept = [item for item in items if json.loads(item)['name'] != name]
    del items[:]
    items.extend(kept)
    del _outputs(meta_graph)['processed_features/' + name]

  return edit


def _no_signature(meta_graph):
  del meta_graph.signature_def[_SIGNATURE]


def _values_are_bytes(meta_graph):
  collection = meta_graph.collection_def[_PROCESSED + '/values']
  packed = [value.SerializeToString() for value in collection.any_list.value]
  collection.bytes_list.value.extend(packed)


def _value_of(**fields):
  """Returns an edit of the first `Any` of the columns' tensors."""

  def edit(meta_graph):
    value = meta_graph.collection_def[_PROCESSED + '/values'].any_list.value[0]
    for field, content in fields.items():
      setattr(value, field, content)

  return edit


def _key_is(key):
  def edit(meta_graph):
    keys = meta_graph.collection_def[_PROCESSED + '/keys'].bytes_list.value
    keys[0] = key

  return edit


def _one_key_less(meta_graph):
  del meta_graph.collection_def[_PROCESSED + '/keys'].bytes_list.value[0]


def _boundaries_in_the_graph(meta_graph):
  for node in meta_graph.graph_def.node:
    if node.op == 'Bucketize':
      node.attr['boundaries'].list.f[0] = -7.0


def _input_is_another(meta_graph):
  # Of the columns side by side, one is read twice and one as wide is not.
  node = _node(meta_graph, 'ConcatV2', 'input_layer/concat')
  first, second = (
    [f'/{column}/' in name for name in node.input].index(True)
    for column in ('color_embedding', 'age_bucketized')
  )
  node.input[first] = node.input[second]


def _node(meta_graph, op, ending):
  (node,) = [
    node
    for node in meta_graph.graph_def.node
    if node.op == op and node.name.endswith(ending)
  ]
  return node


_CATEGORIES = 'color_indicator', 'categorical_column', 'config'

# Edits of the model `mixed`, and what the refusal says.
_CONTRADICTIONS = {
  'feature_keys_exchanged': (
    _all(
      _edit_json('pair', feature_keys=['grid']),
      _edit_json('grid', feature_keys=['pair']),
    ),
    r"column 'grid' is said to read the features \['pair'\], but reads \['gri",
  ),
  'names_exchanged': (
    _all(
      _edit_json('age', name='kept'),
      _edit_json('age_bucketized', name='age'),
      _edit_json('kept', name='age_bucketized'),
    ),
    "column 'age_bucketized' is said to be 1 wide, but .* has the shape",
  ),
  'names_exchanged_of_one_feature_and_width': (
    _all(
      _edit_json('color_indicator', name='kept', width=3),
      _edit_json('color_embedding', name='color_indicator', width=4),
      _edit_json('kept', name='color_embedding'),
    ),
    "column 'color_indicator' is 4 wide, but its config is that of a column "
    "named 'color_embedding' with the width 3",
  ),
  'column_keys_exchanged': (
    _exchange_keys(_PROCESSED, 'grid', 'pair'),
    r"the column 'pair' is '.*grid.*' in 'collections', and '.*pair.*' in 'lay",
  ),
  'column_keys_exchanged_without_a_signature': (
    _all(_exchange_keys(_PROCESSED, 'grid', 'pair'), _no_signature),
    r"column 'grid' is said to be 4 wide, but .* has the shape",
  ),
  'column_keys_exchanged_everywhere': (
    _exchange_keys(_PROCESSED, 'grid', 'pair', and_signature=True),
    r"column 'grid' is said to be 4 wide, but .* has the shape",
  ),
  'feature_keys_of_the_collection_exchanged': (
    _exchange_keys(_UNPROCESSED, 'grid', 'pair'),
    r"the feature '.*pair' is '.*grid.*' in 'collections'",
  ),
  'feature_keys_exchanged_everywhere': (
    _exchange_keys(_UNPROCESSED, 'grid', 'pair', and_signature=True),
    r"column 'grid' is said to read .*\['grid'\], but reads \['pair'\]",
  ),
  'width_in_the_json': (
    _edit_json('pair', width=3),
    r"column 'pair' is said to be 3 wide, but .*pair.* has the shape \(.*, 2\)",
  ),
  'width_in_the_signature': (
    _width_of_output('processed_features/pair', 3),
    r"'processed_features/pair' .* said to have the shape .*3\).* has .*2\)",
  ),
  'type_in_the_signature': (
    _output_has('logits', dtype=types_pb2.DT_STRING),
    r"'logits' of .* is said to be of string, but '.*' is of float32",
  ),
  'vocabulary_reversed': (
    _edit_config(*_CATEGORIES, vocabulary_list=['blue', 'green', 'red']),
    r"'color_indicator' is said to have the vocabulary \['blue', 'green', 're"
    r"d'\], but the table in the graph has \['red', 'green', 'blue'\]",
  ),
  'boundaries': (
    _edit_config('age_bucketized', boundaries=[0.0, 3.0]),
    r"'age_bucketized' is said to have the boundaries \[0.0, 3.0\], but the g"
    r'raph has \[0.0, 2.0\]',
  ),
  'boundaries_in_the_graph': (
    _boundaries_in_the_graph,
    r'said to have the boundaries \[0.0, 2.0\], but the graph has \[-7.0, 2.0',
  ),
  'shape_of_a_numeric_column': (
    _edit_config('grid', shape=[20000, 20000]),
    r"'grid' is 4 wide, but .* named 'grid' with the width 400000000\.",
  ),
  'buckets_for_what_is_in_no_vocabulary': (
    _edit_config(*_CATEGORIES, num_oov_buckets=10**9),
    r"'color_indicator' is 4 wide, but .* with the width 1000000003\.",
  ),
  'logits_of_another_layer': (
    _output_is('logits', 'hidden_layers/0'),
    r"the logits are '.*hiddenlayer_0.*', and those of .*'predict' are '.*log",
  ),
  'logits_of_another_layer_in_predict': (
    _output_is('logits', 'probabilities', 'predict'),
    "the logits are '.*logits.*', and those of .*'predict' are '.*probabilit",
  ),
  'classes_without_probabilities': (
    lambda meta_graph: _outputs(meta_graph, 'predict').pop('probabilities'),
    "the signature 'predict' gives classes and no probabilities",
  ),
  'probabilities_of_other_logits': (
    lambda meta_graph: _exchange(
      _outputs(meta_graph, 'predict'), 'all_class_ids', 'probabilities'
    ),
    "'probabilities' of the .* 'predict', '.*', is not the probabilities of",
  ),
  'hidden_layers_reversed': (
    lambda meta_graph: _exchange(
      _outputs(meta_graph), 'hidden_layers/0', 'hidden_layers/1'
    ),
    'hidden layer 1 is not computed from hidden layer 0',
  ),
  'a_hidden_layer_twice': (
    _output_is('hidden_layers/1', 'hidden_layers/0'),
    'hidden layer 1 is not computed from hidden layer 0',
  ),
  'a_hidden_layer_missing': (
    _without_output('hidden_layers/0'),
    r"hidden layers must be numbered \['0'\], and are \['1'\]",
  ),
  'a_column_missing_in_the_signature': (
    _without_output('processed_features/pair'),
    r"the columns are .*'pair'.* in 'collections', and .* in 'layer_annotat",
  ),
  'a_column_missing_everywhere': (
    _without_column('pair'),
    r"logits depend on the input '.*' by other ways than the columns \['age', ",
  ),
  'a_column_without_json': (
    _edit_json('pair', name='other'),
    r"columns \[.*'other'\] are described, and \[.*'pair'\] are annotated",
  ),
  'a_column_with_two': (
    _edit_json('pair', name='grid'),
    "the column 'grid' is described twice",
  ),
  'a_column_that_the_network_does_not_read': (
    _input_is_another,
    "the logits do not depend on the column 'color_embedding'",
  ),
  'column_keys_exchanged_and_nothing_else_said': (
    _all(_exchange_keys(_PROCESSED, 'grid', 'pair'), _no_signature, _no_json),
    r"column 'grid' does not read the feature 'grid', but \['pair'\]",
  ),
  'inputs_missing': (
    lambda meta_graph: meta_graph.signature_def[_SIGNATURE].inputs.clear(),
    r"inputs of .*, \[\], are not those of 'predict', \['examples'\]",
  ),
  'a_feature_downstream_of_the_columns': (
    lambda meta_graph: [
      _outputs(meta_graph)['unprocessed_features/age'].CopyFrom(
        _outputs(meta_graph)['logits']
      ),
      meta_graph.collection_def.pop(_UNPROCESSED + '/keys'),
      meta_graph.collection_def.pop(_UNPROCESSED + '/values'),
    ],
    r"column 'age' is said to read the features \['age'\], but reads \[\]",
  ),
}

_DEEP = b'[' * 5000 + b']' * 5000

_BROKEN = {
  'values_of_bytes': (_values_are_bytes, 'is bytes without TensorInfo'),
  'any_of_another_type': (
    _value_of(type_url='type.googleapis.com/tensorflow.NodeDef'),
    "the value of 'age' is Any without TensorInfo",
  ),
  'any_of_noise': (_value_of(value=b'\xff\x01'), 'without TensorInfo'),
  'key_that_is_not_utf8': (_key_is(b'\xff'), r"b'\\xff' in .* is not UTF-8"),
  'key_of_another_column': (_key_is(b'pair'), "7 values for the keys .*'pair'"),
  'a_key_less': (_one_key_less, r'have 7 values for the keys \['),
  'tensor_that_is_not_there': (
    _output_has('logits', name='nowhere:0'),
    "the output 'logits' of .* names a tensor not in the graph",
  ),
  'tensor_without_a_name': (
    _output_has('processed_features/age', name=''),
    "the output 'processed_features/age' of .* names a tensor not in the graph",
  ),
  'no_logits': (_without_output('logits'), "has no output 'logits', only"),
  'layers_without_numbers': (
    _renamed_output('hidden_layers/1', 'hidden_layers/last'),
    r"must be numbered \['0', '1'\], and are \['0', 'last'\]",
  ),
  'json_of_pickle': (_json_is(b'\x80\x03c'), r"b'\\x80\\x03c' in .* not JSON"),
  'json_cut_short': (_json_is(b'{"name": "age"'), 'is not JSON'),
  'json_of_a_list': (_json_is(b'[]'), 'is a list and not an object'),
  'json_of_nothing': (_json_is(b'{}'), "column None has None for 'name'"),
  'json_nested_deep': (_json_is(_DEEP), 'is nested deeper than 100 levels'),
  'json_nested_deep_in_a_config': (
    _json_is(
      b'{"name": "age", "class_name": "A", "feature_keys": ["age"], "width": 1'
      b', "config": {"a": %s}}' % _DEEP
    ),
    'is nested deeper than 100 levels',
  ),
  'name_of_another_type': (_edit_json('age', name=1), "1 has 1 for 'name'"),
  'class_of_another_type': (
    _edit_json('age', class_name=None),
    "'age' has None for 'class_name'",
  ),
  'width_of_another_type': (
    _edit_json('age', width='1'),
    "'age' has '1' for 'width'",
  ),
  'keys_of_another_type': (
    _edit_json('age', feature_keys='age'),
    "'age' has 'age' for 'feature_keys'",
  ),
  'keys_of_numbers': (
    _edit_json('age', feature_keys=[1]),
    "'age' has feature keys that are not text",
  ),
  'config_of_another_type': (
    _edit_json('age', config='age'),
    "'age' has 'age' for 'config'",
  ),
}


class _RefusalTest(parameterized.TestCase):
  def _check(self, case_name, edit_fn, regex):
    export_dir = saved_model_files.edited_copy(
      model_cases.annotated_export(case_name, 'multi_class'), edit_fn
    )
    with self.assertRaises(ValueError) as raised:
      tfda.IntegratedGradients(export_dir)
    message = str(raised.exception)
    self.assertNotIn('\n', message)
    self.assertRegex(
      message,
      f'^The layer annotations of {re.escape(repr(export_dir))} are not those '
      f'of its graph: .*{regex}.* {_REMEDY}',
    )


class ContradictionTest(_RefusalTest):
  @parameterized.named_parameters(
    ('_' + name, *case) for name, case in _CONTRADICTIONS.items()
  )
  def test(self, edit_fn, regex):
    self._check('mixed', edit_fn, regex)

  def test_vocabulary_file(self):
    self._check(
      'vocabulary_file',
      _edit_config(
        'color_embedding',
        'categorical_column',
        'config',
        vocabulary_file='elsewhere/shapes.txt',
      ),
      r"said to have the vocabulary file 'shapes.txt', .* reads \['colors.txt",
    )

  def test_labels_in_another_order_than_is_listed(self):
    network = numpy_network.random(2, [3, 4, 3])
    export_dir = network_export.export(network, label_vocabulary=list('abc'))

    def edit(meta_graph):
      if 'all_classes' not in _outputs(meta_graph, 'predict'):
        self.skipTest('this TensorFlow lists no labels')
      (labels,) = (
        node.attr['value'].tensor.string_val
        for node in meta_graph.graph_def.node
        if node.name.endswith('predictions/class_string_lookup/Const')
      )
      kept = list(labels)[::-1]
      del labels[:]
      labels.extend(kept)

    with self.assertRaisesRegex(
      ValueError, r"lists the labels \['a', 'b', 'c'\], and .* are \['c', 'b'"
    ):
      tfda.IntegratedGradients(saved_model_files.edited_copy(export_dir, edit))

  def test_hash_buckets(self):
    def edit(meta_graph):
      for node in meta_graph.graph_def.node:
        if node.op == 'StringToHashBucketFast':
          node.attr['num_buckets'].i = 5

    self._check(
      'hashed', edit, 'is said to have 6 hash buckets, but the graph has 5'
    )


class BrokenTest(_RefusalTest):
  @parameterized.named_parameters(
    ('_' + name, *case) for name, case in _BROKEN.items()
  )
  def test(self, edit_fn, regex):
    self._check('mixed', edit_fn, regex)


class StillReadTest(parameterized.TestCase):
  @parameterized.parameters(
    _no_json,
    _no_signature,
    _all(_no_json, _no_signature),
    # A class that is not TensorFlow's may have any config.
    _edit_json('grid', class_name='Own', config={'key': 1, 'shape': 'none'}),
    _edit_json('grid', config=None),
    _edit_json('grid', config={}),
  )
  def test_annotations_that_say_less(self, edit_fn):
    export_dir = saved_model_files.edited_copy(
      model_cases.annotated_export('mixed', 'multi_class'), edit_fn
    )
    examples = model_cases.CASES['mixed'].serialized_examples()
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertLen(ig.attribute(examples, targets=0).targets, 8)

  @parameterized.parameters(*zip(model_cases.CASES, 'bmvrv' * 5))
  def test_every_kind_of_column(self, case_name, letter):
    """No export of the estimators is refused."""
    heads = {head[0]: head for head in model_cases.HEADS}
    version = 2 if model_cases.CASES[case_name].is_v2 else 1
    export_dir = model_cases.annotated_export(
      case_name, heads[letter], version=version
    )
    with tfda.IntegratedGradients(export_dir) as ig:
      self.assertNotEmpty(ig.model.columns)


if __name__ == '__main__':
  absltest.main()
