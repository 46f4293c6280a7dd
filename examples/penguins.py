"""Explains a DNNClassifier of penguins: the whole workflow, on real data.

    python examples/penguins.py [--output_dir=DIR] [--train_steps=N]

Each step is a function below, and `main` is their order:

  1. write tf.Examples, missing values left out;
  2. train an ordinary DNNClassifier with train_and_evaluate;
  3. export its checkpoint again, through DNNClassifierWithLayerAnnotations;
  4. compare the predictions of the new SavedModel and the ordinary one;
  5. explain all penguins from that SavedModel alone, on the command line;
  6. explain three of them, in Python.

Steps 1 and 2 are those of any tf.estimator pipeline: nothing in them depends on
this package. The data are the Palmer penguins, see testdata/README.md.
"""

import csv
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import warnings

# Set before TensorFlow is loaded, which reads it once.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

# ruff: noqa: E402
from tf_dnn_annotations import modern_tf

# The one line that TensorFlow 2.16 and newer need; others are left as they are.
modern_tf.install()

from absl import app
from absl import flags
from absl import logging
import numpy as np
import tensorflow as tf

import tf_dnn_annotations as tfda

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'output_dir', 'penguins_demo', 'Where to write; created if it does not exist.'
)
flags.DEFINE_integer(
  'train_steps', 600, 'Number of batches to train on.', lower_bound=1
)

ROOT = pathlib.Path(__file__).resolve().parents[1]
CSV_PATH = ROOT / 'testdata' / 'penguins.csv'
SPECIES = ['Adelie', 'Chinstrap', 'Gentoo']
MEASUREMENTS = [
  'bill_length_mm',
  'bill_depth_mm',
  'flipper_length_mm',
  'body_mass_g',
]
MISSING = 'NA'
SEED = 2009


# ---- 1. The data: tf.Examples in TFRecord files ----


def read_rows():
  """Returns (training rows, held-out rows): dicts of text, as in the file."""
  with CSV_PATH.open(encoding='utf-8', newline='') as file:
    rows = list(csv.DictReader(file))
  order = np.random.RandomState(SEED).permutation(len(rows))
  num_held_out = len(rows) // 5
  held_out, training = order[:num_held_out], order[num_held_out:]
  return [rows[i] for i in training], [rows[i] for i in held_out]


def serialized_example(row):
  """Returns a row as a serialized tf.Example."""
  example = tf.train.Example()
  for key, text in row.items():
    if text == MISSING:
      # Left out, rather than 0 or 'NA': the parser handles it, see
      # `make_feature_columns`.
      continue
    feature = example.features.feature[key]
    if key in MEASUREMENTS:
      feature.float_list.value.append(float(text))
    elif key == 'year':
      feature.int64_list.value.append(int(text))
    else:
      feature.bytes_list.value.append(text.encode('utf-8'))
  return example.SerializeToString()


def write_examples(rows, path):
  """Writes rows as a TFRecord file."""
  with tf.io.TFRecordWriter(path) as writer:
    for row in rows:
      writer.write(serialized_example(row))


# ---- 2. An ordinary estimator, ordinarily trained ----


def make_feature_columns(training_rows):
  """Returns the feature columns of the model."""
  column = tf.feature_column
  columns = []
  for key in MEASUREMENTS:
    values = [float(row[key]) for row in training_rows if row[key] != MISSING]
    mean, deviation = float(np.mean(values)), float(np.std(values))
    columns.append(
      column.numeric_column(
        key,
        # A missing measurement is parsed as the mean of the training rows...
        default_value=mean,
        # ... which this turns into 0, the value of the baseline of step 5. So a
        # missing measurement gets an attribution of 0.
        normalizer_fn=lambda x, mean=mean, deviation=deviation: (
          (x - mean) / deviation
        ),
      )
    )
  # Categories are parsed as lists of any length. A missing one is an empty
  # list, and its indicator is all zeros.
  island = column.categorical_column_with_vocabulary_list(
    'island', ['Biscoe', 'Dream', 'Torgersen']
  )
  sex = column.categorical_column_with_vocabulary_list(
    'sex', ['female', 'male']
  )
  # A year is 2007, 2008 or 2009: one bucket each.
  year = column.numeric_column('year', dtype=tf.int64)
  return columns + [
    column.indicator_column(island),
    column.indicator_column(sex),
    column.bucketized_column(year, boundaries=[2008, 2009]),
    column.embedding_column(
      column.crossed_column(['island', 'sex'], hash_bucket_size=24),
      dimension=2,
    ),
  ]


