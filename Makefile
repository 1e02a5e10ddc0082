# Everything a person runs here. Each environment is made once and again only when its
# requirements change.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 9000
# One build for all tests: the CPU is enough, and the newest release may bring gigabytes of CUDA.
SECONDS ?= 600
TORCH ?= torch==2.13.0
# The quick tests are measured only as the first part of all tests.
COVERAGE := $(if $(filter test-all,$(MAKECMDGOALS)),--cov --cov-report= --cov-fail-under=0)
SYSTEM_PROGRAMS := redis-server strace prometheus chromium nginx openssl

# Where an environment keeps its programs.
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUN_ENV := .venv
DEV_ENV := .venv-dev
LINT_ENV := .venv-lint
RUN_READY := $(RUN_ENV)/.ready
LINT_READY := $(LINT_ENV)/.ready
TEST_READY := $(DEV_ENV)/.ready
DEV_READY := $(DEV_ENV)/.ready-all
BENCH_READY := $(DEV_ENV)/.ready-bench
UV_ENV := .venv-uv
UV_READY := $(UV_ENV)/.ready
# The image's Python: what is pinned for it is pinned for that version.
IMAGE_PYTHON := 3.13
PIN = $(UV_ENV)/$(BIN)/uv pip compile --quiet --universal --python-version $(IMAGE_PYTHON) --generate-hashes \
	--no-annotate --custom-compile-command "make requirements"
EXTRAS := --extra redis --extra otel
OPENVINO_ENV := .venv-openvino
OPENVINO_READY := $(OPENVINO_ENV)/.ready
DOCS_ENV := .venv-docs
DOCS_READY := $(DOCS_ENV)/.ready
RELEASE_ENV := .venv-release
RELEASE_READY := $(RELEASE_ENV)/.ready
BUILD_PINS := deploy/requirements-build.txt
REFERENCE_ENV := .venv-reference
REFERENCE_READY := $(REFERENCE_ENV)/.ready
REFERENCE_NEEDS := benchmarks/peers/reference/requirements.txt
PEERS = $(DEV_ENV)/$(BIN)/python -m benchmarks.versus_peers --mien $(RUN_ENV)/$(BIN)/python
DETECTORS = $(DEV_ENV)/$(BIN)/python -m benchmarks.detectors $(PHOTOS) --reference $(REFERENCE_ENV)/$(BIN)/python

.PHONY: help env which-photos serve test test-all system-programs test-cluster train-smoke lint format bench bench-peers bench-detectors bench-service bench-openvino soak fuzz requirements container-check settings-table docs release-check clean

help:
	@echo "make serve            install and serve on http://$(HOST):$(PORT)"
	@echo "make env              make $(DEV_ENV) with all that the quick tests need, without running them"
	@echo "make test             run the tests of the library, the command and the service, in a few minutes"
	@echo "make test-all         run lint, test, then all other tests (training, Ray, browser, deployment, packages), with coverage"
	@echo "make test-cluster     run the tests on Ray only: batches and the service, with nodes and replicas killed"
	@echo "make train-smoke      train, resume, export, calibrate, evaluate and serve a tiny model on synthetic faces"
	@echo "make lint             check style, types and import rules, in less than a minute"
	@echo "make format           format the code and apply the safe fixes of ruff"
	@echo "make bench            speed and memory compared with the baseline (installs several GB); PHOTOS=FOLDER: detectors too"
	@echo "make bench-peers      compare with other systems (installs 16 GB); writes docs/benchmarks.md"
	@echo "make bench-detectors  faces found, time and memory of each detector; needs PHOTOS=FOLDER"
	@echo "make bench-service    responses per second and latency under increasing load; needs PHOTOS=FOLDER"
	@echo "make bench-openvino   time of each photo with OpenVINO and with the CPU provider"
	@echo "make soak             send 20,000 requests of all kinds and watch the memory; needs PHOTOS=FOLDER"
	@echo "make fuzz             fuzz the parsers: 10,000 random cases each, then guided by coverage for SECONDS=600"
	@echo "make requirements     pin the requirements of the container image again, with hashes"
	@echo "make container-check  build the image without Docker, run it read-only and send requests (as root, on Debian)"
	@echo "make settings-table   write the table of settings into docs/settings.md"
	@echo "make docs             build the documentation into site/"
	@echo "make release-check    build wheel and sdist into dist/ and try them on each installed Python; TAG=v1.2.3: as for a release"
	@echo "make clean            remove environments and build outputs"

