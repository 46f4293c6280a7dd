"""What TensorFlow's operations do besides computing.

Pure and stateful ones are told apart by TensorFlow's own definitions. Few
stateful ones are a model's ordinary business, and some pure ones read a file.
Read off the registries of TensorFlow 1.15, 2.15 and 2.21; what a newer one
adds is refused if it is stateful or has a telling name.
"""

import re

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.saved_models import graph_defs

# Of a loop of TensorFlow 1 this is the way back; `Enter` alone is not one.
LOOPS = (
  'For',
  'NextIteration',
  'RefNextIteration',
  'StatelessWhile',
  'While',
)
RESTORES = ('Restore', 'RestoreSlice', 'RestoreV2')
SAVES = ('MergeV2Checkpoints', 'Save', 'SaveSlices', 'SaveV2')
TABLES_OF_FILES = (
  'InitializeTableFromTextFile',
  'InitializeTableFromTextFileV2',
)
UNKNOWN = 'is not an operation of TensorFlow'

# Of pure operations, by words of their names, those that are more.
_NOT_PURE = re.compile(
  r'Abort|Accumulator|AllToAll|Barrier|^Batch$|BatchFunction|Collective|Copy|'
  r'CrossReplica|Dataset|Debug|File(?!name|spec)|ImmutableConst|Infeed|'
  r'Iterator|Nccl|Outfeed|Prelinearize|Print|PyFunc|Queue|Reader|Recv|Remote|'
  r'Restore|Rpc|Save|Sdca|Send|Session|SparseCore|TPU|^Unbatch|VocabRemapping|'
  r'Write[A-Z]\w*Summary|Xla'
)
_ORDINARY_STATEFUL = re.compile(
  r'Assert|AssignVariableXlaConcatND|(Assign|AssignAdd|AssignSub)VariableOp|'
  # Branches and calls; the functions are looked at, too.
  r'Case|If|While|StatefulPartitionedCall|'
  r'CheckNumerics(V2)?|CudnnRNN\w*|DeepCopy|DestroyResourceOp|DeviceIndex|'
  r'DisableCopyOnRead|Empty|GuaranteeConst|TensorListResize|'
  # Variables.
  r'ReadVariableOp|Resource(Apply|Gather|Scatter|SparseApply|Strided)\w*|'
  r'ResourceCountUpTo|TemporaryVariable|VarHandleOp|VarIsInitializedOp|'
  r'Variable|VariableShape|VariableV2|'
  # Tables.
  r'(Anonymous)?(Mutable|MutableDense)?HashTable(V2|OfTensors|OfTensorsV2)?|'
  r'InitializeTableV2|LookupTable\w+|'
  # Random numbers.
  r'(All|LearnedUnigram|LogUniform|ThreadUnsafeUnigram|Uniform)'
  r'CandidateSampler|Multinomial|NonDeterministicInts|'
  r'ParameterizedTruncatedNormal|Random(Crop|Gamma|Poisson|PoissonV2|Shuffle|'
  r'StandardNormal|Uniform|UniformInt)|RngReadAndSkip|RngSkip|'
  r'SampleDistortedBoundingBox(V2)?|StatelessRandomGetAlg|'
  r'Stateful(RandomBinomial|StandardNormal\w*|TruncatedNormal|Uniform\w*)|'
  r'TruncatedNormal|'
  # Arrays and stacks of loops.
  r'Stack|Stack(Close|Pop|Push)?V2|TensorArray\w*|'
  r'(Add|AddMany|TakeMany)Sparse(To|From)TensorsMap'
)
# What the others do, by words of their names; the first that fits.
_EFFECTS = (
  ('PyFunc', 'runs Python'),
  ('Print|Debug|Copy', 'prints or writes'),
  (
    'File|Reader|Dataset|Iterator|Save|Restore|ImmutableConst|Remap|Record|'
    'Summary|Snapshot|Checkpoint',
    'reads or writes files',
  ),
  ('Send|Recv|Rpc|Remote|Collective|Nccl|TPU|feed', 'communicates'),
  ('Abort', 'ends the process'),
  ('', 'does more than compute'),
)
# Attributes that name a file, and what they hold if they do not.
_FILES_IN_ATTRIBUTES = {
  'DecodeProtoV2': (
    'descriptor_source',
    re.compile(rb'(local://|bytes://.*)?'),
  ),
  'EncodeProto': ('descriptor_source', re.compile(rb'(local://|bytes://.*)?')),
}


def effect(node, functions):
  """Returns what a node does besides computing, as words, or None.

  Those of `RESTORES`, `SAVES` and `TABLES_OF_FILES` read or write files, which
  may be a model's own: that is for the caller to see.

  Args:
    node: `NodeDef`.
    functions: names of the functions of its graph, which are not looked at.
  """
  definition = graph_defs.op_def(node.op)
  if definition is None and node.op in functions:
    return None
  # What a library that this process loaded brought is in the registry alone.
  if definition is None or not hasattr(tf.raw_ops, node.op):
    return UNKNOWN
  if node.op in _FILES_IN_ATTRIBUTES:
    name, harmless = _FILES_IN_ATTRIBUTES[node.op]
    return (
      None
      if harmless.fullmatch(node.attr[name].s, re.DOTALL)
      else 'reads or writes files'
    )
  if definition.is_stateful or node.op in TABLES_OF_FILES:
    is_ordinary = _ORDINARY_STATEFUL.fullmatch(node.op)
  else:
    is_ordinary = not _NOT_PURE.search(node.op)
  if is_ordinary:
    return None
  return next(words for names, words in _EFFECTS if re.search(names, node.op))
