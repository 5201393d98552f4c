# Needs Python 3.11 or newer with pip, and make. Everything else goes into .venv.
#   make run    close the shipped pairs on two simulated venues
#   make test   format, lint, types, diagrams, tables, tests

PYTHON ?= python3
BENCH_ARGS ?= --ticks 200000 --hz 1
# Facts in a row that the small world of `unwind diagram --lint` takes; each multiplies its time by 5.
FACTS ?= 6

UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
MODERN := import sys; sys.exit(sys.version_info < (3, 11))

SYNC := env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT=$(VENV) UV_PYTHON_DOWNLOADS=never \
  $(BIN)/uv sync --frozen --all-extras --no-progress --python $(BIN)/python

.PHONY: setup run test diagrams bench format clean

setup: $(READY)

# The environment is made anew when its interpreter is gone or too old, else brought up to date.
# Without a pip of its own it also works where the system leaves out ensurepip. The certificates
# of the machine are tried first, then those that uv brings along. What only developing needs is left
# out until something asks for it.
$(RUNS): pyproject.toml uv.lock Makefile
	@$(PYTHON) -c '$(MODERN)' || { \
	  echo "unwind needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)" >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -c '$(MODERN)' 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@$(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python \
	  install --quiet --progress-bar off "uv==$(UV_VERSION)"
	@$(SYNC) --no-dev --inexact --system-certs || $(SYNC) --no-dev --inexact
	@touch $@

$(READY): $(RUNS)
	@$(SYNC) --system-certs || $(SYNC)
	@touch $@

run: $(RUNS)
	$(BIN)/unwind run

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/unwind diagram --check
	$(BIN)/unwind diagram --lint --facts $(FACTS)
	$(BIN)/pytest -q

diagrams: setup
	$(BIN)/unwind diagram --format md --out docs/machines

bench: setup
	$(BIN)/python -m benchmarks.closes $(BENCH_ARGS)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
