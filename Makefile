# make demo · make test · make test-all · make check · make docs · make bench
# Each creates .venv if it is missing and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all check docs bench format clean
.DEFAULT_GOAL := help

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[demo,serve]'
	@touch $@

.venv/dev.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ .venv/demo.installed

demo: .venv/demo.installed  ## the shipped model, trained further on a rendered benchmark, measured, ready to search
	$(BIN)/autocompose demo

test: .venv/dev.installed  ## the fast tests (about nine minutes of processor time; `pytest -n 2` halves the wait)
	$(BIN)/python -m pytest

test-all: .venv/dev.installed  ## the slow tests, those with servers, and those with a browser (needs chromium)
	$(BIN)/python -m pytest -m "slow or server or browser"

check: .venv/dev.installed  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/dev.installed  ## the documentation site, into build/site; any warning is an error (--quiet would hide them from --strict)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/dev.installed  ## side-by-side timings; see benchmarks/
	for name in metrics render rules search training; do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

format: .venv/dev.installed  ## apply the formatter
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove caches and builds, keep .venv and data
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
