# make paper · make test · make lab · make notebooks · make release      (see README.md)
PYTHON ?= python3
PROFILE ?= laptop
SEED ?= 0
WORLDS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
# Packages are compiled when they are first used; without this, in some environments, every time.
export PYTHONDONTWRITEBYTECODE :=
# What all notebooks use, once: else processes that begin together each do it (minutes in all).
SHOWING := import papermill, nbconvert, ipywidgets, ipykernel.kernelapp; \
  from paper_utils.figures import style
WORKING := from paper_utils import pipeline, preloaded

.PHONY: help setup paper test stress lint lab notebooks student release bench clean

help:
	@echo "make paper      run the whole paper (PROFILE=laptop SEED=0 WORLDS=1)"
	@echo "make test       everything that must hold"
	@echo "make stress     the runs that are killed, twenty times (minutes)"
	@echo "make lab        open notebook 01 in JupyterLab"
	@echo "make notebooks  rebuild notebooks/*.ipynb from their .py sources"
	@echo "make student    write the notebooks without outputs, to be filled in, into runs/student"
	@echo "make release    run what is published from nothing (it resumes) and publish it again"
	@echo "make bench      speed, measured on this machine"
	@echo "make clean      remove the environment and what runs have written"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; try make PYTHON=python3.11 ..."; exit 2; }
	@echo "setting up $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip  # an old one takes half a minute longer to find the same packages
	@$(PIP) --no-compile -r requirements.lock
	@$(PIP) --no-deps -e .
	@$(BIN)/python -c "$(SHOWING)" & $(BIN)/python -c "$(WORKING)" && wait $$!
	@touch $@

paper: $(READY)
	@$(BIN)/python -m paper_utils run --profile $(PROFILE) --seed $(SEED) \
	  $(if $(WORLDS),--set worlds=$(WORLDS))

test: $(READY) lint
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

stress: $(READY)
	@$(BIN)/python -m pytest tests/stress

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

lab: $(READY)
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01_data.ipynb

notebooks: $(READY)
	@$(BIN)/python -m paper_utils notebooks

student: $(READY)
	@$(BIN)/python -m paper_utils notebooks --student runs/student

release: $(READY)
	@$(BIN)/python tools/publish.py

bench: $(READY)
	@for script in tests/benchmarks/*_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) runs
