"""A SavedModel whose files are damaged is refused in a line of our own."""

import glob
import os
import re
import shutil

from absl.testing import absltest
from absl.testing import parameterized

from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda

_GRAPH = 'saved_model.pb'
_INDEX = os.path.join('variables', 'variables.index')
_DATA = os.path.join('variables', 'variables.data-*')
_REMEDY = r'Copy the SavedModel again from where .*, or export it again\.$'


def _cut(share):
  return lambda content: content[: int(share * len(content))]


def _changed(share):
  """Returns an edit of a byte, that far into a file."""

  def edit(content):
    content = bytearray(content)
    content[int(share * len(content))] ^= 0x55
    return bytes(content)

  return edit


class DamagedFilesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.export_dir = network_export.export(
      numpy_network.random(1, [4, 30, 3]), label_vocabulary=['a', 'b', 'c']
    )

  def _damaged(self, path, edit_fn):
    copy = os.path.join(directories.new_dir(), 'copy')
    shutil.copytree(self.export_dir, copy)
    path = self._path(copy, path)
    with open(path, 'rb') as file:
      content = file.read()
    with open(path, 'wb') as file:
      file.write(edit_fn(content))
    return copy

  def _path(self, export_dir, pattern):
    """Returns the largest file of a name: TensorFlow 1 writes two for data."""
    return max(
      glob.glob(os.path.join(export_dir, pattern)), key=os.path.getsize
    )

  def _check(self, export_dir, regex):
    with self.assertRaises(ValueError) as raised:
      tfda.IntegratedGradients(export_dir)
    message = str(raised.exception)
    self.assertNotIn('\n', message)
    self.assertRegex(
      message,
      f'^`export_dir` {re.escape(repr(export_dir))} cannot be read: {regex}.* '
      + _REMEDY,
    )
    # What TensorFlow or Python said is there for those who look for it.
    self.assertIsNotNone(raised.exception.__cause__)

  @parameterized.parameters(
    _cut(0.01),
    _cut(0.5),
    _cut(0.99),
    lambda content: b'SavedModel',
    lambda content: b'\xff' * len(content),
  )
  def test_graph(self, edit_fn):
    self._check(
      self._damaged(_GRAPH, edit_fn), 'its saved_model.pb is damaged or was cut'
    )

  def test_graph_as_text(self):
    export_dir = self._damaged(_GRAPH, lambda content: b'meta_graphs { graph')
    path = os.path.join(export_dir, _GRAPH)
    os.rename(path, path + 'txt')
    self._check(export_dir, 'its saved_model.pbtxt is damaged or was cut')

  def test_graph_that_is_empty(self):
    self._check(self._damaged(_GRAPH, lambda content: b''), 'it ')

  @parameterized.product(
    path=[_INDEX, _DATA],
    edit_fn=[_cut(0), _cut(0.5), _cut(0.95), _changed(0.5)],
  )
  def test_variables(self, path, edit_fn):
    self._check(
      self._damaged(path, edit_fn), 'its variables are missing, damaged or'
    )

  @parameterized.parameters(_INDEX, _DATA)
  def test_variables_that_are_missing(self, path):
    export_dir = self._damaged(path, lambda content: content)
    os.remove(self._path(export_dir, path))
    self._check(export_dir, 'its variables are missing, damaged or')

  def test_nodes_that_are_missing(self):
    def edit(meta_graph):
      nodes = meta_graph.graph_def.node
      kept = [node for node in nodes if not node.name.endswith('MatMul')]
      del nodes[:]
      nodes.extend(kept)

    self._check(
      saved_model_files.edited_copy(self.export_dir, edit),
      'it is damaged, or of a TensorFlow that .* cannot read',
    )

  def test_variables_of_another_model(self):
    other = network_export.export(numpy_network.random(1, [4, 31, 3]))
    copy = os.path.join(directories.new_dir(), 'copy')
    shutil.copytree(self.export_dir, copy)
    shutil.rmtree(os.path.join(copy, 'variables'))
    shutil.copytree(
      os.path.join(other, 'variables'), os.path.join(copy, 'variables')
    )
    self._check(copy, 'its variables are missing, damaged or those of another')


if __name__ == '__main__':
  absltest.main()
