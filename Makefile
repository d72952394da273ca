# Two commands for a machine with only Python (3.11 or newer) and make: `make verify` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
# In a process of their own: JAX warns of every fork after it.
ADAPTERS := tests/frameworks src/boltzgrad/testing/jax.py src/boltzgrad/testing/torch.py
CORES ?= 2
PETSC_PYTHON ?= /usr/bin/python3
# Small matrices: more BLAS threads only get in one another's way.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: verify test test-all explore frameworks petsc docs lint types notebooks notebooks-write ledger check format benchmark guard clean help

help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

verify: $(VENV)/.verify ## the main job: Four-Rooms' reference hypergradient against every witness
	$(BIN)/boltzgrad verify four-rooms

test: $(VENV)/.dev ## what takes minutes: every property, with a sample of its random examples; JAX and PyTorch where installed
	$(PYTEST) -n $(CORES) --dist worksteal -m 'not slow'
	$(PYTEST) -m 'not slow' $(ADAPTERS)

test-all: export HYPOTHESIS_PROFILE := thorough
test-all: $(VENV)/.dev ## every test, the slow ones and all random examples included
	$(PYTEST) -n $(CORES) --dist worksteal
	$(PYTEST) $(ADAPTERS)

explore: export HYPOTHESIS_PROFILE := explore
explore: $(VENV)/.dev ## every test with new random examples
	$(PYTEST) -n $(CORES) --dist worksteal

frameworks: $(VENV)/.frameworks ## JAX, PyTorch and Playwright, which `make test` does without

petsc: $(VENV)-petsc/.done ## an environment of the system's Python and its PETSc (Debian: python3-petsc4py, python3-mpi4py)

docs: $(VENV)/.dev ## the site, with warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/.dev ## ruff, lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict on src
	$(BIN)/mypy

notebooks: $(VENV)/.dev ## run the notebooks and compare their outputs with the committed ones
	$(BIN)/python notebooks/run.py --check

notebooks-write: $(VENV)/.dev ## run the notebooks and keep their outputs
	$(BIN)/python notebooks/run.py

ledger: $(VENV)/.dev ## prove every statement of the papers, and reject its mutants
	$(BIN)/boltzgrad ledger

check: lint types docs test-all notebooks ## all of it

format: $(VENV)/.dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

guard: $(VENV)/.dev ## is anything slower than in the last release?
	$(BIN)/python benchmarks/guard.py --turns 3

benchmark: $(VENV)/.dev ## every table of benchmarks/results again (install the extra `peers` to have them in it)
	$(BIN)/python benchmarks/renew.py

clean: ## forget the environment
	rm -rf $(VENV) $(VENV)-petsc .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "boltzgrad needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.12 …" % sys.version_info[:2] or 0)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.verify: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[conic]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.verify

$(VENV)/.frameworks: $(VENV)/.dev
	$(PIP) install --constraint constraints.txt --editable '.[frameworks]'
	@touch $@

# petsc4py of Debian is built for its own Python, and for NumPy 1; where several builds are there, the real one is meant.
$(VENV)-petsc/.done: pyproject.toml
	$(PETSC_PYTHON) -m venv --system-site-packages $(VENV)-petsc
	$(VENV)-petsc/bin/python -m pip --disable-pip-version-check --quiet install 'numpy<2' 'scipy>=1.15,<1.16' 'autograd>=1.8' 'sympy>=1.13'
	$(VENV)-petsc/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --editable .
	ls -d /usr/lib/petscdir/*/*-real/lib/python3/dist-packages > $$(echo $(VENV)-petsc/lib/python3*/site-packages)/petsc.pth
	@touch $@
