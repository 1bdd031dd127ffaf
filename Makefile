# make demo   compress sample photographs, decompress them, and compare the sizes with JPEG
# make test   the whole test suite
# make bench  measure on Kodak and update the README: make bench KODAK=folder/of/png
# make check  linters and types only
# make coverage  the tests, and the share of the package's lines that they run
# make fuzz MINUTES=n  look for inputs that break the parsers, this long for each target
# make bounds  some of the tests with the oldest and the newest dependencies (needs a package index)
# make portability  decode the golden files with other kernels, threads and coders, and compare
# make web    build the decoder for the browser (web/), and run its tests in Node and in Chromium
# make docs   write the generated pages and tables of docs/
# make clean  remove what these targets have created, also the environment
#
# Each creates .venv on its first run. PYTHON chooses the interpreter (3.10 or newer):
#   make test PYTHON=python3.12

PYTHON ?= python3
KODAK ?=
BENCH_CODECS ?= aecodec,aecodec@2,aecodec:small,aecodec:base,jpeg,webp,avif,avif-psnr,avif-ssimulacra2,$\
  jxl,jpeg2000,klt,aecodec-zstd
BENCH_ARGS ?=
PYTEST_ARGS ?=
MINUTES ?= 1
FUZZ_TARGETS ?=
BOUNDS_ARGS ?=
PORTABILITY_ARGS ?=
NPM ?= npm

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test bench check coverage fuzz bounds portability web web-dist docs clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.with-demo
	$(BIN)/python benchmarks/demo.py

test: $(VENV)/.with-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/.with-bench
	@test -n "$(KODAK)" || { echo "say where the Kodak PNGs are: make bench KODAK=folder" >&2; exit 2; }
	mkdir -p build/bench benchmarks/results
	$(BIN)/aecodec bench "$(KODAK)" --codecs "$(BENCH_CODECS)" --published benchmarks/published \
	  --results build/bench/kodak.jsonl --html build/bench/kodak.html --show 6 \
	  --json benchmarks/results/comparison.json --csv benchmarks/results/comparison.csv \
	  --curves benchmarks/results/curves -f $(BENCH_ARGS)
	set -- "$(KODAK)"/*.png; $(BIN)/aecodec bench "$$1" "$$2" "$$3" "$$4" --codecs "$(BENCH_CODECS)" \
	  --points 4 --repeats 2 --again --results build/bench/speed.jsonl \
	  --json benchmarks/results/comparison-speed.json -f
	$(BIN)/python benchmarks/publish.py benchmarks/results/comparison.json \
	  --speeds benchmarks/results/comparison-speed.json

check: $(VENV)/.with-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(VENV)/.with-test
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)
	rm -f .coverage .coverage.*

# In an environment of its own: atheris is for fuzzing alone.
fuzz: pyproject.toml hatch_build.py
	@test -x build/fuzz-venv/bin/python || $(MAKE) VENV=build/fuzz-venv build/fuzz-venv/bin/python
	build/fuzz-venv/bin/python -m pip --disable-pip-version-check --quiet install --editable . atheris
	build/fuzz-venv/bin/python tests/fuzz/run.py $(FUZZ_TARGETS) --minutes $(MINUTES)

bounds: $(VENV)/.with-test
	$(PIP) install uv
	for bounds in lowest newest; do \
	  PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/portability/bounds.py $$bounds $(BOUNDS_ARGS) \
	    || exit 1; \
	done

portability: $(VENV)/.with-test
	$(BIN)/python tests/portability/run.py $(PORTABILITY_ARGS)

web: web-dist
	cd web && $(NPM) exec -- tsc --noEmit --project test && node --test test/*.test.mjs
	@test -n "$$(node web/test/chromium.mjs)" || echo "no Chromium here: its tests were left out (apt-get install chromium)"

web-dist: web/node_modules/.package-lock.json web/src/manifest.js
	cd web && node tools/build.mjs

web/node_modules/.package-lock.json: web/package.json
	@command -v node >/dev/null || { echo "node not found: install Node 20 or newer" >&2; exit 1; }
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' \
	  || { echo "the decoder for the browser needs Node 20 or newer, not $$(node --version)" >&2; exit 1; }
	cd web && $(NPM) install --no-progress --loglevel=error
	@touch $@

web/src/manifest.js: web/tools/pack_weights.py $(wildcard weights/*/*.onnx weights/*/*.safetensors) | $(VENV)/.with-web
	$(BIN)/python web/tools/pack_weights.py

docs: $(VENV)/.with-test
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist demo *.egg-info
	rm -rf web/node_modules web/dist web/build web/weights web/src/manifest.js web/LICENSE
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find aecodec tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian and its relatives ship python3 without the part that puts pip into a new environment. Then
# virtualenv or the system's own pip is used.
$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) not found: install Python 3.10 or newer, or make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { "$(PYTHON)" --version; echo "aecodec needs Python 3.10 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@echo "making $(VENV)"
	@"$(PYTHON)" -m venv $(VENV) 2>/dev/null \
	  || { rm -rf $(VENV); "$(PYTHON)" -m virtualenv --quiet $(VENV) 2>/dev/null; } \
	  || { rm -rf $(VENV); "$(PYTHON)" -m venv --without-pip $(VENV) 2>/dev/null \
	       && "$(PYTHON)" -m pip --python $(BIN)/python install --quiet pip 2>/dev/null; } \
	  || { rm -rf $(VENV); echo "cannot make an environment: install your system's package python3-venv" >&2; exit 1; }

# One stamp for each set of extras. It is updated when pyproject.toml changes.
$(VENV)/.with-demo: pyproject.toml hatch_build.py | $(BIN)/python
	$(PIP) install --editable ".[demo]"
	@touch $@

$(VENV)/.with-test: pyproject.toml hatch_build.py | $(BIN)/python
	$(PIP) install --editable ".[train,test]"
	@touch $@

$(VENV)/.with-web: pyproject.toml hatch_build.py | $(BIN)/python
	$(PIP) install --editable ".[web]"
	@touch $@

$(VENV)/.with-bench: pyproject.toml hatch_build.py | $(BIN)/python
	$(PIP) install --editable ".[bench]"
	@touch $@
