"""A loaded SavedModel with layer annotations: examples in, numbers out."""

import collections
import os
import warnings

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import annotation_checks
from tf_dnn_annotations.annotations import class_labels
from tf_dnn_annotations.annotations import contract
from tf_dnn_annotations.annotations import dense_layers
from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import prediction_checks
from tf_dnn_annotations.annotations import tensor_infos
from tf_dnn_annotations.annotations import vocabularies
from tf_dnn_annotations.saved_models import example_forms
from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import gradient_tensors
from tf_dnn_annotations.saved_models import model_batches
from tf_dnn_annotations.saved_models import model_session
from tf_dnn_annotations.saved_models import output_gradients
from tf_dnn_annotations.saved_models import points as model_points
from tf_dnn_annotations.saved_models import refusals
from tf_dnn_annotations.saved_models import saved_graphs
from tf_dnn_annotations.saved_models import serialized_examples
from tf_dnn_annotations.saved_models import trust

RowError = feature_values.RowError
Points = model_points.Points

# How many numbers a model call may hold by default, about 64 MiB of float32.
_NUMBERS_A_CALL = 1 << 24


class Column(
  collections.namedtuple(
    'Column', ['name', 'class_name', 'feature_keys', 'width', 'config']
  )
):
  """A feature column of a model.

  Attributes:
    name: its name.
    class_name: name of its class, None if the writer left no description.
    feature_keys: sorted tuple of the keys of the features that it reads.
    width: number of elements that it gives an example.
    config: dict of the arguments that made it, or None.
  """

  __slots__ = ()


