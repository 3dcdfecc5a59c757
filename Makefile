# `make train` and `make test` are all a new user needs: each makes the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := .stamps/environment
PYTEST := python -m pytest -n 2 --dist loadfile

.PHONY: train test lint bench chaos tensorboard constraints test-lowest clean

train: $(STAMP)  ## fetch the base model and run the main experiment, or go on with it
	$(BIN)/league fetch-model
	if [ -e runs/quickstart/league.db ]; then $(BIN)/league resume runs/quickstart; else $(BIN)/league train configs/quickstart.yaml; fi

test: $(STAMP)  ## every test, slow ones too, on one thread per process
	OMP_NUM_THREADS=1 $(BIN)/$(PYTEST)

lint: $(STAMP)  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## the engine against transformers, PEFT and one-at-a-time (half an hour of one core)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.engine

chaos: $(STAMP)  ## kill the league again and again and compare bits (long)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.chaos

tensorboard: $(STAMP)
	$(BIN)/tensorboard --logdir runs --samples_per_plugin images=200,text=200

# $(call environment,FOLDER,CONSTRAINTS): a virtual environment with the project in it, built with the same constraints.
define environment
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --upgrade -c $(2) pip setuptools
	$(1)/bin/python -m pip install --quiet -c $(2) torch
	$(1)/bin/python -m pip install --quiet -c $(2) --build-constraint $(2) -e ".[dev,grammars,math]" --config-settings editable_mode=compat
	$(1)/bin/python -m pip install --quiet -c $(2) --build-constraint $(2) -e ".[oracles]" --config-settings editable_mode=compat || echo "open-spiel does not install here: the tests that use it as an oracle will skip"
endef

$(STAMP): pyproject.toml constraints.txt
	$(call environment,$(VENV),constraints.txt)
	mkdir -p .stamps && touch $@

constraints:  ## the newest versions that pyproject.toml allows into constraints.txt (torch stays), then the lints and every test
	rm -rf .venv-newest && mkdir -p .stamps
	grep '^torch==' constraints.txt > .stamps/newest.txt
	$(call environment,.venv-newest,.stamps/newest.txt)
	.venv-newest/bin/python -m pip freeze --all --exclude-editable > .stamps/installed.txt
	{ grep '^#' constraints.txt; sed 's/+cpu$$//' .stamps/installed.txt; } > .stamps/constraints.txt
	mv .stamps/constraints.txt constraints.txt
	rm -rf .venv-newest $(VENV)
	$(MAKE) lint test

test-lowest:  ## every test with each direct dependency at the lowest version that pyproject.toml allows (torch as pinned)
	rm -rf .venv-lowest && mkdir -p .stamps
	$(PYTHON) .ci/lowest.py > .stamps/lowest.txt
	$(call environment,.venv-lowest,.stamps/lowest.txt)
	OMP_NUM_THREADS=1 .venv-lowest/bin/$(PYTEST)

clean:
	rm -rf $(VENV) .venv-newest .venv-lowest .stamps
