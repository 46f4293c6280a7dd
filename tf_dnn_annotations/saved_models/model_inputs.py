"""How examples get into a model: as it receives them, or parsed for it."""

import numpy as np
import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import example_forms
from tf_dnn_annotations.saved_models import feature_values
from tf_dnn_annotations.saved_models import model_batches
from tf_dnn_annotations.saved_models import serialized_examples


class ModelInputs(object):
  """The features of a model, and what its session is fed for examples.

  Attributes:
    tensors: {feature key: `Tensor` or `SparseTensor`} of the features read.
    features: {feature key: `feature_values.Feature`} of the same.
    takes_examples: whether the model parses serialized tf.Examples itself.
    example_features: {key: `feature_values.Feature`} of what is parsed of
      tf.Examples, read by a column or not, if the model parses them; otherwise
      `features`.
    required_features: set of the keys of those that no tf.Example may lack.
    unread_features: set of the keys of those that no column depends on.
  """

  def __init__(self, session, tensors):
    """Takes the features that columns read.

    Args:
      session: the `model_session.ModelSession`.
      tensors: {feature key: `Tensor` or `SparseTensor`}.
    """
    self._session, self.tensors = session, tensors
    self.features = {
      key: _feature(key, tensor) for key, tensor in tensors.items()
    }
    self._serialized, parsers = serialized_examples.find(tensors)
    self.takes_examples = self._serialized is not None
    self.example_features = self.features
    self.required_features = set()
    if parsers:
      self.example_features = serialized_examples.parsed_features(
        parsers, session.value
      )
      self.required_features = serialized_examples.required_keys(
        parsers, session.value
      )
    elif not self.takes_examples:  # Otherwise the parser was not found.
      self.required_features = {
        key
        for key, feature in self.features.items()
        if not feature.is_sparse and feature.shape != [None]
      }
    self.unread_features = serialized_examples.unread_keys(
      parsers, tensors, session.value
    )
    self._parser = None

  def batch_size(self, tensors):
    """Returns the number of rows that a call must have, None for any number.

    Args:
      tensors: list of the `Tensor`s [batch, ...] of columns and layers.
    """
    received = self.tensors.values()
    if self.takes_examples:
      received = [self._serialized]
    return model_batches.size([*received, *tensors])

  def reader(self, examples, subject='`examples`'):
    """Returns how rows of examples get into the model.

    Args:
      examples: as `example_forms.plain` accepts them, raw features as
        `feature_values.batch` does.
      subject: what error messages call the examples.

    Returns:
      (n, function of the first and the last row that returns what the session
      is to be fed).

    Raises:
      RowError: a row cannot be used.
      ValueError: a feature is missing, not known, or of a wrong shape.
      TypeError: a feature is of another type, or `examples` has no known form.
    """
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

  def values_of_rows(self, read_fn, first, last):
    """Returns {feature key: values} of rows [first, last), not none.

    Args:
      read_fn: function that `reader` returned.
      first, last: the rows.

    Returns:
      {feature key: array [n, ...] or `tf.SparseTensorValue`}.
    """
    feed = read_fn(first, last)
    if not self.takes_examples:
      return {key: feed[tensor] for key, tensor in self.tensors.items()}
    return self._session.run_rows(self.tensors, feed, first)

  def _feed(self, values):
    return {self.tensors[key]: value for key, value in values.items()}

  def _parsed(self, serialized, first_row):
    """Parses tf.Examples for a model that takes raw features."""
    with self._session.graph_lock:
      if self._parser is None:
        self._parser = self._new_parser()
    placeholder, parsed = self._parser
    values = self._session.run_rows(
      parsed, {placeholder: np.array(serialized, object)}, first_row
    )
    feature_values.check_finite(values, first_row=first_row)
    return values

  def _new_parser(self):
    """Returns (placeholder of tf.Examples, {key: raw feature})."""
    with self._session.graph.as_default():
      placeholder = tf.placeholder(tf.string, [None])
      parsed = tf.io.parse_example(
        placeholder,
        {
          key: serialized_examples.parsing_spec(feature)
          for key, feature in self.features.items()
        },
      )
      # A model may have features of types that tf.Examples cannot hold.
      return placeholder, {
        key: tf.cast(parsed[key], feature.dtype)
        for key, feature in self.features.items()
      }


def _feature(key, tensor):
  is_sparse = not isinstance(tensor, tf.Tensor)
  shape = None
  if not is_sparse and tensor.shape.rank is not None:
    shape = tensor.shape.as_list()[1:]
  return feature_values.Feature(key, tensor.dtype, shape, is_sparse)
