# Headrace. A bare `make` lists the targets.
#
#   PYTHON=…    the Python to make .venv with (3.11 or newer); found by itself otherwise
#   ARGS=…      more arguments for the program behind the target: make test ARGS="-k gate"
#   MINUTES=…   how long `make chaos` and `make fuzz` go on (default 5)
#   N=…         how many faults `make mutants` tries (default 60); also ROOMS=… OPERATORS=… TESTS=…
#   SEED=…      the cases of `make fuzz`, the faults of `make mutants` (default: others each time)
#   WHEELS=…    the folder that `make wheel` writes to (default dist)

ARGS ?=
DEMO ?= demo
MINUTES ?= 5
N ?= 60
OPERATORS ?=
ROOMS ?=
SEED ?=
TESTS ?=
WHEELS ?= dist
PYTHON ?=

PY := .venv/bin/python
HEADRACE := .venv/bin/headrace

.DEFAULT_GOAL := help
.PHONY: help run demo test lint format audit bench chaos chaos-writes fuzz hosts mutants docs lock wheel release clean install install-dev

help: ## List the targets
	@echo "Headrace: YAML pipelines on RQ queues, with PostgreSQL as the truth."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

run: install ## Start the daemon, two workers and the web page on 127.0.0.1:8000
	@exec $(HEADRACE) up $(ARGS)

demo: install ## Run one example pipeline to its end
	@exec $(HEADRACE) run $(DEMO) $(ARGS)

test: install-dev ## Pass the tests, on real servers, in four processes
	@exec $(PY) -m pytest $(PROCESSES) $(ARGS)

# Whatever the surroundings say: four processes and all that they start import the same files.
test: export PYTHONDONTWRITEBYTECODE :=

# Most tests wait for what they have started, so four processes keep two cores busy. One where a
# person looks on, or where ARGS itself says how many.
PROCESSES = $(if $(filter -s -x -n% --pdb --exitfirst --capture=no --numprocesses%,$(ARGS)),,-n 4 --dist loadscope)

lint: install-dev ## ruff, mypy --strict, import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo

format: install-dev ## Lay the code out as lint wants it
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

audit: install-dev ## Look for known vulnerabilities in what the lock names
	$(PY) -m pip_audit --requirement requirements.lock --require-hashes --disable-pip $(ARGS)

bench: install ## Measure against other queues (installs them beside itself)
	@exec $(PY) -m bench $(ARGS)

chaos: install-dev ## Kill, pause and empty things under load, then check every invariant
	@exec $(PY) -m bench.chaos --minutes $(MINUTES) $(ARGS)

chaos-writes: install-dev ## Kill the worker at 20 random moments of each writing job
	@exec $(PY) -m bench.killed_writes $(ARGS)

fuzz: install-dev ## Try generated pipelines, files, SQL and requests for some minutes
	@exec $(PY) -m pytest -q -p tests.support.fuzz -n 2 --dist loadscope --timeout 3600 \
		--fuzz-minutes $(MINUTES) $(if $(SEED),--fuzz-seed $(SEED)) $(ARGS)

fuzz: export PYTHONDONTWRITEBYTECODE :=

hosts: install-dev ## Cut, freeze and slow one of two hosts in network namespaces (needs root)
	@HEADRACE_HOSTS=all exec $(PY) -m pytest -s -q tests/hosts $(ARGS)

mutants: install-dev ## Make random faults in a copy of the tree and see whether the tests notice
	@exec $(PY) -m tests.mutants --faults '$(N)' --seed '$(SEED)' --rooms '$(ROOMS)' --operators '$(OPERATORS)' --tests '$(TESTS)' $(ARGS)

docs: install-dev ## Write the reference pages from the code
	@exec $(PY) -m docs $(ARGS)

lock: ## Pin the newest versions that pyproject.toml allows (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv" >&2; exit 2; }
	uv pip compile pyproject.toml --extra build --extra embedded --extra files --extra mysql --extra duckdb --upgrade $(LOCK_OPTIONS) -o requirements.lock
	uv pip compile pyproject.toml --extra build --extra embedded --extra files --extra mysql --extra duckdb --extra remote --extra otel --extra openlineage --extra dev --upgrade -c requirements.lock $(LOCK_OPTIONS) -o requirements-dev.lock

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

wheel: install ## Build the wheel, for projects of their own
	@exec $(PY) tools/package.py wheel '$(WHEELS)'

release: install-dev ## Check version, changelog and tag; build wheel and sdist and check them
	@exec $(PY) tools/release.py $(ARGS)

clean: ## Remove .venv and caches; the data in .headrace/ stays
	@if [ -d .headrace ] && [ -x $(PY) ]; then \
		$(PY) -c "from pathlib import Path; from headrace.store.embedded import stop; stop(Path('.headrace'))" || true; \
	fi
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -d .headrace ]; then echo "Kept .headrace/, the data. Remove it by hand if you mean it."; fi

# The newest Python that can make a virtual environment; `import ensurepip` fails where a
# distribution keeps that in a package of its own.
define FIND_PYTHON
found=; \
for candidate in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python); do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then found=$$candidate; break; fi; \
done; \
if [ -z "$$found" ]; then \
	echo "Headrace needs Python 3.11 or newer with venv$(if $(PYTHON),; $(PYTHON) is not that)." >&2; \
	echo "Install it (Debian, Ubuntu: apt install python3-venv), or name one: make PYTHON=/path/to/python3" >&2; \
	exit 2; \
fi
endef

install:
	@$(FIND_PYTHON); exec "$$found" tools/bootstrap.py $(if $(PYTHON),--this-python)

install-dev: install
	@$(FIND_PYTHON); exec "$$found" tools/bootstrap.py --dev
