"""Compares TFRecords to attributions with TFRecords to predictions."""

import contextlib
import os
import statistics
import time

import numpy as np

from tests.support import directories

_NUM_ROWS = 8192
_BATCH = 1024
_HIDDEN_UNITS = [128, 64]


def measure(repeats):
  """Returns {'predict', 'attribute': rows/s, 'ratio': attribute / predict}."""
  # The process that starts the workers stays small until this is needed.
  import tensorflow as tf

  import tf_dnn_annotations as tfda

  directory = directories.new_dir()
  estimator = tfda.DNNClassifierWithLayerAnnotations(
    hidden_units=_HIDDEN_UNITS,
    feature_columns=_columns(tf),
    n_classes=10,
    model_dir=os.path.join(directory, 'model'),
  )
  spec = tf.feature_column.make_parse_example_spec(_columns(tf))
  examples = _examples(tf)
  estimator.train(lambda: _training_data(tf, examples, spec), steps=20)
  export_dir = tf.compat.as_str_any(
    estimator.export_saved_model(
      os.path.join(directory, 'export'),
      tf.estimator.export.build_parsing_serving_input_receiver_fn(spec),
    )
  )
  path = os.path.join(directory, 'examples.tfrecord')
  with tf.io.TFRecordWriter(path) as writer:
    for example in examples:
      writer.write(example)

  def batches():
    dataset = tf.data.TFRecordDataset(path).batch(_BATCH).prefetch(2)
    return dataset.as_numpy_iterator()

  session = tf.compat.v1.Session(graph=tf.Graph())
  with session.graph.as_default():
    loaded = tf.compat.v1.saved_model.load(session, ['serve'], export_dir)
  # Outside of the graph, as tf.data is run eagerly.
  with contextlib.closing(session):
    predict = loaded.signature_def['predict']
    (serialized,) = predict.inputs.values()
    outputs = {name: info.name for name, info in predict.outputs.items()}

    def run_predict():
      for batch in batches():
        session.run(outputs, {serialized.name: batch})

    with tfda.IntegratedGradients(export_dir) as ig:

      def run_attribute():
        for _ in ig.attribute_batches(map(list, batches())):
          pass

      seconds = {run_predict: [], run_attribute: []}
      for turn in range(repeats + 1):
        for run, found in seconds.items():
          start = time.perf_counter()
          run()
          if turn:  # The first one warms up.
            found.append(time.perf_counter() - start)
  predicted, attributed = seconds.values()
  return {
    'predict': _NUM_ROWS / statistics.median(predicted),
    'attribute': _NUM_ROWS / statistics.median(attributed),
    'ratio': statistics.median(p / a for p, a in zip(predicted, attributed)),
    'load': os.getloadavg()[0],
  }


def _columns(tf):
  """Returns 20 columns: numeric, bucketized, indicator, embedding, crossed."""
  column = tf.feature_column
  columns = []
  for i in range(8):
    columns.append(column.numeric_column(f'number_{i}'))
  for i in range(3):
    columns.append(
      column.bucketized_column(
        column.numeric_column(f'number_{i}'), [-1.0, -0.3, 0.3, 1.0]
      )
    )
  vocabularies = [
    column.categorical_column_with_vocabulary_list(
      f'word_{i}', [f'w{k}' for k in range(20)]
    )
    for i in range(4)
  ]
  columns += map(column.indicator_column, vocabularies)
  for i in range(3):
    hashed = column.categorical_column_with_hash_bucket(f'key_{i}', 1000)
    columns.append(column.embedding_column(hashed, 8))
  for i in range(2):
    crossed = column.crossed_column([f'word_{i}', f'word_{i + 1}'], 50)
    columns.append(column.indicator_column(crossed))
  return columns


def _examples(tf):
  """Returns serialized tf.Examples of the features and a label."""
  rng = np.random.RandomState(0)
  numbers = rng.randn(_NUM_ROWS, 8)
  words = rng.randint(20, size=(_NUM_ROWS, 4))
  keys = rng.randint(10000, size=(_NUM_ROWS, 3))
  examples = []
  for i in range(_NUM_ROWS):
    example = tf.train.Example()
    feature = example.features.feature
    for k, number in enumerate(numbers[i]):
      feature[f'number_{k}'].float_list.value.append(number)
    for k, word in enumerate(words[i]):
      feature[f'word_{k}'].bytes_list.value.append(b'w%d' % word)
    for k, key in enumerate(keys[i]):
      feature[f'key_{k}'].bytes_list.value.append(b'%d' % key)
    label = int(numbers[i, 0] > 0) + int(words[i, 0]) % 9
    feature['label'].int64_list.value.append(label)
    examples.append(example.SerializeToString())
  return examples


def _training_data(tf, examples, spec):
  spec = dict(spec, label=tf.io.FixedLenFeature([], tf.int64))

  def parsed(serialized):
    features = tf.io.parse_example(serialized, spec)
    return features, features.pop('label')

  return tf.data.Dataset.from_tensor_slices(examples).batch(256).map(parsed)
