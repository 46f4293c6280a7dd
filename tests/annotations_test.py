"""The wire contract: what the annotations of a SavedModel say, and are."""

import dataclasses
import functools
import json
import re

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.eager import context

from tests.support import directories
from tests.support import model_cases
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_NAMES = tfda.LayerAnnotationsCollectionNames

# Every kind of column, in every form of feature, in estimators of both
# versions; not the product of these, for the sake of time.
_EXPORTS = [
  (f'{case.name}_{form}_v{version}', case.name, form, version)
  for case in model_cases.CASES.values()
  for form, version in (('parsed', 1), ('sparse', 1), ('dense', 2))
  if (case.is_v2 or version == 1)
  and (form != 'sparse' or {'color', 'seen'} & set(case.keys))
]
# And those of V2 that differ most from V1's, of parsed examples too.
_EXPORTS += [
  (f'{name}_parsed_v2', name, 'parsed', 2)
  for name in ('mixed', 'weighted', 'shared_v2')
]

# Column name to the keys of the features that it reads, by case.
_FEATURE_KEYS = {
  'numeric': {'age': ['age']},
  'numeric_normalized': {'age': ['age']},
  'numeric_nd': {'grid': ['grid'], 'pair': ['pair']},
  'bucketized': {'pair_bucketized': ['pair']},
  'two_of_one_feature': {'age': ['age'], 'age_bucketized': ['age']},
  'indicator': {'color_indicator': ['color']},
  'hashed': {'color_indicator': ['color']},
  'identity': {'seen_indicator': ['seen'], 'day_indicator': ['day']},
  'embedding_mean': {'color_embedding': ['color']},
  'embedding_sum': {'color_embedding': ['color']},
  'embedding_sqrtn': {'color_embedding': ['color']},
  'embedding_frozen': {'color_embedding': ['color']},
  'embedding_from_checkpoint': {'color_embedding': ['color']},
  'vocabulary_file': {'color_embedding': ['color']},
  'crossed': {'age_bucketized_X_color_indicator': ['age', 'color']},
  'weighted': {
    'color_weighted_by_strength_indicator': ['color', 'strength'],
    'color_weighted_by_strength_embedding': ['color', 'strength'],
  },
  'shared_v2': {
    'seen_shared_embedding': ['seen'],
    'bought_shared_embedding': ['bought'],
  },
  'shared_v1': {
    'seen_shared_embedding': ['seen'],
    'bought_shared_embedding': ['bought'],
  },
  'own': {'age_squared': ['age'], 'age': ['age']},
  'own_slots': {'age_scaled': ['age']},
  'private_v1': {
    'age': ['age'],
    'grid': ['grid'],
    'age_bucketized': ['age'],
    'color_indicator': ['color'],
    'seen_embedding': ['seen'],
    'age_bucketized_X_color_indicator': ['age', 'color'],
  },
  'mixed': {
    'color_indicator': ['color'],
    'grid': ['grid'],
    'pair': ['pair'],
    'color_embedding': ['color'],
    'age': ['age'],
    'age_bucketized': ['age'],
    'age_bucketized_X_color_indicator': ['age', 'color'],
  },
}


