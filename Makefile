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
EXAMPLE ?= $(firstword $(sort $(wildcard examples/python/[0-9]*.py)))

stamps  := build/stamps
python  := $(VENV)/bin/python
pytest   = $(UNDER) $(python) -m pytest $(PYTEST_ARGS)
# Those of the folders that exist: pytest without a folder would run all tests.
pytest_on = $(if $(wildcard $1),$(pytest) $(wildcard $1),@echo "no tests in $1")
sources := CMakeLists.txt pyproject.toml $(wildcard cmake/*) requirements/pages.txt \
           tools/fetch_pages.py $(wildcard python/cello/_pages/*) \
           $(shell find include src $(wildcard ext python) -name '*.[ch]' -o -name '*.py*' \
                        -not -name '*.pyc')
c_files  = $(shell git ls-files '*.c' '*.h')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build test test-unit test-lint test-api test-http test-fuzz test-threads test-all \
        check fmt asan tsan fuzz bench bench-quick docs clean FORCE

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	    awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# ---- use it -------------------------------------------------------------------------------------

run: $(VENV)/.cello ## serve the first example (EXAMPLE=file.py for another)
	@$(python) $(EXAMPLE)

build: $(VENV)/.cello ## leave .venv with cello importable

# ---- test it ------------------------------------------------------------------------------------

test: test-unit test-lint test-api test-http test-fuzz ## everything a change must pass

test-unit: ctest-dev ctest-asan ## C units and fuzz seeds, plain and under ASan and UBSan

test-lint: $(VENV)/.test build/dev/.built ## the rules of the code, each with its own test
	$(pytest) tests/7_lint

test-api: $(VENV)/.test build/dev/.built ## the Python API, types and examples
	$(call pytest_on,tests/2_* tests/3_*)

test-http: $(VENV)/.test build/dev/.built ## real servers over real sockets, both back ends
	$(call pytest_on,tests/4_* tests/5_* tests/6_*)

test-fuzz: build/fuzz/.built ## one minute of fuzzing, split over all targets
	tools/fuzz.sh 60

test-all: test $(VENV)/.slow ctest-clang asan tsan ## other Pythons, clang, sanitizers on all, slow tests
	tools/each_python.sh $(PYTHON) $(MAKE) --no-print-directory test-api test-http
	$(pytest) -m 'slow or browser' tests
	tools/fuzz.sh 600

asan: ctest-asan ## everything under ASan and UBSan, the Python module included
	$(MAKE) --no-print-directory test-api test-http VENV=$(VENV)-asan \
	    BUILD_ARGS='$(asan_build)' UNDER='$(asan_run)' PYTEST_ARGS='--timeout=300 --capture=sys'

tsan: ctest-tsan ## C units, and what threads share in the Python module, under ThreadSanitizer
	rm -f $(tsan_log).*
	$(MAKE) --no-print-directory test-threads VENV=$(VENV)-tsan \
	    BUILD_ARGS='$(tsan_build)' UNDER='$(tsan_run)' PYTEST_ARGS='--timeout=300 --capture=sys'
	@! cat $(tsan_log).* 2>/dev/null # of servers in processes of their own, too

test-threads: $(VENV)/.test
	$(pytest) $(threaded)

fuzz: build/fuzz/.built ## TARGET=name for one target, SECONDS=n for all together
	tools/fuzz.sh $(SECONDS) $(TARGET)

# ---- keep it tidy -------------------------------------------------------------------------------

check: $(VENV)/.lint test-lint ## lints, formatting and types; changes nothing
	clang-format --dry-run --Werror $(c_files)
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/mypy python/cello
	cd build && ../$(VENV)/bin/stubtest cello

fmt: $(VENV)/.lint ## format C and Python
	clang-format -i $(c_files)
	$(VENV)/bin/ruff check --quiet --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.test ## run every Python block of the README and docs/
	$(pytest) tests/7_lint/test_docs.py

# ---- measure it ---------------------------------------------------------------------------------

bench: $(VENV)/.test ## against pinned peers: JSON results, a table, a plot
	$(python) bench/run.py

bench-quick: $(VENV)/.test ## the same in minutes, without the Python peers
	$(python) bench/run.py --quick

clean: ## remove all that was built, and the environments
	rm -rf build dist .venv .venv-* .pytest_cache .mypy_cache .ruff_cache

# ---- how it is done -----------------------------------------------------------------------------

# System packages: the set `build`, and the set `test` that adds to it.
$(stamps)/system-%: tools/setup_system.sh
	@tools/setup_system.sh $* $(PYTHON)
	@mkdir -p $(@D) && touch $@

# The interpreter asked for; newer than the environment when it is another one.
asked_for := $(stamps)/python-of-$(subst /,-,$(VENV))
$(asked_for): FORCE
	@mkdir -p $(@D)
	@echo '$(PYTHON)' | cmp -s - $@ || echo '$(PYTHON)' >$@

# The environment: made, cello built into it, then what tests and lints need.
$(VENV)/.env: $(asked_for) tools/setup_venv.sh $(addprefix requirements/,build.txt run.txt) | $(stamps)/system-build
	@tools/setup_venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.cello: $(VENV)/.env $(sources)
	$(python) -m pip install --quiet --no-build-isolation --no-deps --force-reinstall \
	    -Ccmake.define.CELLO_WERROR=ON $(BUILD_ARGS) .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.cello | $(stamps)/system-test
	$(python) -m pip install --quiet -r $<
	@touch $@

$(VENV)/.slow: requirements/slow.txt $(VENV)/.test
	$(python) -m pip install --quiet -r $<
	@touch $@

$(VENV)/.lint: requirements/lint.txt $(VENV)/.test
	$(python) -m pip install --quiet -r $<
	@touch $@

# The C side: one folder per preset of CMakePresets.json. Ninja knows best what is out of date.
build/%/build.ninja: | $(stamps)/system-test
	cmake --preset $*

build/%/.built: build/%/build.ninja FORCE
	cmake --build --preset $*

ctest-%: build/%/.built
	ctest --preset $* --parallel 2

# The Python module under sanitizers: their run time must come first in the process. Leaks are
# looked for by the C tests; an interpreter keeps too much on purpose.
asan_build = -Ccmake.build-type=RelWithDebInfo -Ccmake.define.CELLO_SANITIZE=address,undefined \
             -Cbuild-dir=build/python-asan-{wheel_tag}
asan_run   = env LD_PRELOAD=$(shell gcc -print-file-name=libasan.so) PYTHONMALLOC=malloc \
                 ASAN_OPTIONS=detect_leaks=0

# The interpreter is not built with ThreadSanitizer: what Python's own code reads and writes is not
# looked at, but its locks are, the GIL among them. Objects come from malloc, so that each is new.
threaded   = $(addprefix tests/4_http/test_,thread_pool.py background.py request_streams.py uploads.py \
                 handler_timeouts.py serving.py request_threads.py) \
             $(addprefix tests/2_api/test_,sse.py streams.py request_streams.py uploads.py \
                 multipart_stream.py connection.py guest_servers.py async_serve.py)
tsan_build = -Ccmake.build-type=RelWithDebInfo -Ccmake.define.CELLO_SANITIZE=thread \
             -Cbuild-dir=build/python-tsan-{wheel_tag}
tsan_log   = $(CURDIR)/build/tsan-report
tsan_run   = env LD_PRELOAD=$(shell gcc -print-file-name=libtsan.so) PYTHONMALLOC=malloc \
                 TSAN_OPTIONS=log_path=$(tsan_log)

.SECONDARY:
