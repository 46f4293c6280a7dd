"""A loaded SavedModel with layer annotations: examples in, numbers out."""

import contextlib
import os
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Union
import warnings

import numpy as np

from tf_dnn_annotations.annotations import annotation_checks
from tf_dnn_annotations.annotations import class_labels
from tf_dnn_annotations.annotations import contract
from tf_dnn_annotations.annotations import dense_layers
from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.annotations import prediction_checks
from tf_dnn_annotations.annotations import tensor_infos
from tf_dnn_annotations.annotations import vocabularies
from tf_dnn_annotations.integrals import memory
from tf_dnn_annotations.integrals import piecewise_linear
from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import given_features
from tf_dnn_annotations.saved_models import gradient_tensors
from tf_dnn_annotations.saved_models import gradients
from tf_dnn_annotations.saved_models import model_columns
from tf_dnn_annotations.saved_models import model_inputs
from tf_dnn_annotations.saved_models import model_outputs
from tf_dnn_annotations.saved_models import model_session
from tf_dnn_annotations.saved_models import points
from tf_dnn_annotations.saved_models import processed_space
from tf_dnn_annotations.saved_models import refusals
from tf_dnn_annotations.saved_models import stopped_gradients

# How many numbers a model call may hold by default, about 64 MiB of float32.
_NUMBERS_PER_CALL = 1 << 24
# Forward and backward, a point holds each layer a few times over.
_COPIES = 4


