# Each target makes its virtual environment, .venv for most of them, once; see
# tools/find_python for the Python that is used. PYTHON=<command> and
# VENV=<directory> name others.

.PHONY: help demo docs test test-all test-others fuzz bench lint format pins \
  build-files clean

VENV = .venv
C = $(wildcard tf_dnn_annotations/integrals/*.[ch])
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet
# TensorFlow 2.15 or, where Python is too new for it, a TensorFlow that is given
# tf.estimator. Each file lists everything that it needs: pip would follow
# tf_keras to a second TensorFlow.
IS_MODERN = $(VENV)/bin/python -c 'import sys; exit(sys.version_info < (3, 12))'
define pip_install
@if $(IS_MODERN); then session=modern; else session=tf215; fi; \
  file=requirements/$$session$(1).txt; \
  echo "Installing $$file into $(VENV): some minutes, only once"; \
  $(PIP) --no-deps --requirement $$file
endef
# TensorFlow's notes on CPU features and missing GPUs would drown the rest.
export TF_CPP_MIN_LOG_LEVEL ?= 2

help:
	@echo 'make demo    train, export and explain a model of the penguins'
	@echo 'make test    the tests that take minutes together, on TensorFlow 2.15,'
	@echo '             or 2.21 from Python 3.12'
	@echo 'make test-all'
	@echo '             the same and the slow tests'
	@echo 'make test-others'
	@echo '             tests on TensorFlow 1.15 to 2.21: see noxfile.py'
	@echo 'make fuzz MINUTES=20 SEED=1'
	@echo '             spoilt SavedModels: counts what becomes of them'
	@echo 'make bench   speed, error and memory, ours and of other libraries'
	@echo 'make docs    the documentation as a site, in build/site'
	@echo 'make lint    ruff, as linter and as formatter that changes nothing; mypy'
	@echo 'make format  ruff, changing files'
	@echo 'make pins    compile requirements/*.txt from *.in: see tools/pins.py'
	@echo 'make clean   remove .venv and everything that was built'

demo: $(VENV)/.runs
	@$(VENV)/bin/python examples/penguins.py

# Two workers, as a model in training keeps a core busy. Tests that share the
# trained model of a class or a module stay together.
PYTEST = $(VENV)/bin/python -m pytest -q -n 2 --dist loadscope
test: $(VENV)/.tests
	$(PYTEST) -m 'not slow'

test-all: $(VENV)/.tests
	$(PYTEST)

test-others: $(VENV)/.tests
	$(VENV)/bin/python -m nox --sessions tf115 tf211 tf221 modern \
	  tf216 newest

# Exits with an error if, say, a number was silently wrong: see docs/fuzzing.md.
MINUTES = 20
SEED = 1
fuzz: $(VENV)/.tests
	$(VENV)/bin/python -m tests.properties.fuzz --minutes=$(MINUTES) \
	  --seed=$(SEED) $(FUZZ_FLAGS)

# BENCH_FLAGS=--quick only checks that it runs.
bench: .venv-bench/.runs
	.venv-bench/bin/python -m benchmarks.bench $(BENCH_FLAGS)

# Strict: a broken link, or a name that is not there, is an error. So is anything
# that a reader's browser would load from another host.
REMOTE = <(script|link|img|iframe)[^>]*(src|href)="?(https?:)?//|url\(["']?http
docs: .venv-docs/.runs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict
	@if grep -rlE '$(subst ','\'',$(REMOTE))' build/site; \
	  then echo 'These load something from another host.' >&2; exit 1; fi
	@echo 'Built build/site/index.html'

lint: $(VENV)/.tests
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy

format: $(VENV)/.tests
	$(VENV)/bin/python -m ruff check --fix .
	$(VENV)/bin/python -m ruff format .

# PINS='--upgrade-package NAME' takes a newer version.
pins: .venv-pins/.runs
	.venv-pins/bin/python tools/pins.py $(PINS)

build-files:
	python3 tools/build_files.py

clean:
	rm -rf $(VENV) .venv-bench .venv-docs .venv-pins .nox build dist *.egg-info \
	  .pytest_cache .ruff_cache .hypothesis fuzz penguins_demo
	rm -f tf_dnn_annotations/integrals/_path_sweep.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per step, so that only a step that failed is repeated.

$(VENV)/.made: tools/find_python
	@python=$$(tools/find_python) && echo "Making $(VENV) from $$python" && \
	  "$$python" -m venv --clear $(VENV)
	@touch $@

PACKAGING = pyproject.toml setup.py
REQUIREMENTS = requirements/tf215.txt requirements/modern.txt
$(VENV)/.runs: $(VENV)/.made $(REQUIREMENTS) $(PACKAGING) $(C)
	$(call pip_install,)
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

TEST_REQUIREMENTS = requirements/tf215-test.txt requirements/modern-test.txt
$(VENV)/.tests: $(VENV)/.runs $(TEST_REQUIREMENTS)
	$(call pip_install,-test)
	@touch $@

# The versions of the peers are for one Python.
.venv-bench/.runs: benchmarks/requirements.txt $(PACKAGING) $(C)
	@python=$$(tools/find_python 3.11) && \
	  echo "Making .venv-bench from $$python: some minutes, only once" && \
	  "$$python" -m venv .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check install \
	  --quiet --requirement benchmarks/requirements.txt
	@.venv-bench/bin/python setup.py --quiet build_ext --inplace
	@touch $@

.venv-docs/.runs: requirements/docs.txt
	@python=$$(tools/find_python 3.11 3.12 3.13) && \
	  echo "Making .venv-docs from $$python, this once" && \
	  "$$python" -m venv .venv-docs
	@.venv-docs/bin/python -m pip --disable-pip-version-check install \
	  --quiet --requirement requirements/docs.txt
	@touch $@

.venv-pins/.runs: requirements/pins.txt
	@python=$$(tools/find_python) && "$$python" -m venv .venv-pins
	@.venv-pins/bin/python -m pip --disable-pip-version-check install \
	  --quiet --requirement requirements/pins.txt
	@touch $@