env: $(TEST_READY)

serve: $(RUN_READY)
	$(RUN_ENV)/$(BIN)/mien serve --host $(HOST) --port $(PORT)

test: $(TEST_READY)
	$(DEV_ENV)/$(BIN)/python -m pytest --tier=quick --numprocesses=auto --dist=loadfile $(COVERAGE) $(PYTEST_OPTIONS)

# Types once more, with those of torch and Ray.
test-all: lint system-programs $(DEV_READY) test
	$(DEV_ENV)/$(BIN)/mypy
	$(DEV_ENV)/$(BIN)/python -m pytest --tier=slow --cov --cov-append --cov-report=term $(PYTEST_OPTIONS)

# Debian's servers and tools, for the tests against real ones; without them those tests are skipped.
system-programs:
	@for program in $(SYSTEM_PROGRAMS); do \
		command -v $$program >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
			&& apt-get install -y -qq --no-install-recommends $$program >/dev/null 2>&1; } \
			|| echo "$$program can't be installed: the tests that need it are left out"; \
	done

test-cluster: $(DEV_READY)
	$(DEV_ENV)/$(BIN)/python -m pytest tests/cluster --no-cov -v

train-smoke: $(DEV_READY)
	$(DEV_ENV)/$(BIN)/python -m pytest tests/train/test_cycle.py --no-cov -vv

# Without torch, Ray and PyAV, what derives from their classes or is decorated by them has no type:
# test-all checks these three rules.
lint: $(LINT_READY)
	$(LINT_ENV)/$(BIN)/ruff check .
	$(LINT_ENV)/$(BIN)/ruff format --check .
	$(LINT_ENV)/$(BIN)/mypy --allow-subclassing-any --allow-untyped-decorators --no-warn-unused-ignores
	$(LINT_ENV)/$(BIN)/lint-imports

format: $(LINT_READY)
	$(LINT_ENV)/$(BIN)/ruff check --fix --quiet .
	$(LINT_ENV)/$(BIN)/ruff format .

# Before anything is installed for them.
which-photos:
	@test -d "$(PHOTOS)" || { echo "say which photos: PHOTOS=FOLDER with JPEG files, for detectors as benchmarks/recall.py says"; exit 1; }

bench: $(RUN_READY) $(BENCH_READY) $(if $(PHOTOS),$(REFERENCE_READY))
	$(PEERS) --only mien reference --sections start "one thread" "all cores"
	$(DEV_ENV)/$(BIN)/python -m benchmarks.latency
	$(if $(PHOTOS),$(DETECTORS),@echo "detectors: make bench PHOTOS=FOLDER; benchmarks/recall.py says what it holds")

# Each peer's environment is made by the command, so that one that can't be made is told in the table.
bench-peers: $(RUN_READY) $(BENCH_READY)
	$(PEERS) $(if $(PHOTOS),--photos $(PHOTOS)) $(if $(DATA),--data $(DATA)) $(OPTIONS)

bench-detectors: which-photos $(REFERENCE_READY) $(DEV_READY)
	$(DETECTORS)

bench-service: which-photos $(REFERENCE_READY) $(BENCH_READY)
	$(DEV_ENV)/$(BIN)/python -m benchmarks.service $(PHOTOS) --reference $(REFERENCE_ENV)/$(BIN)/python $(OPTIONS)

bench-openvino: $(OPENVINO_READY)
	$(OPENVINO_ENV)/$(BIN)/python -m benchmarks.providers

soak: which-photos $(BENCH_READY)
	$(DEV_ENV)/$(BIN)/python -m benchmarks.soak $(PHOTOS) $(OPTIONS)

