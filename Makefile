# The two commands: `make demo` shows the whole path, `make test` passes the tests.
# Each sets up what it needs in .venv; nothing outside this folder is touched.

PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
YOLO_VENV := .venv-yolo
CLIENTS_VENV := .venv-clients
CLIENTS := $(CLIENTS_VENV)/.ready
YOLO ?= $(if $(EPOCHAL_YOLO_PYTHON),,$(YOLO_VENV)/.ready)
YOLO_PYTHON := $(or $(EPOCHAL_YOLO_PYTHON),$(YOLO_VENV)/bin/python)
PIP := -m pip --disable-pip-version-check install --quiet
# Ultralytics must neither look for updates nor install packages on its own while it is tested.
YOLO_ENV := YOLO_OFFLINE=true YOLO_AUTOINSTALL=false MPLBACKEND=Agg
FAST := not slow and not browser

.PHONY: help demo demo-yolo test check test-slow test-web test-browser test-yolo test-clients bench ui format clean

help: ## Say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.ready ## Train two small detectors, compare them, decide; under a minute or two
	@$(BIN)/epochal demo .demo --again

demo-yolo: $(VENV)/.ready $(YOLO) ## The same with two real YOLO trainings on the CPU; some minutes
	@rm -rf .demo-yolo
	@$(YOLO_ENV) $(YOLO_PYTHON) examples/yolo_pair.py .demo-yolo

test: check ## Check style, types and layers, then run the fast tests
	$(BIN)/python -m pytest -m "$(FAST)" -n 2

check: $(VENV)/.ready-dev ## Style, types and layers only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: $(VENV)/.ready-dev ## Crash loops, power cuts, simulations
	$(BIN)/python -m pytest -m slow -n 2 tests/decisions
	$(BIN)/python -m pytest -m slow --ignore tests/yolo --ignore tests/clients --ignore tests/decisions

test-web: web/node_modules/.ready ## The pages' source: types, and the functions that need no browser
	cd web && npm run check && npm test

test-browser: $(VENV)/.ready-dev web/node_modules/.ready ## The pages in a real Chromium
	$(BIN)/python -m pytest -m browser

test-yolo: $(VENV)/.ready-dev $(YOLO) ## Real YOLO trainings, a few epochs each
	$(YOLO_ENV) EPOCHAL_YOLO_PYTHON=$(abspath $(YOLO_PYTHON)) $(BIN)/python -m pytest tests/yolo -m slow

test-clients: $(VENV)/.ready-dev $(CLIENTS) ## Unmodified clients of other trackers against a real server
	EPOCHAL_MLFLOW_PYTHON=$(abspath $(CLIENTS_VENV)/mlflow3/bin/python):$(abspath $(CLIENTS_VENV)/mlflow2/bin/python) \
	EPOCHAL_WANDB_PYTHON=$(abspath $(CLIENTS_VENV)/wandb/bin/python) \
		$(BIN)/python -m pytest tests/clients -m slow

bench: $(VENV)/.ready-dev ## Measure against the budgets
	$(BIN)/python -m benchmarks

ui: $(VENV)/.ready ## Look at the demo's runs in the browser
	@$(BIN)/epochal ui .demo

format: $(VENV)/.ready-dev ## Let the formatter have its way
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what was set up and measured here
	rm -rf $(VENV) $(YOLO_VENV) $(CLIENTS_VENV) .demo .demo-yolo .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Building the page needs no Node of yours; checking its source and testing it does.
web/node_modules/.ready: web/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed to test the page"; exit 1; }
	@cd web && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; PYTHON=/path/to/python names one"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP) --upgrade pip

$(VENV)/.ready: $(VENV)/bin/python pyproject.toml
	@echo "setting up $(VENV) ..."
	@$(BIN)/python $(PIP) --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/bin/python pyproject.toml
	@echo "setting up $(VENV) for development ..."
	@$(BIN)/python $(PIP) --editable . --group dev
	@touch $@ $(VENV)/.ready

# A CPU-only torch beside which torchvision's own wheels cannot be imported; see the tool.
$(YOLO_VENV)/.ready: tools/torchvision_stub.py pyproject.toml
	@echo "setting up $(YOLO_VENV) (torch and ultralytics, about 1.5 GB) ..."
	@test -x $(YOLO_VENV)/bin/python || $(PYTHON) -m venv $(YOLO_VENV)
	@$(YOLO_VENV)/bin/python $(PIP) --upgrade pip
	@$(PYTHON) tools/torchvision_stub.py $(YOLO_VENV)/wheels
	@$(YOLO_VENV)/bin/python $(PIP) torch==2.13.0 torchvision==0.28.0+stub ultralytics==8.4.190 \
		--find-links $(YOLO_VENV)/wheels
	@$(YOLO_VENV)/bin/python $(PIP) --editable .
	@touch $@

# Clients as their users have them: each in an environment of its own, without Epochal.
$(CLIENTS_VENV)/.ready: Makefile
	@echo "setting up $(CLIENTS_VENV) (mlflow 3 and 2, wandb) ..."
	@for v in 3.17.2 2.22.5; do \
		place=$(CLIENTS_VENV)/mlflow$${v%%.*}; \
		test -x $$place/bin/python || $(PYTHON) -m venv $$place || exit 1; \
		$$place/bin/python $(PIP) mlflow-skinny==$$v || exit 1; done
	@test -x $(CLIENTS_VENV)/wandb/bin/python || $(PYTHON) -m venv $(CLIENTS_VENV)/wandb
	@$(CLIENTS_VENV)/wandb/bin/python $(PIP) wandb==0.31.0 numpy
	@touch $@
