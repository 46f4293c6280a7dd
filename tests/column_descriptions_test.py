"""An element of a column is called what it stands for in the model."""

import os

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
from tf_dnn_annotations.annotations import columns
from tf_dnn_annotations.saved_models import annotated_model
from tf_dnn_annotations.saved_models import model_columns

_fc = tf.feature_column


def _vocabulary_file(directory, name, words):
  path = os.path.join(directory, name)
  with open(path, 'w', encoding='utf-8') as file:
    file.write('\n'.join(words) + '\n')
  return path


def _file_column(key, path, size, num_oov_buckets=0):
  return _fc.indicator_column(
    _fc.categorical_column_with_vocabulary_file(
      key, path, vocabulary_size=size, num_oov_buckets=num_oov_buckets
    )
  )


def _export(own_columns, width):
  network = numpy_network.Network(
    [(np.ones([width, 2]), np.zeros(2)), (np.ones([2, 1]), np.zeros(1))]
  )
  return network_export.export(network, own_columns)


class ColumnDescriptionsTest(parameterized.TestCase):
  def _check(self, own_columns, width, features, expected):
    """Compares names with where the model puts the values of examples.

    Args:
      own_columns: feature columns.
      width: their width together.
      features: {key: list of values of one example}.
      expected: {column name: {element name: its value}}, but for the zeros.
    """
    export_dir = _export(own_columns, width)
    with annotated_model.AnnotatedModel(export_dir) as model:
      names = columns.element_names(model.columns, export_dir)
      points = model.points_of_examples(
        network_export.examples(**{k: [v] for k, v in features.items()}),
        'logits',
      )
      self.assertCountEqual(names, [column.name for column in model.columns])
    got = {
      column: {
        name: value
        for name, value in zip(
          elements, points.columns[0, model.column_slices[column]]
        )
        if value
      }
      for column, elements in names.items()
    }
    self.assertEqual(got, expected)
    return names

  def test_numbers_have_their_index(self):
    self._check(
      [
        _fc.numeric_column('age'),
        _fc.numeric_column('grid', shape=(2, 2)),
        _fc.numeric_column('pair', shape=(2,)),
      ],
      7,
      {'age': [3.0], 'grid': [0.0, 5.0, 6.0, 0.0], 'pair': [0.0, 7.0]},
      {
        'age': {'age': 3},
        'grid': {'grid[0,1]': 5, 'grid[1,0]': 6},
        'pair': {'pair[1]': 7},
      },
    )

  @parameterized.parameters(
    (-1.0, 'x<0.0'),
    (0.0, '0.0<=x<2.5'),
    (2.0, '0.0<=x<2.5'),
    (2.5, 'x>=2.5'),
  )
  def test_buckets_have_their_range(self, value, expected):
    age = _fc.numeric_column('age')
    pair = _fc.numeric_column('pair', shape=(2,))
    self._check(
      [
        _fc.bucketized_column(age, [0.0, 2.5]),
        _fc.bucketized_column(pair, [0.0, 2.5]),
      ],
      9,
      {'age': [value], 'pair': [-3.0, value]},
      {
        'age_bucketized': {f'age_bucketized[{expected}]': 1},
        'pair_bucketized': {
          'pair_bucketized[0: x<0.0]': 1,
          f'pair_bucketized[1: {expected}]': 1,
        },
      },
    )

  def test_categories_have_their_word(self):
    words = ['red', 'green', 'blau']
    path = _vocabulary_file(directories.new_dir(), 'file.txt', words[::-1])
    names = self._check(
      [
        _fc.indicator_column(
          _fc.categorical_column_with_vocabulary_list(
            'list', words, num_oov_buckets=1
          )
        ),
        _fc.indicator_column(
          _fc.weighted_categorical_column(
            _fc.categorical_column_with_vocabulary_list('heavy', words), 'kg'
          )
        ),
        _file_column('file', path, 3, num_oov_buckets=2),
        _fc.indicator_column(_fc.categorical_column_with_identity('id', 4)),
      ],
      16,
      {
        'list': [b'green', b'?'],
        'heavy': [b'blau', b'red'],
        'kg': [2.0, 0.5],
        'file': [b'red', b'green'],
        'id': [2],
      },
      {
        'list_indicator': {
          'list_indicator[green]': 1,
          'list_indicator[not in vocabulary]': 1,
        },
        'heavy_weighted_by_kg_indicator': {
          'heavy_weighted_by_kg_indicator[blau]': 2,
          'heavy_weighted_by_kg_indicator[red]': 0.5,
        },
        'file_indicator': {
          'file_indicator[red]': 1,
          'file_indicator[green]': 1,
        },
        'id_indicator': {'id_indicator[2]': 1},
      },
    )
    self.assertEqual(
      names['file_indicator'][3:],
      [f'file_indicator[not in vocabulary {i}]' for i in range(2)],
    )

  def test_what_is_not_known_has_its_number(self):
    # Two vocabularies of one name: which asset is whose is not written.
    paths = [
      _vocabulary_file(directories.new_dir(), 'words', words)
      for words in (['a', 'b'], ['b', 'a'])
    ]
    own_columns = [
      _file_column('one', paths[0], 2),
      _file_column('two', paths[1], 2),
      _fc.indicator_column(
        _fc.categorical_column_with_hash_bucket('hashed', 3)
      ),
    ]
    export_dir = _export(own_columns, 7)
    with annotated_model.AnnotatedModel(export_dir) as model:
      names = columns.element_names(model.columns, export_dir)
    self.assertEqual(
      names,
      {
        name: [f'{name}[{i}]' for i in range(width)]
        for name, width in [
          ('hashed_indicator', 3),
          ('one_indicator', 2),
          ('two_indicator', 2),
        ]
      },
    )

  @parameterized.parameters(
    (None, None, 'not described'),
    ('NumericColumn', None, 'numeric'),
    ('_NumericColumn', {}, 'numeric'),
    ('SharedEmbeddingColumn', None, 'shared embedding'),
    (
      'EmbeddingColumn',
      {'categorical_column': {'class_name': 'HashedCategoricalColumn'}},
      'embedding of hashed',
    ),
  )
  def test_kinds(self, class_name, config, expected):
    column = model_columns.Column('x', class_name, ('x',), 2, config)
    self.assertEqual(columns.kind(column), expected)
    # A column of which nothing is told has numbers.
    names = columns.element_names([column], 'no/such/directory')
    self.assertEqual(names, {'x': ['x[0]', 'x[1]']})


if __name__ == '__main__':
  absltest.main()
