# Everything a contributor runs. `make` alone lists the targets.
# PYTHON=python3.12 chooses the interpreter of a new .venv; ARGS=... goes to the program that a target starts.

BIN := .venv/bin
# Two workers suit a machine with two cores; idle ones take tests from the other's queue.
WORKERS ?= 2
INSTALL_INPUTS := setup.py pyproject.toml constraints.txt scripts/setup

.DEFAULT_GOAL := help
.PHONY: help run test check bench setup screenshots clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.installed-run ## Start Muster with a simulated fleet (ARGS="--http 127.0.0.1:5001")
	@scripts/system-packages mosquitto=mosquitto
	@exec $(BIN)/muster up --demo $(ARGS)

test: .venv/.installed-dev ## Run the tests against real servers (ARGS="-k presence")
	@scripts/system-packages mosquitto=mosquitto mosquitto_pub=mosquitto-clients mariadbd=mariadb-server \
		initdb=postgresql chromium=chromium ip=iproute2 systemd-analyze=systemd nginx=nginx-light
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

check: .venv/.installed-dev ## Report what ruff, mypy and import-linter find
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.installed-dev ## Measure (ARGS names the benchmark)
	@scripts/system-packages mosquitto=mosquitto
	@$(BIN)/python -m bench $(ARGS)

setup: .venv/.installed-dev ## Make .venv with everything that development needs

screenshots: .venv/.installed-dev ## Take the pictures in docs/images anew (ARGS="fleet device")
	@$(BIN)/python -m tests.screenshots $(ARGS)

clean: ## Remove what the other targets made, .venv included
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info

.venv/.installed-run: $(INSTALL_INPUTS)
	@scripts/setup server,broker
	@touch $@

# The extra `dev` holds all that `run` needs. Its library evdev is compiled.
.venv/.installed-dev: $(INSTALL_INPUTS)
	@scripts/system-packages gcc=gcc /usr/include/linux/input.h=linux-libc-dev
	@scripts/setup dev
	@touch .venv/.installed-run $@
