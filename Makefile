# Everything a developer types. Needs Python 3.11 or newer and make; the rest is set up below .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install up demo test test-only check format contracts bench soak clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bitmill needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { echo "Setting up .venv"; $(PYTHON) -m venv .venv; }
	@echo "Installing packages into .venv (a minute or two, once)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

up: install          ## run everything on this machine
	@$(BIN)/bitmill up

demo: install        ## see it work on real footage, from nothing to verified webhooks
	@$(BIN)/python -m devtools.demo

test: check test-only ## lint, types, floors, contracts, then every test

test-only: install
	@$(BIN)/python -m pytest -m "not slow"

soak: install        ## the long chaos and soak runs
	@$(BIN)/python -m pytest -m slow

check: install       ## what CI runs first
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m devtools.contracts --check

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

contracts: install   ## write the published JSON Schema, AsyncAPI and OpenAPI files again
	@$(BIN)/python -m devtools.contracts

bench: install       ## overheads and rates, as ratios measured in one run
	@$(BIN)/python -m tests.bench

clean:
	@rm -rf .venv .bitmill build *.egg-info
