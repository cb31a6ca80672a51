# The commands of a developer. They need Python 3.11 or newer and make; everything else is installed into .venv.
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
	@# No headers of the system are found, so that pyvips is not compiled against a libvips of the system.
	@PKG_CONFIG_LIBDIR=/nonexistent $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

up: install          ## run everything on this machine
	@$(BIN)/bitmill up

demo: install        ## run three jobs for each of three real videos, verify the webhooks, query the catalog
	@$(BIN)/python -m devtools.demo

test: check test-only ## lint, types, layers, contracts, then every test

test-only: install
	@$(BIN)/python -m pytest -m "not slow"

soak: install        ## the long tests with random kills and outages
	@$(BIN)/python -m pytest -m slow

check: install       ## everything but the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m devtools.contracts --check

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

contracts: install   ## write the published JSON Schema, AsyncAPI and OpenAPI files
	@$(BIN)/python -m devtools.contracts

bench: install       ## measure overheads and rates, write tests/bench/README.md
	@$(BIN)/python -m tests.bench

clean:
	@rm -rf .venv .bitmill build *.egg-info
