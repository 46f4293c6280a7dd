"""A SavedModel that does more than compute is refused before it is loaded."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import zipfile

from absl.testing import absltest
from absl.testing import parameterized
from google.protobuf import text_format
import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import function as functions_of_tf1
from tensorflow.python.saved_model import loader_impl

from testdata import make_foreign
from tests.support import command
from tests.support import directories
from tests.support import model_cases
from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
import tf_dnn_annotations as tfda
from tf_dnn_annotations.saved_models import trust

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_SECRET, _WRITTEN = 'secret.txt', 'written.txt'
_NETWORK = numpy_network.Network(
  [
    ([[1.0, -2.0], [0.5, 3.0]], [0.25, -1.0]),
    ([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]], [0.0, 0.125, -0.5]),
  ]
)
_WRITES = absltest.skipUnless(
  importlib.util.find_spec('tensorflow_estimator'), 'nothing to export with'
)
_X = np.float32([[1.0, 2.0], [-0.5, 3.0]])


def _path(name):
  return os.path.join(_directory(), name)


def _directory(made=[]):  # noqa: B006 - made once.
  if not made:
    made.append(directories.new_dir())
    with open(os.path.join(made[0], _SECRET), 'w') as file:
      file.write('secret')
  return made[0]


def _kept(version):
  """Returns the directory of the kept SavedModels of a TensorFlow."""
  directory = directories.new_dir()
  with zipfile.ZipFile(str(make_foreign.DIR / f'{version}.zip')) as archive:
    archive.extractall(directory)
  return directory


def _endless(value):
  return tf.while_loop(lambda i: i < 1, lambda i: i * 0, [value])


def _in_function(make_fn):
  """Returns the result of a function of the graph that does something."""

  @functions_of_tf1.Defun(tf.float32)
  def called(value):
    with tf.control_dependencies([make_fn()]):
      return value + 1.0

  return called(tf.constant(1.0))


def _nested_loop():
  @tf.function
  def called(value):
    while value < 1:
      value *= 0
    return value

  return called(tf.constant(0))


def _write():
  return tf.write_file(_path(_WRITTEN), 'written')


def _table_of_file():
  table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
  return tf.raw_ops.InitializeTableFromTextFileV2(
    table_handle=table,
    filename=tf.constant(_path(_SECRET)),
    key_index=-2,
    value_index=-1,
  )


def _restored():
  return tf.raw_ops.RestoreV2(
    prefix=tf.constant(_path('ckpt')),
    tensor_names=['x'],
    shape_and_slices=[''],
    dtypes=[tf.float32],
  )[0]


# What makes the operation, and what the error says of it. They are run when
# the model is loaded or, as its labels, when it is inspected.
_OPERATIONS = {
  'write_file': (_write, r'WriteFile.* reads or writes files'),
  'write_in_function': (
    lambda: _in_function(_write),
    r'WriteFile.* in the function .* reads or writes files',
  ),
  'read_file': (
    lambda: tf.read_file(_path(_SECRET)),
    'ReadFile.* reads or writes files',
  ),
  'matching_files': (
    lambda: tf.raw_ops.MatchingFiles(pattern='/*'),
    'MatchingFiles.* reads or writes files',
  ),
  'mapped_file': (
    lambda: tf.raw_ops.ImmutableConst(
      dtype=tf.uint8, shape=[6], memory_region_name=_path(_SECRET)
    ),
    'ImmutableConst.* reads or writes files',
  ),
  'decoded_proto': (
    lambda: tf.raw_ops.DecodeProtoV2(
      bytes=[b''],
      message_type='x',
      field_names=[],
      output_types=[],
      descriptor_source=_path(_SECRET),
    )[0],
    'DecodeProtoV2.* reads or writes files',
  ),
  'py_func': (
    lambda: tf.py_func(lambda: np.float32(1), [], tf.float32),
    'PyFunc.* runs Python',
  ),
  'py_function': (
    lambda: tf.py_function(lambda: 1.0, [], tf.float32),
    'EagerPyFunc.* runs Python',
  ),
  'print': (lambda: tf.Print(1.0, [1.0]), r"'Print'\) prints"),
  'print_v2': (lambda: tf.print('x'), 'PrintV2.* prints'),
  'dataset': (
    lambda: tf.data.make_one_shot_iterator(
      tf.data.TextLineDataset(_path(_SECRET))
    ).get_next(),
    'Iterator.* reads or writes files',
  ),
  'abort': (lambda: tf.raw_ops.Abort(), 'Abort.* ends the process'),
  'table_of_any_file': (_table_of_file, 'InitializeTableFromTextFileV2'),
  'restore': (_restored, 'RestoreV2.* reads or writes files'),
  'save': (
    lambda: tf.raw_ops.SaveV2(
      prefix=_path(_WRITTEN),
      tensor_names=['x'],
      shape_and_slices=[''],
      tensors=[tf.constant(1.0)],
    ),
    'SaveV2.* reads or writes files',
  ),
}
_LOOPS = {
  'loop': lambda: _endless(tf.constant(0)),
  'loop_in_function': _nested_loop,
}


def _merged(meta_graph, make_fn):
  """Adds what a function makes to a graph; returns the name of its node."""
  with tf.Graph().as_default() as graph:
    with tf.name_scope('hostile'):
      made = make_fn()
    made = made if isinstance(made, tf.Operation) else made.op
    added = graph.as_graph_def(add_shapes=False)
  meta_graph.graph_def.node.extend(added.node)
  meta_graph.graph_def.library.MergeFrom(added.library)
  return made.name


def _run_when_loaded(make_fn):
  """Returns the edit by which loading runs what a function makes."""

  def edit(meta_graph):
    name = _merged(meta_graph, make_fn)
    collections = meta_graph.collection_def
    for key in ('saved_model_main_op', 'legacy_init_op'):
      if key in collections:
        (init,) = collections[key].node_list.value
    (init,) = [n for n in meta_graph.graph_def.node if n.name == init]
    init.input.append('^' + name)

  return edit


def _run_for_logits_that_are_fed(make_fn):
  """Returns the edit by which labels wait for the logits, and these for more.

  The logits are fed when labels are read, but are computed still if something
  waits for their operation.
  """

  def edit(meta_graph):
    name = _merged(meta_graph, make_fn)
    logits = meta_graph.signature_def['layer_annotations'].outputs['logits']
    (node,) = [
      node
      for node in meta_graph.graph_def.node
      if node.name == logits.name.split(':')[0]
    ]
    node.input.append('^' + name)
    _add_classes(meta_graph, node.name)

  return edit


def _run_for_labels(make_fn):
  """Returns the edit by which reading the labels runs what a function makes."""

  def edit(meta_graph):
    _add_classes(meta_graph, _merged(meta_graph, make_fn))

  return edit


def _add_classes(meta_graph, name):
  """Makes the classes that are predicted wait for an operation."""
  classes = meta_graph.signature_def['predict'].outputs['classes']
  node = meta_graph.graph_def.node.add(name='classes', op='Identity')
  node.input.extend([classes.name, '^' + name])
  node.attr['T'].type = classes.dtype
  classes.name = 'classes:0'


class UntrustedModelsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    version = make_foreign.VERSIONS[tf.__version__ >= '2']
    cls.export_dir = os.path.join(_kept(version), 'classifier')

  def _check_refused(self, edit, regex):
    export_dir = saved_model_files.edited_copy(self.export_dir, edit)
    self._check(export_dir, regex)

  def _check(self, export_dir, regex):
    with self.assertRaisesRegex(
      tfda.UntrustedModelError,
      f'(?s)^`export_dir` must .*{regex}.*trust.*`trust_model=True`',
    ) as raised:
      tfda.IntegratedGradients(export_dir)
    self.assertNotIn('\n', str(raised.exception))
    self.assertFalse(os.path.exists(_path(_WRITTEN)))

  @parameterized.parameters(*_OPERATIONS)
  def test_operations(self, name):
    make_fn, regex = _OPERATIONS[name]
    for edit in (_run_when_loaded(make_fn), _run_for_labels(make_fn)):
      self._check_refused(edit, regex)

  def test_endless_loops(self):
    """In a process of its own, which ends even if they run."""
    export_dirs = [
      saved_model_files.edited_copy(self.export_dir, edit_of(make_fn))
      for make_fn in _LOOPS.values()
      for edit_of in (
        _run_when_loaded,
        _run_for_labels,
        _run_for_logits_that_are_fed,
      )
    ]
    program = (
      'import sys\nimport tf_dnn_annotations as tfda\n'
      'for export_dir in sys.argv[1:]:\n'
      '  try:\n    tfda.IntegratedGradients(export_dir)\n'
      '  except ValueError as error:\n    print(error)\n'
    )
    result = subprocess.run(
      [sys.executable, '-c', program, *export_dirs],
      check=True,
      cwd=str(_ROOT),
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      timeout=120,
      universal_newlines=True,
    )
    lines = result.stdout.splitlines()
    self.assertLen(lines, len(export_dirs))
    for line in lines:
      self.assertRegex(line, "'hostile.* may never end.*trust_model=True")

  def test_unknown_operations(self):
    def edit(meta_graph):
      meta_graph.graph_def.node.add(name='hostile', op='Evil\x1b[2J')

    self._check_refused(
      edit, r"'hostile' \('Evil\\x1b\[2J'\) is not an operation of TensorFlow"
    )

  def test_functions_that_call_themselves(self):
    def edit(meta_graph):
      for name, other in ('first', 'second'), ('second', 'first'):
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add(name='call', op=other)

    self._check_refused(edit, "function 'first' calls itself")

  def test_functions_of_one_name(self):
    def edit(meta_graph):
      for _ in range(2):
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = 'twice'

    self._check_refused(edit, "function 'twice' is there twice")

  def test_a_function_named_like_an_operation(self):
    def edit(meta_graph):
      _run_when_loaded(_write)(meta_graph)
      function = meta_graph.graph_def.library.function.add()
      function.signature.name = 'WriteFile'

    self._check_refused(edit, 'WriteFile.* reads or writes files')

  @parameterized.parameters('../../secret.txt', '/etc/passwd', '', '..', 'a\\b')
  def test_assets_elsewhere(self, filename):
    def edit(meta_graph):
      meta_graph.asset_file_def.add(filename=filename)

    self._check_refused(edit, 'asset .* is not a file in its directory assets')

  def test_an_asset_that_is_a_link(self):
    def edit(meta_graph):
      meta_graph.asset_file_def.add(filename='words.txt')

    export_dir = saved_model_files.edited_copy(self.export_dir, edit)
    os.makedirs(os.path.join(export_dir, 'assets'), exist_ok=True)
    os.symlink(_path(_SECRET), os.path.join(export_dir, 'assets', 'words.txt'))
    self._check(export_dir, "'words.txt' is a link to a file outside of it")

  @_WRITES
  def test_a_table_of_an_asset_that_labels_initialize(self):
    """There TensorFlow would take the path in the graph, of any file."""
    export_dir = model_cases.annotated_export('vocabulary_file', 'vocabulary')

    def edit(meta_graph):
      (name,) = [
        node.name
        for node in meta_graph.graph_def.node
        if node.op == 'InitializeTableFromTextFileV2'
      ]
      _add_classes(meta_graph, name)

    edited = saved_model_files.edited_copy(export_dir, edit)
    self._check(edited, 'InitializeTableFromTextFileV2')

  def test_text_protos(self):
    export_dir = saved_model_files.edited_copy(
      self.export_dir, _run_when_loaded(_write)
    )
    path = os.path.join(export_dir, 'saved_model.pb')
    saved_model = loader_impl.parse_saved_model(export_dir)
    os.remove(path)
    with open(path + 'txt', 'w') as file:
      file.write(text_format.MessageToString(saved_model))
    self._check(export_dir, 'WriteFile')

  def test_the_graph_that_is_loaded_counts(self):
    """Not another one of the SavedModel, before or after it."""
    saved_model = loader_impl.parse_saved_model(self.export_dir)
    hostile = saved_model_pb2.SavedModel.FromString(
      saved_model.SerializeToString()
    )
    _run_when_loaded(_write)(hostile.meta_graphs[0])
    for tags, is_refused in (['train'], False), (['serve'], True):
      both = saved_model_pb2.SavedModel()
      both.meta_graphs.extend([hostile.meta_graphs[0]])
      both.meta_graphs.extend([saved_model.meta_graphs[0]])
      del both.meta_graphs[0].meta_info_def.tags[:]
      both.meta_graphs[0].meta_info_def.tags.extend(tags)
      copy = saved_model_files.edited_copy(self.export_dir, lambda _: None)
      saved_model_files.write(copy, both)
      if is_refused:
        self._check(copy, 'WriteFile')
      else:
        tfda.IntegratedGradients(copy).model.close()

  def test_command_line(self):
    export_dir = saved_model_files.edited_copy(
      self.export_dir, _run_when_loaded(_write)
    )

    code, _, stderr = command.run('inspect', export_dir)
    self.assertEqual(code, 1)
    self.assertRegex(
      stderr, '(?s)^tf_dnn_annotations inspect: error: EXPORT_DIR must'
    )
    self.assertRegex(stderr, 'WriteFile.* pass --trust_model')
    self.assertFalse(os.path.exists(_path(_WRITTEN)))
    code, _, stderr = command.run('inspect', export_dir, '--trust_model')
    self.assertEqual(code, 0, stderr)
    self.assertTrue(os.path.exists(_path(_WRITTEN)))
    os.remove(_path(_WRITTEN))


class TrustedModelsTest(parameterized.TestCase):
  @_WRITES
  def test_a_trusted_model_is_explained(self):
    def printing(z):
      with tf.control_dependencies([tf.print('of a batch')]):
        return tf.nn.relu(z)

    export_dir = network_export.export(_NETWORK, activation_fn=printing)
    with self.assertRaisesRegex(tfda.UntrustedModelError, 'PrintV2'):
      tfda.IntegratedGradients(export_dir)
    with tfda.IntegratedGradients(export_dir, trust_model=True) as ig:
      values = ig.attribute({'x': _X}, targets=0).values['x']
    for row, value in zip(_X, values):
      np.testing.assert_allclose(
        value,
        _NETWORK.attributions(row, np.zeros(2), 'logits')[0],
        rtol=1e-5,
        atol=1e-5,
      )

  @_WRITES
  @parameterized.parameters(
    'embedding_from_checkpoint',
    'mixed',
    'private_v1',
    'shared_v2',
    'vocabulary_file',
    'weighted',
  )
  def test_ordinary_models(self, case):
    for form in 'parsed', 'sparse':
      self._check_ordinary(
        model_cases.annotated_export(case, 'vocabulary', form)
      )

  @_WRITES
  @parameterized.parameters(*model_cases.HEADS)
  def test_ordinary_heads(self, head):
    version = 2 if head == 'multi_class' else 1
    self._check_ordinary(
      model_cases.annotated_export(
        'mixed', head, version=version, batch_norm=True, dropout=0.5
      )
    )

  def test_kept_models(self):
    roots = [_ROOT / 'testdata']
    roots += [_kept(path.stem) for path in make_foreign.DIR.glob('*.zip')]
    export_dirs = [
      path.parent
      for root in roots
      for path in sorted(pathlib.Path(root).rglob('saved_model.pb'))
    ]
    self.assertGreater(len(export_dirs), 20)
    for export_dir in export_dirs:
      with self.subTest(export_dir):
        self._check_ordinary(str(export_dir))

  def _check_ordinary(self, export_dir):
    (meta_graph,) = loader_impl.parse_saved_model(export_dir).meta_graphs
    try:
      trust.check(export_dir, meta_graph)
    except trust.UntrustedModelError as error:
      # TensorFlow 1 does not know all operations of 2, which not all models
      # have; what is known is ordinary.
      version = meta_graph.meta_info_def.tensorflow_version
      self.assertTrue(version > tf.__version__ and error.unknown, error)
      self.assertNotRegex(str(error), 'reads|prints|Python|never end')


if __name__ == '__main__':
  absltest.main()
