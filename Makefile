# What a person types. Everything installs into .venv from the locks in requirements/, hashes checked.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := $(wildcard api actors demo_model examples parlor parlor_bench parlor_cli tests)
export PIP_NO_INPUT := 1
# Each worker of pytest would compile every module again: twice the time until it runs the first test.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?=

.PHONY: help run install-dev check lint types affected unit test servers bench bench-check soak chaos image image-steps package lock sbom audit fuzz site

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

run: $(RUN_STAMP) ## Install if needed, then start Parlor on 127.0.0.1:8000; Ctrl-C stops all of it
	@exec $(BIN)/parlor up

install-dev: $(DEV_STAMP) ## Install for development

check: $(DEV_STAMP) ## Lint, types and the unit tests that the change since main (or BASE=) can reach
	@$(MAKE) -j2 --output-sync=target lint types affected

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)
	$(BIN)/mypy $(addprefix -p ,$(CODE))

# Each worker collects all tests first, hence no more than four. `make test` has three, for two cores: contract tests wait
# now and then, those that start installations, nodes or a browser mostly, beside mypy, and Ray starts in one of them at a
# time (tests/starts.py). A worker takes a group of tests at a time, which share what it has started (tests/schedule.py).
THREE := -n 3 --dist loadscope --no-loadscope-reorder
WAITING := tests/browser tests/chaos/system tests/cluster tests/integration

FOUR := -q -n auto --maxprocesses 4

unit: $(DEV_STAMP)
	$(BIN)/pytest $(FOUR) tests/unit

# More workers cost more than they bring where there are few tests.
affected: $(DEV_STAMP)
	@tests=$$($(BIN)/python -m tests.affected $(BASE)); \
	if [ "$$tests" != tests/unit ] && [ $$(wc -w <<<"$$tests") -lt 20 ]; then workers='-q -n 0'; else workers='$(FOUR)'; fi; \
	echo "$(BIN)/pytest $$workers" $$tests; \
	$(BIN)/pytest $$workers $$tests

# Where no test is skipped, a chat server that the benchmarks compare with is installed too.
test: PEERS := $(if $(CI),ejabberd erlang-p1-mysql)
test: $(DEV_STAMP) servers lint ## Real servers when they may be installed, then lint, types and every test
	@$(if $(CI),export PARLOR_TEST_REQUIRE_SERVERS=1;) failed=0; \
	$(BIN)/pytest -q $(THREE) $(addprefix --ignore=,$(WAITING)) tests || failed=1; \
	nice $(MAKE) types & types=$$!; \
	$(BIN)/pytest $(THREE) --durations=25 --durations-min=5 $(WAITING) || failed=1; \
	wait $$types || failed=1; \
	exit $$failed

# For example MEASURES="F1 F5"; all of them without.
MEASURES ?=

site: $(DEV_STAMP) ## The documentation as a site, in build/site
	$(BIN)/sphinx-build -q -W --keep-going -b html -c docs/site . build/site

bench: $(DEV_STAMP) servers ## The benchmarks, on private servers of their own, and the tables of docs/PERFORMANCE.md
	$(BIN)/parlor bench run $(MEASURES) --results docs/benchmarks
	$(BIN)/python -m parlor_bench.report docs/benchmarks docs/PERFORMANCE.md

DURATION ?= 7200

soak: $(DEV_STAMP) servers ## Half of the peak rate with replies for DURATION=7200 s: the memory of each process
	$(BIN)/parlor bench run F12 --duration $(DURATION) --results docs/benchmarks
	$(BIN)/python -m parlor_bench.report docs/benchmarks docs/PERFORMANCE.md

# The commit to compare with (for `make check` where the branch began), and options of `parlor bench compare`.
BASE ?=
BENCH_CHECK ?=