def make_input_fn(path, parsing_spec, is_training):
  """Returns an input_fn of (features, labels) for a TFRecord file."""

  def parsed(serialized):
    features = tf.io.parse_example(
      serialized,
      {**parsing_spec, 'species': tf.io.FixedLenFeature([], tf.string)},
    )
    return features, features.pop('species')

  def input_fn():
    dataset = tf.data.TFRecordDataset(path)
    if is_training:
      dataset = dataset.shuffle(1000, seed=SEED).repeat()
    return dataset.batch(32).map(parsed)

  return input_fn


def train(arguments, parsing_spec, paths, serving_input_receiver_fn):
  """Trains, evaluates and exports an ordinary DNNClassifier.

  Returns:
    (estimator, its evaluation on the held-out rows, directory of its export)
  """
  estimator = tf.compat.v1.estimator.DNNClassifier(**arguments)
  evaluation, export_dirs = tf.compat.v1.estimator.train_and_evaluate(
    estimator,
    tf.compat.v1.estimator.TrainSpec(
      make_input_fn(paths['train'], parsing_spec, is_training=True),
      max_steps=FLAGS.train_steps,
    ),
    tf.compat.v1.estimator.EvalSpec(
      make_input_fn(paths['held_out'], parsing_spec, is_training=False),
      steps=None,
      exporters=tf.compat.v1.estimator.FinalExporter(
        'ordinary', serving_input_receiver_fn
      ),
    ),
  )
  return estimator, evaluation, tf.compat.as_text(export_dirs[0])


# ---- 3. The same checkpoint, exported with layer annotations ----


def export_annotated(
  arguments, checkpoint_path, serving_input_receiver_fn, export_dir_base
):
  """Exports a checkpoint of an ordinary estimator; trains nothing.

  Returns:
    the directory of the SavedModel.
  """
  estimator = tfda.DNNClassifierWithLayerAnnotations(**arguments)
  export_dir = estimator.export_saved_model(
    export_dir_base, serving_input_receiver_fn, checkpoint_path=checkpoint_path
  )
  return tf.compat.as_text(export_dir)


# ---- 4. It predicts the same ----


def predict(export_dir, serialized):
  """Returns the outputs of a SavedModel: {name: array [n, ...]}."""
  signature = tf.saved_model.load(export_dir).signatures['predict']
  outputs = signature(examples=tf.constant(serialized))
  return {name: tensor.numpy() for name, tensor in outputs.items()}


def check_same_predictions(ordinary_dir, annotated_dir, serialized):
  """Raises unless both SavedModels predict the same, to the last bit."""
  ordinary = predict(ordinary_dir, serialized)
  annotated = predict(annotated_dir, serialized)
  for name in sorted(set(ordinary) | set(annotated)):
    np.testing.assert_array_equal(ordinary[name], annotated[name], name)
  print(
    f'Outputs {", ".join(sorted(ordinary))} of {len(serialized)} penguins: '
    'equal to the last bit.'
  )


# ---- 5. Explained on the command line ----


def run_command(*arguments):
  """Shows a command of this package as one would type it, and runs it.

  Where the package is installed, `tf_dnn_annotations` is its short form.
  """
  python = os.path.relpath(sys.executable)
  if python.startswith(os.pardir):
    python = sys.executable
  command = [python, '-m', 'tf_dnn_annotations', *arguments]
  print('$ ' + ' '.join(map(shlex.quote, command)), flush=True)
  subprocess.run(command, check=True)


# ---- 6. Explained in Python ----


def explain(export_dir, rows):
  """Prints for a few rows how the attributions lead to the prediction."""
  with tfda.IntegratedGradients(export_dir) as ig:
    result = ig.attribute([serialized_example(row) for row in rows])
    labels = ig.model.labels

  def show(name, value, number, digits='.4f'):
    print(f'  {name:18} {value:>16} {number:+10{digits}}')

  attributions = result.per_feature()
  for i, row in enumerate(rows):
    label = labels[result.targets[i]]
    print(f'\nA penguin of species {row["species"]}; predicted: {label}')
    show('baseline', '', result.baseline_outputs[i])
    for key in sorted(attributions, key=lambda key: -abs(attributions[key][i])):
      # A key such as 'island x sex' is the two of them together.
      value = ' x '.join(row[part] for part in key.split(' x '))
      show(key, value, attributions[key][i])
    # The error of the integral. With it, the lines sum to the logit.
    show('gap', '', result.gap[i], '.1e')
    show(f'logit of {label}', '', result.outputs[i])


