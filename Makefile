# `make run` and `make test` do all the set-up on a fresh machine: python3.11 and make are enough.
PYTHON ?= python3.11
BIN := .venv/bin
RUNS := .venv/.runs
READY := .venv/.ready
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
VOICE := git grep -nE -f .voice -- '*.py' '*.md' '*.toml' '*.yml' Makefile ':!docs/results' ':!CONTRIBUTING.md'
# Every core has a worker, which takes tests from another where it has none left.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --dist worksteal

.PHONY: run test quick lint voice docs bench reproduce clean help

run: $(RUNS)  ## the whole chain on Indian Pines, about two minutes on two cores
	$(BIN)/snnquant run --scene indian_pines

test: $(READY)  ## all tests
	$(PYTEST)

quick: $(READY)  ## the tests without the slow ones
	$(PYTEST) -m "not slow"

lint: $(READY)  ## formatting, ruff, words of .voice, mypy --strict, direction of imports
	$(PIP) --editable ".[dev]"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) --silent voice
	$(BIN)/mypy
	$(BIN)/lint-imports

voice:  ## words that CONTRIBUTING.md asks to avoid
	! $(VOICE)

docs: $(READY)  ## regenerate pages and figures of docs/, build the site in site/; warnings are errors
	$(PIP) --editable ".[docs]"
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/explained/draw.py
	$(BIN)/mkdocs build --strict --quiet

bench: $(READY)  ## time SNN, CNN, its runtimes and other SNN libraries; writes docs/results
	$(PIP) --editable ".[bench]"
	$(BIN)/python scripts/benchmark.py
	$(BIN)/python scripts/benchmark.py --gpu
	$(BIN)/python scripts/benchmarks/whole_scenes.py
	$(BIN)/python scripts/benchmarks/whole_scenes.py --model cnn1x1 --bands 8 --pixels 10000 1000000 10000000 100000000

reproduce: $(READY)  ## the missing runs of the study behind docs/results
	$(BIN)/python scripts/reproduce_paper.py

clean:  ## remove the environment and everything built
	rm -rf .venv dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(RUNS): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[integer]"
	touch $(RUNS)

# Tests need much that a run does not.
$(READY): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[test]"
	touch $(RUNS) $(READY)
