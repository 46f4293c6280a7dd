"""The contents and results of a SavedModel, without tf_dnn_annotations.

Plain TensorFlow loads it and runs its predict signature; the tensors of columns
are found in its protos; attributions are means of TensorFlow's own gradients at
many midpoints. Nothing here uses the reader.
"""

import json

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tf_dnn_annotations.annotations import names

_NAMES = names.LayerAnnotationsCollectionNames
# How many midpoints; half as many tell how far they are from the integral.
_NUM_STEPS = 1024


class NoOracle(Exception):
  """Plain TensorFlow cannot compute what is asked for."""


class Oracle(object):
  """A SavedModel, loaded and run by plain TensorFlow.

  Attributes:
    columns: {column name: tensor name}.
    feature_keys: {column name: sorted tuple of feature keys that it reads}.
    contradictions: list of str, where the SavedModel's annotations contradict
      each other, its graph or its predict signature.
    predictions: {output of the predict signature: array [n, ...]}, None if it
      cannot be run.
    is_random: whether the predictions differ from run to run.
    values: {column name: [n, width]} of the rows.
  """

  def __init__(self, export_dir, base):
    """Loads a SavedModel.

    Args:
      export_dir: its directory.
      base: `bases.Base`, whose rows it is to predict.

    Raises:
      NoOracle: it cannot be loaded, or its columns not computed.
    """
    self._base = base
    self._graph = tf.Graph()
    self._session = tf.Session(graph=self._graph)
    self._gradients = {}
    try:
      with self._graph.as_default():
        self._meta_graph = tf.saved_model.load(
          self._session, ['serve'], export_dir
        )
    except Exception as error:
      self._session.close()
      raise NoOracle(f'load: {error}') from error
    self._feed, self.predictions = None, None
    self.contradictions = []
    try:
      self._predict()
      self._read_annotations()
    except NoOracle:
      self._session.close()
      raise

  def close(self):
    self._session.close()

  def _predict(self):
    signatures = self._meta_graph.signature_def
    self.is_random, self._tensors = False, {}
    try:
      if 'predict' not in signatures:
        # The others take the same.
        name = next(
          n for n in (names.SIGNATURE, *signatures) if n in signatures
        )
        self._feed = self._fed(signatures[name].inputs)
        return
      self._feed = self._fed(signatures['predict'].inputs)
      self._tensors = {
        name: self._graph.get_tensor_by_name(info.name)
        for name, info in signatures['predict'].outputs.items()
      }
      self.predictions, again = (
        self._session.run(self._tensors, self._feed) for _ in range(2)
      )
    except Exception:
      self.predictions = None
      return
    self.is_random = not all(
      same(self.predictions[name], again[name]) for name in again
    )

  def _fed(self, inputs):
    """Returns what is fed for the rows, given a signature's inputs."""
    feed = {}
    for key, info in inputs.items():
      if info.WhichOneof('encoding') == 'coo_sparse':
        rows = self._base.rows[key]
        width = max(map(len, rows))
        places = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]
        sparse = info.coo_sparse
        flat = np.array([value for row in rows for value in row])
        feed[sparse.indices_tensor_name] = np.int64(places).reshape(-1, 2)
        feed[sparse.values_tensor_name] = flat
        feed[sparse.dense_shape_tensor_name] = np.int64([len(rows), width])
      elif key not in self._base.rows:
        feed[info.name] = self._base.examples
      else:
        feed[info.name] = self._base.rows[key]
    return feed

  def _read_annotations(self):
    """Finds the columns and features, in all places that tell of them."""
    signature = self._meta_graph.signature_def.get(names.SIGNATURE)
    outputs = signature.outputs if signature else {}
    told = {}
    for kind, output, others in (
      (
        _NAMES.PROCESSED_FEATURES,
        names.PROCESSED_FEATURES_OUTPUT,
        names.PROCESSED_FEATURES_RESPELLED,
      ),
      (_NAMES.UNPROCESSED_FEATURES, names.UNPROCESSED_FEATURES_OUTPUT, None),
    ):
      of_collections = self._collection(kind)
      if of_collections is None and others:
        of_collections = self._collection(others)
      prefix = output + '/'
      of_signature = {
        name[len(prefix) :]: info
        for name, info in outputs.items()
        if name.startswith(prefix)
      }
      told[output] = self._agreed(kind, of_collections, of_signature)
    columns = told[names.PROCESSED_FEATURES_OUTPUT]
    self.columns = {name: tensors[0] for name, tensors in columns.items()}
    features = told[names.UNPROCESSED_FEATURES_OUTPUT]
    self.feature_keys = self._walked(features)
    self._read_logits(outputs)
    if self._feed is None:
      raise NoOracle('the rows cannot be fed')
    try:
      self.values = self._session.run(self.columns, self._feed)
    except Exception as error:
      raise NoOracle(f'columns: {error}') from error
    self._read_descriptions()

  def _collection(self, kind):
    """Returns {key: list of tensor names} of two collections, or None."""
    collections = self._meta_graph.collection_def
    if _NAMES.keys(kind) not in collections:
      return None
    keys = [
      key.decode('utf-8', 'replace')
      for key in collections[_NAMES.keys(kind)].bytes_list.value
    ]
    packed = collections[_NAMES.values(kind)].any_list.value
    if len(keys) != len(packed) or len(set(keys)) != len(keys):
      self.contradictions.append(f'{kind}: {keys} for {len(packed)} values')
    found = {}
    for key, value in zip(keys, packed):
      info = meta_graph_pb2.TensorInfo()
      try:
        value.Unpack(info)
      except Exception as error:
        self.contradictions.append(f'{kind}: {error}')
      found[key] = _tensor_names(info)
    return found or None

  def _agreed(self, kind, of_collections, of_signature):
    """Returns {name: tensor names} as collections and signature both tell."""
    whole = {}
    for name, info in of_signature.items():
      whole.setdefault(name, _tensor_names(info))
    if of_collections is None:
      # A sparse feature is three outputs, which nothing else puts together.
      by_key = {}
      for name, tensors in whole.items():
        key, _, part = name.rpartition('/')
        key = key if part in names.SPARSE_COMPONENTS else name
        by_key.setdefault(key, []).extend(tensors)
      return by_key
    flat = {}
    for key, tensors in of_collections.items():
      if len(tensors) == 3:
        parts = zip(names.SPARSE_COMPONENTS, tensors)
        flat.update({f'{key}/{part}': [tensor] for part, tensor in parts})
      else:
        flat[key] = tensors
    if of_signature and flat != whole:
      both = sorted(set(flat) | set(whole))
      other = [n for n in both if flat.get(n) != whole.get(n)]
      self.contradictions.append(f'{kind}: not as in the signature: {other}')
    return of_collections

  def _walked(self, features):
    """Returns {column: sorted keys of the features behind it}."""
    nodes = {node.name: node for node in self._meta_graph.graph_def.node}
    key_of = {
      tensor: key for key, tensors in features.items() for tensor in tensors
    }
    found = {}
    for column, tensor in self.columns.items():
      keys, seen, stack = set(), set(), [tensor]
      while stack:
        name = stack.pop()
        if ':' not in name:
          name += ':0'
        if name in seen:
          continue
        seen.add(name)
        if name in key_of:
          keys.add(key_of[name])
        elif name.split(':')[0] in nodes:
          node = nodes[name.split(':')[0]]
          stack.extend(i for i in node.input if not i.startswith('^'))
      found[column] = tuple(sorted(keys))
    return found

  def _read_logits(self, outputs):
    """Finds the logits: those served, which the annotated ones must be."""
    served = [n for n in ('logits', 'predictions') if n in self._tensors]
    self._logits = self._tensors[served[0]] if served else None
    if names.LOGITS_OUTPUT not in outputs:
      return
    name = outputs[names.LOGITS_OUTPUT].name
    try:
      annotated = self._graph.get_tensor_by_name(name)
      if self._logits is None:
        self._logits = annotated
        return
      values = self._session.run([annotated, self._logits], self._feed)
    except Exception as error:
      self.contradictions.append(f'logits cannot be computed: {error}')
      return
    if not same(*values):
      self.contradictions.append(f'the logits are not {served[0]!r}')

  def _read_descriptions(self):
    """Compares the columns' JSON with the graph."""
    collections = self._meta_graph.collection_def
    if _NAMES.FEATURE_COLUMNS not in collections:
      return
    for item in collections[_NAMES.FEATURE_COLUMNS].bytes_list.value:
      try:
        told = json.loads(item.decode())
        name, keys, width = told['name'], told['feature_keys'], told['width']
      except Exception:
        continue  # Tells nothing.
      if not isinstance(name, str) or name not in self.columns:
        continue
      if keys != list(self.feature_keys[name]):
        self.contradictions.append(f'{name}: reads {keys}')
      if width != np.shape(self.values[name])[-1]:
        self.contradictions.append(f'{name}: is {width} wide')

  def outputs(self, output):
    """Returns the predicted [n, num_outputs], as the predict signature has it.

    Args:
      output: 'logits' or 'probabilities'.
    """
    predictions = self.predictions or {}
    if output in predictions:
      values = predictions[output]
    elif self._logits is not None and output == 'logits':
      values = self._run(self._logits, self._feed)
    else:
      raise NoOracle(f'no {output}')
    return _two_classes(values, output, self.is_classifier)

  @property
  def is_classifier(self):
    """Whether something is predicted that only classifiers do."""
    return bool(
      {'probabilities', 'logistic', 'class_ids', 'classes'} & set(self._tensors)
    )

  def outputs_at(self, columns, output):
    """Returns the outputs [m, num_outputs] of points {column: [m, width]}."""
    tensor = self._output(output)
    values = self._run(tensor, self._points(columns))
    return _two_classes(values, output, self.is_classifier)

  def attributions(self, start, end, targets, output, num_steps=None):
    """Returns Integrated Gradients by a midpoint rule.

    Args:
      start, end: {column name: [n, width]}, baselines and rows.
      targets: int [n].
      output: 'logits' or 'probabilities'.
      num_steps: int; by default so many as are near the integral.

    Returns:
      ({column name: [n, width]}, {column name: bound of their error}).
    """
    if num_steps:
      exact = self._midpoint(start, end, targets, output, num_steps)
      return exact, {name: 0 * value for name, value in exact.items()}
    fine, coarse = (
      self._midpoint(start, end, targets, output, n)
      for n in (_NUM_STEPS, _NUM_STEPS // 2)
    )
    return fine, {name: np.abs(fine[name] - coarse[name]) for name in fine}

  def _midpoint(self, start, end, targets, output, num_steps):
    nodes = (np.arange(num_steps) + 0.5) / num_steps
    num_rows = len(targets)
    points = {
      name: (
        start[name][:, np.newaxis]
        + nodes[:, np.newaxis] * (end[name] - start[name])[:, np.newaxis]
      ).reshape(-1, end[name].shape[-1])
      for name in end
    }
    weights, gradients = self._gradient_tensors(output)
    selection = np.zeros((num_rows * num_steps, weights.shape[-1]))
    sign = np.ones(num_rows)
    columns = np.asarray(targets)
    if weights.shape[-1] == 1 and self.is_classifier:
      sign, columns = np.where(columns == 1, 1.0, -1.0), 0 * columns
    selection[np.arange(len(selection)), np.repeat(columns, num_steps)] = 1
    feed = self._points(points)
    feed[weights] = selection * np.repeat(sign, num_steps)[:, np.newaxis]
    found = self._run(gradients, feed)
    return {
      name: found[name].reshape(num_rows, num_steps, -1).mean(axis=1)
      * (end[name] - start[name])
      for name in end
    }

  def _gradient_tensors(self, output):
    if output not in self._gradients:
      with self._graph.as_default():
        tensor = self._output(output)
        columns = {
          name: self._graph.get_tensor_by_name(tensor_name)
          for name, tensor_name in self.columns.items()
        }
        weights = tf.placeholder(tensor.dtype, tensor.shape)
        try:
          gradients = tf.gradients(
            tensor,
            list(columns.values()),
            grad_ys=weights,
            stop_gradients=list(columns.values()),
          )
        except Exception as error:
          raise NoOracle(f'gradients: {error}') from error
        self._gradients[output] = (
          weights,
          {
            name: tf.zeros_like(column) if gradient is None else gradient
            for (name, column), gradient in zip(columns.items(), gradients)
          },
        )
    return self._gradients[output]

  def _output(self, output):
    tensor = self._tensors.get(output)
    if tensor is None and output == 'logits':
      tensor = self._logits
    if tensor is None:
      raise NoOracle(f'no {output}')
    return tensor

  def _points(self, columns):
    return {self.columns[name]: value for name, value in columns.items()}

  def _run(self, fetches, feed):
    try:
      return self._session.run(fetches, feed)
    except Exception as error:
      raise NoOracle(f'run: {error}') from error


def same(one, other, rounding=1e-5):
  """Whether two arrays are the same but for some roundings of float32."""
  one, other = np.asarray(one), np.asarray(other)
  if one.shape != other.shape:
    return False
  if one.dtype.kind not in 'fiu' or other.dtype.kind not in 'fiu':
    return bool(np.all(one == other))
  one, other = (value.astype(np.float64) for value in (one, other))
  scale = np.max(np.abs(one[np.isfinite(one)]), initial=1.0)
  return np.allclose(one, other, rtol=0, atol=rounding * scale, equal_nan=True)


def _two_classes(values, output, is_classifier):
  """Returns [n, 2] where a single logit stands for two classes."""
  values = np.asarray(values)
  if is_classifier and output == 'logits' and values.shape[-1] == 1:
    return np.concatenate([-values, values], axis=-1)
  return values


def _tensor_names(info):
  """Returns the tensors of a TensorInfo, three of a sparse one."""
  if info.WhichOneof('encoding') == 'coo_sparse':
    return [
      info.coo_sparse.indices_tensor_name,
      info.coo_sparse.values_tensor_name,
      info.coo_sparse.dense_shape_tensor_name,
    ]
  return [info.name]