bench-check: $(DEV_STAMP) servers ## Whether sends are as fast as at BASE=HEAD~1, by paired ratios of one run
	@home=$$(mktemp -d); tree=$$home/tree; \
	trap 'for side in new base; do $(BIN)/parlor down --data-dir $$home/$$side; done; \
		git worktree remove --force $$tree; rm -rf $$home' EXIT; \
	git worktree add --quiet --detach $$tree $(or $(BASE),HEAD~1); \
	(cd $$tree && PYTHONPATH=$$tree $(abspath $(BIN))/parlor up --data-dir $$home/base --port 0 --servers private --detach); \
	$(BIN)/parlor up --data-dir $$home/new --port 0 --servers private --detach; \
	$(BIN)/parlor bench compare $$home/base --data-dir $$home/new $(BENCH_CHECK)

# Of each fault; the least that says something about it.
CHAOS_TIMES ?= 20
CHAOS_RATE ?= 300
CHAOS_BACKLOG ?= 1000000
CHAOS_APPROVALS ?= 2000
CHAOS_SEEDS ?= 0-1999,10000-13999,20000-21999,40000-40999,80000-80999,90000-91999,100000-100999,120000-120999

chaos: $(DEV_STAMP) servers ## Every fault, many times (docs/GUARANTEES.md): hours; CHAOS_TIMES=1 for a first look
	@began=$$SECONDS; \
	$(BIN)/python -m tests.chaos.simulation --seeds $(CHAOS_SEEDS); \
	PARLOR_TEST_WRAPPER_SEEDS=$(CHAOS_TIMES) $(BIN)/pytest -q tests/chaos/wrapper tests/chaos/wrapper/fail_over.py \
		tests/chaos/system/operator_view.py \
		tests/cluster/node_death.py tests/integration/lifecycle/{autoscaling,growth,neighbours,private_servers,restored,upgrade_from}.py; \
	$(BIN)/python -m tests.chaos.system --times $(CHAOS_TIMES) --rate $(CHAOS_RATE); \
	$(BIN)/python -m tests.chaos.system --times $(CHAOS_TIMES) --rate $(CHAOS_RATE) --servers embedded \
		--faults kill-room-actor,kill-writer,kill-redis,kill-all,lock-sqlite,fill-shard-disk; \
	$(BIN)/python -m tests.chaos.system --times $(CHAOS_TIMES) --rate $(CHAOS_RATE) --faults empty-redis; \
	$(BIN)/python -m tests.chaos.system --times $(CHAOS_TIMES) --rate 50 --deciders 16 --approvals $(CHAOS_APPROVALS) \
		--faults kill-room-actor,stop-room-actor,kill-writer,kill-replica,kill-redis; \
	$(BIN)/python -m tests.chaos.system --times $(CHAOS_TIMES) --rate 5 --users 5 --calm 40 --steps 200 --pause 20 --faults kill-room-actor; \
	$(BIN)/python -m tests.chaos.system --times $(CHAOS_TIMES) --rate $(CHAOS_RATE) --faults kill-node,kill-raylet,stop-node; \
	$(BIN)/python -m tests.chaos.system.two_clusters --rate $(CHAOS_RATE); \
	$(BIN)/python -m tests.chaos.system.timeline; \
	$(BIN)/python -m tests.chaos.wrapper.backlog --entries $(CHAOS_BACKLOG); \
	echo "make: chaos took $$((SECONDS - began)) s"

image-steps: $(DEV_STAMP) ## The Dockerfile's steps without Docker: build, start, health, stop (docs/CONTAINER.md)
	$(BIN)/python -m tests.image

image: ## The image built and tried with compose.yaml; needs Docker
	.ci/try_image

package: $(DEV_STAMP) ## The sdist and the wheel, in dist/
	$(BIN)/hatchling build -d dist

lock: ## Resolve requirements/*.lock anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --extra embedded --group dev \
		--no-annotate --no-header -o requirements/dev.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --extra embedded --group build \
		--no-annotate --no-header -c requirements/dev.lock -o requirements/run.lock pyproject.toml

