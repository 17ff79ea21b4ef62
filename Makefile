# Everything a developer or a school's technician types. Needs Python 3.11 with venv, and make.
PYTHON ?= python3
BIN := .venv/bin
EDX := .venv-platforms-edx

.PHONY: run test check bench shell clean

run: .venv/.runtime
	@$(BIN)/python scripts/run_local.py

test: .venv/.dev $(EDX)/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_architecture.py

bench: .venv/.dev
	$(BIN)/python -m tests.load.bench

shell: .venv/.runtime
	@$(BIN)/python scripts/run_local.py --shell

clean:
	rm -rf .venv $(EDX) instance

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.lock | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

.venv/.dev: requirements-dev.lock | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@ .venv/.runtime

# The Open edX consumer, a platform that we did not write; in an environment of its own.
$(EDX)/.installed: tests/platforms/open_edx/requirements.lock
	$(PYTHON) -m venv $(EDX)
	$(EDX)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@
