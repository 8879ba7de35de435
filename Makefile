# The few verbs of the house; people and CI call the same ones. `make` alone lists them.
#
# Everything is installed into .venv by Python's own venv and pip. The stamps .venv/.base,
# .venv/.docs and .venv/.dev say what is in it: a verb reinstalls only after pyproject.toml
# has changed, and so needs the network only once.

PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check

PROMPT ?= a red apple
OUT ?= drawing.png
SEED ?=

# What the caller wrote travels to the recipe as data, in the environment: $(value …) keeps make
# from expanding a $ in it, unexport keeps make from doing so for its own copy, and the recipe
# quotes it, so that quotes, $ and backquotes reach limner as they are.
export DRAW_PROMPT := $(value PROMPT)
export DRAW_OUT := $(value OUT)
export DRAW_SEED := $(value SEED)
unexport PROMPT OUT SEED

# The tests start many processes; where this is set, each compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

# More words for pytest or limner serve, for example: make test ARGS="tests/model -x"
ARGS ?=

CI_SUITES := tests/agent tests/cli/training tests/compat/test_clients.py tests/engines/networks \
	tests/evaluation/test_evaluate.py tests/evaluation/things tests/finish tests/page \
	tests/server/access tests/server/drawing/test_batches.py tests/server/failures tests/service \
	tests/storage tests/training

# More workers than cores, since many tests wait for servers and clocks.
WORKERS ?= $(shell echo $$(($$(nproc) * 3 / 2)))

BENCHMARKS := $(filter-out benchmarks/_%,$(sort $(wildcard benchmarks/*.py)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help draw serve test test-ci test-all compat docs check format bench clean

help:  ## list these verbs
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1	\2/p' Makefile | expand -t 12

draw: .venv/.base  ## draw one picture offline: PROMPT="a red apple" OUT=apple.png SEED=7 (each optional)
	@$(BIN)/limner draw --output "$$DRAW_OUT" \
		$${DRAW_SEED:+--seed "$$DRAW_SEED"} -- "$$DRAW_PROMPT"

serve: .venv/.base  ## answer the OpenAI Images API at 127.0.0.1:8000: ARGS="--port 9000" (optional)
	@$(BIN)/limner serve $(ARGS)

# A worker takes whole files, so that what the tests of a file share is made once.
test: .venv/.dev  ## run the tests, the slow ones left out
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --durations=25 $(ARGS)

# What they need and how long each takes: docs/testing.md.
test-ci: .venv/.dev  ## run the slow tests that CI runs
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --durations=25 -m slow $(CI_SUITES)

# Those of PostgreSQL need Debian's package (apt-get install postgresql) and are skipped without.
test-all: .venv/.dev  ## run all tests, the slow ones included
	$(BIN)/pytest -m "slow or not slow" $(ARGS)

compat: .venv/.dev  ## try every client of the API and write docs/compatibility.md
	$(BIN)/python -m tests.compat.report

docs: .venv/.docs  ## write the generated pages and build docs/ into build/docs; fails on a broken link
	@$(BIN)/python -m tests.docs.reference
	@$(BIN)/properdocs build --quiet
	@echo build/docs/index.html

check: .venv/.dev  ## format, lint, types, layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/.dev  ## lay the code out and make the safe lint repairs
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: .venv/.dev  ## run every benchmark and print its table
	$(if $(BENCHMARKS),,$(error no benchmarks/*.py here))
	@set -e; for file in $(BENCHMARKS); do echo "== $$file"; $(BIN)/python "$$file"; done

clean:  ## remove .venv, caches and built packages (never a picture)
	rm -rf .venv build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		"limner needs Python 3.11 or newer, this is " + sys.version.split()[0] + \
		"\n\nhint: make PYTHON=/path/to/python3.11 …")'
	@echo "making .venv" >&2
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.base: pyproject.toml | .venv/.made
	@echo "installing limner into .venv (about a minute)" >&2
	@$(PIP_INSTALL) --editable .
	@touch $@

# torch goes first and alone: its version is exact, and the range of the extra then keeps it.
.venv/.dev: pyproject.toml | .venv/.made
	@echo "installing limner, PyTorch and the tools of development into .venv (some minutes)" >&2
	@$(PIP_INSTALL) torch==2.13.0
	@$(PIP_INSTALL) --editable '.[pg,otel,s3,hub,train,evaluate,safety,c2pa,mcp,docs,dev,bench]'
	@touch .venv/.base .venv/.docs $@

.venv/.docs: pyproject.toml | .venv/.made
	@echo "installing limner and the tools of the documentation into .venv" >&2
	@$(PIP_INSTALL) --editable '.[docs]'
	@touch .venv/.base $@
