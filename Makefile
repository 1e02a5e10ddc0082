# Everything a person runs here. Each environment is made once and again only when its
# requirements change.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 9000
# One build for all tests: the CPU is enough, and the newest release may bring gigabytes of CUDA.
TORCH ?= torch==2.13.0

RUN_ENV := .venv
DEV_ENV := .venv-dev
RUN_READY := $(RUN_ENV)/.ready
DEV_READY := $(DEV_ENV)/.ready

.PHONY: help serve test lint bench docs clean

help:
	@echo "make serve   install and serve on http://$(HOST):$(PORT)"
	@echo "make test    install what the tests need; lint, then run all tests with coverage"
	@echo "make lint    style, types and the import rules only"
	@echo "make bench   measure this machine: speed and memory"
	@echo "make docs    build the documentation"
	@echo "make clean   remove environments and build outputs"

serve: $(RUN_READY)
	$(RUN_ENV)/bin/mien serve --host $(HOST) --port $(PORT)

test: lint
	$(DEV_ENV)/bin/python -m pytest --cov --cov-report=term

lint: $(DEV_READY)
	$(DEV_ENV)/bin/ruff check .
	$(DEV_ENV)/bin/ruff format --check .
	$(DEV_ENV)/bin/mypy
	$(DEV_ENV)/bin/lint-imports

bench: $(DEV_READY)
	$(DEV_ENV)/bin/python -m benchmarks

clean:
	rm -rf $(RUN_ENV) $(DEV_ENV) build dist site .coverage* .*_cache

$(RUN_READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make serve PYTHON=python3.11")'
	$(PYTHON) -m venv $(RUN_ENV)
	$(RUN_ENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(DEV_READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make test PYTHON=python3.11")'
	$(PYTHON) -m venv $(DEV_ENV)
	$(DEV_ENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[test,lint,train]" "$(TORCH)"
	@touch $@
