"""Imports point one way, and nothing is imported before it is needed."""

import ast
import pathlib
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

_PACKAGE = pathlib.Path(__file__).absolute().parents[1] / 'tf_dnn_annotations'

# Low to high: a module imports those before it alone.
_ORDER = (
  'estimator_stand_ins',
  'modern_tf',
  'compiled_library',
  'interrupts',
  'plain_text',
  'messages',
  'pending_file',
  'suggestions',
  'names',
  'blas_threads',
  'path_integral',
  'quadrature',
  'adaptive_quadrature',
  'piecewise_linear',
  'rounding',
  'region_weights',
  'region_sums',
  'path_sweep',
  'linear_regions',
  'column_attributions',
  'attributions',
  'annotations',
  'checkpoint_mismatch',
  'estimators',
  'row_errors',
  'raw_values',
  'feature_types',
  'feature_arrays',
  'feature_values',
  'graph_walks',
  'serialized_examples',
  'example_forms',
  'network',
  'refusals',
  'points',
  'class_labels',
  'column_configs',
  'found_annotations',
  'annotation_checks',
  'graph_defs',
  'inlined_functions',
  'meta_graphs',
  'operation_effects',
  'trust',
  'saved_graphs',
  'gradient_tensors',
  'output_gradients',
  'model_batches',
  'model_session',
  'vocabularies',
  'annotated_model',
  'baselines',
  'targets',
  'baseline_strategies',
  'bad_rows',
  'integrated_gradients',
  'column_descriptions',
  'crc32c',
  'input_files',
  'tfrecord_files',
  'csv_cells',
  'csv_files',
  'example_files',
  'attribution_files',
  'attribution_summary',
  'rejected_rows',
  'cli_parser',
  'attribution_notes',
  'command_inputs',
  'progress_bar',
  'inspect_command',
  'attribute_command',
  'cli',
  '__main__',
)
_NUMPY_ONLY = _ORDER[_ORDER.index('names') + 1 : _ORDER.index('annotations')]
_WRITER = (
  'estimator_stand_ins',
  'modern_tf',
  'checkpoint_mismatch',
  'estimators',
)
_READERS = _ORDER[_ORDER.index('row_errors') :]

# What is loaded only once something needs it.
_HEAVY = ('apache_beam', 'matplotlib', 'numpy', 'pandas', 'tensorflow', 'tqdm')
_EXTRAS = ('apache_beam', 'matplotlib', 'pandas', 'tqdm')


def _tree(module):
  return ast.parse((_PACKAGE / f'{module}.py').read_text('utf-8'))


def _imports(module):
  """Returns the dotted names that a module imports, wherever in its file."""
  names = set()
  for node in ast.walk(_tree(module)):
    if isinstance(node, ast.Import):
      names.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      names.update(f'{node.module}.{alias.name}' for alias in node.names)
  return names


def _own_imports(module):
  """Returns the modules of the package that a module imports."""
  parts = [name.split('.') for name in _imports(module)]
  return {
    name[1]
    for name in parts
    if name[0] == _PACKAGE.name and len(name) > 1 and name[1] in _ORDER
  }


def _loaded_by(program, absent=()):
  """Returns the packages that a program loads in a process of its own.

  Args:
    program: Python source.
    absent: packages whose import fails in it, as if they were not installed.
  """
  program = (
    f'import sys\nsys.modules.update(dict.fromkeys({absent!r}))\n{program}\n'
    'print(*{name for name, module in sys.modules.items() if module})'
  )
  result = subprocess.run(
    [sys.executable, '-c', program],
    cwd=str(_PACKAGE.parent),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    universal_newlines=True,
  )
  if result.returncode:
    raise AssertionError(result.stderr)
  return set(result.stdout.split())


class LayeringTest(parameterized.TestCase):
  def test_every_module_has_its_place(self):
    modules = {path.stem for path in _PACKAGE.glob('*.py')} - {'__init__'}
    self.assertCountEqual(modules, _ORDER)

  @parameterized.parameters(*_ORDER)
  def test_imports_point_one_way(self, module):
    lower = set(_ORDER[: _ORDER.index(module)])
    self.assertEmpty(_own_imports(module) - lower)

  @parameterized.parameters(*_READERS)
  def test_readers_do_not_import_the_writer(self, module):
    self.assertEmpty(_own_imports(module) & set(_WRITER))

  @parameterized.parameters(*_ORDER)
  def test_only_estimators_imports_tensorflow_estimator(self, module):
    imports_it = any(
      name.split('.')[0] == 'tensorflow_estimator' for name in _imports(module)
    )
    # TensorFlow has another name for it, tf.estimator, loaded when used.
    uses_it = any(
      isinstance(node, ast.Attribute) and node.attr == 'estimator'
      for node in ast.walk(_tree(module))
    )
    # `modern_tf` sets it.
    self.assertEqual(
      imports_it or uses_it, module in ('estimators', 'modern_tf')
    )

  @parameterized.parameters(*_NUMPY_ONLY)
  def test_the_core_knows_no_framework(self, module):
    loaded = _loaded_by(f'import {_PACKAGE.name}.{module}')
    self.assertCountEqual(loaded & set(_HEAVY), ['numpy'])

  def test_tensorflow_is_not_loaded_before_its_keras_is_chosen(self):
    loaded = _loaded_by(f'import {_PACKAGE.name}.modern_tf')
    self.assertEmpty(loaded & {*_HEAVY, 'tensorflow_estimator'})

  def test_plain_import_loads_nothing_heavy(self):
    loaded = _loaded_by(f'import {_PACKAGE.name}')
    self.assertIn(_PACKAGE.name, loaded)
    self.assertEmpty(loaded & {*_HEAVY, 'tensorflow_estimator'})

  def test_modules_are_there_after_a_plain_import(self):
    loaded = _loaded_by(
      f'import {_PACKAGE.name} as tfda\n'
      'tfda.path_sweep.is_built()\n'
      'assert not hasattr(tfda, "path_swept")'
    )
    self.assertNotIn('tensorflow', loaded)

  def test_readers_need_neither_tensorflow_estimator_nor_an_extra(self):
    loaded = _loaded_by(
      '\n'.join(f'import {_PACKAGE.name}.{module}' for module in _READERS[:-1]),
      absent=('tensorflow_estimator',) + _EXTRAS,
    )
    self.assertIn('tensorflow', loaded)


if __name__ == '__main__':
  absltest.main()
