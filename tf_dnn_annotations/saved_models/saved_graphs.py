"""The graph of a SavedModel, made differentiable, and sessions of it."""

import tensorflow.compat.v1 as tf
from tensorflow.python.saved_model import loader_impl

from tf_dnn_annotations.saved_models import inlined_functions
from tf_dnn_annotations.saved_models import trust

_TAGS = [tf.saved_model.tag_constants.SERVING]


class SavedGraph(object):
  """The graph for serving of a SavedModel, in a `tf.Graph`.

  Attributes:
    graph: the `tf.Graph`.
    meta_graph: its `MetaGraphDef`, as it was imported.
  """

  def __init__(self, export_dir, trust_model):
    """Imports the graph.

    Args:
      export_dir: str, directory of the SavedModel. It is parsed once: what is
        checked is what is imported.
      trust_model: whether to import it whatever it does.

    Raises:
      trust.UntrustedModelError: it does more than compute.
    """
    self._loader = loader_impl.SavedModelLoader(export_dir)
    self.meta_graph = self._loader.get_meta_graph_def_from_tags(_TAGS)
    if not trust_model:
      trust.check(export_dir, self.meta_graph)
    inlined_functions.strip_gradients(self.meta_graph.graph_def)
    inlined_functions.inline(self.meta_graph.graph_def)
    self.graph = tf.Graph()
    self._saver, _ = self._loader.load_graph(self.graph, _TAGS)

  def new_session(self):
    """Returns a session with the variables and tables of the SavedModel."""
    session = tf.Session(graph=self.graph)
    try:
      self._loader.restore_variables(session, self._saver)
      self._loader.run_init_ops(session, _TAGS)
    except Exception:
      session.close()
      raise
    return session
