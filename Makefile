# `make help` lists the targets. What they make lies in the target directory.

# The interpreter that runs the demo and most tests: the first that is new enough.
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && command -v $$python && break; done)
endif
# Tests run what development builds: with overflow checks and debug assertions,
# and compiled in a fraction of a release build's time.
PROFILE ?= dev
# Where the demo listens.
BIND ?= 127.0.0.1:8000

target := $(abspath $(or $(CARGO_TARGET_DIR),target))
apps := $(CURDIR)/tests/apps
shop := $(apps)/shop
demo := $(target)/demo
venv := $(target)/tests/venv
# Stamps of what is set up, by interpreter: another PYTHON sets up anew.
stamp := ready$(subst /,-,$(PYTHON))
export SHOP_DATA = $(demo)

.DEFAULT_GOAL := build
.PHONY: help build run test check bench fmt clean tools python

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

build: tools ## Build everything in release mode
	cargo build --workspace --release

run: build $(demo)/$(stamp) ## Serve the demonstration shop at 127.0.0.1:8000
	@$(demo)/venv/bin/python $(shop)/manage.py demo
	@echo "The shop is served at http://$(BIND)/; stop it with Ctrl-C."
	@exec $(target)/release/monoceros --chdir $(shop) --python $(demo)/venv/bin/python --bind $(BIND) --workers 2

test: tools $(venv)/$(stamp) ## Run every test; PROFILE=release tests what is shipped
	cargo build --workspace --profile $(PROFILE)
	cargo test --workspace --profile $(PROFILE)
	cd tests/bench && $(PYTHON) -m unittest --quiet

check: tools ## Check the format, the lints and the documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

bench: build python ## Compare with other servers; writes docs/performance.md
	$(PYTHON) tests/bench/bench.py --strace --preload --write docs/performance.md

fmt: tools ## Format the source
	cargo fmt --all

clean: ## Remove everything that was built
	rm -rf $(target)

# What a target needs that is not in this repository: says how to get it.
tools:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C linker is missing: apt install build-essential" >&2; exit 1; }

python:
	@test -n "$(PYTHON)" || { echo "Python 3.10 or newer is missing: apt install python3 python3-venv, or make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: apt install python3-venv" >&2; exit 1; }

$(demo)/$(stamp): $(shop)/requirements.txt $(wildcard $(shop)/store/migrations/*.py) | python
	@rm -f $(demo)/ready*
	$(PYTHON) -m venv --clear $(demo)/venv
	$(demo)/venv/bin/pip install --quiet --disable-pip-version-check -r $(shop)/requirements.txt
	$(demo)/venv/bin/python $(shop)/manage.py migrate --verbosity 0
	touch $@

$(venv)/$(stamp): $(shop)/requirements.txt $(apps)/flaskapp/requirements.txt $(apps)/programs/requirements.txt | python
	$(PYTHON) -m venv --clear $(venv)
	$(venv)/bin/pip install --quiet --disable-pip-version-check $(patsubst %,-r %,$^)
	touch $@
