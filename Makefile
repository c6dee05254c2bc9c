# Needs Python 3.11 or newer and make; everything else is set up here, once.
#   make run     start Tocsin               make lint    style, types, layers
#   make test    all checks (< 5 min)       make bench   measure speed
#   make soak    random packs and hostile input, long (TOCSIN_SEEDS, TOCSIN_HOSTILE say how long)
#   make chaos   kill -9 at random moments, by the hundred: of the demo (ARGS="--demo --kills 200
#                --seed 1"), and of workers on a Kafka with joins, zombies, brokers away (--fleet)
#   make lock    renew requirements.lock    make clean   forget what was set up

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; \
	done)
ifeq ($(strip $(PYTHON)),)
$(error Tocsin needs Python 3.11 or newer; found none (python3 is \
	"$(shell python3 --version 2>&1)"). Install one, or say which: make PYTHON=/path/to/python3.12)
endif

# Locally all that is made lies in .venv; on a CI machine outside the repository, kept between runs.
TOCSIN_CACHE ?= $(HOME)/.cache/tocsin
ifdef CI
KEY := $(shell { $(PYTHON) -VV; cat requirements.lock; } | cksum | tr ' ' '-')
VENV := $(TOCSIN_CACHE)/venv-$(KEY)
MADE := $(TOCSIN_CACHE)
else
VENV := .venv
MADE := $(CURDIR)/.venv/made
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell { pwd; cat pyproject.toml requirements.lock; } | cksum | tr ' ' '-')

# The checkout at hand comes before whatever the environment has installed.
export PYTHONPATH := $(CURDIR)
export PATH := $(abspath $(BIN)):$(PATH)
export TOCSIN_CACHE
export PYTHONPYCACHEPREFIX := $(MADE)/pycache
export MYPY_CACHE_DIR := $(MADE)/mypy
export RUFF_CACHE_DIR := $(MADE)/ruff
export HYPOTHESIS_STORAGE_DIRECTORY := $(MADE)/hypothesis

.PHONY: run test soak chaos lint style types layers bench setup lock clean
.NOTPARALLEL:

run: setup
	@$(BIN)/python -m streams.cli run $(ARGS)

test: lint
	$(BIN)/python -m tests.halves -ocache_dir=$(MADE)/pytest $(ARGS)

soak: export TOCSIN_SEEDS ?= 1000
soak: export TOCSIN_HOSTILE ?= 10000
soak: export TOCSIN_PACKS ?= 1
soak: setup
	$(BIN)/python -m pytest -q -o cache_dir=$(MADE)/pytest tests/test_differential.py \
		tests/test_hostile.py tests/test_oracle.py $(ARGS)

chaos: setup
	$(BIN)/python -m tests.chaos $(ARGS)

lint: style types layers

style: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports --cache-dir $(MADE)/layers

bench: setup
	$(BIN)/python -m tests.bench $(ARGS)

setup: $(READY)

$(VENV)/.locked: requirements.lock
	@echo "Setting up Tocsin in $(VENV), once (1-2 minutes)"
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit( \
		"Tocsin needs Python 3.11 or newer; $(PYTHON) is %d.%d" % v[:2])'
	@$(PYTHON) -m venv --clear $(VENV) || { echo "Python's venv module is missing:" \
		"install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --progress-bar on --require-hashes -r requirements.lock
	@touch $@

$(READY): $(VENV)/.locked
	@rm -f $(VENV)/.ready-*
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m streams.warm
	@touch $@

# Renewing asks a package index, so it is done by hand; uv is fetched for this alone.
lock:
	$(PYTHON) -m venv .venv/lock && .venv/lock/bin/python -m pip install --quiet uv
	.venv/lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command 'make lock' --quiet \
		-o requirements.lock

clean:
	rm -rf .venv
