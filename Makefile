# Tasks for people who change bnlint; `make` lists them.
PYTHON ?= python
FAST = tests/analyzer tests/cli tests/lint tests/plugins tests/program tests/reporting tests/rules \
  tests/sources

.PHONY: help install test test-fast lint format docs ci

help:  ## this list
	@grep -E '^[a-z-]+: +##' $(MAKEFILE_LIST) | sed 's/: *## */\t/' | expand -t 12

install:  ## the package with its `dev` extra, and the hooks of pre-commit
	$(PYTHON) -m pip install -e ".[dev]"
	$(PYTHON) -m pre_commit install

test:  ## every test
	TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m pytest -n auto

test-fast:  ## the linter's tests, without TensorFlow
	$(PYTHON) -m pytest -n auto $(wildcard $(FAST))

lint:  ## ruff, mypy and the import contract
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) .ci/imports.py

format:  ## repair what ruff can
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs:  ## the site, with strict links, in build/site
	$(PYTHON) -m sphinx -q -W -b dirhtml -c docs docs/pages build/site

ci:  ## everything that a change must pass
	.ci/run
