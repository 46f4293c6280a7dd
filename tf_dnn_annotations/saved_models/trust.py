"""Whether a SavedModel does nothing but compute, known before it is loaded.

docs/trust.md has what is promised and what is not.
"""

import collections
import os
import re
from typing import Iterable

from tf_dnn_annotations.annotations import names
from tf_dnn_annotations.saved_models import graph_defs
from tf_dnn_annotations.saved_models import meta_graphs
from tf_dnn_annotations.saved_models import operation_effects

_MOST_NAMED = 3  # Operations that an error names.
# Their keys are read when a model is loaded.
_PARSE_OPS = ('ParseExample', 'ParseExampleV2')
# Of models without a signature of annotations, contrib's.
_LAYER = re.compile(r'(?:^|/)(?:hiddenlayer_\d+|logits)(?:_\d+)?/BiasAdd$')

_MAY_NEVER_END = 'is a loop that loading would run, and may never end'


class UntrustedModelError(ValueError):
  """A SavedModel that does more than compute.

  Attributes:
    unknown: names of the operations that TensorFlow does not have.
  """

  def __init__(self, message: str, unknown: Iterable[str] = ()) -> None:
    super().__init__(message)
    self.unknown = tuple(unknown)


def check(export_dir, meta_graph):
  """Raises `UntrustedModelError` unless a model does nothing but compute.

  Variables, lookup tables, random numbers, loops over a batch and reading the
  SavedModel's own variables and assets are part of that. Everything else that
  its graph holds, in functions too and whether it would run or not, is
  refused: reading and writing files, Python, printing, communication,
  operations that are not TensorFlow's own.

  Args:
    export_dir: str, directory of the SavedModel.
    meta_graph: the `MetaGraphDef` that is to be imported.
  """
  graph = _Graph(meta_graph)
  found = [*_assets_elsewhere(export_dir, meta_graph)]
  unknown = []
  for node, function in graph.all_nodes():
    effect = operation_effects.effect(node, graph.functions)
    if effect == operation_effects.UNKNOWN:
      unknown.append(node.op)
    elif function is None and effect and graph.is_of_model(node):
      effect = None
    if effect:
      found.append(_described(node, function, effect))
  found += [f'the function {name!r} calls itself' for name in graph.recursive()]
  found += [
    f'the function {name!r} is there twice' for name in graph.duplicates()
  ]
  found += [
    _described(graph.nodes[name], None, _MAY_NEVER_END)
    for name in sorted(graph.loops_when_loading())
  ]
  if found:
    more = len(found) - _MOST_NAMED
    raise UntrustedModelError(
      f'`export_dir` must hold a model that does nothing but compute; got '
      f'{export_dir!r}, in which {"; ".join(found[:_MOST_NAMED])}'
      + (f'; and {more} more' if more > 0 else '')
      + '. Only if you trust whoever made it, pass `trust_model=True`.',
      unknown,
    )


def _described(node, function, effect):
  where = '' if function is None else f' in the function {function!r}'
  # Not yet seen by TensorFlow, names may hold anything.
  return f'the operation {node.name!r} ({node.op!r:.80}){where} {effect}'