class _Export(object):
  """A SavedModel in a session, and what its collections say.

  Attributes:
    processed, unprocessed: dict of name to `TensorInfo`, in the order of the
      collection.
    descriptions: list of dict: the JSON objects.
    outputs: dict of output name to `TensorInfo` of the annotations' signature.
  """

  def __init__(self, export_dir):
    self.export_dir = export_dir
    self.graph = tf.Graph()
    self.session = tf.Session(graph=self.graph)
    with self.graph.as_default():
      meta_graph = tf.saved_model.load(
        self.session, [tf.saved_model.SERVING], export_dir
      )
    self.processed = self._tensor_infos(_NAMES.PROCESSED_FEATURES)
    self.unprocessed = self._tensor_infos(_NAMES.UNPROCESSED_FEATURES)
    self.descriptions = [
      json.loads(description)
      for description in self.graph.get_collection(_NAMES.FEATURE_COLUMNS)
    ]
    signature = meta_graph.signature_def['layer_annotations']
    self.inputs, self.outputs = dict(signature.inputs), dict(signature.outputs)

  def _tensor_infos(self, collection):
    keys = self.graph.get_collection(_NAMES.keys(collection))
    values = self.graph.get_collection(_NAMES.values(collection))
    infos = {}
    for key, packed in zip(keys, values):
      infos[tf.compat.as_text(key)] = meta_graph_pb2.TensorInfo()
      assert packed.Unpack(infos[tf.compat.as_text(key)])
    assert len(keys) == len(values) == len(infos)
    return infos

  def feed(self, case, form):
    """Returns the feed_dict that gives the case's eight rows."""
    if form == 'parsed':
      (receiver,) = self.inputs.values()
      return {receiver.name: case.serialized_examples()}
    with tf.Graph().as_default(), tf.Session() as session:
      features = session.run(case.features(form))
    feed = {}
    for key, value in features.items():
      info = self.inputs[key]
      if info.HasField('coo_sparse'):
        names = info.coo_sparse
        feed[names.indices_tensor_name] = value.indices
        feed[names.values_tensor_name] = value.values
        feed[names.dense_shape_tensor_name] = value.dense_shape
      else:
        feed[info.name] = value
    return feed

  def variables(self):
    """Returns {name: value} of the model's variables."""
    with self.graph.as_default():
      variables = tf.global_variables()
    # V1 estimators make every variable of parts, if only one.
    names = [re.sub('/part_0$', '', variable.op.name) for variable in variables]
    return dict(zip(names, self.session.run(variables)))


@functools.lru_cache(maxsize=None)
def _export(name, form='parsed', version=1):
  return _Export(model_cases.annotated_export(name, 'binary', form, version))


def _column_values(column, case, form, variables):
  """Returns the [8, width] values that TensorFlow gives `column` alone."""
  with tf.Graph().as_default(), tf.Session() as session:
    features = case.features(form)
    if getattr(column, '_is_v2_column', False):
      values = tf.keras.layers.DenseFeatures([column])(features)
    else:
      values = tf.feature_column.input_layer(features, [column])
    session.run(tf.tables_initializer())
    for variable in tf.global_variables():
      # The embedding's table, under whatever scope the model has it.
      parts = variable.op.name.split('/')[-2:]
      (table,) = [
        value
        for name, value in variables.items()
        if name.split('/')[-len(parts) :] == parts
      ]
      variable.load(table, session)
    return session.run(values)


def _layers(export):
  """Returns [(kernel, bias)] of the network in float64."""
  variables = export.variables()
  return [
    (
      np.float64(variables[f'dnn/{layer}/kernel']),
      np.float64(variables[f'dnn/{layer}/bias']),
    )
    for layer in ('hiddenlayer_0', 'hiddenlayer_1', 'logits')
  ]


