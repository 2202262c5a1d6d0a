# `make` alone lists the targets; `make check` is what CI runs. Everything is installed into .venv from the
# hash-pinned lock files, by pip alone, so that nothing but a Python is needed beforehand.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
unexport PYTHONHOME PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_USER := 0

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
# Tried in this order; the first that really runs (a shim may exist and refuse) and can make a venv is taken.
PYTHONS ?= python3.14 python3.13 python3.12 python3.11 python3
WORKERS ?= 2
PIP = $(PYTHON) -m pip install --quiet
PYTEST = $(PYTHON) -m pytest
PACKAGES := ledger projections gateway
FRAME_TESTS := $(wildcard tests/test_layers.py tests/test_tidy.py tests/test_portability.py)
BENCHES := $(wildcard tests/bench/test_*.py)

# Stamps. A venv made elsewhere, moved, or whose Python was replaced says another place or version: it is looked at again.
MADE := $(VENV)/.made-here
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
HERE := $(CURDIR) $(shell $(PYTHON) -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifneq ($(shell cat $(MADE) 2>/dev/null),$(HERE))
.PHONY: $(MADE)
endif

.PHONY: help run test check format lint types frame bench bench-tiny lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

run: $(RUN) ## install on first use, then start the demo on this machine
	@$(BIN)/route-ledger demo

test: $(DEV) ## all tests, on two workers (WORKERS=n, ARGS="-k words")
	@$(PYTEST) -n $(WORKERS) --dist worksteal $(ARGS)

check: lint types frame bench-tiny test ## everything CI asks for: format, lint, types, layers, tidiness, benchmarks run, tests

format: $(DEV) ## rewrite the Python files as the formatter and the linter's safe fixes want them
	@$(PYTHON) -m ruff check --fix-only --quiet .
	@$(PYTHON) -m ruff format .

lint: $(DEV) ## formatting and lint, nothing rewritten
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .

types: $(DEV) ## mypy, strict
	@$(PYTHON) -m mypy

frame: $(DEV) ## the fast tests of the repository itself: layers, tidiness, portability
	@$(PYTEST) -q $(FRAME_TESTS)

bench: $(DEV) ## benchmarks at full size; quote a figure only with the machine beside it
	@ROUTE_LEDGER_BENCH=full $(PYTEST) -q -s -m bench --timeout=0 tests/bench

bench-tiny: $(DEV) # the same at a size of seconds, so that they can't rot
ifneq ($(BENCHES),)
	@ROUTE_LEDGER_BENCH=tiny $(PYTEST) -q -m bench tests/bench
endif

lock: $(DEV) ## resolve pyproject.toml anew into both lock files (the only target that chooses versions)
	@set -eu; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	cp pyproject.toml "$$work"; : >"$$work/README.md"; \
	uv="env UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 $(CURDIR)/$(PYTHON) -m uv --quiet --directory $$work"; \
	export="$$uv export --frozen --no-header --no-annotate --no-emit-project --no-dev --group build"; \
	$$uv lock --python $(CURDIR)/$(PYTHON); \
	$$export >"$$work/run.lock"; $$export --extra dev >"$$work/dev.lock"; \
	cp "$$work/run.lock" requirements.lock; cp "$$work/dev.lock" requirements-dev.lock

clean: ## remove what the targets made, .venv included; data/ stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A .venv that runs, has pip and a Python of 3.11 or later is kept, whoever made it; any other is made anew.
$(MADE):
	@set -eu; \
	if ! $(PYTHON) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  found=; bare=; \
	  for python in $(PYTHONS); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$python; break; fi; \
	    bare=$${bare:-$$python}; \
	  done; \
	  if [ -z "$$found" ]; then \
	    if [ -n "$$bare" ]; then echo "$$bare can't make a virtual environment: apt install python3-venv (or $$bare-venv)" >&2; \
	    else echo "Python 3.11 or later is needed and none of these runs: $(PYTHONS)" >&2; fi; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$found" --version)" >&2; \
	  rm -rf $(VENV); \
	  "$$found" -m venv $(VENV) || { rm -rf $(VENV); echo "no $(VENV) made: apt install python3-venv" >&2; exit 1; }; \
	fi; \
	rm -f $(RUN) $(DEV); \
	printf '%s %s\n' '$(CURDIR)' "$$($(PYTHON) -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])')" >$@

# The dev lock holds all of the run lock, so either stamp will do to run. The project itself comes from this folder,
# built by the backend that the lock brought: no index is asked.
$(RUN): $(MADE) requirements.lock pyproject.toml
	@if [ -z "$$(find $(DEV) -newer requirements-dev.lock -newer pyproject.toml 2>/dev/null)" ]; then \
	  echo "Installing what requirements.lock names into $(VENV) (less than a minute, once)" >&2; \
	  $(PIP) --require-hashes -r requirements.lock && $(PIP) --no-index --no-deps --no-build-isolation -e . || exit 1; \
	fi; touch $@

$(DEV): $(MADE) requirements-dev.lock pyproject.toml
	@echo "Installing what requirements-dev.lock names into $(VENV) (about a minute, once)" >&2
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-index --no-deps --no-build-isolation -e .
	@touch $@
