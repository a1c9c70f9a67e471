# The single checks. `python run.py test` installs what they need and runs them all.
PYTHON ?= .venv/bin/python
BIN = $(dir $(PYTHON))

.PHONY: help run test quick lint types page gen lock
.DEFAULT_GOAL := help

help: ## print this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 8

run: ## start the server
	$(PYTHON) run.py

test: ## install what is needed and run every check
	$(PYTHON) run.py test

quick: ## the tests that take no time
	$(PYTHON) -m pytest -q -m "not slow" --ignore tests/e2e

lint: ## style, format and import rules
	$(BIN)ruff check
	$(BIN)ruff format --check
	$(BIN)lint-imports

types: ## static types
	$(PYTHON) -m mypy

page: ## the page's lint, types and tests
	npm run --silent lint
	npm run --silent types
	npm run --silent test

gen: ## write the generated files
	$(PYTHON) tools/generate.py

lock: ## write requirements.txt and requirements-dev.txt anew
	$(PYTHON) tools/lock.py
