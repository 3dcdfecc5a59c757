# `make train` and `make test` are all a new user needs: each makes the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := .stamps/environment

.PHONY: train test lint bench chaos report tensorboard clean

train: $(STAMP)  ## fetch the base model and run the main experiment, or go on with it
	$(BIN)/league fetch-model
	if [ -e runs/quickstart/league.db ]; then $(BIN)/league resume runs/quickstart; else $(BIN)/league train configs/quickstart.yaml; fi

test: $(STAMP)  ## every test, slow ones too, on one thread per process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

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

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24" "setuptools>=77"
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,grammars]" --config-settings editable_mode=compat
	$(BIN)/python -m pip install --quiet -c constraints.txt "open-spiel>=1.5" || echo "open-spiel does not install here: the tests that use it as an oracle will skip"
	mkdir -p .stamps && touch $@

clean:
	rm -rf $(VENV) .stamps
