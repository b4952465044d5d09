# Every target makes the environment that it needs first; a second call finds it there.
.DEFAULT_GOAL := help
.PHONY: help up down test test-host fuzz lint types modules bench docs format lock clean environment environment-dev
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
CODE := $(wildcard src tests bench scripts)
TESTS ?=
JOBS ?= 4
SECONDS ?= 60

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

up: environment ## Bring up the demo site in demo/, send a DICOM file to it and say how to look
	@$(BIN)/orthweb demo

down: ## End the demo site (its data stay in demo/)
	@if [ -d demo ] && [ -x $(BIN)/orthweb ]; then $(BIN)/orthweb down --site demo; else echo "There is no demo site to end."; fi

test: environment-dev ## Run all tests, with real processes (TESTS=path limits them, JOBS=4 run at a time)
	@$(BIN)/orthweb setup --tests
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

test-host: ## Run the tests of Docker hosts alone, which 'make test' runs as well
	@$(MAKE) test TESTS=tests/host

fuzz: environment-dev ## Look for bytes that break the DICOM parser (SECONDS=60 for each of its parts)
	@for target in acceptor requestor association file; do \
		PYTHONPATH=tests/unit $(BIN)/python tests/fuzz/dicom.py $$target $(SECONDS) || exit; \
	done

lint: environment-dev ## Check style, types and the Terraform modules
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(MAKE) -j2 --output-sync=target types modules

types:
	@$(BIN)/mypy $(CODE)

modules:
	@PYTHONPATH=tests/terraform:tests/site $(BIN)/python scripts/compliance_scan.py

bench: environment-dev ## Measure start-up, ingest, idle clients, DICOM transfer, validation, audit, AWS and containers
	@$(BIN)/orthweb setup --tests
	@for figure in startup ingest idle dicom_send dicom_receive dicom_latency dicom_site validation audit aws host failover containers; do \
		PYTHONPATH=tests/terraform:tests/site:tests/host $(BIN)/python bench/$$figure.py || exit; \
	done

docs: environment-dev ## Build the guide into build/docs/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --strict
	@echo "The guide is in build/docs/index.html"

format: environment-dev ## Put the code into the house style
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --system-certs \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --annotation-style line
# A host's own Python and platform alone, and the versions of requirements.lock: what 'orthweb host' imports.
HOST := botocore cryptography 'psycopg[binary]' pydantic rich ruamel.yaml typer
HOST_LOCK := $(subst --universal,--python-platform linux,$(subst --python-version 3.11,--python-version 3.13,$(LOCK)))
BUILD = sed -n '/^\[build-system\]/,/^$$/s/^requires = \["\(.*\)"\]/\1/p' pyproject.toml

lock: environment-dev ## Resolve pyproject.toml anew into the lock files (UPGRADE=1 takes newer releases)
	@$(BUILD) | $(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml - --extra aws --extra s3 --output-file requirements.lock
	@$(BUILD) | $(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml - --all-extras --constraints requirements.lock --output-file requirements-dev.lock
	@printf '%s\n' $(HOST) | $(HOST_LOCK) --constraints requirements.lock - --output-file src/orthweb/bundle/host.lock
	@echo "checkov>=3.2" | $(LOCK) $(if $(UPGRADE),--upgrade) - --output-file requirements-checkov.lock

clean: down ## End the demo site and remove what was built (the demo's data stay)
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/orthweb.egg-info
	@find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || :

environment:
	@scripts/environment.sh run

environment-dev:
	@scripts/environment.sh dev
