# `make run` and `make test` do all the set-up on a fresh machine: python3.11 and make are enough.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
# Every core has a worker, which takes tests from another where it has none left.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --dist worksteal

.PHONY: run test quick lint bench reproduce clean

run: $(READY)
	$(BIN)/snnquant run --scene indian_pines

test: $(READY)
	$(PYTEST)

quick: $(READY)
	$(PYTEST) -m "not slow"

lint: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python scripts/benchmark.py
	$(BIN)/python scripts/benchmark_gpu.py
	$(BIN)/python scripts/benchmark_map.py

reproduce: $(READY)
	$(BIN)/python scripts/reproduce_paper.py

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $(READY)