class AnnotatedModel(object):
  """A SavedModel with layer annotations, in a graph and session of its own.

  Attributes:
    columns: list of `Column`, in the order in which the model concatenates
      them.
    features: {feature key: `feature_values.Feature`} of the features read.
    example_features: {key: `feature_values.Feature`} of what is parsed of
      tf.Examples: of a model that takes them, whatever its parser wants, read
      by a column or not; otherwise `features`.
    required_features: set of the keys of those that no tf.Example may lack.
    unread_features: set of the keys of those that no column depends on.
    kind: 'classifier' or 'regressor'.
    num_classes: number of classes, None for a regressor.
    num_outputs: `num_classes`, or the number of values a regressor predicts.
    labels: list of the classes' labels as str, None without a vocabulary.
    hidden_units: list of the hidden layers' widths.
    signatures: sorted list of the names of the SavedModel's signatures.
    takes_examples: whether it parses serialized tf.Examples itself.
    network: `piecewise_linear.Network` from the first layer to the logits, None
      if it is not known to be piecewise linear.
    unrecognized: None, or why there is no `network`.
    kernel: float [width of all columns, units], the kernel of the first dense
      layer, rows in the order of the columns; None if it was not found.
    column_slices: {column name: slice of the columns side by side}.
    width: number of elements of all columns together.
    dtype: numpy dtype of the columns.
    batch_size: None, or the number of rows that the model demands in a call:
      others are fed in such batches.
    stopped: list of the names of the operations between columns and logits at
      which training stops gradients; here the identity that they compute is
      differentiated.
    rows_a_call: number of rows that bounds the memory of a call.
  """

  def __init__(self, export_dir, trust_model=False):
    """Loads the SavedModel in `export_dir`.

    Args:
      export_dir: directory of the SavedModel.
      trust_model: whether it may do more than compute; see `trust.check`.

    Raises:
      FileNotFoundError: there is no SavedModel in `export_dir`.
      ValueError: it has no layer annotations.
      trust.UntrustedModelError: it does more than compute.
    """
    self._export_dir = os.fspath(export_dir)
    if isinstance(self._export_dir, bytes):
      self._export_dir = self._export_dir.decode()
    self._points_of_zeros = {}
    self._parser = self._runner = self._vocabularies = None
    try:
      model_session.check_process(self._export_dir)
      refusals.check_is_saved_model(self._export_dir)
      saved_graph = self._load(trust_model)
      self._graph = saved_graph.graph
      with self._graph.as_default():
        self._read(saved_graph.meta_graph)
    except Exception as error:
      if self._runner is not None:
        self._runner.close()
      if isinstance(
        error,
        (FileNotFoundError, refusals.Refused, trust.UntrustedModelError),
      ):
        raise
      if isinstance(error, contract.AnnotationError):
        raise refusals.contradictory(self._export_dir, error) from error
      raise refusals.unreadable(self._export_dir, error) from error

  def _load(self, trust_model):
    """Returns the graph of the SavedModel; sets a session of it."""
    try:
      saved_graph = saved_graphs.SavedGraph(self._export_dir, trust_model)
      self._runner = model_session.ModelSession(self._export_dir, saved_graph)
      return saved_graph
    except Exception as error:
      refusal = refusals.not_loaded(self._export_dir, error)
      if refusal is None:
        raise
      raise refusal from error

  def _read(self, meta_graph):
    """Finds what the attributes tell in the graph just loaded."""
    signatures = meta_graph.signature_def
    self.signatures = sorted(signatures)
    found = contract.find(
      self._graph,
      signatures[names.SIGNATURE] if names.SIGNATURE in signatures else None,
    )
    if found is None:
      raise refusals.without_annotations(self._export_dir, signatures)
    self._found = found
    predict = (
      tensor_infos.outputs(self._graph, 'predict', signatures['predict'])
      if 'predict' in signatures
      else {}
    )
    annotation_checks.check_inputs(signatures)
    annotation_checks.check(
      found, predict, tensor_infos.assets(meta_graph), self._runner.value
    )
    self._read_columns()
    self._outputs = self._output_tensors(predict)
    stopped, _ = output_gradients.stops(
      list(found.columns.values()), list(self._outputs.values())
    )
    output_gradients.unstop(stopped)
    self.stopped = [op.name for op in stopped]
    self._read_network()
    self._gradients = output_gradients.OutputGradients(
      self._graph,
      meta_graph.graph_def.library,
      self._runner,
      self._outputs,
      self._path_tensors,
    )
    self.num_outputs = self._outputs['logits'].shape.as_list()[-1]
    self.num_classes = self.num_outputs if self.kind == 'classifier' else None
    self._read_inputs()
    self._predicted = self._prediction_tensor(predict)
    if 'probabilities' in predict:
      prediction_checks.check_probabilities(
        self._runner.run,
        found.logits,
        predict['probabilities'],
        self._outputs['probabilities'],
      )
    self.labels = None
    if self.kind == 'classifier' and 'classes' in predict:
      self.labels = class_labels.read(
        self._runner.run, found.logits, predict['classes'], self.num_classes
      )
      if self.labels and 'all_classes' in predict:
        prediction_checks.check_labels(
          self._runner.run, found.logits, predict['all_classes'], self.labels
        )
    # Forward and backward, a point holds each layer a few times over.
    self.rows_a_call = max(
      1,
      _NUMBERS_A_CALL
      // (4 * (self.width + sum(self.hidden_units) + self.num_outputs)),
    )

  def _read_columns(self):
    """Finds the columns, and the widths of the layers."""
    found = self._found
    self.columns = []
    for name in found.columns:
      described = found.descriptions[name]
      self.columns.append(
        Column(
          name,
          described['class_name'],
          tuple(described['feature_keys']),
          described['width'],
          described['config'],
        )
      )
    self.hidden_units = [
      layer.shape.as_list()[-1] for layer in found.hidden_layers
    ]
    self.column_slices, width = {}, 0
    for column in self.columns:
      self.column_slices[column.name] = slice(width, width + column.width)
      width += column.width
    self._side_by_side = tf.concat(list(found.columns.values()), axis=-1)
    self.width, self.dtype = width, self._side_by_side.dtype.as_numpy_dtype

  def _read_inputs(self):
    """Finds what the model is fed, and how many rows of it."""
    found = self._found
    self.features = {
      key: _feature(key, tensor) for key, tensor in found.features.items()
    }
    self._serialized, parsers = serialized_examples.find(found.features)
    self.takes_examples = self._serialized is not None
    received = (
      [self._serialized] if self.takes_examples else found.features.values()
    )
    self.batch_size = self._runner.batch_size = model_batches.size(
      [*received, *found.columns.values(), *found.hidden_layers, found.logits]
    )
    self.example_features = (
      serialized_examples.parsed_features(parsers, self._runner.value)
      if parsers
      else self.features
    )
    self.required_features = self._required_features(parsers)
    self.unread_features = serialized_examples.unread_keys(
      parsers, found.features, self._runner.value
    )

  def _read_network(self):
    """Finds the space in which paths are followed, and the dense layers."""
    found = self._found
    columns = list(found.columns.values())
    self.network, self.unrecognized, self.kernel = None, None, None
    first_layer = found.hidden_layers[0] if found.hidden_layers else None
    if first_layer is not None and self._is_bypassed(first_layer):
      first_layer = None
    kernel = None
    try:
      if self.kind == 'regressor' and not dense_layers.is_same(
        self._outputs['logits'], found.logits
      ):
        raise dense_layers.UnrecognizedError(
          'the prediction is not the logits themselves'
        )
      dense = dense_layers.read(columns, found.logits, self._runner.value)
      self.network, first_layer, kernel = dense
    except dense_layers.UnrecognizedError as error:
      self.unrecognized = str(error)
      if first_layer is not None:
        try:
          kernel = dense_layers.first_kernel(columns, first_layer)
        except dense_layers.UnrecognizedError:
          first_layer = None
    if kernel is not None:
      self.kernel = self._runner.value(kernel)
    self._path_tensors = (
      dict(found.columns)
      if first_layer is None
      else {'first_layer': first_layer}
    )
    self._runner.is_changed_by_gradients = gradient_tensors.changes_graph(
      self._outputs['logits'], list(self._path_tensors.values())
    )

  def _is_bypassed(self, layer):
    """Whether a column reaches the outputs by another way than a layer."""
    names_of_columns = {column.name for column in self._found.columns.values()}
    return any(
      tensor.name in names_of_columns
      for op in graph_walks.ancestors(self._outputs.values(), end=[layer.name])
      for tensor in op.inputs
    )

  def _output_tensors(self, predict):
    """Returns {name of an output: its tensor [batch, num_outputs]}."""
    logits = self._found.logits
    if 'probabilities' not in predict:
      if 'class_ids' in predict or 'classes' in predict:
        raise contract.AnnotationError(
          "the signature 'predict' gives classes and no probabilities"
        )
      self.kind = 'regressor'
      return {'logits': predict.get('predictions', logits)}
    self.kind = 'classifier'
    if logits.shape.as_list()[-1] == 1:
      # The logit of a binary model is class 1's log-odds; class 0's is its
      # negative.
      logits = tf.concat([-logits, logits], axis=-1)
      probabilities = tf.sigmoid(logits)
    else:
      probabilities = tf.nn.softmax(logits)
    return {'logits': logits, 'probabilities': probabilities}

  def _prediction_tensor(self, predict):
    """Returns the tensor [batch] of the indices of the predicted outputs."""
    self._predicts_largest = True
    if self.kind == 'regressor' or 'class_ids' not in predict:
      return tf.argmax(self._outputs['logits'], axis=-1)
    class_ids = predict['class_ids']
    if not class_ids.dtype.is_integer or class_ids.shape.as_list()[1:] != [1]:
      raise contract.AnnotationError(
        "the output 'class_ids' of the signature 'predict' must be an integer "
        f'for each row, and is {class_ids.dtype.name} of shape '
        f'{class_ids.shape}'
      )
    # Where it is the index of the largest logit, that is known of the logits.
    self._predicts_largest = prediction_checks.is_largest(
      class_ids, self._found.logits
    )
    return class_ids[:, 0]

  def _required_features(self, parsers):
    if parsers:
      return serialized_examples.required_keys(parsers, self._runner.value)
    if self.takes_examples:  # By a parser that was not found.
      return set()
    return {
      key
      for key, feature in self.features.items()
      if not feature.is_sparse and feature.shape != [None]
    }

  def points_of_examples(
    self, examples, output, max_rows=None, subject='`examples`'
  ):
    """Computes the columns and outputs of examples.

    Args:
      examples: as `example_forms.plain` takes them, raw features as
        `feature_values.batch` does.
      output: 'logits' or 'probabilities'.
      max_rows: most rows in one model call.
      subject: what error messages call the examples.

    Returns:
      `Points`.

    Raises:
      RowError: an example cannot be parsed, or holds a NaN or an infinity.
      ValueError: a feature is missing, not known, or of a wrong shape.
      TypeError: a feature of another type, or `examples` is no such thing.
    """
    chunk = max_rows or self.rows_a_call
    num_rows, read_fn = self.reader(examples, subject)
    parts = [
      self.points_of_rows(read_fn, first, min(first + chunk, num_rows), output)
      for first in range(0, max(num_rows, 1), chunk)
    ]
    return model_points.joined(parts)

  def reader(self, examples, subject='`examples`'):
    """Returns how rows of examples get into the model.

    Args:
      examples, subject: as in `points_of_examples`.

    Returns:
      (n, function of the first and the last row that returns what the session
      is to be fed).
    """
    self._runner.check_open()
    if self.stopped:
      warnings.warn(
        f'The model stops gradients at {self.stopped[:3]} (tf.stop_gradient) '
        'in training. Attributions are of what it computes: the identity that '
        'these operations are is differentiated.',
        RuntimeWarning,
        stacklevel=3,
      )
    examples = example_forms.plain(examples, subject)
    if isinstance(examples, dict):
      values, num_rows = feature_values.batch(
        self.features, examples, subject=subject
      )

      def feed_of_rows(first, last):
        return self._feed(feature_values.rows(values, first, last))

      return num_rows, feed_of_rows
    serialized_examples.check_parse(examples)

    def feed_of_examples(first, last):
      serialized = examples[first:last]
      if self.takes_examples:
        return {self._serialized: np.array(serialized, object)}
      return self._feed(self._parsed(serialized, first))

    return len(examples), feed_of_examples

  @property
  def vocabularies(self):
    """{feature key: `vocabularies.Vocabulary`} of what columns look up."""
    with self._runner.graph_lock:
      if self._vocabularies is None:
        self._vocabularies = vocabularies.find(
          self.columns, self.features, self._export_dir
        )
      return self._vocabularies

  def points_of_rows(self, read_fn, first, last, output, unknown=None):
    """Computes the columns and outputs of rows, in one model call.

    Args:
      read_fn: what `reader` returned.
      first, last: the rows are [first, last).
      output: 'logits' or 'probabilities'.
      unknown: `vocabularies.UnknownCounter` of the rows' categories, or None.

    Returns:
      `Points`.

    Raises:
      RowError: as in `points_of_examples`.
    """
    if first >= last:
      return self.points_of_columns(
        np.zeros((0, self.width), self.dtype), output
      )
    feed = read_fn(first, last)
    fetches = {
      # What is fed has been checked.
      'features': {
        key: tensor
        for key, tensor in self._found.features.items()
        if tensor.dtype.is_floating and tensor not in feed
      },
      'columns': self._side_by_side,
      **self._fetches(output),
    }
    if unknown:
      fetches['categories'] = {
        key: self._found.features[key] for key in unknown.vocabularies
      }
    fetched = self._runner.run_rows(fetches, feed, first)
    if unknown:
      unknown.add(fetched['categories'])
    feature_values.check_finite(fetched['features'], first_row=first)
    columns = fetched['columns']
    feature_values.check_finite(
      {name: columns[:, part] for name, part in self.column_slices.items()}
      if not feature_values.is_finite(columns)
      else {},
      'the value of column',
      first,
    )
    points = _points(columns, fetched)
    model_points.check_no_overflow(points, first)
    self._check_predicted(points.predicted, len(columns))
    return points

  def _fetches(self, output):
    """Returns what `_points` takes of the model."""
    fetches = {'outputs': self._outputs[output]}
    if self.kernel is not None:
      fetches['path'] = self._path_tensors['first_layer']
    if output != 'logits' or not self._predicts_largest:
      fetches['predicted'] = self._predicted
    return fetches

  def _check_predicted(self, ids, num_rows):
    if len(ids) != num_rows:
      raise refusals.contradictory(
        self._export_dir, f'it predicts {len(ids)} classes for {num_rows} rows'
      )
    if len(ids) and not 0 <= ids.min() <= ids.max() < self.num_outputs:
      raise refusals.contradictory(
        self._export_dir,
        f'it predicts a class in [{ids.min()}, {ids.max()}], and has '
        f'{self.num_outputs} of them',
      )

  def point_of_zeros(self, output):
    """Computes the output of zeros in every processed column, once."""
    if output not in self._points_of_zeros:
      zeros = np.zeros((1, self.width), self.dtype)
      self._points_of_zeros[output] = self.points_of_columns(zeros, output)
    self._runner.check_open()
    return self._points_of_zeros[output]

  def points_of_columns(self, columns, output, max_rows=None):
    """Computes the outputs of processed columns [n, width of all columns]."""
    self._runner.check_open()
    chunk = max_rows or self.rows_a_call
    fetches = self._fetches(output)
    parts = []
    for first in range(0, max(len(columns), 1), chunk):
      rows = columns[first : first + chunk]
      fetched = self._runner.run(fetches, self._feed_of_columns(rows))
      parts.append(_points(rows, fetched))
      model_points.check_no_overflow(parts[-1], first)
    return model_points.joined(parts)

  def points_a_call(self, num_targets):
    """Returns how many points bound the memory of a call for gradients."""
    layers = sum(self.hidden_units) + self.path_size
    numbers = self.width + layers + self.num_outputs
    # Backward, each target has layers of its own.
    numbers += (num_targets - 1) * layers
    return max(1, _NUMBERS_A_CALL // (4 * numbers))

  @property
  def path_size(self):
    """The number of dimensions of the space in which paths are followed."""
    return self.width if self.kernel is None else self.kernel.shape[1]

  def gradients(self, output, path, targets):
    """Computes the gradients of outputs with respect to points of a path.

    Args:
      output: 'logits' or 'probabilities'.
      path: float [n, size], as in `Points.path`.
      targets: int [n], the output of each row; None for all outputs.

    Returns:
      [n, T, size] with T = 1 or num_outputs.
    """
    self._runner.check_open()
    if self.kernel is not None:
      feed = {self._path_tensors['first_layer']: path}
    else:
      feed = self._feed_of_columns(path)
    if targets is not None:
      weights, gradients = self._gradients.tensors(output, None)
      selection = np.zeros((len(targets), self.num_outputs))
      selection[np.arange(len(targets)), targets] = 1
      feed[weights] = selection
      return _side_by_side(self._runner.run(gradients, feed))[:, np.newaxis]
    # One run: the outputs share the forward pass.
    fetched = self._runner.run(
      [self._gradients.tensors(output, k)[1] for k in range(self.num_outputs)],
      feed,
    )
    return np.stack([_side_by_side(gradients) for gradients in fetched], axis=1)

  def _feed_of_columns(self, columns):
    return {
      self._found.columns[name]: columns[:, part]
      for name, part in self.column_slices.items()
    }

  @property
  def num_logits(self):
    """The number of logits: 1 for a binary classifier."""
    return self._found.logits.shape.as_list()[-1]

  @property
  def class_logits(self):
    """float [num_outputs, num_logits]: the outputs as sums of the logits."""
    if self.kind == 'classifier' and self.num_logits == 1:
      return np.array([[-1.0], [1.0]])
    return np.eye(self.num_outputs)

  def _feed(self, values):
    return {self._found.features[key]: value for key, value in values.items()}

  def _parsed(self, serialized, first_row):
    """Parses tf.Examples for a model that takes raw features."""
    with self._runner.graph_lock:
      if self._parser is None:
        self._parser = self._made_parser()
    placeholder, parsed = self._parser
    values = self._runner.run_rows(
      parsed, {placeholder: np.array(serialized, object)}, first_row
    )
    feature_values.check_finite(values, first_row=first_row)
    return values

  def _made_parser(self):
    """Returns (placeholder of tf.Examples, {key: raw feature})."""
    with self._graph.as_default():
      placeholder = tf.placeholder(tf.string, [None])
      parsed = tf.io.parse_example(
        placeholder,
        {
          key: serialized_examples.parsing_spec(f)
          for key, f in self.features.items()
        },
      )
      # As the features of a model, which may be of types that a tf.Example has
      # not.
      return placeholder, {
        k: tf.cast(parsed[k], f.dtype) for k, f in self.features.items()
      }

  @property
  def num_calls(self):
    """How often the model was run on rows so far."""
    return self._runner.num_calls

  def close(self):
    """Frees the session. The model cannot be used afterwards."""
    self._runner.close()

  def __enter__(self):
    return self

  def __exit__(self, *exc_info):
    self.close()


def _points(columns, fetched):
  """Returns the `Points` of columns and of what was fetched of the model."""
  predicted = fetched.get('predicted')
  if predicted is None:
    predicted = np.argmax(fetched['outputs'], axis=1)
  path = fetched.get('path', columns)
  return Points(columns, path, fetched['outputs'], predicted)


def _side_by_side(gradients):
  """Returns {name: gradient [n, size]} as one array [n, size of all]."""
  if len(gradients) == 1:
    (gradient,) = gradients.values()
    return gradient
  return np.concatenate(list(gradients.values()), axis=-1)


def _feature(key, tensor):
  is_sparse = not isinstance(tensor, tf.Tensor)
  shape = None
  if not is_sparse and tensor.shape.rank is not None:
    shape = tensor.shape.as_list()[1:]
  return feature_values.Feature(key, tensor.dtype, shape, is_sparse)