class AnnotatedModel(object):
  """A SavedModel with layer annotations, in a graph and session of its own.

  Attributes:
    columns: list of `model_columns.Column`, in the order in which the model
      concatenates them.
    features: {feature key: `feature_values.Feature`} of the features read.
    example_features: {key: `feature_values.Feature`} of what is parsed of
      tf.Examples, read by a column or not, if the model parses them; otherwise
      `features`.
    required_features: set of the keys of those that no tf.Example may lack.
    unread_features: set of the keys of those that no column depends on.
    kind: 'classifier' or 'regressor'.
    num_classes: number of classes, None for a regressor.
    num_outputs: `num_classes`, or the number of values a regressor predicts.
    num_logits: number of logits: 1 for a binary classifier.
    labels: list of the classes' labels as str, None without a vocabulary.
    hidden_units: list of the hidden layers' widths.
    signatures: sorted list of the names of the SavedModel's signatures.
    takes_examples: whether it parses serialized tf.Examples itself.
    network: `piecewise_linear.Network` from the first layer to the logits, None
      if it is not known to be piecewise linear.
    unrecognized: None, or the reason for having no `network`.
    kernel: float [width of all columns, units], the kernel of the first dense
      layer, rows in the order of the columns; None if it was not found. Paths
      are followed in the layer's pre-activation if it was, otherwise in the
      columns.
    column_slices: {column name: slice of the columns side by side}.
    width: number of elements of all columns together.
    path_size: number of dimensions of the space in which paths are followed.
    dtype: numpy dtype of the columns.
    batch_size: None, or the number of rows that the model demands in a call:
      other numbers are fed in such batches.
    stopped: list of the names of the operations between columns and logits at
      which training stops gradients; here the identity that they compute is
      differentiated.
    rows_per_call: number of rows that bounds the memory of a call.
  """

  columns: List[model_columns.Column]
  features: Dict[str, feature_values.Feature]
  example_features: Dict[str, feature_values.Feature]
  required_features: Set[str]
  unread_features: Set[str]
  kind: str
  num_classes: Optional[int]
  num_outputs: int
  num_logits: int
  labels: Optional[List[str]]
  hidden_units: List[int]
  signatures: List[str]
  takes_examples: bool
  network: Optional[piecewise_linear.Network]
  unrecognized: Optional[str]
  kernel: Optional[np.ndarray]
  column_slices: Dict[str, slice]
  width: int
  path_size: int
  dtype: type
  batch_size: Optional[int]
  stopped: List[str]
  rows_per_call: int

  def __init__(
    self,
    export_dir: 'Union[str, bytes, os.PathLike[str]]',
    trust_model: bool = False,
  ) -> None:
    """Loads the SavedModel in `export_dir`.

    Args:
      export_dir: directory of the SavedModel.
      trust_model: whether it may do more than compute; see `trust.check`.

    Raises:
      FileNotFoundError: there is no SavedModel in `export_dir`.
      ValueError: it has no layer annotations.
      trust.UntrustedModelError: it does more than compute.
    """
    export_dir = os.fsdecode(export_dir)
    with refusals.explained(export_dir), contextlib.ExitStack() as on_error:
      model_session.check_process(export_dir)
      refusals.check_is_saved_model(export_dir)
      session = model_session.load(export_dir, trust_model)
      on_error.callback(session.close)
      with session.graph.as_default():
        self._read(session)
      on_error.pop_all()

  def _read(self, session):
    """Sets all attributes, in the order in which they depend on each other."""
    self._session, run, value = session, session.run, session.value
    meta_graph = session.meta_graph
    signatures = meta_graph.signature_def
    self.signatures = sorted(signatures)

    # The annotations, which are believed where the graph bears them out.
    signature = None
    if names.SIGNATURE in signatures:
      signature = signatures[names.SIGNATURE]
    found = contract.find(session.graph, signature)
    if found is None:
      raise refusals.without_annotations(session.export_dir, signatures)
    predict = {}
    if 'predict' in signatures:
      predict = tensor_infos.outputs(
        session.graph, 'predict', signatures['predict']
      )
    annotation_checks.check_inputs(signatures)
    annotation_checks.check(
      found, predict, tensor_infos.assets(meta_graph), value
    )
    self.columns = model_columns.read(found)
    self.hidden_units = [
      layer.shape.as_list()[-1] for layer in found.hidden_layers
    ]

    # The outputs, and the space in which their gradients are integrated.
    self.kind = model_outputs.kind(predict)
    outputs = model_outputs.tensors(self.kind, found.logits, predict)
    self.num_logits = found.logits.shape.as_list()[-1]
    self.num_outputs = outputs['logits'].shape.as_list()[-1]
    self.num_classes = self.num_outputs if self.kind == 'classifier' else None
    stopped = stopped_gradients.find(
      list(found.columns.values()), list(outputs.values())
    )
    stopped_gradients.unstop(stopped)
    self.stopped = [op.name for op in stopped]
    is_of_logits = self.kind == 'classifier' or dense_layers.is_same(
      outputs['logits'], found.logits
    )
    space = processed_space.read(
      found, list(outputs.values()), is_of_logits, value
    )
    self.network, self.unrecognized = space.network, space.unrecognized
    self.kernel, self.dtype = space.kernel, space.dtype
    self.column_slices, self.width = space.slices, space.width
    self.path_size = space.path_size
    session.is_changed_by_gradients = gradient_tensors.changes_graph(
      outputs['logits'], list(space.path_tensors.values())
    )
    self._gradients = gradients.PathGradients(
      session, meta_graph.graph_def.library, outputs, space
    )

    # The inputs, which say how many rows the session runs together.
    self._inputs = model_inputs.ModelInputs(session, found.features)
    self.features = self._inputs.features
    self.example_features = self._inputs.example_features
    self.required_features = self._inputs.required_features
    self.unread_features = self._inputs.unread_features
    self.takes_examples = self._inputs.takes_examples
    self.batch_size = session.batch_size = self._inputs.batch_size(
      [*found.columns.values(), *found.hidden_layers, found.logits]
    )
    self.rows_per_call = memory.rows_within(
      _NUMBERS_PER_CALL,
      _COPIES * (self.width + sum(self.hidden_units) + self.num_outputs),
    )

    # The predictions. To read the labels the model is run, so this comes last.
    prediction = model_outputs.prediction(
      self.kind, outputs, found.logits, predict
    )
    self._points = points.PointReader(
      session, found.features, outputs, prediction, space, self.rows_per_call
    )
    if 'probabilities' in predict:
      prediction_checks.check_probabilities(
        run, found.logits, predict['probabilities'], outputs['probabilities']
      )
    self.labels = None
    if self.kind == 'classifier' and 'classes' in predict:
      self.labels = class_labels.read(
        run, found.logits, predict['classes'], self.num_classes
      )
    if self.labels and 'all_classes' in predict:
      prediction_checks.check_labels(
        run, found.logits, predict['all_classes'], self.labels
      )
    self._vocabularies = None

  @property
  def vocabularies(self):
    """{feature key: `vocabularies.Vocabulary`} of what columns look up."""
    with self._session.graph_lock:
      if self._vocabularies is None:
        self._vocabularies = vocabularies.find(
          self.columns, self.features, self._session.export_dir
        )
      return self._vocabularies

  @property
  def class_logits(self):
    """float [num_outputs, num_logits]: the outputs as sums of the logits."""
    if self.kind == 'classifier' and self.num_logits == 1:
      return np.array([[-1.0], [1.0]])
    return np.eye(self.num_outputs)

  def reader(self, examples, subject='`examples`'):
    """Returns how rows of examples get into the model.

    Args:
      examples, subject: as `model_inputs.ModelInputs.reader` accepts them.

    Returns:
      (n, function of the first and the last row that returns what the session
      is to be fed).
    """
    self._session.check_open()
    if self.stopped:
      warnings.warn(
        f'The model stops gradients at {self.stopped[:3]} (tf.stop_gradient) '
        'in training. Attributions are of what it computes: the identity that '
        'these operations are is differentiated.',
        RuntimeWarning,
        stacklevel=3,
      )
    return self._inputs.reader(examples, subject)

  def given_features(
    self, examples: Any, keys: Optional[Iterable[str]] = None
  ) -> Dict[str, Sequence[Any]]:
    """Returns the feature values of examples, as given or as parsed.

    Args:
      examples: as `reader` accepts them.
      keys: iterable of feature keys, None for all of `features`. Serialized
        tf.Examples may have others, which the model does not read.

    Returns:
      {feature key: values of the n rows}. An array [n] or [n, ...], in the
      feature's dtype, where each row has a fixed shape; [n] for one value per
      row. Otherwise a list of n arrays, [k] for k values, of which there may be
      none. Strings are str in arrays of objects, with bytes that are not UTF-8
      escaped. In rows of any length that a model reads as one array, padding at
      the end ('', -1, 0.0) is not kept.

    Raises:
      RowError: an example cannot be parsed.
      ValueError: raw features do not have one of the keys.
    """
    return given_features.read(self._inputs, examples, keys, self.rows_per_call)

  def points_of_examples(
    self, examples, output, max_rows=None, subject='`examples`'
  ):
    """Computes the columns and outputs of examples.

    Args:
      examples, subject: as in `reader`.
      output: 'logits' or 'probabilities'.
      max_rows: most rows in one model call.

    Returns:
      `points.Points`.

    Raises:
      RowError: an example cannot be parsed, or holds a NaN or an infinity.
      ValueError: a feature is missing, not known, or of a wrong shape.
      TypeError: a feature is of another type, or `examples` has no known form.
    """
    chunk = max_rows or self.rows_per_call
    num_rows, read_fn = self.reader(examples, subject)
    return points.joined(
      [
        self.points_of_rows(
          read_fn, first, min(first + chunk, num_rows), output
        )
        for first in range(0, max(num_rows, 1), chunk)
      ]
    )

  def points_of_rows(self, read_fn, first, last, output, unknown=None):
    """Computes `points.Points` as `points.PointReader.of_rows` does."""
    return self._points.of_rows(read_fn, first, last, output, unknown)

  def points_of_columns(self, columns, output, max_rows=None):
    """Computes `points.Points` of columns side by side, [n, width]."""
    return self._points.of_columns(columns, output, max_rows)

  def point_of_zeros(self, output):
    """Computes `points.Points` of zeros in every processed column, once."""
    return self._points.of_zeros(output)

  def points_per_call(self, num_targets):
    """Returns how many points bound the memory of a call for gradients."""
    layers = sum(self.hidden_units) + self.path_size
    numbers = self.width + layers + self.num_outputs
    # Backward, each target has layers of its own.
    numbers += (num_targets - 1) * layers
    return memory.rows_within(_NUMBERS_PER_CALL, _COPIES * numbers)

  def gradients(self, output, path, targets):
    """Computes gradients as `gradients.PathGradients.compute` does."""
    self._session.check_open()
    return self._gradients.compute(output, path, targets)

  @property
  def num_calls(self) -> int:
    """The number of times that the model was run on rows so far."""
    return self._session.num_calls

  def close(self) -> None:
    """Frees the session. The model cannot be used afterwards."""
    self._session.close()

  def __enter__(self) -> 'AnnotatedModel':
    return self

  def __exit__(self, *exc_info: Any) -> None:
    self.close()
