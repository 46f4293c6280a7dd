"""The dense layers of a network, read off the graph of a SavedModel."""

import collections

import numpy as np

from tf_dnn_annotations.annotations import graph_walks
from tf_dnn_annotations.integrals import piecewise_linear

_IDENTITIES = graph_walks.IDENTITIES + (
  'IdentityN',
  'StopGradient',
  'PreventGradient',
)

_ACTIVATIONS = {
  'Relu': lambda op: piecewise_linear.RELU,
  'Relu6': lambda op: piecewise_linear.RELU6,
  'LeakyRelu': lambda op: piecewise_linear.leaky_relu(op.get_attr('alpha')),
}

# The operations of batch normalization at inference, and how each of them,
# given its constant, changes the (scale, shift) of those before it.
_AFFINE = {
  'Mul': lambda scale, shift, c: (scale * c, shift * c),
  'RealDiv': lambda scale, shift, c: (scale / c, shift / c),
  'Add': lambda scale, shift, c: (scale, shift + c),
  'AddV2': lambda scale, shift, c: (scale, shift + c),
  'BiasAdd': lambda scale, shift, c: (scale, shift + c),
  'Sub': lambda scale, shift, c: (scale, shift - c),
}
_NOT_COMMUTATIVE = ('RealDiv', 'Sub', 'BiasAdd')
# Operations with a state that does not change while a model is served.
_VARIABLES = ('Variable', 'VariableV2', 'VarHandleOp', 'ReadVariableOp')


class UnrecognizedError(ValueError):
  """The network is not known to be piecewise linear."""


class DenseNetwork(
  collections.namedtuple('DenseNetwork', ['network', 'first_layer', 'kernel'])
):
  """A fully connected, piecewise linear network.

  Attributes:
    network: `piecewise_linear.Network` of float64, from the first layer's
      pre-activation to the logits. Batch normalization, which is affine at
      inference, is part of the kernels.
    first_layer: `Tensor` [batch, units], that pre-activation; the logits if
      there is no hidden layer.
    kernel: `Tensor` [width of all columns, units], the first layer's kernel,
      its rows in the order of the columns.
  """

  __slots__ = ()


def read(columns, logits, run_fn):
  """Returns the `DenseNetwork` between columns and logits.

  Args:
    columns: list of `Tensor` [batch, width], in the model's order.
    logits: `Tensor` [batch, num_logits].
    run_fn: function of a `Tensor` that depends on no input; returns its value.

  Raises:
    UnrecognizedError: there is anything in between but dense layers, batch
      normalization, and the activations ReLU, ReLU6, leaky ReLU or none.
  """
  data = _operations_behind(columns)
  activations, kernels, biases = [], [], []
  tensor = logits
  while True:
    tensor = graph_walks.skip(tensor, _IDENTITIES)
    pre_activation = tensor
    inner, kernel, bias = _dense_layer(tensor, data)
    if kernels and kernel.shape.as_list()[1:] != list(kernels[-1].shape[:1]):
      raise UnrecognizedError(
        f'the units of {tensor.name!r} are broadcast to more units'
      )
    if _is_columns(inner, columns):
      break
    # z = (scale * activation(z of the layer before) + shift) @ kernel + bias
    activation, scale, shift, tensor = _elementwise(inner, data, run_fn)
    kernel, bias = (_constant(t, run_fn) for t in (kernel, bias))
    scale = np.broadcast_to(scale, kernel.shape[:1])
    shift = np.broadcast_to(shift, kernel.shape[:1])
    activations.append(activation)
    kernels.append(scale[:, np.newaxis] * kernel)
    biases.append(shift @ kernel + bias)
  network = piecewise_linear.Network(
    tuple(activations[::-1]), tuple(kernels[::-1]), tuple(biases[::-1])
  )
  return DenseNetwork(network, pre_activation, kernel)


def first_kernel(columns, first_layer):
  """Returns the kernel of a dense layer that reads the columns.

  Args:
    columns: list of `Tensor` [batch, width], in the model's order.
    first_layer: `Tensor` [batch, units], the layer's pre-activation.

  Returns:
    `Tensor` [width of all columns, units].

  Raises:
    UnrecognizedError: `first_layer` is not such a layer.
  """
  inner, kernel, _ = _dense_layer(first_layer, _operations_behind(columns))
  if not _is_columns(inner, columns):
    raise UnrecognizedError(f'{first_layer.name!r} does not read the columns')
  return kernel