class WireContractTest(parameterized.TestCase):
  @parameterized.named_parameters(_EXPORTS)
  def test_collections(self, name, form, version):
    case, export = model_cases.CASES[name], _export(name, form, version)
    columns = {column.name: column for column in case.columns()}
    self.assertCountEqual(export.processed, columns)
    self.assertEqual(
      [description['name'] for description in export.descriptions],
      list(export.processed),
    )
    for description in export.descriptions:
      column = columns[description['name']]
      self.assertEqual(
        description['feature_keys'], _FEATURE_KEYS[name][column.name]
      )
      self.assertEqual(description['class_name'], type(column).__name__)
      info = export.processed[column.name]
      self.assertEqual(info.dtype, tf.float32.as_datatype_enum)
      self.assertEqual(
        [dimension.size for dimension in info.tensor_shape.dim],
        [-1, description['width']],
      )
    self.assertCountEqual(export.unprocessed, case.keys)
    for key, info in export.unprocessed.items():
      is_sparse = form != 'dense' and key in (
        'color',
        'strength',
        'seen',
        'bought',
      )
      self.assertEqual(
        info.WhichOneof('encoding'), 'coo_sparse' if is_sparse else 'name'
      )

  @parameterized.named_parameters(_EXPORTS)
  def test_values_are_the_columns(self, name, form, version):
    case, export = model_cases.CASES[name], _export(name, form, version)
    values = export.session.run(
      {name: info.name for name, info in export.processed.items()},
      export.feed(case, form),
    )
    variables = export.variables()
    widths = {d['name']: d['width'] for d in export.descriptions}
    # One column of shared embeddings does without the others.
    for column in case.columns():
      expected = _column_values(column, case, form, variables)
      np.testing.assert_array_equal(
        expected, values[column.name], err_msg=column.name
      )
      self.assertEqual(expected.shape[1], widths[column.name])

  @parameterized.named_parameters(_EXPORTS)
  def test_features_are_what_was_given(self, name, form, version):
    case, export = model_cases.CASES[name], _export(name, form, version)
    with tf.Graph().as_default(), tf.Session() as session:
      expected = session.run(case.features(form))
    fetches = {}
    for key, info in export.unprocessed.items():
      if info.HasField('coo_sparse'):
        sparse = info.coo_sparse
        fetches[key] = [
          sparse.indices_tensor_name,
          sparse.values_tensor_name,
          sparse.dense_shape_tensor_name,
        ]
      else:
        fetches[key] = info.name
    actual = export.session.run(fetches, export.feed(case, form))
    for key in case.keys:
      if isinstance(actual[key], list):
        for i in range(3):
          np.testing.assert_array_equal(expected[key][i], actual[key][i])
      else:
        np.testing.assert_array_equal(expected[key], actual[key])

  @parameterized.named_parameters(_EXPORTS)
  def test_columns_alone_make_the_output(self, name, form, version):
    """All flows through the columns, in the model's order, as in numpy."""
    export = _export(name, form, version)
    random = np.random.RandomState(0)
    values = {
      description['name']: np.float32(random.randn(5, description['width']))
      for description in export.descriptions
    }
    # Nothing is fed but the columns.
    hidden_0, hidden_1, logits = export.session.run(
      [
        export.outputs['hidden_layers/0'].name,
        export.outputs['hidden_layers/1'].name,
        export.outputs['logits'].name,
      ],
      {export.processed[name].name: v for name, v in values.items()},
    )
    (w_0, b_0), (w_1, b_1), (w_2, b_2) = _layers(export)
    # In the order of the collection. Sums of at most 20 float32 numbers of
    # the size of 1.
    inputs = np.concatenate([values[name] for name in export.processed], 1)
    expected_0 = inputs.dot(w_0) + b_0
    expected_1 = np.maximum(expected_0, 0).dot(w_1) + b_1
    expected_2 = np.maximum(expected_1, 0).dot(w_2) + b_2
    np.testing.assert_allclose(hidden_0, expected_0, atol=2e-5)
    np.testing.assert_allclose(hidden_1, expected_1, atol=2e-5)
    np.testing.assert_allclose(logits, expected_2, atol=2e-5)

  @parameterized.named_parameters(_EXPORTS)
  def test_every_tensor_is_alone_in_its_op(self, name, form, version):
    export = _export(name, form, version)
    names = [
      info.name
      for key, info in export.outputs.items()
      if key.split('/')[0] in ('processed_features', 'unprocessed_features')
    ]
    ops = [export.graph.get_tensor_by_name(name).op for name in names]
    self.assertLen(set(ops), len(ops))
    for op in ops:
      self.assertLen(op.outputs, 1)
      self.assertIn(op.type, ('Identity', 'Reshape'))

  @parameterized.named_parameters(e for e in _EXPORTS if e[2] != 'sparse')
  def test_prune_from_each_column_to_the_logits(self, name, form, version):
    export = _export(name, form, version)
    random = np.random.RandomState(1)
    values = [
      np.float32(random.randn(5, description['width']))
      for description in export.descriptions
    ]
    with context.eager_mode():
      model = tf2.saved_model.load(export.export_dir)
      function = model.prune(
        [f'{info.name}' for info in export.processed.values()],
        export.outputs['logits'].name,
      )
      tensors = [tf.constant(value) for value in values]
      with tf.GradientTape() as tape:
        tape.watch(tensors)
        logits = function(*tensors)
      gradients = np.concatenate(
        [gradient.numpy() for gradient in tape.gradient(logits, tensors)], 1
      )
    (w_0, b_0), (w_1, b_1), (w_2, _) = _layers(export)
    z_0 = np.concatenate(values, 1).dot(w_0) + b_0
    z_1 = np.maximum(z_0, 0).dot(w_1) + b_1
    expected = (((z_1 > 0) * w_2[:, 0]).dot(w_1.T) * (z_0 > 0)).dot(w_0.T)
    # Sums of at most 12 products of float32 numbers of the size of 1.
    np.testing.assert_allclose(gradients, expected, atol=1e-5)

  @parameterized.parameters(1, 2)
  def test_isolation_of_two_columns_of_one_feature(self, version):
    export = _export(
      'two_of_one_feature', 'parsed' if version == 1 else 'dense', version
    )
    case = model_cases.CASES['two_of_one_feature']
    fetches = {
      'bucketized': export.processed['age_bucketized'].name,
      'feature': export.unprocessed['age'].name,
      'logits': export.outputs['logits'].name,
    }
    feed = export.feed(case, 'parsed' if version == 1 else 'dense')
    before = export.session.run(fetches, feed)
    feed[export.processed['age'].name] = np.float32([[50]] * 8)
    after = export.session.run(fetches, feed)
    np.testing.assert_array_equal(before['bucketized'], after['bucketized'])
    np.testing.assert_array_equal(before['feature'], after['feature'])
    self.assertGreater(np.abs(before['logits'] - after['logits']).max(), 0)


