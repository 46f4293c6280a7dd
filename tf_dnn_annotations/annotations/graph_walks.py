"""Walks upstream and downstream of tensors in a graph."""

# Operations whose output is their input.
IDENTITIES = ('Identity', 'EnsureShape', 'CheckNumerics')


def ancestors(tensors, end=()):
  """Returns the operations that tensors are computed from, theirs included.

  Args:
    tensors: iterable of `Tensor`.
    end: collection of names of tensors at which the walk stops: it does not
      go on to the operations that compute them.

  Returns:
    list of `tf.Operation`, ordered by name.
  """
  end = set(end)
  stack = [tensor.op for tensor in tensors if tensor.name not in end]
  found = {}
  while stack:
    op = stack.pop()
    if op.name in found:
      continue
    found[op.name] = op
    stack += [source.op for source in op.inputs if source.name not in end]
  return [found[name] for name in sorted(found)]


def descendants(tensors, is_followed=lambda op, tensor: True):
  """Returns the names of tensors and of all tensors computed from them.

  Args:
    tensors: iterable of `Tensor`.
    is_followed: function of a `tf.Operation` and one of its inputs that are
      downstream; whether the walk goes on to the operation's outputs.

  Returns:
    set of str.
  """
  # By consumers and not in the order of operations: TensorFlow 1 puts inputs
  # between the operations of a branch and the tensors that they read, so some
  # come after the operations that read them.
  stack = list(tensors)
  found = {tensor.name for tensor in stack}
  while stack:
    tensor = stack.pop()
    for op in tensor.consumers():
      if is_followed(op, tensor):
        new = [output for output in op.outputs if output.name not in found]
        found.update(output.name for output in new)
        stack += new
  return found


def between(sources, sinks):
  """Returns the operations on the paths from some tensors to others.

  Args:
    sources, sinks: iterables of `Tensor`. The operations that compute the
      sinks are included, those that compute the sources are not.
  """
  downstream = descendants(sources)
  names = {tensor.name for tensor in sources}
  return [
    op
    for op in ancestors(sinks, end=names)
    if any(tensor.name in downstream for tensor in op.inputs)
  ]


def skip(tensor, types):
  """Returns the first tensor upstream that no operation of `types` computes.

  Args:
    tensor: `Tensor`.
    types: collection of names of operation types whose i-th output is their
      i-th input, at least in value.
  """
  while tensor.op.type in types:
    # IdentityN has several outputs.
    tensor = tensor.op.inputs[tensor.value_index]
  return tensor
