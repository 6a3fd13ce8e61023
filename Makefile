# What you can do here. Everything installs itself into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SOURCES := client policies server tests bench

# Where bytecode is not kept, every server process a test starts compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-full check bench protos serve rules clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Run the main job: an engine asks, Lakewarden decides, on real TPC-H data
	@$(BIN)/python -m lakewarden_server.demo

test: check ## Lint, types, contracts and the whole suite, on SQLite and PostgreSQL
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-full: check ## The same with the long versions of the consistency, fuzz and scale suites
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(READY) ## Format, lint, types, import contracts: about a minute
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## Measure, each figure beside its comparison, into bench/results.json
	$(BIN)/python -m bench

protos: ## Regenerate client/lakewarden/v1 from protos/
	./protos/generate.sh

rules: $(READY) ## Regenerate policies/lakewarden_policy/RULES.md from the protos and the policy files
	@mkdir -p var
	$(BIN)/python -m lakewarden_server.rules_document > var/RULES.md
	mv var/RULES.md policies/lakewarden_policy/RULES.md

serve: $(READY) ## Serve from ./lakewarden-data, making it on the first run
	@test -e lakewarden-data/lakewarden.key || $(BIN)/lakewarden-server init --admin admin@example.com
	$(BIN)/lakewarden-server serve

clean: ## Remove what the targets above made, but not lakewarden-data
	rm -rf $(VENV) var lineage-demo*.svg .pytest_cache .mypy_cache .ruff_cache build dist

$(READY): pyproject.toml
	@echo "setting up $(VENV) (a minute or two the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,postgres,metrics,otel,scim,demo]' --group dev
	@touch $(READY)
