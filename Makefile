# `make demo` and `make test` work from a fresh clone with Python 3.11+, make and a C compiler.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-slow browsers check docs notebooks format clean

demo: .venv/installed ## train on the bundled names and print new ones
	$(BIN)/wavemore train
	$(BIN)/wavemore sample -n 10

test: .venv/installed-dev ## all tests but the slow ones: at most 5 minutes on 2 cores
	$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: .venv/installed-dev browsers ## the slow tests: documentation, notebooks, studies, browsers, killed processes
	$(BIN)/python -m pytest -n auto -m slow

# Pages are tested in real browsers: those of Debian, if root runs this there. Without them these tests are skipped.
browsers:
	@for browser in chromium firefox-esr; do \
		command -v $$browser > /dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null || \
		{ apt-get update -qq && apt-get install -qq --no-install-recommends $$browser > /dev/null; } || true; \
	done

check: .venv/installed-dev ## lint, format and types, as pre-commit does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-dev ## build the documentation in site/; a broken link or a missing docstring fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html. The search needs a server: $(BIN)/python -m http.server --directory site"

notebooks: .venv/installed-dev ## execute the notebooks and store them with their outputs
	$(BIN)/python scripts/notebooks.py

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wavemore needs Python 3.11 or later; set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv

# pip runs again only when the requirements change.
.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[plot]'
	@touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch .venv/installed $@
