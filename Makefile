# Everything a developer does here, one command each. `make` alone tells them all.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# A server that is started again and again, by tests and benches, must not be compiled each time.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo serve test soak screenshots check bench bench-growth bench-peers bench-dashboard bench-import bench-hostile protos clean

help: ## tell the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

setup: .venv/.ready ## create the environment in .venv (every other command does it by itself)

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tallymark needs Python 3.11 or newer; name one with PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable '.[server,artifacts]' --group dev
	@touch $@

.cache/imports/.ready: pyproject.toml
	@$(PYTHON) -m venv --clear .cache/imports
	@.cache/imports/bin/pip install --quiet --upgrade 'pip>=25.1'
	@.cache/imports/bin/pip install --quiet --group imports
	@touch $@

demo: setup ## start a server, train a model several times through the decorators, promote the best, print the versions; OPTIONS=--keep leaves the server and its dashboard running
	@PYTHONPATH=tests $(BIN)/python -m demo $(OPTIONS)

serve: setup ## run the service on ./tallymark.db until Ctrl-C
	$(BIN)/tallymark serve

test: setup ## run the whole test suite
	$(BIN)/pytest -rs --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

soak: setup ## the long tests: a plain model of the rules over many thousand commands, 200 rounds of faults, every answer of many clients against the log, 1,000 losses of power
	TALLYMARK_TEST_EXAMPLES=$(or $(EXAMPLES),300) $(BIN)/pytest --timeout 3600 \
		tests/journeys/test_state_machine.py tests/domain/test_batches.py
	TALLYMARK_TEST_ROUNDS=$(or $(ROUNDS),200) TALLYMARK_TEST_REPORT=.cache/soak $(BIN)/pytest tests/journeys/test_exactly_once.py
	TALLYMARK_TEST_CONSISTENCY=$(or $(REQUESTS),20000) TALLYMARK_TEST_RACE=20 TALLYMARK_TEST_REPORT=.cache/soak \
		$(BIN)/pytest --timeout 3600 tests/journeys/test_consistency.py tests/rpc/test_one_moment.py
	TALLYMARK_TEST_MOMENTS=1000 $(BIN)/pytest --timeout 3600 tests/journeys/test_durability.py
	@cat .cache/soak/exactly-once.txt .cache/soak/consistency.txt
	@PYTHONPATH=tests $(BIN)/python -m bench.report --faults .cache/soak/exactly-once.json > .cache/soak/report.md

screenshots: setup ## make the pictures of the dashboard that README shows
	TALLYMARK_TEST_PICTURES=tests/web/pictures $(BIN)/pytest tests/web/test_screenshots.py

check: setup .cache/imports/.ready ## format, lint, types, import contracts, the contract, generated stubs and reasons up to date
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PYTHONPATH=sdk:service .cache/imports/bin/lint-imports
	cd protos && ../$(BIN)/buf lint
	$(BIN)/python protos/breaking.py
	PYTHONPATH=tests $(BIN)/python -m bench.report --check
	$(BIN)/python protos/generate.py --check && $(BIN)/python protos/reasons.py --check

bench: setup ## measure speed as ratios to a bare gRPC echo, in one run; OPTIONS=--quick in under three minutes
	@PYTHONPATH=tests $(BIN)/python -m bench $(OPTIONS)

bench-growth: setup ## measure what becomes slower with 1,000, 100,000 and 1,000,000 versions
	@PYTHONPATH=tests $(BIN)/python -m bench.growth $(OPTIONS)

bench-peers: setup ## the same work for Tallymark, for MLflow and for ZenML, side by side
	@PYTHONPATH=tests $(BIN)/python -m bench.peers $(OPTIONS)

bench-dashboard: setup ## measure pages over 100,000 versions, and creates beside 500 open pages
	@PYTHONPATH=tests $(BIN)/python -m bench.dashboard $(OPTIONS)

bench-import: setup ## import 100,000 versions with 1,000,000 points from MLflow, in bounded memory
	@PYTHONPATH=tests $(BIN)/python -m bench.importing $(OPTIONS)

bench-hostile: setup ## attack a server in every way that tests/attacks knows, and bound what a small get, memory and a stop suffer
	@PYTHONPATH=tests $(BIN)/python -m bench.hostile $(OPTIONS)

protos: setup ## generate the stubs in sdk/ and the table of reasons in protos/README.md from the contract
	$(BIN)/python protos/generate.py
	$(BIN)/python protos/reasons.py

clean: ## remove the environment and everything made by it
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
