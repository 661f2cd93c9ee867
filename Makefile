# The commands for developers. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Tests and benches start servers again and again; without bytecode each start would compile the modules.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo demo-postgres serve test test-deployment soak soak-replicas screenshots check check-code check-contract check-project bench bench-postgres bench-growth bench-peers bench-dashboard bench-import bench-hostile protos docs build sbom lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

setup: .venv/.ready ## create the environment in .venv (the other commands do so when they need it)

# Every dependency is pinned with its hash; `make lock` changes the pins.
INSTALL := pip install --quiet --disable-pip-version-check
.venv/.ready: pyproject.toml .ci/requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tallymark needs Python 3.11 or newer; name one with PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/$(INSTALL) --upgrade 'pip>=25.1'
	$(BIN)/$(INSTALL) --require-hashes --requirement .ci/requirements/dev.txt
	$(BIN)/$(INSTALL) --no-deps --editable .
	@touch $@

# Tools whose dependencies conflict with those of the service have their own environments.
.cache/%/.ready: .ci/requirements/%.txt
	@$(PYTHON) -m venv --clear .cache/$*
	@.cache/$*/bin/$(INSTALL) --upgrade 'pip>=25.1'
	@.cache/$*/bin/$(INSTALL) --require-hashes --requirement $<
	@touch $@

demo: setup ## start a server, train a model several times, promote the best version, print all versions; OPTIONS=--keep keeps the server and its dashboard running
	@PYTHONPATH=tests $(BIN)/python -m demo $(OPTIONS)

demo-postgres: setup ## the same on two replicas with a PostgreSQL of their own; one replica is killed meanwhile
	@PYTHONPATH=tests $(BIN)/python -m demo.postgres $(OPTIONS)

serve: setup ## run the service on ./tallymark.db until Ctrl-C
	$(BIN)/tallymark serve

test: setup ## run the whole test suite, but for the one below
	$(BIN)/pytest -rs --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --ignore tests/deployment $(TESTS)

test-deployment: setup ## build and run the image, as root, and render the Helm chart; a new machine compiles Helm and makes a base image first
	$(BIN)/pytest tests/deployment

soak: soak-replicas ## run the long tests: thousands of random commands against a reference model, 200 rounds of faults, a consistency check of 20,000 requests, 1,000 losses of power, 100 faults of replicas and of PostgreSQL
	TALLYMARK_TEST_EXAMPLES=$(or $(EXAMPLES),300) $(BIN)/pytest --timeout 3600 \
		tests/journeys/test_state_machine.py tests/domain/test_batches.py
	TALLYMARK_TEST_ROUNDS=$(or $(ROUNDS),200) TALLYMARK_TEST_REPORT=.cache/soak $(BIN)/pytest tests/journeys/test_exactly_once.py
	TALLYMARK_TEST_CONSISTENCY=$(or $(REQUESTS),20000) TALLYMARK_TEST_RACE=20 TALLYMARK_TEST_REPORT=.cache/soak \
		$(BIN)/pytest --timeout 3600 tests/journeys/test_consistency.py tests/rpc/test_one_moment.py
	TALLYMARK_TEST_MOMENTS=1000 $(BIN)/pytest --timeout 3600 tests/journeys/test_durability.py
	@cat .cache/soak/exactly-once.txt .cache/soak/consistency.txt .cache/soak/failover.txt .cache/soak/promotion.txt
	@PYTHONPATH=tests $(BIN)/python -m bench.report --faults .cache/soak/exactly-once.json --consistency .cache/soak/consistency.json --failover .cache/soak/failover.json --promotion .cache/soak/promotion.json > .cache/soak/report.md

soak-replicas: setup ## run the long check of replicas on PostgreSQL: 100 times one of them, or the database, is killed or frozen
	TALLYMARK_TEST_FAILOVER=$(or $(FAULTS),100) TALLYMARK_TEST_REPORT=.cache/soak $(BIN)/pytest tests/journeys/test_failover.py

screenshots: setup ## take the screenshots of the dashboard for README.md
	TALLYMARK_TEST_PICTURES=tests/web/pictures $(BIN)/pytest tests/web/test_screenshots.py