def is_same(tensor, other):
  """Returns whether two tensors are one, but for identities between them."""
  return (
    graph_walks.skip(tensor, _IDENTITIES).name
    == graph_walks.skip(other, _IDENTITIES).name
  )


def _dense_layer(tensor, data):
  """Returns (input, kernel, bias) of the dense layer that computes `tensor`."""
  inner, bias = _data_and_constant(tensor.op, data, ('BiasAdd', 'Add', 'AddV2'))
  product = graph_walks.skip(inner, _IDENTITIES)
  return (*_data_and_constant(product.op, data, ('MatMul',)), bias)


def _operations_behind(columns):
  """Returns the names of the operations that depend on a column."""
  behind = {column.op.name for column in columns}
  # Operations are listed after their inputs.
  for op in columns[0].graph.get_operations():
    if any(tensor.op.name in behind for tensor in op.inputs):
      behind.add(op.name)
  return behind


def _data_and_constant(op, data, types):
  """Returns the two inputs of an operation: that of data, and the constant."""
  if op.type in types and len(op.inputs) == 2:
    varies = [tensor.op.name in data for tensor in op.inputs]
    if varies == [True, False]:
      is_transposed = op.type == 'MatMul' and (
        op.get_attr('transpose_a') or op.get_attr('transpose_b')
      )
      if not is_transposed:
        return tuple(op.inputs)
    if varies == [False, True] and op.type not in ('MatMul', *_NOT_COMMUTATIVE):
      return tuple(op.inputs)[::-1]
  raise UnrecognizedError(
    f'the operation {op.name!r} ({op.type}) is not part of a dense layer with '
    'a piecewise linear activation'
  )


def _elementwise(tensor, data, run_fn):
  """Returns the element-wise operations between two dense layers.

  Returns:
    (activation, scale, shift, inner): `tensor` is scale * activation(inner) +
    shift.
  """
  steps = []
  tensor = graph_walks.skip(tensor, _IDENTITIES)
  while tensor.op.type in _AFFINE and not _is_dense_layer(tensor):
    op = tensor.op
    tensor, constant = _data_and_constant(op, data, tuple(_AFFINE))
    constant = _constant(constant, run_fn)
    # One number per unit, or one for all units; not one per row.
    if constant.shape[:-1].count(1) != max(0, constant.ndim - 1):
      raise UnrecognizedError(
        f'the operation {op.name!r} treats the rows of a batch differently'
      )
    steps.append((_AFFINE[op.type], constant.reshape(constant.shape[-1:])))
    tensor = graph_walks.skip(tensor, _IDENTITIES)
  scale, shift = 1.0, 0.0
  for step, constant in reversed(steps):
    scale, shift = step(scale, shift, constant)
  activation = piecewise_linear.IDENTITY
  if tensor.op.type in _ACTIVATIONS:
    activation = _ACTIVATIONS[tensor.op.type](tensor.op)
    tensor = tensor.op.inputs[0]
  return activation, scale, shift, tensor


def _constant(tensor, run_fn):
  """Returns the value, in float64, of a tensor that is constant."""
  stack, seen = [tensor.op], {tensor.op.name}
  while stack:
    op = stack.pop()
    is_variable = op.type in _VARIABLES
    # The operation is fed, or draws numbers at random.
    if 'Placeholder' in op.type or (op.op_def.is_stateful and not is_variable):
      raise UnrecognizedError(
        f'{tensor.name!r} depends on the operation {op.name!r} ({op.type}), '
        'so it is not constant'
      )
    new = {source.op.name: source.op for source in op.inputs}
    stack += [op for name, op in new.items() if name not in seen]
    seen |= set(new)
  return run_fn(tensor).astype(np.float64)


def _is_dense_layer(tensor):
  return any(
    graph_walks.skip(source, _IDENTITIES).op.type == 'MatMul'
    for source in tensor.op.inputs
  )


def _is_columns(tensor, columns):
  """Returns whether a tensor is the columns side by side, in their order."""
  names = [column.name for column in columns]
  tensor = graph_walks.skip(tensor, _IDENTITIES)
  parts = [tensor]
  if tensor.op.type == 'ConcatV2' and tensor.name not in names:
    parts = list(tensor.op.inputs)[:-1]
  return [_to_column(part, names).name for part in parts] == names


def _to_column(tensor, names):
  """Returns the column that a tensor is a reshaped copy of."""
  while tensor.name not in names and (
    tensor.op.type in ('Reshape',) + _IDENTITIES
  ):
    tensor = tensor.op.inputs[tensor.value_index]
  return tensor
