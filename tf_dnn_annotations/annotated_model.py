"""A loaded SavedModel with layer annotations: examples in, numbers out."""

import collections
import os
import threading

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations import annotations
from tf_dnn_annotations import feature_values
from tf_dnn_annotations import names
from tf_dnn_annotations import network
from tf_dnn_annotations import refusals
from tf_dnn_annotations import serialized_examples
from tf_dnn_annotations import vocabularies

RowError = feature_values.RowError

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


class Points(collections.namedtuple('Points', ['columns', 'path', 'outputs'])):
  """What a model computed at n points of its processed space.

  Attributes:
    columns: float [n, width of all columns], side by side in the model's order.
    path: {name: float [n, size]}, where the points lie in the space in which
      paths are followed: {'first_layer': the first dense layer's
      pre-activation}, or {column name: its values}.
    outputs: [n, num_outputs].
  """

  __slots__ = ()

  def rows(self, index):
    """Returns some of the points; of a single one, that one for all rows."""
    if len(self.outputs) == 1:
      index = slice(None)
    return Points(
      self.columns[index],
      {name: value[index] for name, value in self.path.items()},
      self.outputs[index],
    )


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
    num_calls: how often the model was run so far.
    rows_a_call: number of rows that bounds the memory of a call.
  """

  def __init__(self, export_dir):
    """Loads the SavedModel in `export_dir`.

    Raises:
      FileNotFoundError: there is no SavedModel in `export_dir`.
      ValueError: it has no layer annotations.
    """
    self._export_dir = os.fspath(export_dir)
    if isinstance(self._export_dir, bytes):
      self._export_dir = self._export_dir.decode()
    _check_saved_model(self._export_dir)
    self._graph = tf.Graph()
    self._session = tf.Session(graph=self._graph)
    self._gradients, self._points_of_zeros = {}, {}
    self._parser = None
    self._vocabularies = None
    # Rows may be explained by several threads at once, and this be called by
    # several.
    self._lock = threading.Lock()
    self.num_calls = 0
    try:
      with self._graph.as_default():
        meta_graph = self._loaded()
        self._read(meta_graph.signature_def)
    except Exception:
      self._session.close()
      raise

  def _loaded(self):
    try:
      return tf.saved_model.load(
        self._session,
        [tf.saved_model.tag_constants.SERVING],
        self._export_dir,
      )
    except Exception as error:
      refusal = refusals.not_loaded(self._export_dir, error)
      if refusal is None:
        raise
      raise refusal from error

  def _read(self, signatures):
    """Finds what the attributes tell in the graph just loaded."""
    self.signatures = sorted(signatures)
    found = annotations.find(self._graph, signatures.get(names.SIGNATURE))
    if found is None:
      raise refusals.without_annotations(self._export_dir, signatures)
    self._found = found
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
    self.features = {
      key: _feature(key, tensor) for key, tensor in found.features.items()
    }
    self.hidden_units = [
      layer.shape.as_list()[-1] for layer in found.hidden_layers
    ]
    predict = (
      {
        name: annotations.tensor_of_info(self._graph, info)
        for name, info in signatures['predict'].outputs.items()
      }
      if 'predict' in signatures
      else {}
    )
    self._outputs = self._output_tensors(predict)
    self._read_network()
    self.num_outputs = self._outputs['logits'].shape.as_list()[-1]
    self.num_classes = self.num_outputs if self.kind == 'classifier' else None
    self.labels = self._labels(predict)
    self._serialized, parsers = serialized_examples.find(found.features)
    self.takes_examples = self._serialized is not None
    self.example_features = (
      serialized_examples.parsed_features(parsers, self._value)
      if parsers
      else self.features
    )
    self.required_features = self._required_features(parsers)
    self.unread_features = serialized_examples.unread_keys(
      parsers, found.features, self._value
    )
    self.column_slices, width = {}, 0
    for column in self.columns:
      self.column_slices[column.name] = slice(width, width + column.width)
      width += column.width
    self._side_by_side = tf.concat(list(found.columns.values()), axis=-1)
    self.width, self.dtype = width, self._side_by_side.dtype.as_numpy_dtype
    # Forward and backward, a point holds each layer a few times over.
    self.rows_a_call = max(
      1,
      _NUMBERS_A_CALL
      // (4 * (width + sum(self.hidden_units) + self.num_outputs)),
    )

  def _read_network(self):
    """Finds the space in which paths are followed, and the dense layers."""
    found = self._found
    columns = list(found.columns.values())
    self.network, self.unrecognized, self.kernel = None, None, None
    first_layer = found.hidden_layers[0] if found.hidden_layers else None
    kernel = None
    try:
      if self.kind == 'regressor' and not network.is_same(
        self._outputs['logits'], found.logits
      ):
        raise network.UnrecognizedError(
          'the prediction is not the logits themselves'
        )
      dense = network.read(columns, found.logits, self._value)
      self.network, first_layer, kernel = dense
    except network.UnrecognizedError as error:
      self.unrecognized = str(error)
      if first_layer is not None:
        try:
          kernel = network.first_kernel(columns, first_layer)
        except network.UnrecognizedError:
          first_layer = None
    if kernel is not None:
      self.kernel = self._value(kernel)
    self._path_tensors = (
      dict(found.columns)
      if first_layer is None
      else {'first_layer': first_layer}
    )

  def _output_tensors(self, predict):
    """Returns {name of an output: its tensor [batch, num_outputs]}."""
    logits = self._found.logits
    if 'probabilities' not in predict:
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

  def _labels(self, predict):
    """Returns the label vocabulary, read off the labels that are predicted."""
    if self.kind == 'regressor' or 'classes' not in predict:
      return None
    # One row of logits for each class, in which that class is the predicted.
    logits = 2 * np.eye(self.num_outputs) - 1
    if self._found.logits.shape.as_list()[-1] == 1:
      logits = logits[:, 1:]
    classes = self._run(predict['classes'], {self._found.logits: logits})
    # Bytes that are no text are shown as such.
    labels = [
      label.decode('utf-8', 'backslashreplace')
      if isinstance(label, bytes)
      else label
      for label in classes.ravel()
    ]
    without_vocabulary = [str(i) for i in range(self.num_outputs)]
    return None if labels == without_vocabulary else labels

  def _required_features(self, parsers):
    if parsers:
      return serialized_examples.required_keys(parsers, self._value)
    if self.takes_examples:  # By a parser that was not found.
      return set()
    return {
      key
      for key, feature in self.features.items()
      if not feature.is_sparse and feature.shape != [None]
    }

  def points_of_examples(self, examples, output, max_rows=None):
    """Computes the columns and outputs of examples.

    Args:
      examples: list of serialized tf.Examples (bytes), or a dict of raw
        features as `feature_values.batch` takes it.
      output: 'logits' or 'probabilities'.
      max_rows: most rows in one model call.

    Returns:
      `Points`.

    Raises:
      RowError: an example cannot be parsed, or holds a NaN or an infinity.
      ValueError: a feature is missing, not known, or of a wrong shape.
      TypeError: a feature of another type, or `examples` is no such thing.
    """
    chunk = max_rows or self.rows_a_call
    num_rows, read_fn = self.reader(examples)
    parts = [
      self.points_of_rows(read_fn, first, min(first + chunk, num_rows), output)
      for first in range(0, max(num_rows, 1), chunk)
    ]
    return _joined(parts)

  def reader(self, examples):
    """Returns how rows of examples get into the model.

    Args:
      examples: as in `points_of_examples`.

    Returns:
      (n, function of the first and the last row that returns what the session
      is to be fed).
    """
    self._check_open()
    if isinstance(examples, dict):
      values, num_rows = feature_values.batch(self.features, examples)

      def feed_of_rows(first, last):
        return self._feed(feature_values.rows(values, first, last))

      return num_rows, feed_of_rows
    examples = serialized_examples.checked(examples)

    def feed_of_examples(first, last):
      serialized = examples[first:last]
      if self.takes_examples:
        return {self._serialized: np.array(serialized, object)}
      return self._feed(self._parsed(serialized, first))

    return len(examples), feed_of_examples

  @property
  def vocabularies(self):
    """{feature key: `vocabularies.Vocabulary`} of what columns look up."""
    with self._lock:
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
      'categories': {
        key: self._found.features[key].values
        if self.features[key].is_sparse
        else self._found.features[key]
        for key in (unknown.vocabularies if unknown else ())
      },
      'columns': self._side_by_side,
      'path': self._path_tensors,
      'outputs': self._outputs[output],
    }
    fetched = self._run_rows(fetches, feed, first)
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
    points = Points(columns, fetched['path'], fetched['outputs'])
    _check_no_overflow(points, first)
    return points

  def point_of_zeros(self, output):
    """Computes the output of zeros in every processed column, once."""
    if output not in self._points_of_zeros:
      zeros = np.zeros((1, self.width), self.dtype)
      self._points_of_zeros[output] = self.points_of_columns(zeros, output)
    self._check_open()
    return self._points_of_zeros[output]

  def points_of_columns(self, columns, output, max_rows=None):
    """Computes the outputs of processed columns [n, width of all columns]."""
    self._check_open()
    chunk = max_rows or self.rows_a_call
    fetches = [self._path_tensors, self._outputs[output]]
    parts = []
    for first in range(0, max(len(columns), 1), chunk):
      rows = columns[first : first + chunk]
      feed = {
        self._found.columns[name]: rows[:, part]
        for name, part in self.column_slices.items()
      }
      parts.append(Points(rows, *self._run(fetches, feed)))
      _check_no_overflow(parts[-1], first)
    return _joined(parts)

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
    if 'first_layer' in self._path_tensors:
      return self._path_tensors['first_layer'].shape.as_list()[-1]
    return self.width

  def gradients(self, output, path, targets):
    """Computes the gradients of outputs with respect to points of a path.

    Args:
      output: 'logits' or 'probabilities'.
      path: {name: float [n, size]}, as in `Points.path`.
      targets: int [n], the output of each row; None for all outputs.

    Returns:
      {name: [n, T, size]} with T = 1 or num_outputs.
    """
    self._check_open()
    feed = {self._path_tensors[name]: value for name, value in path.items()}
    if targets is not None:
      weights, gradients = self._gradient_tensors(output, None)
      selection = np.zeros((len(targets), self.num_outputs))
      selection[np.arange(len(targets)), targets] = 1
      feed[weights] = selection
      fetched = self._run(gradients, feed)
      return {name: value[:, np.newaxis] for name, value in fetched.items()}
    # One run: the outputs share the forward pass.
    fetched = self._run(
      [self._gradient_tensors(output, k)[1] for k in range(self.num_outputs)],
      feed,
    )
    return {
      name: np.stack([gradients[name] for gradients in fetched], axis=1)
      for name in path
    }

  def _gradient_tensors(self, output, target):
    """Returns (weights, {name: gradient}) of an output, made once.

    The gradient is that of one output, or of the sum of all of them by the
    placeholder `weights` [batch, num_outputs] if `target` is None.
    """
    key = output, target
    with self._lock:  # A graph is changed by one thread at a time.
      if key not in self._gradients:
        self._gradients[key] = self._made_gradients(output, target)
      return self._gradients[key]

  def _made_gradients(self, output, target):
    """Returns new tensors for `_gradient_tensors`."""
    with self._graph.as_default():
      outputs, weights = self._outputs[output], None
      if target is None:
        weights = tf.placeholder(outputs.dtype, [None, None])
      else:
        outputs = outputs[:, target]
      tensors = list(self._path_tensors.values())
      gradients = tf.gradients(
        outputs, tensors, grad_ys=weights, stop_gradients=tensors
      )
      # None: nothing depends on the column.
      gradients = [
        tf.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(tensors, gradients)
      ]
    return weights, dict(zip(self._path_tensors, gradients))

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
    with self._lock:
      if self._parser is None:
        self._parser = self._made_parser()
    placeholder, parsed = self._parser
    values = self._run_rows(
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

  def _run_rows(self, fetches, feed, first_row):
    """Runs the model; names the row at which it fails."""
    try:
      return self._run(fetches, feed)
    except serialized_examples.ROW_ERRORS as error:
      row, reason = self._failing_row(fetches, feed, error)
      if row is None:
        raise ValueError(f'`examples` cannot be read: {reason}') from error
      raise RowError(first_row + row, reason) from error

  def _failing_row(self, fetches, feed, error):
    """Returns (index or None, reason) of the first row that fails alone."""
    num_rows = max(feature_values.num_rows(value) for value in feed.values())
    low, high = 0, num_rows  # The first bad row is in [low, high).
    while high - low > 1:
      middle = (low + high) // 2
      try:
        self._run(fetches, feature_values.rows(feed, low, middle))
        low = middle
      except serialized_examples.ROW_ERRORS as half_error:
        error, high = half_error, middle
    try:
      self._run(fetches, feature_values.rows(feed, low, high))
    except serialized_examples.ROW_ERRORS as row_error:
      return low, serialized_examples.reason(row_error)
    return None, serialized_examples.reason(error)

  def _value(self, tensor):
    """Returns the value of a tensor that depends on no input."""
    return self._session.run(tensor)

  def _run(self, fetches, feed):
    with self._lock:
      self.num_calls += 1
    return self._session.run(fetches, feed)

  def _check_open(self):
    if self._session is None:
      raise ValueError(
        f'The model of {self._export_dir!r} is closed. Load it again, or use '
        'it before it is closed.'
      )

  def close(self):
    """Frees the session. The model cannot be used afterwards."""
    if self._session is not None:
      self._session.close()
      self._session = None

  def __enter__(self):
    return self

  def __exit__(self, *exc_info):
    self.close()


def _check_no_overflow(points, first_row):
  """Raises `RowError` at the first row that the model cannot compute."""
  for values in (points.outputs, *points.path.values()):
    if not feature_values.is_finite(values):
      row = np.argwhere(~np.isfinite(values))[0][0]
      raise RowError(
        first_row + int(row),
        'the model computes a NaN or an infinity. Leave out or scale down '
        'what is too large for float32, or train the model again if it does '
        'so for every row.',
      )


def _joined(parts):
  """Returns `Points` one behind the other."""
  if len(parts) == 1:
    return parts[0]
  return Points(
    np.concatenate([part.columns for part in parts]),
    {
      name: np.concatenate([part.path[name] for part in parts])
      for name in parts[0].path
    },
    np.concatenate([part.outputs for part in parts]),
  )


def _check_saved_model(export_dir):
  """Raises FileNotFoundError where there is no SavedModel."""
  if tf.saved_model.contains_saved_model(export_dir):
    return
  if tf.io.gfile.exists(export_dir) and not tf.io.gfile.isdir(export_dir):
    raise FileNotFoundError(
      f'`export_dir` must be the directory of a SavedModel; got '
      f'{export_dir!r}, which is a file. Give its directory, '
      f'{os.path.dirname(export_dir) or "."!r}.'
    )
  if not tf.io.gfile.isdir(export_dir):
    raise FileNotFoundError(
      f'`export_dir` must be the directory of a SavedModel; got '
      f'{export_dir!r}, which does not exist. Give what export_saved_model '
      'returned.'
    )
  inner = sorted(
    os.path.join(export_dir, entry.rstrip('/'))
    for entry in tf.io.gfile.listdir(export_dir)
  )
  inner = [path for path in inner if tf.saved_model.contains_saved_model(path)]
  raise FileNotFoundError(
    f'`export_dir` must be the directory of a SavedModel; got {export_dir!r}, '
    'which holds no saved_model.pb or saved_model.pbtxt. '
    + (
      f'The newest SavedModel in it is {inner[-1]!r}.'
      if inner
      else 'Give what export_saved_model returned.'
    )
  )


def _feature(key, tensor):
  is_sparse = not isinstance(tensor, tf.Tensor)
  shape = None
  if not is_sparse and tensor.shape.rank is not None:
    shape = tensor.shape.as_list()[1:]
  return feature_values.Feature(key, tensor.dtype, shape, is_sparse)
