"""The tests on each TensorFlow that is supported.

    python -m nox                     # all of them
    python -m nox --session tf115     # one

A session makes a virtual environment of its own in .nox, from a Python that its
TensorFlow has wheels for, with the versions in the file of its name in
requirements/, which `make pins` compiles. A session whose Python is not found
is skipped with a message. `make test` runs tests of tf215 in .venv, without
nox; .ci/run runs all of them, and the other sessions.
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

# Tests run on 1.15 too unless they are listed here.
_NOT_ON_TF115 = (
  # Tests of the repository.
  'build_files_test',
  'readme_test',
  'requirements_test',
  'wheel_test',
  # Tests of SavedModels of TensorFlow 2, of its strategies, of newer
  # TensorFlows, and of the demo and saliency, which need a newer Python.
  'demo_test',
  'distribution_test',
  'golden_test',
  'independent_library_test',
  'modern_tf_test',
  'other_readers_test',
  'tensorflow_names_test',
  # Whole jobs, which take minutes: 2.15 is enough.
  'cluster_test',
  'pipeline_features_test',
)
_SPOT_CHECK_OF_WRITER = (
  'annotations_test',
  'checkpoint_interchange_test',
  'saved_model_test',
)
# Tests without an estimator: of kept SavedModels, and of parts that read them.
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
# Tests that fail on a TensorFlow that tensorflow_estimator cannot run on.
_GUARDS = ('tensorflow_names_test', 'golden_checkpoint_test')


def _session(name, pythons, installs, tests):
  """Defines a session.

  Args:
    name: str.
    pythons: list of versions of Python, of which the first found is used.
    installs: list of the arguments of each `pip install`.
    tests: names of test files in tests/, without .py; () for all of them.
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
    for arguments in installs:
      session.install(*arguments)
    # Two workers, as a model in training keeps a core busy. Tests that share
    # the trained model of a class or a module stay together.
    session.run(
      *('python', '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadscope'),
      *('-p', 'no:cacheprovider', '--durations=5'),
      *(session.posargs or [f'tests/{test}.py' for test in tests]),
      env={'TF_CPP_MIN_LOG_LEVEL': '2'},
    )

  nox.session(run, name=name, python=python)


def _pinned(*names):
  """Returns the arguments of a `pip install` of files in requirements/."""
  # They list everything: pip would follow tf_keras to a second TensorFlow.
  arguments = ['--no-deps']
  for name in names:
    arguments += ['--requirement', f'requirements/{name}.txt']
  return arguments


_session(
  'tf215',
  ['3.11', '3.10', '3.9'],
  [_pinned('tf215', 'tf215-test')],
  (),
)
_session(
  'tf115',
  ['3.7'],
  [_pinned('tf115')],
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
  [_pinned('tf211')],
  _SPOT_CHECK_OF_WRITER,
)
# No tf.estimator there.
_session(
  'tf221',
  ['3.12', '3.13'],
  [_pinned('tf221')],
  _READER,
)
# The same TensorFlow with the tf.estimator that `modern_tf` gives it.
_session(
  'modern',
  ['3.12', '3.13'],
  [_pinned('modern', 'modern-test')],
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
# The first TensorFlow without tf.estimator of its own.
_session(
  'tf216',
  ['3.11'],
  [_pinned('tf216')],
  ('conformance_test', 'modern_tf_test', 'parity_test') + _GUARDS,
)
# The newest TensorFlow, whichever it is, to learn what it has broken.
_session(
  'newest',
  ['3.13', '3.12'],
  [
    [
      *('--upgrade', 'tensorflow-cpu', 'tensorflow-estimator==2.15.0'),
      *('pytest', 'pytest-xdist'),
    ],
    # It requires `tensorflow`.
    ['--upgrade', '--no-deps', 'tf_keras'],
  ],
  _GUARDS,
)
