# The two commands a newcomer needs are `make demo` and `make test`; the rest is for developers.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-services lint format snapshot docs release soak bench sandbox clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cryptolake needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP)-run: $(UV) uv.lock pyproject.toml
	$(UV) sync --frozen --quiet --inexact --extra dagster --extra research --extra exchanges
	@touch $@

$(STAMP)-dev: $(UV) uv.lock pyproject.toml
	$(UV) sync --frozen --quiet --inexact --extra dagster --extra research --extra exchanges --group dev
	@touch $@ $(STAMP)-run

# The local EVM node and the protocols' published contracts come from npm; without Node those tests skip and say so.
$(STAMP)-node: package.json package-lock.json $(UV)
	@if command -v npm >/dev/null 2>&1; then npm ci --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	else echo "npm not found: tests that need the local EVM node will be skipped"; fi

demo: $(STAMP)-run ## run every river on the bundled sandbox (no keys, no internet)
	$(BIN)/cryptolake demo

test: $(STAMP)-dev $(STAMP)-node ## run lint, types, import contracts and the whole suite
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n auto --dist loadgroup

# No test found (pytest's 5) is as red as a failed one: these tests exist, so nothing found means that nothing was proven.
test-services: $(STAMP)-dev ## run what needs a browser or R, and install both first (as root, from Debian's packages)
	scripts/fetch_services.sh
	$(BIN)/python -m pytest -m services -n 2 --dist loadgroup

lint: $(STAMP)-dev ## ruff, mypy, the import contracts, the declared dependencies and the documentation's links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/deptry tests benchmarks scripts examples --ignore DEP002,DEP004
	$(BIN)/python scripts/build_site.py

docs: $(STAMP)-dev ## build the documentation site into build/site; a broken link is an error
	$(BIN)/python scripts/build_site.py

format: $(STAMP)-dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

snapshot: $(STAMP)-dev ## rewrite the snapshot of what users rely on, and the rendered pages
	$(BIN)/python scripts/snapshot.py
	$(BIN)/python scripts/render_docs.py

release: $(STAMP)-dev ## build wheel and source archive from the tag and check both; see docs/release.md
	$(BIN)/python scripts/check_release.py before
	rm -rf dist
	$(UV) build --quiet
	$(BIN)/twine check --strict dist/*
	$(BIN)/python scripts/check_release.py after

soak: $(STAMP)-dev $(STAMP)-node ## the slow endurance tests, and every property with many examples
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m pytest -m 'hypothesis and not soak and not services' --hypothesis-profile=soak -n auto --dist loadgroup

bench: $(STAMP)-dev ## run every benchmark and rewrite the tables in benchmarks/README.md
	$(BIN)/python -m benchmarks

sandbox: $(STAMP)-dev $(STAMP)-node ## record the sandbox again from a local chain with the real contracts
	$(BIN)/python scripts/record_sandbox.py

clean: ## remove the environment and the sandbox's data
	rm -rf $(VENV) node_modules sandbox
