# Everything a developer or CI runs. Needs Python >= 3.11 and GNU make; all else comes from the lock files.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The steps share one environment and one engine, so -j runs them one by one too.
.NOTPARALLEL:

PYTHON ?= python3
# ENGINE=no leaves out what needs a Docker engine.
ENGINE ?= yes
# Two at once, and all tests of one backend in the same of the two; PYTEST_ARGS="-n 0" runs them one by one.
PYTEST_ARGS ?=
BENCH_ARGS ?=
export PYTHON ENGINE

VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# uv does not read pip's settings; the one that matters behind a mirror is handed on.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

# The commands in an environment hold its path, and its interpreter can go away: then it is made anew.
ifneq ($(shell $(PY) -c '' 2>/dev/null && cat $(VENV)/.home 2>/dev/null),$(CURDIR))
$(VENV)/.home: FORCE
endif

.PHONY: help demo test soak bench fidelity paper lint format lock clean handlers-build FORCE

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.run handlers-build ## real invocations of the reference functions, from nothing in two minutes
	@scripts/demo

test: refuse-in-ci lint handlers-build ## lint, types, import rules and all tests (ENGINE=no: without those that need Docker)
	@scripts/browser >/dev/null
	@$(with_engine); $(PY) -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

soak: refuse-in-ci $(VENV)/.test handlers-build ## the tests that run for minutes
	@$(with_engine); $(PY) -m pytest -m soak --timeout=0 $(PYTEST_ARGS)

bench: $(VENV)/.test $(VENV)-bench/.made handlers-build ## measure beside sam local and AWS's RIE, in one run
	@$(with_engine); $(PY) -m benchmarks --sam $(VENV)-bench/bin/sam $(BENCH_ARGS)

fidelity: $(VENV)/.test ## the CPU model beside published measurements of real Lambda
	@$(with_engine); $(PY) -m benchmarks.fidelity $(BENCH_ARGS)

paper: $(VENV)/.test handlers-build ## the paper's Figure 3 on our functions, into docs/
	@$(with_engine); $(PY) -m benchmarks.paper $(BENCH_ARGS)

lint: $(VENV)/.test ## ruff, mypy --strict and the import rules
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/.test ## format, and mend what can be mended without a person
	@$(VENV)/bin/ruff check --fix-only
	@$(VENV)/bin/ruff format

lock: $(VENV)/.home ## compile the lock files anew (UPGRADE=1: to the newest versions)
	@$(lock) requirements/uv.in -o requirements/uv.txt
	@$(lock) requirements/layer.in -o requirements/layer.txt
	@$(lock) pyproject.toml requirements/build.in -c requirements/uv.txt -c requirements/layer.txt -o requirements/run.txt
	@$(lock) pyproject.toml requirements/build.in --extra test -c requirements/run.txt -c requirements/layer.txt \
	  -o requirements/test.txt
	@$(lock) pyproject.toml --extra distill -c requirements/run.txt -c requirements/layer.txt -o requirements/distill.txt
	@$(lock) requirements/bench.in -o requirements/bench.txt

clean: ## remove everything that make made here; engines and images stay
	rm -rf $(VENV) $(VENV)-bench dist handlers/.build
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

handlers-build: $(VENV)/.run
	@$(PY) handlers/build.py --python $(PY)

.PHONY: refuse-in-ci
refuse-in-ci:
	@if [[ $(ENGINE) == no && $${CI:-} == true ]]; then \
	  echo "ENGINE=no is refused in CI: there, an engine that cannot be had is a failure" >&2; exit 2; \
	fi

# An engine that this very command started is stopped again, however the command ends.
define with_engine
if [[ $(ENGINE) != no ]] && ! scripts/engine status >/dev/null 2>&1; then \
  trap 'scripts/engine down >/dev/null' EXIT; scripts/engine up; \
fi
endef

lock = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
  $(if $(UPGRADE),--upgrade)

# The environment itself and the installer in it.
$(VENV)/.home: requirements/uv.txt
	@$(check_python)
	@echo "making $(VENV) with $$($(PYTHON) -V)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@# Python 3.11 puts it there unasked, and its .pth file costs every start of every command 2 ms.
	@$(PY) -m pip uninstall --quiet --disable-pip-version-check --yes setuptools
	@echo "$(CURDIR)" >$@

# The set of the product alone, or with what the tests need: exactly the lock, and nothing else stays.
$(VENV)/.run: requirements/run.txt pyproject.toml $(VENV)/.home
	@# An environment that has the tests' set keeps it.
	@if [[ -e $(VENV)/.test ]]; then $(call install,requirements/test.txt); touch $(VENV)/.test; \
	  else $(call install,requirements/run.txt); fi
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml $(VENV)/.home
	@$(call install,requirements/test.txt)
	@touch $(VENV)/.run $@

define install
echo "installing $(1)"; \
$(UV) pip sync --compile-bytecode --python $(PY) --require-hashes $(1) && \
$(UV) pip install --quiet --python $(PY) --no-build-isolation --no-deps --editable .
endef

$(VENV)-bench/.made: requirements/bench.txt $(VENV)/.home
	@echo "installing requirements/bench.txt"
	@$(UV) venv --quiet --clear --python $(PY) $(VENV)-bench
	@$(UV) pip sync --compile-bytecode --python $(VENV)-bench/bin/python --require-hashes requirements/bench.txt
	@touch $@

define check_python
if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
  version=$$($(PYTHON) -V 2>/dev/null) || version="not there"; \
  echo "Python 3.11 or newer is needed, and $(PYTHON) is $$version" >&2; \
  printf '\nhint: name one, for instance: make $(MAKECMDGOALS) PYTHON=python3.12\n' >&2; exit 2; \
elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
  echo "$(PYTHON) comes without its venv module" >&2; \
  printf "\nhint: on Debian and its kin: apt-get install python3-venv\n" >&2; exit 2; \
fi
endef