class DescriptionsTest(absltest.TestCase):
  def _descriptions(self, name):
    return {d['name']: d for d in _export(name).descriptions}

  def test_config_of_nested_columns(self):
    config = self._descriptions('crossed')['age_bucketized_X_color_indicator']
    crossed = config['config']['categorical_column']
    self.assertEqual(crossed['class_name'], 'CrossedColumn')
    self.assertEqual(crossed['config']['hash_bucket_size'], 7)
    key, bucketized = crossed['config']['keys']
    self.assertEqual(key, 'color')
    self.assertEqual(bucketized['class_name'], 'BucketizedColumn')
    self.assertEqual(bucketized['config']['boundaries'], [0.0, 2.0])
    age = bucketized['config']['source_column']['config']
    self.assertEqual(age['key'], 'age')
    self.assertEqual(age['dtype'], 'float32')

  def test_config_of_an_embedding(self):
    config = self._descriptions('embedding_sqrtn')['color_embedding']['config']
    self.assertEqual(config['dimension'], 3)
    self.assertEqual(config['combiner'], 'sqrtn')
    self.assertIs(config['trainable'], True)
    self.assertEqual(config['initializer']['config']['seed'], 7)
    vocabulary = config['categorical_column']['config']['vocabulary_list']
    self.assertEqual(vocabulary, ['red', 'green', 'blue'])

  def test_config_of_a_function(self):
    config = self._descriptions('numeric_normalized')['age']['config']
    self.assertIn('<lambda>', config['normalizer_fn'])
    self.assertEqual(config['shape'], [1])
    self.assertIsNone(config['default_value'])

  def test_config_of_own_columns(self):
    self.assertEqual(
      self._descriptions('own')['age_squared']['config'], {'key': 'age'}
    )
    self.assertEqual(
      self._descriptions('own_slots')['age_scaled']['config'],
      {'key': 'age', 'scale': 3.0},
    )

  def test_no_pickle_and_no_bytes_but_utf_8_json(self):
    descriptions = _export('mixed').graph.get_collection(_NAMES.FEATURE_COLUMNS)
    self.assertNotEmpty(descriptions)
    for description in descriptions:
      self.assertIsInstance(
        json.loads(tf.compat.as_bytes(description).decode('utf-8')), dict
      )


