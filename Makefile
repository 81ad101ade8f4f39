# `make demo` and `make test` work from a fresh clone with Python 3.11+, make and a C compiler.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check docs notebooks format clean

demo: .venv/installed ## train on the bundled names and print new ones
	$(BIN)/wavemore train
	$(BIN)/wavemore sample -n 10 --new --distinct

test: .venv/installed-dev ## all tests
	$(BIN)/python -m pytest -n auto

check: .venv/installed-dev ## lint, format, types: what pre-commit runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-dev ## the documentation as a site, in site/; a broken link or a missing docstring fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

notebooks: .venv/installed-dev ## execute the notebooks and store them with what they show
	$(BIN)/python scripts/notebooks.py

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wavemore needs Python 3.11 or later; set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv

# Marks of what is installed: pip runs again only when the requirements change.
.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[plot]'
	@touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch .venv/installed $@
