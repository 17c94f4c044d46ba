PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-all test-oldest check fix docs clean

run: .venv/installed  ## train the paper's variational autoencoder on MNIST
	$(BIN)/python -m vae_exp +experiment=mnist_vae

test: check  ## style, types and all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow"

test-all: check  ## also the slow tests: Ray, Jupyter, W&B, a C++ compiler, every command of the pages
	$(BIN)/python -m pytest

test-oldest: .venv-oldest/installed  ## the tests with the oldest release of every dependency that pyproject.toml allows
	.venv-oldest/bin/python -m pytest

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/installed-dev  ## fix style and format automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-docs  ## build the documentation as a site: open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-oldest build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
