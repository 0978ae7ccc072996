# Each target does its own set-up on a fresh Debian 12 or 13 host (root, network to the package registries).
#   make demo        a cluster of three masters and two workers on this host, shown step by step, then taken down
#   make demo KEEP=1 the same, left up; make demo-down takes it down
#   make test        every test;  make check  ruff, mypy, import-linter;  make bench  figures as JSON
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

PACKAGES := podman crun conmon netavark aardvark-dns catatonit nftables iproute2 iptables busybox-static \
            docker-registry conntrack procps curl ca-certificates python3-venv
TEST_PACKAGES := mmdebstrap systemd
BENCH_PACKAGES := wrk etcd-server

.PHONY: demo demo-down test check bench simulate packages test-packages bench-packages venv clean

demo: venv packages
	$(BIN)/python -m tests.demo up $(if $(KEEP),--keep)

demo-down: venv
	$(BIN)/python -m tests.demo down

test: venv packages test-packages
	$(BIN)/pytest -q

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv packages bench-packages
	$(BIN)/python -m tests.bench

SEEDS ?= 200
simulate: venv
	O8_SEEDS=$(SEEDS) $(BIN)/pytest -q tests/simulation

# -- set-up -----------------------------------------------------------------------------------------
venv: $(VENV)/.done

# python3-venv comes with Debian's own python3 only; another python3 (PYTHON=...) brings its venv along.
$(VENV)/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "installing python3-venv"; apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	@echo "making $(VENV) from requirements.lock"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

packages:
	@.ci/packages $(PACKAGES)

test-packages:
	@.ci/packages $(TEST_PACKAGES)

bench-packages:
	@.ci/packages $(BENCH_PACKAGES)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
