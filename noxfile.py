"""The tests on each TensorFlow that is supported.

    python -m nox                     # all of them
    python -m nox --session tf115     # one

A session makes a virtual environment of its own in .nox, from the Python that
its TensorFlow has wheels for, with the versions in requirements/. One whose
Python is not there is skipped, and says so. `make test` runs the tests of
tf215 in .venv, without nox; .ci/run runs it and the other sessions.
"""

import pathlib
import subprocess
import sys

import nox

_ROOT = pathlib.Path(__file__).resolve().parent

nox.needs_version = '>=2024.3.2'
nox.options.default_venv_backend = 'venv'
nox.options.reuse_existing_virtualenvs = True
nox.options.stop_on_first_error = False

# New tests are run on 1.15 too, unless they are entered here.
_NOT_ON_TF115 = (
  # Of the repository.
  'build_files_test',
  'readme_test',
  'wheel_test',
  # Of what 1.15 cannot do, or Python 3.7 has no package for: SavedModels of
  # TensorFlow 2, its strategies, newer TensorFlows, the demo, saliency.
  'demo_test',
  'distribution_test',
  'golden_test',
  'independent_library_test',
  'modern_tf_test',
  'other_readers_test',
  'tensorflow_names_test',
  # Whole jobs, which take minutes: of those, 2.15's.
  'cluster_test',
  'pipeline_features_test',
)
_SPOT_CHECK_OF_WRITER = (
  'annotations_test',
  'checkpoint_interchange_test',
  'saved_model_test',
)
# What needs no estimator: kept SavedModels, and the parts that read them.
_READER = (
  'activations_test',
  'attribution_files_test',
  'attribution_summary_test',
  'compiled_library_test',
  'contrib_saved_model_test',
  'crc32c_test',
  'csv_files_test',
  'example_files_test',
  'foreign_saved_models_test',
  'golden_test',
  'input_limits_test',
  'layering_test',
  'linear_regions_test',
  'path_integral_test',
  'trust_test',
)
# What tells a TensorFlow that tensorflow_estimator cannot run on.
_GUARDS = ('tensorflow_names_test', 'golden_checkpoint_test')


def _session(name, pythons, requirements, tests, without_dependencies=()):
  """Defines a session.

  Args:
    name: of the session.
    pythons: list of versions of Python, of which the first found is taken.
    requirements: arguments of `pip install`.
    tests: names of test files in tests/, without .py; () for all of them.
    without_dependencies: packages installed without what they ask for.
  """
  found = subprocess.run(
    [str(_ROOT / 'tools' / 'find_python'), *pythons],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    universal_newlines=True,
  )
  python = found.stdout.strip() or False

  def run(session):
    if not python:
      print(f'*** {name}: NOT RUN. {found.stderr}', file=sys.stderr)
      session.skip(f'no Python {" or ".join(pythons)}')
    session.install(*requirements)
    if without_dependencies:
      session.install('--upgrade', '--no-deps', *without_dependencies)
    # Two workers, as a model in training keeps a core busy; those tests stay
    # together that share a class's or a module's trained model.
    session.run(
      *('python', '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadscope'),
      *('-p', 'no:cacheprovider', '--durations=5'),
      *(session.posargs or [f'tests/{test}.py' for test in tests]),
      env={'TF_CPP_MIN_LOG_LEVEL': '2'},
    )

  nox.session(run, name=name, python=python)


_session(
  'tf215',
  ['3.11', '3.10', '3.9'],
  [
    *('--requirement', 'requirements.txt'),
    *('--requirement', 'requirements-test.txt'),
    *('--constraint', 'constraints.txt'),
  ],
  (),
)
_session(
  'tf115',
  ['3.7'],
  ['--requirement', 'requirements/tf115.txt'],
  sorted(
    {
      path.relative_to(_ROOT / 'tests').with_suffix('').as_posix()
      for path in (_ROOT / 'tests').rglob('*_test.py')
    }
    - set(_NOT_ON_TF115)
  ),
)
_session(
  'tf211',
  ['3.10'],
  ['--requirement', 'requirements/tf211.txt'],
  _SPOT_CHECK_OF_WRITER,
)
# No tf.estimator there.
_session(
  'tf221',
  ['3.12', '3.13'],
  ['--requirement', 'requirements/tf221.txt'],
  _READER,
)
# The same with the tf.estimator that `modern_tf` gives it.
_session(
  'modern',
  ['3.12', '3.13'],
  [
    *('--no-deps', '--requirement', 'requirements/modern.txt'),
    *('--requirement', 'requirements/modern-test.txt'),
  ],
  (
    'activations_test',
    'annotations_test',
    'checkpoint_interchange_test',
    'cluster_test',
    'conformance_test',
    'demo_test',
    'distribution_test',
    'foreign_checkpoints_test',
    'modern_tf_test',
    'parity_test',
    'saved_model_test',
    'trust_test',
  )
  + _GUARDS,
)
# On the first TensorFlow without it, too.
_session(
  'tf216',
  ['3.11'],
  ['--no-deps', '--requirement', 'requirements/tf216.txt'],
  ('conformance_test', 'modern_tf_test', 'parity_test') + _GUARDS,
)
# And with whatever TensorFlow is the newest, to know what it has broken.
_session(
  'newest',
  ['3.13', '3.12'],
  [
    *('--upgrade', 'tensorflow-cpu', 'tensorflow-estimator==2.15.0'),
    *('pytest', 'pytest-xdist'),
  ],
  _GUARDS,
  # It asks for `tensorflow`.
  without_dependencies=['tf_keras'],
)