class _NumberedColumn(model_cases.SquareColumn):
  """TensorFlow asks more of the name of a column than of a feature's key."""

  def __init__(self, number, key):
    super().__init__(key)
    self._number = number

  @property
  def name(self):
    return f'column/{self._number}'


@dataclasses.dataclass(frozen=True)
class _FrozenColumn(model_cases.SquareColumn):
  """A dataclass, which compares by its class too, and refuses to be set."""

  _key: str


class _GuardedColumn(model_cases.SquareColumn):
  """Keeps in slots what must not be set again."""

  __slots__ = ('__power', 'not_set')

  def __init__(self, key, power):
    object.__setattr__(self, '_key', key)
    object.__setattr__(self, '_GuardedColumn__power', power)

  def __setattr__(self, name, value):
    raise AttributeError(name)

  @property
  def name(self):
    return f'{self._key}_to_the_{self.__power}'

  def transform_feature(self, transformation_cache, state_manager):
    feature = transformation_cache.get(self._key, state_manager)
    return feature**self.__power


class _NarrowColumn(model_cases.SlottedColumn):
  """Is made of fewer arguments than it has fields."""

  def __new__(cls, key):
    return super().__new__(cls, key, 0.5)


class _LazyColumn(model_cases.SquareColumn):
  """Knows its width when the model is built."""

  @property
  def name(self):
    return self._key + '_twice'

  def create_state(self, state_manager):
    self._width = 2

  @property
  def variable_shape(self):
    return tf.TensorShape([self._width])

  def get_dense_tensor(self, transformation_cache, state_manager):
    return tf.tile(transformation_cache.get(self._key, state_manager), [1, 2])


class _NetworkColumn(model_cases.SquareColumn):
  """A small network, its layers named as those of the DNN."""

  @property
  def name(self):
    return self._key + '_network'

  def get_dense_tensor(self, transformation_cache, state_manager):
    tensor = transformation_cache.get(self._key, state_manager)
    for layer in ('hiddenlayer_0', 'hiddenlayer_2', 'logits'):
      with tf.name_scope(layer):
        tensor = tf.nn.bias_add(tf.matmul(tensor, [[3.0]]), [1.0])
    with tf.name_scope('logits'):  # Nor is what is not used.
      tf.nn.bias_add(tensor, [1.0])
    return tensor


class _OwnerColumn(model_cases.SquareColumn):
  """A feature times a variable, which others share."""

  @property
  def name(self):
    return self._key + '_times_table'

  def create_state(self, state_manager):
    state_manager.create_variable(
      self, 'table', [1], initializer=tf.constant_initializer(2.0)
    )

  def _table(self, state_manager):
    return state_manager.get_variable(self, 'table')

  def get_dense_tensor(self, transformation_cache, state_manager):
    feature = transformation_cache.get(self._key, state_manager)
    return feature * self._table(state_manager)


class _BorrowerColumn(_OwnerColumn):
  def __init__(self, key, owner):
    super().__init__(key)
    self._owner = owner

  @property
  def name(self):
    return self._key + '_times_borrowed_table'

  def create_state(self, state_manager):
    pass

  def _table(self, state_manager):
    return state_manager.get_variable(self._owner, 'table')


def _owner_and_borrower(key):
  owner = _OwnerColumn(key)
  return [owner, _BorrowerColumn(key, owner)]


# Columns of a user's own, and what they give for a feature.
_OWN_COLUMNS = {
  'frozen': (lambda key: [_FrozenColumn(key)], [lambda x, _: x**2]),
  'guarded': (lambda key: [_GuardedColumn(key, 3)], [lambda x, _: x * x * x]),
  'narrow': (lambda key: [_NarrowColumn(key)], [lambda x, _: x / 2]),
  'lazy': (
    lambda key: [_LazyColumn(key)],
    [lambda x, _: np.concatenate([x, x], 1)],
  ),
  'network': (
    lambda key: [_NetworkColumn(key)],
    [lambda x, _: 27 * x + 13],
  ),
  'shared': (
    _owner_and_borrower,
    [lambda x, table: x * table, lambda x, table: x * table],
  ),
}


