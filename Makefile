# Each target makes its own virtual environment in .venv, once; see
# tools/find_python for which Python is taken. PYTHON=<command> takes another.

.PHONY: help demo docs test test-all test-others fuzz bench lint format build-files \
  clean

VENV = .venv
C = $(wildcard tf_dnn_annotations/integrals/*.[ch])
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet
# TensorFlow 2.15, or where Python is too new for it, a TensorFlow that is given
# tf.estimator: its requirements are whole, since pip would bring a second one.
# A second run of pip has nothing to do but to say so.
IS_MODERN = $(VENV)/bin/python -c 'import sys; exit(sys.version_info < (3, 12))'
define pip_install
@if $(IS_MODERN); then how='--no-deps'; file=requirements/$(2); \
  else how='--constraint constraints.txt'; file=$(1); fi; \
  echo "Installing $$file into $(VENV): some minutes, this once"; \
  $(PIP) $$how --requirement $$file
endef
# TensorFlow's notes on CPU features and missing GPUs would drown the rest.
export TF_CPP_MIN_LOG_LEVEL ?= 2

help:
	@echo 'make demo    train, export and explain a model of the penguins'
	@echo 'make test    the tests of some minutes, on TensorFlow 2.15, or 2.21 from'
	@echo '             Python 3.12'
	@echo 'make test-all'
	@echo '             all tests, with those marked slow: clusters, say'
	@echo 'make test-others'
	@echo '             tests on TensorFlow 1.15 to 2.21: see noxfile.py'
	@echo 'make fuzz MINUTES=20 SEED=1'
	@echo '             spoilt SavedModels: counts what becomes of them'
	@echo 'make bench   speed, error and memory, ours and of other libraries'
	@echo 'make docs    the documentation as a site, in build/site'
	@echo 'make lint    ruff, as linter and as formatter that changes nothing'
	@echo 'make format  ruff, changing files'
	@echo 'make clean   remove .venv and all that was built'

demo: $(VENV)/.runs
	@$(VENV)/bin/python examples/penguins.py

# Two workers, as a model in training keeps a core busy; those tests stay
# together that share a class's or a module's trained model.
test: $(VENV)/.tests
	$(VENV)/bin/python -m pytest -q -n 2 --dist loadscope -m 'not slow'

test-all: $(VENV)/.tests
	$(VENV)/bin/python -m pytest -q -n 2 --dist loadscope

test-others: $(VENV)/.tests
	$(VENV)/bin/python -m nox --sessions tf115 tf211 tf221 modern \
	  tf216 newest

# Exits with an error if a number was silently wrong, say: see docs/fuzzing.md.
MINUTES = 20
SEED = 1
fuzz: $(VENV)/.tests
	$(VENV)/bin/python -m tests.properties.fuzz --minutes=$(MINUTES) \
	  --seed=$(SEED) $(FUZZ_FLAGS)

# BENCH_FLAGS=--quick sees that it runs.
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

format: $(VENV)/.tests
	$(VENV)/bin/python -m ruff check --fix .
	$(VENV)/bin/python -m ruff format .

build-files:
	python3 tools/build_files.py

clean:
	rm -rf $(VENV) .venv-bench .venv-docs .nox build dist *.egg-info .pytest_cache \
	  .ruff_cache .hypothesis fuzz penguins_demo
	rm -f tf_dnn_annotations/integrals/_path_sweep.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps, one a step, so that what failed is all that is done again.

$(VENV)/.made: tools/find_python
	@python=$$(tools/find_python) && echo "Making $(VENV) from $$python" && \
	  "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runs: $(VENV)/.made requirements.txt constraints.txt setup.py $(C)
	$(call pip_install,requirements.txt,modern.txt)
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.tests: $(VENV)/.runs requirements-test.txt
	$(call pip_install,requirements-test.txt,modern-test.txt)
	@touch $@

# The peers' versions are those for one Python.
.venv-bench/.runs: benchmarks/requirements.txt setup.py $(C)
	@python=$$(tools/find_python 3.11) && \
	  echo "Making .venv-bench from $$python: some minutes, this once" && \
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
