# The project's commands. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python
WORKERS ?= 3
# Programs start a third faster from compiled modules, and the tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=
export DEMO ADVISORIES

.PHONY: help setup run test lint collect format bench soak lock audit sbom clean

help: ## List the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## Install what the service needs into .venv

$(VENV)/.installed: requirements.txt tools/setup.sh
	@tools/setup.sh service

$(VENV)/.installed-dev: requirements-dev.txt tools/vendor/package-lock.json $(VENV)/.installed
	@tools/setup.sh development

$(VENV)/bench/.installed: requirements-bench.txt $(VENV)/.installed
	@tools/setup.sh bench

run: $(VENV)/.installed ## Run the service with its own PostgreSQL (DEMO=1: with made-up data)
	@tools/run.sh

test: $(VENV)/.installed-dev ## Run every test, the browser's too
	@tools/setup.sh machine
	@$(MAKE) --no-print-directory --jobs 2 lint collect
	@$(PYTHON) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev ## Check style and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

collect: $(VENV)/.installed-dev # every process of the tests then finds them compiled
	@$(PYTHON) -m pytest --collect-only --quiet >/dev/null

format: $(VENV)/.installed-dev ## Bring the code into the project's style
	@$(VENV)/bin/ruff check --fix --quiet . ; $(VENV)/bin/ruff format .

bench: $(VENV)/.installed-dev $(VENV)/bench/.installed ## Measure: ratios side by side, one line of JSON and one readable line each
	@for program in bench/*.py; do $(PYTHON) -m bench.$$(basename $$program .py) || exit 1; done

soak: $(VENV)/.installed-dev ## The long runs: kill cycles, database faults, fuzzing
	@tools/setup.sh servers
	@SOAK=1 $(PYTHON) -m pytest -m soak --timeout=0

lock: $(VENV)/.installed-dev ## Pin the newest versions that requirements*.in allow
	@tools/lock.sh

audit: $(VENV)/.installed-dev ## Look for known weaknesses of the pinned packages in a copy of the advisories (ADVISORIES=folder or zip)
	@$(PYTHON) -m tools.audit

sbom: $(VENV)/.installed ## Write the bill of materials of the pinned packages (CycloneDX) to sbom.json
	@$(PYTHON) tools/sbom.py > sbom.json

clean: ## Remove what the commands have installed and built (never the data in var/)
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	@rm -rf $(VENV) tools/vendor/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
