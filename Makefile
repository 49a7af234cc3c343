# Every target does its own set-up; it needs nothing but make, Python 3.11 or newer and a C++ compiler.
.DEFAULT_GOAL := help
.PHONY: help chat test test-slow test-faults test-train lint bench bench-cloud clean

BIN := .venv/bin

help:
	@echo "make chat       talk to Mnemon"
	@echo "make test       lint, types and tests"
	@echo "make test-slow  the tests that take over ten seconds each"
	@echo "make test-train the training pipeline of the built-in model, its smallest size the whole way"
	@echo "make lint       ruff and mypy"
	@echo "make test-faults  500 scenarios of broken lines and killed processes between a device and the cloud"
	@echo "make bench      how fast it is here; tables in bench-out/"
	@echo "make bench-cloud  how much the cloud carries here: 200 streams, idle connections, overload, batching"
	@echo "make clean      remove what was installed and built (never your memory)"

chat:
	@scripts/setup.sh chat
	@$(BIN)/mnemon

test: lint
	@$(BIN)/pytest -n 2 -m "not slow"

test-slow:
	@scripts/setup.sh test
	@$(BIN)/pytest -m slow

test-faults:
	@scripts/setup.sh test
	@$(BIN)/pytest -m slow tests/together/test_cloud_faults.py

test-train:
	@scripts/setup.sh train
	@$(BIN)/pytest tests/scripts

lint:
	@scripts/setup.sh test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench:
	@scripts/setup.sh test
	@$(BIN)/python scripts/bench/all.py

bench-cloud:
	@scripts/setup.sh test
	@$(BIN)/python scripts/bench/cloud.py

clean:
	rm -rf .venv build dist bench-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
