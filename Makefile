# Two commands from a clean clone: `make sweep` and `make test`. Both set up .venv once and share it.
# PYTHON picks the interpreter that makes .venv (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: sweep test test-all lint help clean
.DEFAULT_GOAL := help

help:
	@echo "make sweep     set up .venv, then run sweeps/binary_vs_int8.yaml and print the comparison"
	@echo "make test      set up .venv, then run the tests, one worker per processor, without those marked slow"
	@echo "make test-all  the same with the slow ones"
	@echo "make lint      set up .venv, then ruff, mypy and the rule of the house (import-linter)"
	@echo "make clean     remove .venv and caches (never runs/)"

# The stamp depends on pyproject.toml alone: the install is editable, so only new dependencies need another.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

sweep: $(READY)
	$(BIN)/qbench sweep sweeps/binary_vs_int8.yaml

# At most 8 workers, each with a copy of torch; one that has run out of tests takes some of another's.
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=8 --dist=worksteal

test: $(READY)
	$(PYTEST) -m 'not slow'

test-all: $(READY)
	$(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
