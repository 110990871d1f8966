# The README uses `make sweep` and `make test`; `make help` lists all commands.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# One thread per process: several processes with several threads each slow each other down.
TESTING := HF_HUB_OFFLINE=1 WANDB_MODE=offline OMP_NUM_THREADS=1
# A first result in minutes: one epoch on a fixed sample of the default data.
ARGS ?= factorization=svd rank=64,128,256 trainer.epochs=1 data.train_size=2500 data.eval_size=1000
# The first sweep needs no hub; one with other ARGS may.
ifeq ($(origin ARGS),file)
export HF_HUB_OFFLINE ?= 1
endif

.PHONY: help install sweep report results test test-slow benchmarks lint format clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 20

install: $(INSTALLED)  ## create .venv with the locked packages and this project

# The marker comes last, so an interrupted installation is resumed.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "embfact needs Python 3.11 to 3.13, found: $$($(PYTHON) --version); use make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@$(BIN)/python scripts/fetch_sentences.py || true  # says what is missing; everything else works without it
	@touch $@

sweep: $(INSTALLED)  ## run a first sweep (no hub needed, takes minutes); another one with ARGS="..."
	$(BIN)/python train.py $(ARGS) -m

report: $(INSTALLED)  ## table, statistics, plots, dashboard and analysis of a sweep: DIR=outputs/NAME
	@test -n "$(DIR)" || { echo "make report needs the directory of a sweep: make report DIR=outputs/default"; exit 2; }
	$(BIN)/python scripts/report.py $(DIR)

results: $(INSTALLED)  ## the reports in docs/results again, from the predictions in docs/results/runs; needs no data
	@for runs in docs/results/runs/*/; do \
		$(BIN)/python scripts/report.py $$runs --output docs/results/$$(basename $$runs) --light || exit; \
	done

test: $(INSTALLED)  ## run the tests
	$(TESTING) $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow and not benchmark"

test-slow: $(INSTALLED)  ## run the slow tests
	$(TESTING) $(BIN)/python -m pytest -m slow

benchmarks: $(INSTALLED)  ## run every benchmark in its quick mode, without measuring
	$(TESTING) $(BIN)/python -m pytest -m benchmark

lint: $(INSTALLED)  ## check style, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## fix the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and the caches of tools; keeps the runs in outputs/
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build src/*.egg-info
