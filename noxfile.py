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

# Every test file that a suite has; the whole is all of tests/.
_WRITER = (
  'annotations_test',
  'bad_input_estimators_test',
  'checkpoint_interchange_test',
  'conformance_test',
  'isolation_of_builds_test',
  'parity_test',
  'saved_model_test',
)
# What needs no estimator: kept SavedModels, and the parts that read them.
_READER = (
  'attribution_files_test',
  'attribution_summary_test',
  'example_files_test',
  'foreign_saved_models_test',
  'layering_test',
  'linear_regions_test',
  'path_integral_test',
)
# What exports a model first, to read it.
_WRITER_AND_READER = (
  'baselines_test',
  'batching_test',
  'bad_input_reader_test',
  'cli_test',
  'closed_form_test',
  'column_descriptions_test',
  'completeness_test',
  'first_layer_test',
  'golden_test',
  'reader_inputs_test',
  'targets_test',
)


def _session(name, pythons, requirements, suites):
  """Defines a session.

  Args:
    name: of the session.
    pythons: list of versions of Python, of which the first found is taken.
    requirements: arguments of `pip install`.
    suites: list of the names of test files; [] for all.
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
    tests = session.posargs or [f'tests/{suite}.py' for suite in suites]
    # Two workers, as a model in training keeps a core busy; those tests stay
    # together that share a class's or a module's trained model.
    session.run(
      *('python', '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadscope'),
      *('-p', 'no:cacheprovider', '--durations=5'),
      *tests,
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
  [],
)
_session(
  'tf115',
  ['3.7'],
  ['--requirement', 'requirements/tf115.txt'],
  _WRITER + _WRITER_AND_READER + _READER + ('replaces_contrib_test',),
)
# Between the two, a spot check.
_session(
  'tf211',
  ['3.10'],
  ['--requirement', 'requirements/tf211.txt'],
  ('annotations_test', 'checkpoint_interchange_test', 'saved_model_test'),
)
# No tf.estimator there.
_session(
  'tf221',
  ['3.12', '3.13'],
  ['--requirement', 'requirements/tf221.txt'],
  _READER,
)