class _NoConfigColumn(model_cases.SquareColumn):
  def get_config(self):
    raise ValueError('A user would not say.')


def _estimator(columns, version, annotated, model_dir):
  return model_cases.estimator_class('binary', version, annotated)(
    hidden_units=[4, 3], feature_columns=columns, model_dir=model_dir
  )


def _trained(columns, features, version=1, annotated=True):
  """Returns an estimator that was trained on dense `features`."""
  estimator = _estimator(columns, version, annotated, directories.new_dir())
  labels = model_cases.HEADS['binary'][0]
  return estimator.train(
    lambda: tf.data.Dataset.from_tensors((features, labels)), steps=1
  )


def _exported(estimator, features):
  """Exports an estimator of dense `features`."""

  def receiver_fn():
    receivers = {
      f'receiver_{i}': tf.placeholder(
        tf.as_dtype(value.dtype), (None,) + value.shape[1:]
      )
      for i, (_, value) in enumerate(sorted(features.items()))
    }
    return tf.estimator.export.ServingInputReceiver(
      dict(zip(sorted(features), receivers.values())), receivers
    )

  return _Export(
    tf.compat.as_text(
      estimator.export_saved_model(directories.new_dir(), receiver_fn)
    )
  )


class OwnColumnsTest(parameterized.TestCase):
  @parameterized.product(name=sorted(_OWN_COLUMNS), version=[1, 2])
  def test_is_annotated_and_predicts_as_ordinary(self, name, version):
    make_columns, expected_fns = _OWN_COLUMNS[name]
    # Numbers of few bits: what the columns make of them is exact.
    x = np.float32([[-2], [1], [0.5], [3], [0], [4], [-0.25], [8]])
    model_dir = _trained(make_columns('x'), {'x': x}, version, False).model_dir
    # As where they are re-exported: no graph was built with these columns.
    estimator, ordinary = (
      _estimator(make_columns('x'), version, annotated, model_dir)
      for annotated in (True, False)
    )
    predictions = [
      [
        row['logits']
        for row in each.predict(lambda: tf.data.Dataset.from_tensors({'x': x}))
      ]
      for each in (estimator, ordinary)
    ]
    np.testing.assert_array_equal(*predictions)

    export = _exported(estimator, {'x': x})
    feed = {export.inputs['receiver_0'].name: x}
    tables = [
      value for key, value in export.variables().items() if 'table' in key
    ]
    self.assertLen(tables, 1 if name == 'shared' else 0)
    columns = make_columns('x')
    self.assertCountEqual(export.processed, [column.name for column in columns])
    for column, expected_fn in zip(columns, expected_fns):
      np.testing.assert_array_equal(
        export.session.run(export.processed[column.name].name, feed),
        expected_fn(x, *(tables or [None])),
      )
    logits = export.session.run(export.outputs['logits'].name, feed)
    np.testing.assert_allclose(logits, predictions[1], rtol=1e-6)
    self.assertLen([o for o in export.outputs if 'hidden_layers' in o], 2)

  @parameterized.parameters(1, 2)
  def test_that_cannot_tell_its_config(self, version):
    features = {'x': np.float32(np.ones([8, 1]))}
    export = _exported(
      _trained([_NoConfigColumn('x')], features, version), features
    )
    (description,) = export.descriptions
    self.assertEqual(description['class_name'], '_NoConfigColumn')
    self.assertIsNone(description['config'])


