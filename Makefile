.DEFAULT_GOAL := help
.PHONY: help install demo test test-numerics test-all lint types check clean

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NUMERICS := models engine diffusion cache routing grounding metrics
# beside `make test`, which is on one thread with whatever instructions there are
MACHINES := "ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1" "ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE"

help:  ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## Create .venv and install ditkit into it (CONSTRAINTS= lifts the pinned versions)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit("ditkit needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo "make: on Debian, 'apt install python3-venv' brings what is missing"; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check $(addprefix -c ,$(CONSTRAINTS)) -e '.[dev]'
	@touch $@

demo: install  ## Install, draw pictures with the shipped weights, say where they are
	$(BIN)/ditkit sample --out runs/demo
	@echo "The pictures are in runs/demo; runs/demo/grid.png shows them all."

test: install  ## Run the tests, but for the slow ones and those in a browser
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser"

test-numerics: install  ## Run the numerical tests as other machines would: older instructions, two threads
	@for machine in $(MACHINES); do \
	  echo "make: $$machine"; env $$machine $(BIN)/python -m pytest -n 2 -m "not slow" $(addprefix tests/,$(NUMERICS)) || exit 1; \
	done

test-all: install  ## Run every test; those in a browser where chromium-driver is
	$(BIN)/python -m pytest -n 2

lint: install  ## Check the style and the format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: install  ## Check the types
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test  ## Everything that a change must pass

clean:  ## Remove what builds and tests leave behind (not .venv, not runs/)
	rm -rf build dist .pytest_cache .ruff_cache
	find ditkit tests -name __pycache__ -type d -prune -exec rm -rf {} +
