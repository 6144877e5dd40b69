# Every target prepares .venv by itself; nothing but python3 (3.11 or newer) and make is needed.
# ARGS="..." is handed on: make test ARGS="-k receipt", make demo ARGS="--json"
.POSIX:
.PHONY: help setup demo test check bench sim docs guests lock clean

PYTHON_IN_VENV = .venv/bin/python

help:
	@echo 'make setup    make .venv with the quorate command in it'
	@echo 'make demo     a private job on a local network, from submission to a verified receipt'
	@echo 'make test     all tests'
	@echo 'make check    style, types and import directions'
	@echo 'make sim      the simulation of many nodes, with faults'
	@echo 'make bench    measure, and write bench/RESULTS.md'
	@echo 'make docs     write the generated pages, run every command of the documentation'
	@echo 'make guests   rebuild the example guests (fetches a compiler of about 100 MB)'
	@echo 'make lock     resolve the dependencies again'
	@echo 'make clean    remove caches and build output; .venv stays'

setup:
	@sh scripts/setup base

demo:
	@sh scripts/setup base
	@.venv/bin/quorate demo $(ARGS)

test:
	@sh scripts/setup dev
	@$(PYTHON_IN_VENV) -m pytest $(ARGS)

check:
	@sh scripts/setup dev
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy
	.venv/bin/lint-imports --no-cache --no-logo

sim:
	@sh scripts/setup dev
	@$(PYTHON_IN_VENV) -m pytest tests/simulation $(ARGS)

bench:
	@sh scripts/setup dev
	@$(PYTHON_IN_VENV) scripts/bench.py $(ARGS)

docs:
	@sh scripts/setup dev
	$(PYTHON_IN_VENV) docs/generate_status.py
	$(PYTHON_IN_VENV) -m tests.simulation.adversaries
	@$(PYTHON_IN_VENV) -m pytest tests/docs $(ARGS)

guests:
	@sh scripts/setup guests
	@$(PYTHON_IN_VENV) examples/guests/build.py $(ARGS)

lock:
	@sh scripts/setup base
	@$(PYTHON_IN_VENV) scripts/lock.py $(ARGS)

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name .venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
