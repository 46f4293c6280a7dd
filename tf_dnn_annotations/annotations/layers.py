"""The layers of a canned DNN model, found in a graph by their names.

The writer annotates what is found here. A reader finds layers in this way only
in a SavedModel without the annotations' signature, as contrib wrote them.
"""

import re

from tf_dnn_annotations.annotations import graph_walks

# Hidden layer i of the canned DNN adds its bias in an op of this name.
_HIDDEN_LAYER_OP = re.compile(r'(?:^|/)hiddenlayer_(\d+)(?:_\d+)?/BiasAdd$')
_LOGITS_OP = re.compile(r'(?:^|/)logits(?:_\d+)?/BiasAdd$')


def find(operations, columns):
  """Returns the layers of the canned DNN model among `operations`.

  Args:
    operations: iterable of `tf.Operation`.
    columns: iterable of the columns' `Tensor`s. Only operations computed from
      them are layers of the DNN: a column or an input function can have a small
      network of its own, with layers of the same names.

  Returns:
    (hidden_layers, logits): the list of the hidden layers' pre-activations
    [batch, units], input side first, and the [batch, logits_dimension] tensor
    of the logits, in log-odds for a classifier.

  Raises:
    RuntimeError: there are no such operations, or several for one layer.
  """
  hidden_layers, logits = {}, []
  from_columns = graph_walks.descendants(columns)
  for operation in operations:
    if not any(tensor.name in from_columns for tensor in operation.inputs):
      continue
    match = _HIDDEN_LAYER_OP.search(operation.name)
    if match:
      hidden_layers.setdefault(int(match.group(1)), []).append(operation)
    elif _LOGITS_OP.search(operation.name):
      logits.append(operation)
  layers = [hidden_layers.get(i, []) for i in range(len(hidden_layers))]
  if any(len(layer) != 1 for layer in layers + [logits]):
    raise RuntimeError(
      'The layers of the DNN were not found in the graph; got '
      f'{[op.name for layer in layers + [logits] for op in layer]}. The '
      'operations hiddenlayer_<i>/BiasAdd and logits/BiasAdd of one canned DNN '
      'model must be there.'
    )
  return [layer[0].outputs[0] for layer in layers], logits[0].outputs[0]
