# make demo   a whole VPS migrated on real servers, from nothing; LAYOUT=classic: one that its host has made by itself
# make test   every test: unit, DAGs, lab
PYTHON := .venv/bin/python
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
export PYTHONPATH := $(CURDIR)

# On every processor, a file in one process. The lab's tests come after them and by themselves: they measure gaps.
SIDE_BY_SIDE := $(PYTHON) -m pytest -q -n logical --dist loadfile

.PHONY: demo test test-unit bench faults lint lab down setup lock

demo: setup
	$(SUDO) env PYTHONPATH=$(CURDIR) $(PYTHON) -m lab.demo $(LAYOUT)

test: setup lint
	$(SIDE_BY_SIDE) tests/unit tests/registry tests/billing tests/dags tests/api tests/board
	$(SUDO) env PYTHONPATH=$(CURDIR) PYTHON=$(PYTHON) tests/lab/run

test-unit: .venv/installed
	$(SIDE_BY_SIDE) tests/unit tests/registry

# Some tables: make bench ONLY=copy,verify; less of them: RUNS=3 SIZES=10,100 (MB)
bench: setup
	$(SUDO) env PYTHONPATH=$(CURDIR) $(PYTHON) -m benchmarks $(foreach word,ONLY RUNS SIZES,$(if $($(word)),$(word)=$($(word))))

# Moves that something breaks into. Less of it: RANDOM=20 KINDS=out,over; each fault at each step as well: STEPS=1
faults: setup
	$(SUDO) env PYTHONPATH=$(CURDIR) $(PYTHON) -m lab.faults $(if $(RANDOM),--random $(RANDOM)) $(if $(KINDS),--kinds $(KINDS)) $(if $(STEPS),--steps)

lint: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	PYTHONPATH=$(CURDIR):$(CURDIR)/plugins .venv/bin/lint-imports --no-logo --no-cache

lab: setup
	$(SUDO) env PYTHONPATH=$(CURDIR) $(PYTHON) -m lab up

down:
	@[ -x $(PYTHON) ] || { echo "nothing of this checkout runs: it was never set up (make lab or make demo does)"; exit 0; }; \
	 $(SUDO) env PYTHONPATH=$(CURDIR) $(PYTHON) -m lab down

setup:
	@$(SUDO) lab/install-packages
	@$(MAKE) --no-print-directory .venv/installed

# Debian 12's own Python, so that the same lock serves a fresh machine; uv because it installs it in seconds. Each file
# that is installed has one of the lock's hashes.
.venv/installed: requirements-dev.txt requirements-uv.txt
	@/usr/bin/python3 -m venv .venv
	@.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements-uv.txt
	@.venv/bin/uv pip sync --quiet --require-hashes --python $(PYTHON) requirements-dev.txt
	@touch $@

COMPILE := .venv/bin/uv pip compile -q --no-header --no-annotate --generate-hashes
lock: .venv/installed
	$(COMPILE) --upgrade requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	echo uv | $(COMPILE) --upgrade - -o requirements-uv.txt
