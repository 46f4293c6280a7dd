"""The session of a loaded model: it is open, closed, or of another process."""

import os
import threading

from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import model_batches
from tf_dnn_annotations.saved_models import refusals
from tf_dnn_annotations.saved_models import row_errors
from tf_dnn_annotations.saved_models import saved_graphs
from tf_dnn_annotations.saved_models import serialized_examples

# The process in which a model was loaded first. TensorFlow's threads do not
# survive a fork, so that a session in a child of it waits for them for ever.
_first_process = None


def check_process(export_dir):
  """Raises ValueError if this process is a fork of one that used a model."""
  global _first_process
  if _first_process not in (None, os.getpid()):
    raise refusals.of_another_process(export_dir, _first_process)
  _first_process = os.getpid()


def load(export_dir, trust_model):
  """Returns a `ModelSession` of the SavedModel in a directory.

  Args:
    export_dir: str, the SavedModel's directory.
    trust_model: as in `saved_graphs.SavedGraph`.

  Raises:
    refusals.Refused: a newer TensorFlow wrote it.
    trust.UntrustedModelError: it does more than compute.
  """
  try:
    return ModelSession(
      export_dir, saved_graphs.SavedGraph(export_dir, trust_model)
    )
  except Exception as error:
    refusal = refusals.not_loaded(export_dir, error)
    if refusal is None:
      raise
    raise refusal from error


class ModelSession(object):
  """A session of a graph of its own, which several threads may use.

  Attributes:
    export_dir: str, the SavedModel's directory.
    meta_graph: the `MetaGraphDef` of the graph.
    graph: the `tf.Graph`.
    session: the `tf.Session`.
    num_calls: how often the model was run on rows so far.
    batch_size: None, or the number of rows that the model demands in a call.
    graph_lock: held while the graph is changed.
    is_changed_by_gradients: whether gradients change operations that run
      already; runs then wait for each other and for the change.
  """

  def __init__(self, export_dir, saved_graph):
    """Makes the session.

    Args:
      export_dir: str, the SavedModel's directory, for messages.
      saved_graph: the `saved_graphs.SavedGraph`.
    """
    self.export_dir, self._process = export_dir, os.getpid()
    self._saved_graph = saved_graph
    self.graph, self.meta_graph = saved_graph.graph, saved_graph.meta_graph
    self.session = saved_graph.new_session()
    self.num_calls, self.batch_size = 0, None
    self._is_closed = False
    self.graph_lock = threading.Lock()
    self.is_changed_by_gradients = False
    self._lock = threading.Lock()

  def renew(self):
    """Takes a new session, of a graph that was changed under the old one."""
    # The old one is not closed: another thread may be running it.
    self.session = self._saved_graph.new_session()

  def value(self, fetches):
    """Returns the value of tensors that depend on no input."""
    try:
      return self._run(fetches, None)
    except serialized_examples.ROW_ERRORS as error:
      raise refusals.not_run(self.export_dir, error) from error

  def run(self, fetches, feed):
    """Runs the model on rows that were computed.

    Args:
      fetches: structure of dicts and lists of tensors [n, ...].
      feed: {tensor: array [n, ...] or `tf.SparseTensorValue` of n rows}.

    Raises:
      ValueError: it is closed, or of another process, or cannot be run.
    """
    try:
      return self._run_batches(fetches, feed)
    except serialized_examples.ROW_ERRORS as error:
      raise refusals.not_run(self.export_dir, error) from error

  def run_rows(self, fetches, feed, first_row):
    """Runs the model on rows of a user; names the row at which it fails.

    Args:
      fetches, feed: as in `run`.
      first_row: the number of the first row.

    Raises:
      RowError: a row cannot be read.
      ValueError: as in `run`, or the rows cannot be read together.
    """
    try:
      return self._run_batches(fetches, feed)
    except serialized_examples.ROW_ERRORS as error:
      row, reason = self._failing_row(fetches, feed, error)
      if row is None:
        raise ValueError(f'the rows cannot be read: {reason}') from error
      raise row_errors.RowError(first_row + row, reason) from error

  def _failing_row(self, fetches, feed, error):
    """Returns (index or None, reason) of the first row that fails alone."""
    num_rows = max(feature_values.num_rows(value) for value in feed.values())
    low, high = 0, num_rows  # The first bad row is in [low, high).
    while high - low > 1:
      middle = (low + high) // 2
      try:
        self._run_batches(fetches, feature_values.rows(feed, low, middle))
        low = middle
      except serialized_examples.ROW_ERRORS as half_error:
        error, high = half_error, middle
    try:
      self._run_batches(fetches, feature_values.rows(feed, low, high))
    except serialized_examples.ROW_ERRORS as row_error:
      return low, serialized_examples.reason(row_error)
    return None, serialized_examples.reason(error)

  def _run_batches(self, fetches, feed):
    if self.batch_size is None:
      return self._counted(fetches, feed)
    return model_batches.run(self._counted, fetches, feed, self.batch_size)

  def _counted(self, fetches, feed):
    with self._lock:
      self.num_calls += 1
    return self._run(fetches, feed)

  def _run(self, fetches, feed):
    self.check_open()
    try:
      if self.is_changed_by_gradients:
        with self.graph_lock:
          return self.session.run(fetches, feed)
      return self.session.run(fetches, feed)
    except Exception as error:
      # TensorFlow's message about a session closed meanwhile does not help.
      if self._is_closed:
        raise self._closed() from error
      if isinstance(error, serialized_examples.ROW_ERRORS):
        raise
      raise refusals.not_run(self.export_dir, error) from error

  def check_open(self):
    """Raises ValueError if it is closed, or of another process."""
    if self._process != os.getpid():
      raise refusals.of_another_process(self.export_dir, self._process)
    if self._is_closed:
      raise self._closed()

  def _closed(self):
    return ValueError(
      f'The model of {self.export_dir!r} is closed. Load it again, or use '
      'it before it is closed.'
    )

  def close(self):
    """Frees the session; what runs in other threads ends with an error."""
    # In a fork, it could wait for what a thread of the parent held.
    if self._process != os.getpid():
      return
    with self._lock:
      was_closed, self._is_closed = self._is_closed, True
    if not was_closed:
      self.session.close()