def one_of_each_species(rows):
  """Returns a row of each species, with a missing value where there is one."""
  return [
    min(
      (row for row in rows if row['species'] == species),
      key=lambda row: MISSING not in row.values(),
    )
    for species in SPECIES
  ]


def quiet():
  """Keeps TensorFlow's log and deprecation warnings off the screen."""
  logging.set_verbosity(logging.ERROR)
  tf.get_logger().setLevel('ERROR')
  warnings.filterwarnings('ignore')


def step(text):
  print(f'\n=== {text}', flush=True)


def main(_):
  quiet()
  output_dir = FLAGS.output_dir
  paths = {
    'train': os.path.join(output_dir, 'penguins-train.tfrecord'),
    'held_out': os.path.join(output_dir, 'penguins-held-out.tfrecord'),
    'model': os.path.join(output_dir, 'penguins-checkpoints'),
    'annotated': os.path.join(output_dir, 'penguins-annotated'),
    'attributions': os.path.join(output_dir, 'penguins-attributions.jsonl'),
  }
  os.makedirs(output_dir, exist_ok=True)
  # A second run starts afresh: estimators resume from a checkpoint they find.
  for name in ('model', 'annotated'):
    shutil.rmtree(paths[name], ignore_errors=True)

  step('1. Write tf.Examples')
  training_rows, held_out_rows = read_rows()
  write_examples(training_rows, paths['train'])
  write_examples(held_out_rows, paths['held_out'])
  print(
    f'{len(training_rows)} penguins to train on, {len(held_out_rows)} held out.'
  )

  step('2. Train an ordinary DNNClassifier')
  columns = make_feature_columns(training_rows)
  arguments = dict(
    hidden_units=[32, 16],
    feature_columns=columns,
    n_classes=len(SPECIES),
    label_vocabulary=SPECIES,
    config=tf.compat.v1.estimator.RunConfig(
      model_dir=paths['model'], tf_random_seed=SEED
    ),
  )
  parsing_spec = tf.feature_column.make_parse_example_spec(columns)
  serving_input_receiver_fn = (
    tf.estimator.export.build_parsing_serving_input_receiver_fn(parsing_spec)
  )
  ordinary, evaluation, ordinary_dir = train(
    arguments, parsing_spec, paths, serving_input_receiver_fn
  )
  print(
    f'{evaluation["global_step"]} steps; accuracy on the held-out penguins '
    f'{evaluation["accuracy"]:.3f}'
  )
  print(f'Its SavedModel: {ordinary_dir}')

  step('3. Export its checkpoint through DNNClassifierWithLayerAnnotations')
  checkpoint_path = ordinary.latest_checkpoint()
  annotated_dir = export_annotated(
    arguments, checkpoint_path, serving_input_receiver_fn, paths['annotated']
  )
  print(f'From {checkpoint_path}\n  to {annotated_dir}')

  step('4. Compare the predictions of the two SavedModels')
  rows = held_out_rows + training_rows
  serialized = [serialized_example(row) for row in rows]
  check_same_predictions(ordinary_dir, annotated_dir, serialized)

  step('5. Explain all penguins on the command line')
  run_command('inspect', annotated_dir)
  print()
  run_command(
    'attribute',
    annotated_dir,
    '--examples=' + os.path.join(output_dir, 'penguins-*.tfrecord'),
    '--output=' + paths['attributions'],
    '--by=feature',
  )

  step('6. Explain three held-out penguins in Python')
  print(
    'In log-odds, compared with zeros in every column: a bird of average\n'
    'measurements and of no island, sex or year.'
  )
  explain(annotated_dir, one_of_each_species(held_out_rows))

  step('The files')
  for what, path in [
    ('tf.Examples', paths['train']),
    ('', paths['held_out']),
    ('checkpoints', paths['model']),
    ('ordinary SavedModel', ordinary_dir),
    ('annotated SavedModel', annotated_dir),
    ('attributions', paths['attributions']),
  ]:
    print(f'{what:20}  {path}')


if __name__ == '__main__':
  app.run(main)