check: check-code check-contract check-project docs ## run every check except the tests: the three below, and make docs

check-code: setup .cache/imports/.ready ## check formatting, lint rules, types and import layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PYTHONPATH=sdk:service .cache/imports/bin/lint-imports

check-contract: setup ## lint the contract, compare it with the last release, and check that the stubs and the tables of reasons and methods are up to date
	cd protos && ../$(BIN)/buf lint
	$(BIN)/python protos/breaking.py
	$(BIN)/python protos/generate.py --check
	$(BIN)/python protos/reasons.py --check
	$(BIN)/python protos/methods.py --check

check-project: setup ## check spelling, wording, the Containerfile, the workflows, the pinned dependencies and the figures in README.md
	$(BIN)/codespell
	$(BIN)/python tests/wording.py
	$(BIN)/hadolint service/deploy/Containerfile
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/python .ci/lock.py --check
	PYTHONPATH=tests $(BIN)/python -m bench.report --check

bench: setup ## measure creates, reads and the SDK against a bare gRPC echo; OPTIONS=--quick takes under three minutes
	@PYTHONPATH=tests $(BIN)/python -m bench $(OPTIONS)

bench-postgres: setup ## measure replicas on PostgreSQL, with SQLite beside them
	@PYTHONPATH=tests $(BIN)/python -m bench.postgres $(OPTIONS)

bench-growth: setup ## measure requests and memory with 1,000, 100,000 and 1,000,000 versions
	@PYTHONPATH=tests $(BIN)/python -m bench.growth $(OPTIONS)

bench-peers: setup ## measure the same work with Tallymark, MLflow and ZenML
	@PYTHONPATH=tests $(BIN)/python -m bench.peers $(OPTIONS)

bench-dashboard: setup ## measure pages over 100,000 versions, and creates while 500 pages are open
	@PYTHONPATH=tests $(BIN)/python -m bench.dashboard $(OPTIONS)

bench-import: setup ## measure the time and memory to import 100,000 versions with 1,000,000 points from MLflow
	@PYTHONPATH=tests $(BIN)/python -m bench.importing $(OPTIONS)

bench-hostile: setup ## run every attack of tests/attacks against a server, and check latency, memory and shutdown time
	@PYTHONPATH=tests $(BIN)/python -m bench.hostile $(OPTIONS)

protos: setup ## generate the stubs in sdk/ and the tables in protos/README.md from the contract
	$(BIN)/python protos/generate.py
	$(BIN)/python protos/reasons.py
	$(BIN)/python protos/methods.py

# The folder in which the documentation is built.
SITE ?= build/docs

docs: .cache/docs/.ready ## build the documentation in build/docs, and check its links
	PYTHONPATH=sdk .cache/docs/bin/python docs/assemble.py .cache/docs/pages
	PYTHONPATH=sdk:docs .cache/docs/bin/sphinx-build -c docs -d .cache/docs/state --fail-on-warning --quiet .cache/docs/pages $(SITE)

# The folder in which the packages are built.
DIST ?= dist

build: .cache/release/.ready ## build the source distribution and the wheel in dist/, and check that the wheel installs and runs
	rm -rf $(DIST) .cache/wheel
	.cache/release/bin/pyproject-build --outdir $(DIST)
	.cache/release/bin/twine check --strict $(DIST)/*.tar.gz $(DIST)/*.whl
	$(PYTHON) -m venv --without-pip .cache/wheel
	.cache/release/bin/pip --python .cache/wheel install --quiet --require-hashes --requirement .ci/requirements/runtime.txt
	.cache/release/bin/pip --python .cache/wheel install --quiet --no-deps $(DIST)/*.whl
	.cache/release/bin/pip --python .cache/wheel check
	.cache/wheel/bin/tallymark --version

sbom: build ## build, and write the components of an installed service to dist/ (CycloneDX)
	.cache/release/bin/cyclonedx-py environment --output-reproducible --output-file $(DIST)/tallymark.cdx.json .cache/wheel/bin/python

lock: .cache/release/.ready ## pin the dependencies with their hashes; OPTIONS=--upgrade takes the newest allowed versions
	.cache/release/bin/python .ci/lock.py $(OPTIONS)

clean: ## remove the environments and all generated files
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
