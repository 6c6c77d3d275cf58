# `make demo` and `make test` set up what they need. Python 3.11 or newer is all that must be there.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
STAMP := .venv/.installed

# A variable that some machines set: without bytecode every command compiles half a second of Python anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test check conformance parity tools lint types imports bench lock clean help

help:          ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

setup: $(STAMP)  ## .venv with everything; its bin/fleet is the CLI

# uv is itself a package: no other installer is asked for. The lock pins every file by hash.
$(STAMP): requirements-dev.lock requirements-uv.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(UV) || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@echo "installing the pinned dependencies …"
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## a fleet of three sites through validate, plan, rollout and status, against the sandbox
	@$(BIN)/fleet demo

test: setup lint types imports tools  ## everything that CI runs
	$(BIN)/pytest -n 2

check: test

conformance: setup tools  ## real Kubernetes takes what is rendered, schedules it and gets it ready
	$(BIN)/pytest -n0 tests/conformance

parity: setup tools  ## the local engine beside Pulumi's own code; and its CLI where one is on PATH
	$(BIN)/pytest -n0 tests/parity

# Kubernetes and KWOK from source: minutes the first time, nothing after; without Go their tests are skipped.
tools: setup
	@if command -v go >/dev/null; then PYTHONPATH=. $(BIN)/python -m tests.conformance.binaries && PYTHONPATH=. $(BIN)/python -m tests.parity.judge; fi

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

bench: setup  ## measurements; prints figures and ratios, never fails on a time
	$(BIN)/python tests/bench/startup.py
	$(BIN)/python tests/bench/validate.py

lock: setup  ## resolve the dependencies anew
	$(UV) pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	echo uv | $(UV) pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url - -o requirements-uv.lock
	$(UV) pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .fleet .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
