# Everything runs inside .venv, which the first target that needs it makes from pyproject.toml and constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
# One process a core, one thread a process: the networks of the tests are too small to share among threads.
PYTEST_ARGS ?= -n auto --dist worksteal
PYTEST := OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest $(PYTEST_ARGS)
BENCHMARKS := $(filter-out benchmarks/_%,$(sort $(wildcard benchmarks/*.py)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test lint test-all test-peer bench bench-scale docs clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(VENV)/.installed ## make .venv with curvi and all that the tests need

demo: $(VENV)/.installed ## train on 700 blood cells; results in demo/
	$(BIN)/curvi demo --out demo

test: lint ## check style, types and import floors, then run the tests that are not slow
	$(PYTEST)

lint: $(VENV)/.installed ## check style, types and import floors only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test-all: lint $(VENV)/.installed-docs ## the same with the slow tests, the tutorials among them
	$(PYTEST) -m "not internet and not gpu"

test-peer: $(VENV)/.installed ## run the tests of scvi-tools for SCVI with CurviVAE in its place
	$(BIN)/python tests/peer/run.py build/peer

bench: $(VENV)/.installed ## run every benchmark in turn; most need CURVI_DATA_DIR
	@status=0; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python "$$script" || status=1; done; exit $$status

bench-scale: $(VENV)/.installed ## run the benchmarks of speed and scale, keep their figures, make their page; half an hour
	$(BIN)/python benchmarks/_record.py

docs: $(VENV)/.installed-docs ## build the documentation; open docs/_build/html/index.html
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean: ## remove what make and the tools made here, all but .venv
	rm -rf demo dist build docs/_build docs/api/generated docs/tutorials/*.ipynb lightning_logs htmlcov .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "curvi needs Python 3.11 or newer; say which with: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --upgrade "pip>=25.1"
	$(INSTALL) --group dev --editable ".[plot,scib]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --group doc
	@touch $@