class SignatureAloneTest(parameterized.TestCase):
  """The signature is enough, where a tool dropped the collections."""

  @parameterized.parameters(1, 2)
  def test_exact_attributions(self, version):
    whole = model_cases.annotated_export('mixed', version=version)

    def drop_collections(meta_graph):
      collections = meta_graph.collection_def
      dropped = [name for name in collections if name.startswith('layer_annot')]
      self.assertLen(dropped, 5)
      for name in dropped:
        del collections[name]

    stripped = saved_model_files.edited_copy(whole, drop_collections)
    examples = model_cases.CASES['mixed'].serialized_examples()
    with tfda.IntegratedGradients(whole) as ig:
      expected = ig.attribute(examples, method='exact')
      columns = [(c.name, c.width, c.feature_keys) for c in ig.model.columns]
    with tfda.IntegratedGradients(stripped) as ig:
      self.assertIsNotNone(ig.model.network)
      self.assertIsNotNone(ig.model.kernel)
      self.assertEqual(
        [(c.name, c.width, c.feature_keys) for c in ig.model.columns], columns
      )
      actual = ig.attribute(examples, method='exact')
    self.assertEqual(list(actual.columns), sorted(expected.columns))
    self.assertEqual(actual.columns, expected.columns)
    for name, value in expected.values.items():
      np.testing.assert_array_equal(actual.values[name], value, err_msg=name)
    np.testing.assert_array_equal(actual.outputs, expected.outputs)


class UnusualFeaturesTest(parameterized.TestCase):
  def _exported(self, columns, features, version=1):
    """Trains on and exports dense raw `features`."""
    return _exported(_trained(columns, features, version), features)

  @parameterized.parameters(1, 2)
  def test_features_that_no_column_reads(self, version):
    case = model_cases.CASES['numeric']
    export = self._exported(
      case.columns(), case.dense_features(('weight', 'day')), version
    )
    self.assertEqual(list(export.unprocessed), ['age'])
    self.assertCountEqual(
      export.outputs,
      [
        'processed_features/age',
        'unprocessed_features/age',
        'hidden_layers/0',
        'hidden_layers/1',
        'logits',
      ],
    )

  @parameterized.parameters(1, 2)
  def test_keys_that_are_no_names_of_ops(self, version):
    keys = ['größe in cm', 'a/b', 'a b', 'a_b', '']
    export = self._exported(
      [_NumberedColumn(i, key) for i, key in enumerate(keys)],
      {key: np.float32(np.ones([8, 1])) * i for i, key in enumerate(keys)},
      version,
    )
    self.assertEqual(
      {d['name']: d['feature_keys'] for d in export.descriptions},
      {f'column/{i}': [key] for i, key in enumerate(keys)},
    )
    self.assertCountEqual(export.unprocessed, keys)
    values = {key: np.float32([[i + 2]]) for i, key in enumerate(keys)}
    feed = {
      export.inputs[f'receiver_{i}'].name: values[key]
      for i, key in enumerate(sorted(keys))
    }
    features, columns = export.session.run(
      [
        {key: info.name for key, info in infos.items()}
        for infos in (export.unprocessed, export.processed)
      ],
      feed,
    )
    self.assertEqual(features, values)
    self.assertEqual(
      columns,
      {f'column/{i}': values[key] ** 2 for i, key in enumerate(keys)},
    )

  @parameterized.parameters(tf.float64, tf.int64, tf.int32)
  def test_numeric_columns_of_other_types(self, dtype):
    export = self._exported(
      [tf.feature_column.numeric_column('n', dtype=dtype)],
      {'n': np.arange(8).reshape(8, 1).astype(dtype.as_numpy_dtype)},
    )
    self.assertEqual(export.unprocessed['n'].dtype, dtype.as_datatype_enum)
    # The column casts: the network is float32.
    self.assertEqual(export.processed['n'].dtype, tf.float32.as_datatype_enum)

  @parameterized.parameters(1, 2)
  def test_features_that_are_no_dict_are_refused_as_ordinary(self, version):
    messages = []
    for annotated in (False, True):
      estimator = model_cases.estimator_class('binary', version, annotated)(
        hidden_units=[2],
        feature_columns=model_cases.CASES['numeric'].columns(),
        model_dir=directories.new_dir(),
      )
      with self.assertRaises(ValueError) as raised, tf.Graph().as_default():
        estimator.model_fn(
          tf.zeros([3, 1]),
          None,
          tf.estimator.ModeKeys.PREDICT,
          estimator.config,
        )
      messages.append(str(raised.exception))
    self.assertEqual(*messages)


if __name__ == '__main__':
  absltest.main()