fuzz: $(DEV_READY)
	$(DEV_ENV)/$(BIN)/python -m pytest --no-cov -m hypothesis --hypothesis-profile=search
	$(DEV_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[fuzz]"
	$(DEV_ENV)/$(BIN)/python tests/robustness/atheris_target.py build/corpus -max_len=65536 -max_total_time=$(SECONDS)

# Builds of ONNX Runtime exclude each other: for the others the plain one is overridden by none.
requirements: $(UV_READY)
	@$(PIN) $(EXTRAS) pyproject.toml -o deploy/requirements.txt --upgrade
	@for variant in gpu openvino; do \
		echo "onnxruntime; python_version < '0'" | $(PIN) $(EXTRAS) --extra $$variant pyproject.toml --overrides - \
			-o deploy/requirements-$$variant.txt --upgrade || exit 1; \
	done
	@echo "hatchling>=1.27" | $(PIN) - -o deploy/requirements-build.txt --upgrade

container-check:
	@for program in buildah debootstrap; do \
		command -v $$program >/dev/null || { apt-get install -y -qq --no-install-recommends $$program >/dev/null 2>&1 \
			|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$program >/dev/null; }; } \
			|| { echo "$$program can't be installed: the container is not checked"; exit 1; }; \
	done
	$(PYTHON) tools/container_check.py $(if $(VARIANT),--variant $(VARIANT))

settings-table: $(DEV_READY)
	$(DEV_ENV)/$(BIN)/python -m tools.settings_table

docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 $(DOCS_ENV)/$(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html"

release-check: $(RELEASE_READY)
	@$(RELEASE_ENV)/$(BIN)/python -m tools.release_check $(if $(TAG),--tag "$$TAG") $(if $(OSV_URL),--osv-url "$$OSV_URL")

clean:
	rm -rf $(RUN_ENV) $(LINT_ENV) $(DEV_ENV) $(UV_ENV) $(OPENVINO_ENV) $(DOCS_ENV) $(RELEASE_ENV) $(REFERENCE_ENV) .venv-fer .venv-deepface benchmarks/peers/*/node_modules build dist site .coverage* .*_cache

$(RUN_READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make serve PYTHON=python3.11")'
	$(PYTHON) -m venv $(RUN_ENV)
	$(RUN_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(LINT_READY): pyproject.toml
	$(PYTHON) -m venv $(LINT_ENV)
	$(LINT_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".[lint,otel]"
	@touch $@

$(TEST_READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make test PYTHON=python3.11")'
	$(PYTHON) -m venv $(DEV_ENV)
	$(DEV_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@

$(DEV_READY): $(TEST_READY)
	$(DEV_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,test-all,lint,train]" "$(TORCH)"
	@touch $@

$(BENCH_READY): $(DEV_READY)
	$(DEV_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	@touch $@

$(UV_READY):
	$(PYTHON) -m venv $(UV_ENV)
	$(UV_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@touch $@

# As docs/gpu.md says: pip knows nothing of builds that exclude each other.
$(OPENVINO_READY): pyproject.toml
	$(PYTHON) -m venv $(OPENVINO_ENV)
	$(OPENVINO_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[openvino]"
	$(OPENVINO_ENV)/$(BIN)/python -m pip uninstall --quiet --yes onnxruntime
	$(OPENVINO_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps onnxruntime-openvino
	@touch $@

$(DOCS_READY): pyproject.toml
	$(PYTHON) -m venv $(DOCS_ENV)
	$(DOCS_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	@touch $@

$(RELEASE_READY): pyproject.toml $(BUILD_PINS)
	$(PYTHON) -m venv $(RELEASE_ENV)
	$(RELEASE_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[release]"
	$(RELEASE_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(BUILD_PINS)
	@touch $@

# The reference needs old torch and NumPy, so Python 3.11 or 3.12.
$(REFERENCE_READY): $(REFERENCE_NEEDS)
	$(PYTHON) -m venv $(REFERENCE_ENV)
	$(REFERENCE_ENV)/$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(REFERENCE_NEEDS)
	@touch $@
