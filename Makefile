# The same few commands on a laptop as in CI. Nothing is installed outside .venv.
#
#   make demo        install siked and distil a student in the embedded world (no network after the installation)
#   make install     install siked only
#   make test        install what the tests need, and run them, but for the next five
#   make test-slow   run the tests that take more than ten seconds each: whole runs, several processes, packages
#   make test-recovery  run the tests that kill and damage whole runs
#   make test-browser  open reports in a real Chromium, which Debian's packages chromium and chromium-driver are
#   make test-ray    run the tests that spread work over a Ray cluster of two nodes on this machine
#   make test-vllm   make an environment for vLLM, unless there is one, and run the tests that ask a real server
#   make lint        formatting, lint, types
#   make docs        build the documentation as a site, strictly, into site/; no network is asked
#   make test-package  build sdist and wheel, install the wheel on its own, and run from it
#   make test-oldest the tests that a dependency is likely to break, with the oldest versions that pyproject.toml allows
#   make test-newest the same with the newest that there are
#   make results     write docs/results.md and its pictures from the benchmarks' files of results
#   make results-method  hold the method against its rivals: hours; what is done is not done again
#   make fuzz        install atheris, and fuzz what reads a model's text for FUZZ_SECONDS (600)
#   make clean       remove .venv, build products and caches (never runs/)
#
# PYTHON=python3.12      the interpreter that .venv is made with
# TORCH_INDEX=URL        a package index to take torch from as well, e.g. one with CPU builds (a much smaller download)
# RUN_ARGS="--rounds 1"  more options for the demo's run
# PYTEST_ARGS="-k cot"   more options for pytest
# PYTEST_JOBS=4          files that `make test` and `make test-slow` run at a time (2; each takes a core and a gigabyte)
# PACKAGE_DIR=dist       where `make test-package` leaves sdist and wheel (nowhere)
# SIKED_VLLM_HOME=DIR    where the environment for vLLM is made and kept (~/.cache/siked/vllm; 3.5 GB without CUDA)

PYTHON ?= python3
TORCH_INDEX ?=
RUN_ARGS ?=
PYTEST_ARGS ?=
PYTEST_JOBS ?= 2
FUZZ_SECONDS ?= 600
PACKAGE_DIR ?=

VENV := .venv
BIN := $(VENV)/bin
EXTRA_INDEX = $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install --constraint constraints.txt $(EXTRA_INDEX)
NO_TIER = not recovery and not browser and not ray and not vllm
CORE_TESTS = $(addprefix tests/test_,$(addsuffix .py,registry recipe pool training loop generator_transformers \
	cli_distill migration))
SOURCES := pyproject.toml constraints.txt

.PHONY: demo install test test-slow test-recovery test-browser test-ray test-vllm lint docs test-package test-oldest test-newest results \
	results-method fuzz clean

demo: install
	$(BIN)/siked distill --strategies cot,pot,l2m $(RUN_ARGS)

install: $(VENV)/.installed

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not slow and $(NO_TIER)" -n $(PYTEST_JOBS) --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "slow and $(NO_TIER)" -n $(PYTEST_JOBS) --dist loadfile $(PYTEST_ARGS)

test-recovery: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m recovery $(PYTEST_ARGS)

test-browser: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

test-ray: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m ray $(PYTEST_ARGS)

test-vllm: $(VENV)/.installed-test
	$(BIN)/siked doctor --make vllm
	$(BIN)/python -m pytest -m vllm $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/make_command_reference.py --check
	$(BIN)/python docs/make_recipe_table.py --check
	$(BIN)/python docs/make_results.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --site-dir site

test-package: $(VENV)/.installed-dev
	PACKAGE_DIR=$(PACKAGE_DIR) bash .ci/test-package $(BIN)/python

# Environments of their own, with siked's dependencies and pytest alone.
test-oldest test-newest: test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest -m "not recovery and not ray and not vllm" $(CORE_TESTS) $(PYTEST_ARGS)

.venv-oldest/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --constraint constraints-oldest.txt $(EXTRA_INDEX) -e . pytest hypothesis
	touch $@

.venv-newest/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --upgrade $(EXTRA_INDEX) -e . pytest hypothesis
	touch $@

results: $(VENV)/.installed-dev
	$(BIN)/python docs/make_results.py

results-method: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/method.py
	$(BIN)/python benchmarks/pocket_methods.py --seeds 21 22 23
	$(BIN)/python docs/make_results.py

fuzz: $(VENV)/.installed-test
	$(INSTALL) atheris
	$(BIN)/python benchmarks/fuzz.py --seconds $(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest build dist site *.egg-info examples/*/build examples/*/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a second `make` does nothing until pyproject.toml or constraints.txt changes. Each larger installation
# includes the smaller ones.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "siked needs Python 3.11 or newer, and \
	$(PYTHON) is %d.%d: choose one with make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(SOURCES) | $(VENV)/.made
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-test: $(SOURCES) | $(VENV)/.made
	$(INSTALL) -e '.[test]'
	touch $(VENV)/.installed $@

$(VENV)/.installed-dev: $(SOURCES) | $(VENV)/.made
	$(INSTALL) -e '.[dev]'
	touch $(VENV)/.installed $(VENV)/.installed-test $@
