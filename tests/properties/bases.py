"""The SavedModels that are mutated, each with rows for it.

Their bytes are the same in every run, so that a mutant's number names it: the
weights are chosen here, and what TensorFlow draws at random is replaced.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import zipfile

import numpy as np
import tensorflow.compat.v1 as tf

from testdata import make_foreign
from testdata import make_golden
from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files

_TESTDATA = pathlib.Path(__file__).absolute().parents[2] / 'testdata'
_HEX = b'[0-9a-f]'
# Tables' names have one kind, the directories of checkpoints the other.
_DRAWN = re.compile(
  b'%s{8}-%s{4}-%s{4}-%s{4}-%s{12}|%s{32}' % ((_HEX,) * 6), re.DOTALL
)
_V1_COLUMNS = 'dnn/input_from_feature_columns/input_layer'
_PLANS = ('basic', 'plus', 'pro')


class Base(collections.namedtuple('Base', ['name', 'export_dir', 'rows'])):
  """A SavedModel and rows for it.

  Attributes:
    name: str.
    export_dir: str.
    rows: {feature key: list of n lists of float, int or bytes}.
  """

  __slots__ = ()

  @property
  def examples(self):
    """The rows as n serialized tf.Examples."""
    return network_export.examples(**self.rows)


# Rows of the models made here. The fourth has no category at all, the last
# one that is in no vocabulary.
_ROWS = {
  'age': [[-1.5], [0.25], [3.0], [7.5], [2.0]],
  'pair': [[0.5, -2.0], [1.0, 0.0], [-3.0, 0.25], [0.0, 0.0], [2.0, -1.0]],
  'color': [[b'red'], [b'green', b'blue'], [b'blue', b'blue'], [], [b'mauve']],
  'strength': [[0.5], [1.0, 2.0], [3.0, 0.25], [], [2.5]],
  'city': [[b'Rome'], [b'Oslo'], [b'Bonn', b'Rome'], [], [b'Lima']],
  'plan': [[b'pro'], [b'basic'], [b'plus'], [], [b'gold']],
  'seen': [[0, 1], [2], [3, 3, 1], [], [4]],
}


def make(directory):
  """Makes the bases in a directory.

  Args:
    directory: str. It is made anew.

  Returns:
    list of `Base`.
  """
  shutil.rmtree(directory, ignore_errors=True)
  os.makedirs(directory)
  made = [
    _base(name, make_fn(), keys, directory)
    for name, make_fn, keys in (
      ('columns', _columns, sorted(_ROWS)),
      ('classes', _classes, ['pair', 'seen']),
      ('tanh', _tanh, ['age', 'color', 'seen']),
      ('raw', _raw, ['age', 'pair']),
    )
  ]
  made.append(
    _base('foreign', _foreign(directory), ['age', 'color', 'pair'], directory)
  )
  contrib = json.loads(
    (_TESTDATA / 'contrib_attributions.json').read_text('utf-8')
  )
  rows = {
    key: [
      [v.encode() if isinstance(v, str) else v for v in values]
      for values in column[:5]
    ]
    for key, column in contrib['features'].items()
  }
  made.append(
    _copied('contrib', _TESTDATA / 'contrib_saved_model', rows, directory)
  )
  if tf.__version__ >= '2':
    rows = _parsed_golden()
    made.append(_copied('golden', make_golden.SAVED_MODEL, rows, directory))
  return made


def _base(name, export_dir, keys, directory):
  return _copied(name, export_dir, {key: _ROWS[key] for key in keys}, directory)


def _copied(name, export_dir, rows, directory):
  """Returns a `Base` of a copy of a SavedModel with nothing random in it."""
  copy = os.path.join(directory, name)
  shutil.copytree(str(export_dir), copy)
  drawn = {}

  def replacement(match):
    number = drawn.setdefault(match.group(), len(drawn))
    # As many letters, since the length is written before.
    return (b'%d' % number).rjust(len(match.group()), b'0')

  data = saved_model_files.read(copy).SerializeToString(deterministic=True)
  with open(os.path.join(copy, 'saved_model.pb'), 'wb') as file:
    file.write(_DRAWN.sub(replacement, data))
  return Base(name, copy, rows)


def _columns():
  """A binary classifier with a column of every kind."""
  fc = tf.feature_column
  age = fc.numeric_column('age')
  buckets = fc.bucketized_column(age, [0.0, 2.0])
  colors = fc.categorical_column_with_vocabulary_list(
    'color', ['red', 'green', 'blue'], num_oov_buckets=1
  )
  # The path becomes part of the SavedModel, and must not vary.
  with open('plans.txt', 'w') as file:
    file.write('\n'.join(_PLANS) + '\n')
  plans = fc.categorical_column_with_vocabulary_file(
    'plan', 'plans.txt', vocabulary_size=len(_PLANS), num_oov_buckets=1
  )
  columns = [  # In no order of names.
    fc.numeric_column('pair', shape=(2,)),
    fc.numeric_column('age', normalizer_fn=lambda value: (value - 2.0) / 4.0),
    buckets,
    fc.indicator_column(colors),
    fc.indicator_column(plans),
    fc.embedding_column(
      fc.categorical_column_with_hash_bucket('city', 6), 3, combiner='sum'
    ),
    fc.indicator_column(fc.crossed_column([buckets, 'color'], 7)),
    fc.indicator_column(fc.weighted_categorical_column(colors, 'strength')),
    fc.indicator_column(fc.categorical_column_with_identity('seen', 5)),
  ]
  width = 2 + 1 + 3 + 4 + 4 + 3 + 7 + 4 + 5
  embedding = np.random.RandomState(1).randn(6, 3)
  return network_export.export(
    numpy_network.random(2, [width, 6, 5, 1]),
    columns,
    {f'{_V1_COLUMNS}/city_embedding/embedding_weights': embedding},
    label_vocabulary=['no', 'yes'],
  )


def _classes():
  """Three classes, batch normalization."""
  network = numpy_network.random(
    3, [7, 6, 5, 3], batch_norms=numpy_network.random_batch_norms(4, [6, 5])
  )
  return network_export.export(
    network,
    [
      tf.feature_column.numeric_column('pair', shape=(2,)),
      tf.feature_column.indicator_column(
        tf.feature_column.categorical_column_with_identity('seen', 5)
      ),
    ],
  )


def _tanh():
  """A regressor of two outputs that bends, and takes sparse features."""
  network = numpy_network.random(
    5, [10, 6, 5, 2], activation='tanh', is_classifier=False
  )
  colors = tf.feature_column.categorical_column_with_vocabulary_list(
    'color', ['red', 'green', 'blue'], num_oov_buckets=1
  )
  seen = tf.feature_column.categorical_column_with_identity('seen', 5)
  return network_export.export(
    network,
    [
      tf.feature_column.numeric_column('age'),
      tf.feature_column.indicator_column(colors),
      tf.feature_column.indicator_column(seen),
    ],
    receiver='sparse',
  )


def _raw():
  """A binary classifier that takes dense arrays."""
  return network_export.export(
    numpy_network.random(6, [3, 8, 6, 1], activation='leaky_relu'),
    [
      tf.feature_column.numeric_column('age'),
      tf.feature_column.numeric_column('pair', shape=(2,)),
    ],
    receiver='raw',
  )


def _foreign(directory):
  """A trained V2 classifier, as TensorFlow 1.15 exported it."""
  with zipfile.ZipFile(str(make_foreign.DIR / 'tf1.15.zip')) as archive:
    archive.extractall(os.path.join(directory, 'unpacked'))
  return os.path.join(directory, 'unpacked', 'classifier_v2')


def _parsed_golden():
  """Returns the rows kept beside the golden SavedModel."""
  rows = collections.defaultdict(list)
  for record in list(tf.io.tf_record_iterator(make_golden.EXAMPLES))[:5]:
    features = tf.train.Example.FromString(record).features.feature
    for key, feature in features.items():
      values = getattr(
        feature, feature.WhichOneof('kind') or 'bytes_list'
      ).value
      rows[key].append(list(values))
  return dict(rows)
