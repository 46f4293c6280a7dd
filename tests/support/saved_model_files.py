"""The saved_model.pb of a SavedModel, read and written without this package."""

import os
import shutil

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.support import directories


def read(export_dir):
  """Returns the `SavedModel` message of a SavedModel.

  Args:
    export_dir: the SavedModel's directory, str or bytes.
  """
  with open(_path(export_dir), 'rb') as file:
    return saved_model_pb2.SavedModel.FromString(file.read())


def meta_graphs(export_dir):
  """Returns {first tag: `MetaGraphDef`} of a SavedModel."""
  return {
    meta_graph.meta_info_def.tags[0]: meta_graph
    for meta_graph in read(export_dir).meta_graphs
  }


def meta_graph(export_dir):
  """Returns the one `MetaGraphDef` of a SavedModel."""
  (found,) = read(export_dir).meta_graphs
  return found


def signatures(export_dir):
  """Returns {name: `SignatureDef`} of a SavedModel of one `MetaGraphDef`."""
  return dict(meta_graph(export_dir).signature_def)


def write(export_dir, saved_model):
  """Writes a `SavedModel` message in place of the one that is there."""
  with open(_path(export_dir), 'wb') as file:
    file.write(saved_model.SerializeToString(deterministic=True))


def edited_copy(export_dir, edit_fn):
  """Returns a copy of a SavedModel, its `MetaGraphDef` changed by a function.

  Args:
    export_dir: the SavedModel's directory.
    edit_fn: function of the `MetaGraphDef`, which it changes in place.
  """
  copy = os.path.join(directories.new_dir(), 'copy')
  shutil.copytree(tf.compat.as_text(export_dir), copy)
  saved_model = read(copy)
  (found,) = saved_model.meta_graphs
  edit_fn(found)
  write(copy, saved_model)
  return copy


def _path(export_dir):
  return os.path.join(tf.compat.as_text(export_dir), 'saved_model.pb')
