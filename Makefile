# `make run` and `make test` do all the set-up on a fresh machine: python3.11 and make are enough.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test quick lint bench reproduce clean

run: $(READY)
	$(BIN)/snnquant run --scene indian_pines

test: $(READY)
	$(BIN)/python -m pytest

quick: $(READY)
	$(BIN)/python -m pytest -m "not slow"

lint: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python scripts/benchmark.py
	$(BIN)/python scripts/benchmark.py --gpu
	$(BIN)/python scripts/benchmarks/whole_scenes.py

reproduce: $(READY)
	$(BIN)/python scripts/reproduce_paper.py

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $(READY)
