# `make lab` opens the first notebook and `make test` runs all tests: each makes what it needs, in .venv, and is quick the second time.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
UV     := $(shell uv --version >/dev/null 2>&1 && echo uv)
LAB    := $(BIN)/python -m lab.cli
SOURCE := pyproject.toml $(wildcard kernels/*/*)

define WHAT_IS_MISSING
import sys
if sys.version_info < (3, 11):
    sys.exit("Glasswitch needs Python 3.11 or later and this is " + sys.version.split()[0] + ": run `make $(MAKECMDGOALS) PYTHON=python3.11`.")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("Python came without its venv module: run `sudo apt install python3-venv`, then `make $(MAKECMDGOALS)` again.")
endef
export WHAT_IS_MISSING

ifeq ($(UV),uv)
make_venv = uv venv --quiet --allow-existing --python '>=3.11' $(VENV)
install   = uv pip install --python $(BIN)/python
else
make_venv = $(PYTHON) -c "$$WHAT_IS_MISSING" && $(PYTHON) -m venv $(VENV)
install   = $(BIN)/python -m pip install --disable-pip-version-check
endif

.PHONY: lab test lint check bench clean help
.DEFAULT_GOAL := help

help:
	@echo "make lab     open JupyterLab on the first notebook"
	@echo "make test    run all tests"
	@echo "make lint    ruff, types, floors"
	@echo "make check   lint and test"
	@echo "make bench   measure, beside the peers"
	@echo "make clean   remove the environment and what tests leave behind"

lab: $(VENV)/.lab
	@$(LAB) warm
	@exec $(LAB) notebook

test: $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_floors.py

check: lint test

bench: $(VENV)/.lab
	@$(LAB) bench

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@echo "Making an environment in $(VENV), once."
	@rm -rf $(VENV)
	@$(make_venv)
	@touch $@

$(VENV)/.lab: $(VENV)/.made $(SOURCE)
	@$(install) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.made $(SOURCE)
	@$(install) --editable ".[test]"
	@touch $@ $(VENV)/.lab
