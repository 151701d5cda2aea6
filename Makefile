# `make` lists what can be done. PYTHON is the interpreter that the environment is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
DOCS_STAMP := $(VENV)/.docs-complete
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.complete
WORKERS ?= 2
# Each test worker computes on one core, so that the workers do not fight over them.
ONE_CORE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
HELPERS := $(addprefix benchmarks/,common.py runs.py network_table.py peer_fits.py fit_once.py fit_network.py fit_sanet.py sanet_common.py classical.py make_results.py)
BENCHES = $(sort $(filter-out $(HELPERS),$(wildcard benchmarks/*.py))) benchmarks/make_results.py

.DEFAULT_GOAL := help
.PHONY: help venv peers demo test lint types unit docs wheel bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

venv: $(STAMP) ## make the environment .venv with the pinned versions

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "fiedler needs Python 3.10 or newer, but PYTHON=$(PYTHON) is:"; $(PYTHON) --version; \
	  echo "Name a newer one: make PYTHON=python3.12"; exit 1; } >&2
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	touch $(STAMP)

peers: $(PEERS_STAMP) ## make the environment .venv-peers: packages that benchmarks compare with

$(PEERS_STAMP): benchmarks/peers/requirements.txt constraints.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --disable-pip-version-check -q -c constraints.txt \
	  -r benchmarks/peers/requirements.txt
	touch $(PEERS_STAMP)

demo: $(STAMP) ## cluster real handwritten digits and write a report
	$(BIN)/fiedler demo

test: lint types unit docs wheel ## everything that must pass before a change lands

lint: $(STAMP) ## style, format, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

unit: $(STAMP) ## the tests (WORKERS=n processes)
	$(ONE_CORE) $(BIN)/python -m pytest -n $(WORKERS)

docs: $(DOCS_STAMP) ## build the site into build/docs; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[docs]'
	touch $(DOCS_STAMP)

wheel: $(STAMP) ## build wheel and sdist, install the wheel alone, try it
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python tools/check_wheel.py dist

bench: $(STAMP) $(PEERS_STAMP) ## every table of benchmarks/ (long; needs the data sets)
	@test -n "$(BENCHES)" || { echo "no benchmark script in benchmarks/" >&2; exit 1; }
	set -e; for script in $(BENCHES); do echo "== $$script"; $(BIN)/python $$script; done

clean: ## remove what was built; .venv stays
	rm -rf build dist docs/generated .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
