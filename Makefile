# The everyday commands of Cello. Bare `make` prints them; each sets up what it needs first, and
# does nothing that is done already.
#
#   PYTHON=...   the interpreter to build for (3.11 or newer)        default: python3
#   VENV=...     the environment it is installed into                default: .venv
#
#   make build PYTHON=~/.pyenv/versions/3.13.0/bin/python VENV=.venv-3.13

PYTHON  ?= python3
VENV    ?= .venv
TARGET  ?=
SECONDS ?= 60
EXAMPLE ?= $(firstword $(sort $(wildcard examples/python/*.py)))

python  := $(VENV)/bin/python
pytest  := $(python) -m pytest
stamps  := build/stamps
sources := $(shell find src include ext python cmake CMakeLists.txt pyproject.toml -type f \
                        -not -name '*.pyc')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build test test-unit test-api test-http test-lint test-fuzz test-all \
        check fmt asan fuzz bench bench-quick docs clean setup setup-test

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	    awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# ---- use it -------------------------------------------------------------------------------------

run: $(VENV)/.cello ## serve the first example (EXAMPLE=file.py for another)
	$(python) $(EXAMPLE)

build: $(VENV)/.cello ## .venv with cello importable

# ---- test it ------------------------------------------------------------------------------------

test: test-unit test-lint test-api test-http test-fuzz ## everything a change must pass

test-unit: ctest-dev ctest-asan ## the C units and fuzz seeds: gcc, then AddressSanitizer and UBSan

test-api: $(VENV)/.test ## the Python API, the examples and the types
	tools/run_pytest.sh $(python) tests/2_* tests/3_*

test-http: $(VENV)/.test build/dev/.built ## a real server over real sockets, both back ends
	tools/run_pytest.sh $(python) tests/4_* tests/5_* tests/6_*

test-lint: $(VENV)/.test build/dev/.built ## the rules of the code
	$(pytest) tests/7_lint

test-fuzz: ## one minute of fuzzing, split over all targets
	$(MAKE) --no-print-directory fuzz SECONDS=60

test-all: ## test on every Python found, clang, sanitizers on everything, slow tests
	tools/test_all.sh

asan: ctest-asan ## the C units under AddressSanitizer and UBSan, then the Python tests on that build
	tools/test_asan_python.sh $(PYTHON)

fuzz: build/fuzz/.built ## fuzz (TARGET=name for one, SECONDS=n in total)
	tools/fuzz.sh $(SECONDS) $(TARGET)

# ---- keep it tidy -------------------------------------------------------------------------------

check: $(VENV)/.test build/dev/.built ## lints, formatting, types; changes nothing
	tools/format.sh --check $(VENV)
	tools/check_types.sh $(VENV)
	$(pytest) tests/7_lint

fmt: $(VENV)/.test ## format C and Python
	tools/format.sh --write $(VENV)

docs: $(VENV)/.test ## run every Python block of README and docs/
	$(pytest) tests/7_lint/test_docs.py

# ---- measure it ---------------------------------------------------------------------------------

bench: $(VENV)/.test ## against the pinned peers: results as JSON and a table
	$(python) bench/run.py

bench-quick: $(VENV)/.test ## the same in two minutes, without peers
	$(python) bench/run.py --quick

clean: ## remove everything that was built, and the environments
	rm -rf build dist .venv .venv-* .pytest_cache .mypy_cache .ruff_cache

# ---- how it is done -----------------------------------------------------------------------------

setup: $(stamps)/system-build
setup-test: $(stamps)/system-test

$(stamps)/system-%: tools/setup_system.sh
	@mkdir -p $(@D)
	tools/setup_system.sh $* $(PYTHON)
	@touch $@

# An environment with the build tools. Its stamp knows the interpreter: another PYTHON, another one.
$(VENV)/.env: requirements/build.txt tools/setup_venv.sh | $(stamps)/system-build
	tools/setup_venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.cello: $(VENV)/.env $(sources)
	$(python) -m pip install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@

$(VENV)/.test: $(VENV)/.cello requirements/test.txt | $(stamps)/system-test
	$(python) -m pip install --quiet -r requirements/test.txt
	@touch $@

build/%/build.ninja: CMakePresets.json | $(stamps)/system-build $(stamps)/system-test
	cmake --preset $*

# Always asks ninja, which knows best what is out of date.
.PHONY: FORCE
build/%/.built: build/%/build.ninja FORCE
	cmake --build --preset $*

ctest-%: build/%/.built
	ctest --preset $* --jobs 2