class _Graph(object):
  """A graph that is to be loaded, and which parts of it are run when.

  Attributes:
    nodes: {name: `NodeDef`}.
    functions: {name: `FunctionDef`}.
  """

  def __init__(self, meta_graph):
    graph_def = meta_graph.graph_def
    self._meta_graph = meta_graph
    self.nodes = {node.name: node for node in graph_def.node}
    self.functions = {f.signature.name: f for f in graph_def.library.function}
    self._calls = graph_defs.function_calls(self.functions)
    saver = meta_graph.saver_def
    self._filename = graph_defs.producer(saver.filename_tensor_name)
    self._init = self._behind(meta_graphs.init_operations(meta_graph))
    self._restore = self._behind([saver.restore_op_name])
    self._save = self._behind([saver.save_tensor_name])
    self._model = self._behind(self._fetches())
    self._assets = {
      graph_defs.producer(asset.tensor_info.name)
      for asset in meta_graphs.assets(meta_graph)
    }

  def all_nodes(self):
    """Yields each node and the name of its function, None for the graph."""
    for node in self._meta_graph.graph_def.node:
      yield node, None
    for name, function in self.functions.items():
      for node in function.node_def:
        yield node, name

  def is_of_model(self, node):
    """Whether a node that reads or writes files keeps to the SavedModel's own.

    TensorFlow names these files when it runs the operation that initializes
    tables, restores or saves. Where something else ran the node as well, it
    would take the names in the graph.
    """
    name = node.name
    data = [name for name in node.input if not name.startswith('^')]
    data += ['', '']  # Of a damaged node; no node has this name.
    if node.op in operation_effects.TABLES_OF_FILES:
      return (
        name in self._init
        and name not in self._model | self._restore
        and self._source(data[1]) in self._assets
      )
    if node.op in operation_effects.RESTORES:
      if name in self._model | self._init:
        return False
      # One that nothing runs is the initial value of a variable that is
      # restored.
      return (
        name not in self._restore or self._source(data[0]) == self._filename
      )
    if node.op in operation_effects.SAVES:
      return (
        name in self._save
        and name not in self._model | self._restore | self._init
        and self._filename in self._behind([name])
      )
    return False

  def duplicates(self):
    """Returns the sorted names that several functions have."""
    library = self._meta_graph.graph_def.library
    counts = collections.Counter(f.signature.name for f in library.function)
    return sorted(name for name, count in counts.items() if count > 1)

  def recursive(self):
    """Returns the sorted names of the functions that may call themselves."""
    calls = {
      name: called & set(self._calls) for name, called in self._calls.items()
    }
    callers = {name: [] for name in calls}
    for name, called in calls.items():
      for other in called:
        callers[other].append(name)
    ends = [name for name, called in calls.items() if not called]
    while ends:
      end = ends.pop()
      del calls[end]
      for caller in callers[end]:
        calls[caller].discard(end)
        if not calls[caller]:
          ends.append(caller)
    return sorted(calls)

  def loops_when_loading(self):
    """Returns the names of the nodes that loop when the model is inspected.

    Those of the initialization, of restoring, of what does not depend on the
    columns though the network does on it, of the keys of the parsers and of
    the labels and probabilities, which are read for logits that are given.
    """
    columns, layers = self._columns(), self._layers()
    logits = set(filter(self._has_one_output, self._logits(columns)))
    columns = set(filter(self._has_one_output, columns))
    run = self._init | self._restore
    run |= graph_defs.ancestors(
      self.nodes, layers, ends=columns
    ) - graph_defs.descendants(self.nodes, columns)
    for node in self.nodes.values():
      if node.op in _PARSE_OPS:
        run |= self._behind(node.input[1:])
    predict = self._meta_graph.signature_def.get('predict')
    for name in ('classes', 'all_classes', 'probabilities'):
      if predict is not None and name in predict.outputs:
        tensors = meta_graphs.tensor_names(predict.outputs[name])
        run |= graph_defs.ancestors(self.nodes, tensors, ends=logits)
    return {name for name in run if self._loops(self.nodes[name])}

  def _has_one_output(self, name):
    """Whether a node is not run for other tensors if its tensor is fed."""
    if name not in self.nodes:
      return False
    definition = graph_defs.op_def(self.nodes[name].op)
    arguments = definition.output_arg if definition is not None else ()
    return len(arguments) == 1 and not (
      arguments[0].number_attr or arguments[0].type_list_attr
    )

  def _loops(self, node):
    called = graph_defs.reachable(
      self._calls, graph_defs.called_functions(node, self.functions)
    )
    return node.op in operation_effects.LOOPS or any(
      inner.op in operation_effects.LOOPS
      for name in called & set(self.functions)
      for inner in self.functions[name].node_def
    )

  def _behind(self, references):
    return graph_defs.ancestors(self.nodes, references)

  def _source(self, reference):
    """Returns the name of the node whose output is handed on to an input."""
    name = graph_defs.producer(reference)
    seen = set()
    while (
      name in self.nodes
      and self.nodes[name].op == 'Identity'
      and name not in seen
    ):
      seen.add(name)
      name = graph_defs.producer(self.nodes[name].input[0])
    return name

  def _annotations(self):
    """Returns the outputs of the signature of annotations."""
    signatures = self._meta_graph.signature_def
    if names.SIGNATURE not in signatures:
      return {}
    return signatures[names.SIGNATURE].outputs

  def _columns(self):
    """Returns the set of the names of the columns' nodes."""
    for name in (
      names.LayerAnnotationsCollectionNames.PROCESSED_FEATURES,
      names.PROCESSED_FEATURES_RESPELLED,
    ):
      columns = meta_graphs.tensors_in_collection(
        self._meta_graph,
        names.LayerAnnotationsCollectionNames.values(name),
      )
      if columns:
        break
    else:
      prefix = names.PROCESSED_FEATURES_OUTPUT + '/'
      columns = [
        tensor
        for name, info in self._annotations().items()
        if name.startswith(prefix)
        for tensor in meta_graphs.tensor_names(info)
      ]
    return {graph_defs.producer(column) for column in columns}

  def _layers(self):
    """Returns the names of the nodes of the layers, or what may be such."""
    annotated = [
      tensor
      for name, info in self._annotations().items()
      if name.startswith((names.HIDDEN_LAYERS_OUTPUT, names.LOGITS_OUTPUT))
      for tensor in meta_graphs.tensor_names(info)
    ]
    return annotated or list(filter(_LAYER.search, self.nodes))

  def _logits(self, columns):
    """Returns the set of the name of the logits' node; empty if not known."""
    outputs = self._annotations()
    if outputs:
      if names.LOGITS_OUTPUT not in outputs:
        return set()
      return {
        graph_defs.producer(name)
        for name in meta_graphs.tensor_names(outputs[names.LOGITS_OUTPUT])
      }
    found = graph_defs.descendants(self.nodes, columns)
    found = {name for name in self._layers() if name in found}
    found = {name for name in found if 'logits' in name.split('/')[-2]}
    return found if len(found) == 1 else set()

  def _fetches(self):
    """Returns the names of the tensors that a reader may compute."""
    fetches = list(self._layers())
    for name, signature in self._meta_graph.signature_def.items():
      if name != meta_graphs.INIT_SIGNATURE:
        for info in signature.outputs.values():
          fetches += meta_graphs.tensor_names(info)
    for name in self._meta_graph.collection_def:
      fetches += meta_graphs.tensors_in_collection(self._meta_graph, name)
    return fetches


def _assets_elsewhere(export_dir, meta_graph):
  """Yields what is wrong with the assets that are not the SavedModel's own."""
  root = os.path.realpath(export_dir)
  for asset in meta_graphs.assets(meta_graph):
    name = asset.filename
    if not name or name in ('.', '..') or re.search(r'[/\\]', name):
      yield f'the asset {name!r} is not a file in its directory assets'
    elif os.path.isdir(root):  # Not on another file system.
      path = os.path.realpath(os.path.join(root, 'assets', name))
      if not path.startswith(os.path.join(root, '')):
        yield f'the asset {name!r} is a link to a file outside of it'
