# Nothing but make and a python3 of version 3.11 to 3.13 is needed; the first call builds .venv.
#   make demo    compile the example model and fit it to the Hudson Bay counts
#   make test    formatting, types, floors and every test
#   make wheel   a wheel in dist/ that holds the standard solvers compiled (two minutes of processor time, once a release)
#   make bench   our layers and their peers on the same work; writes docs/benchmarks.md (WORKS="lv node" for some of them)
# PYTHON names another interpreter; PIP_ARGS is passed to pip (for a mirror, say).

PYTHON ?= python3
PIP_ARGS ?=
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.stamp

BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/installed.stamp
WORKS ?=

.PHONY: demo test lint docs gallery bench ladder install wheel clean
.DEFAULT_GOAL := test

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; name another one with PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev,examples]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/implicitdsl compile examples/lotka_volterra/hare_lynx.imp
	$(BIN)/python examples/lotka_volterra/fit.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

# One thread a worker: torch's own pool would have the workers fight for the cores. The tests of a file share what they
# compile, so a worker takes whole files, those that take longest first (tests/conftest.py).
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# The pages that contain output of the program are written by the program.
docs: $(STAMP)
	$(BIN)/python docs/generate.py

# Runs every example, some of them for a minute or two, and puts what they print and draw on one page.
gallery: $(STAMP)
	$(BIN)/python docs/gallery.py

# The peers have an environment of their own; one that cannot be installed here is a row of the table that says so.
$(BENCH_STAMP): pyproject.toml constraints.txt benchmarks/peers.txt
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[bench]'
	grep -v '^#' benchmarks/peers.txt | while read -r peer; do \
	  $(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt $$peer \
	    || echo "not installable here: $$peer"; \
	done
	touch $(BENCH_STAMP)

bench: $(BENCH_STAMP)
	$(BENCH)/bin/python -m benchmarks $(WORKS)

# The table of docs/how-it-is-fast.md; needs no peers.
ladder: $(STAMP)
	$(BIN)/python -m benchmarks.ladder

# With the solvers in the checkout its own programs find them too; they are left out of an installation with `-e` by
# removing them again.
wheel: $(STAMP)
	$(BIN)/python -m implicitdsl.backends.lanes.standard --workers $(WORKERS)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check $(PIP_ARGS) --no-deps --wheel-dir dist .
	rm -rf implicitdsl/bitcode

clean:
	rm -rf $(VENV) $(BENCH) build dist implicitdsl/bitcode .pytest_cache .ruff_cache .hypothesis
