# The commands of a developer. They need Python 3.11 or newer and make; everything else is installed into .venv.
# Without make: python3 devtools/install.py, then the commands below.
PYTHON ?= python3
# A relative path, and no scripts that pip wrote: the folder may have any name, and may be moved.
RUN := .venv/bin/python
# Each test process has servers of its own, and waits about half of its time. A Kafka of the environment is one: two
# processes would share consumer groups.
TEST_PROCESSES ?= $(if $(TEST_KAFKA),1,3)
INSTALLED := .venv/.installed

.PHONY: install up demo test test-only test-media check format contracts retention bench soak chaos clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "bitmill: needs Python 3.11 or newer, and there is no $(PYTHON): install it (Debian and Ubuntu:" \
	  "apt install python3-venv), or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" devtools/install.py "make $(MAKECMDGOALS)"

up: install          ## run everything on this machine; ARGS="--port 8081" passes options
	@$(RUN) -m cli up $(ARGS)

demo: install        ## run three jobs for each of three real videos, verify the webhooks, query the catalog
	@$(RUN) -m devtools.demo

test: check test-only ## lint, types, layers, contracts, then every test

test-only: install
	@$(RUN) -m pytest -m "not slow and not media" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

soak: install        ## the long tests with random kills and outages
	@$(RUN) -m pytest -m slow

test-media: install  ## the whole corpus of unusual media files
	@$(RUN) -m pytest tests/corpus -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

chaos: install       ## everything fails for 2 minutes under load, then an audit; MINUTES=60 SEED=7 for another run
	@$(RUN) -m tests.chaos --minutes $(or $(MINUTES),2) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: install       ## everything but the tests
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(RUN) -c 'from importlinter.cli import lint_imports_command as run; run()'
	@$(RUN) -m devtools.contracts --check

format: install
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

contracts: install   ## write the published JSON Schema, AsyncAPI and OpenAPI files, and docs/ api.md, errors.md and cli.md
	@$(RUN) -m devtools.contracts
	@$(RUN) -m devtools.cli_reference

retention: install   ## write docs/retention.md
	@$(RUN) -m devtools.retention

bench: install       ## measure overheads and rates, write tests/bench/README.md
	@$(RUN) -m tests.bench

clean:
	@rm -rf .venv .bitmill build *.egg-info