sbom: $(DEV_STAMP) ## sbom.json: what is installed, with checksums, as CycloneDX
	@$(BIN)/python -m tests.sbom > sbom.json; echo "make: sbom.json"

audit: $(DEV_STAMP) ## Known vulnerabilities and licences of what is installed and of the page, as far as they can be asked for
	@$(BIN)/python -m tests.audit

# Of each call of the OpenAPI document.
FUZZ_EXAMPLES ?= 90

fuzz: $(DEV_STAMP) ## 5,000 made-up requests over the whole OpenAPI document, on an installation of its own
	@home=$$(mktemp -d); trap '$(BIN)/parlor down --data-dir $$home; rm -rf $$home' EXIT; \
	$(BIN)/parlor up --data-dir $$home --port 0 --detach; \
	$(BIN)/python -m tests.integration.fuzz --data-dir $$home --examples $(FUZZ_EXAMPLES)

# The interpreter of .venv: PYTHON when it is given, else the active one (python3 on PATH, so a virtual environment's
# too), else another on PATH that fits. Debian's python3 needs the package python3-venv.
interpreter:
	@venv=$(BIN)/python; asked='$(PYTHON)'; \
	if [ -x $$venv ]; then \
		version='import sys; print(*sys.version_info[:2], sep=".")'; has=$$($$venv -c "$$version"); \
		if [ -n "$$asked" ] && wanted=$$("$$asked" -c "$$version") && [ "$$wanted" != "$$has" ]; then \
			echo "make: $(VENV) has Python $$has, not $$wanted as $$asked has: remove $(VENV) first" >&2; exit 1; fi; \
		exit 0; fi; \
	for name in "$${asked:-python3}" $(if $(PYTHON),,python3.13 python3.12 python3.11); do \
		if "$$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
		then echo "make: $$("$$name" --version) -> $(VENV)"; exec "$$name" -m venv $(VENV); fi; \
	done; \
	echo "make: $${asked:-PATH} has no Python 3.11, 3.12 or 3.13 with the venv module; give one with PYTHON=" \
		"(Debian: apt install python3 python3-venv)" >&2; exit 1

$(RUN_STAMP): requirements/run.lock pyproject.toml | interpreter
	@# What is installed for development has all of this.
	@if [ ! $(DEV_STAMP) -nt requirements/dev.lock ]; then \
		echo "make: installing requirements/run.lock (about a minute)"; \
		$(PIP) install --require-hashes -r requirements/run.lock; fi
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements/dev.lock pyproject.toml | interpreter
	@echo "make: installing requirements/dev.lock (about a minute)"
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# Tests against real servers and a real browser: installed when we may, told about when not. Debian's packages would
# start a server of their own: policy-rc.d (and runlevel 1) forbid that while they are installed.
servers:
	@missing=(); \
	command -v redis-server >/dev/null || missing+=(redis-server); \
	PATH="$$PATH:/usr/sbin" command -v mariadbd >/dev/null || missing+=(mariadb-server); \
	command -v chromium >/dev/null || missing+=(chromium); \
	command -v node >/dev/null || missing+=(nodejs); \
	command -v promtool >/dev/null || missing+=(prometheus); \
	[ -z "$(PEERS)" ] || [ -e /usr/share/ejabberd/sql/mysql.sql ] || missing+=($(PEERS)); \
	if [ "$${#missing[@]}" -eq 0 ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then \
		echo "make: not installed: $${missing[*]} (that takes root and apt-get): their tests are skipped"; exit 0; fi; \
	echo "make: installing $${missing[*]}"; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e "$$policy" ]; then \
		trap 'rm -f "$$policy"' EXIT; printf '#!/bin/sh\nexit 101\n' >"$$policy"; chmod 755 "$$policy"; fi; \
	export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; \
	if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$${missing[@]}"; } >/dev/null; then \
		echo "make: apt-get could not install $${missing[*]}: their tests are skipped"; fi
