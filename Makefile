# `make` alone lists the targets. Everything runs in the clone's own .venv, made by `make setup`.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python 3.11 there is; `make PYTHON=/path/to/python3.11` names another.
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)

export VIRTUAL_ENV := $(CURDIR)/.venv
export PATH := $(VIRTUAL_ENV)/bin:$(PATH)
export PYTHONUNBUFFERED := 1
# What launchers should know: bash reads it before each recipe, as activated shells do.
export BASH_ENV := $(CURDIR)/deploy/setup/environment.sh
# Everything here runs on this machine, which needs no name in a network for that.
export SPARK_LOCAL_HOSTNAME ?= localhost

CODE := polynya autolabel training inference data_samples benchmarks
DEMO := runs/demo
RECIPE := data_samples/demo.yaml
RANKS ?= 2

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: environment ## Make .venv: locked packages, Java, MPI, and Horovod built for TensorFlow (no root)
	@python deploy/setup/stac_schemas.py

# All but what only tests need.
.PHONY: environment
environment:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Error: Polynya needs Python 3.11: install it (for example" \
			"'apt-get install python3.11 python3.11-venv', or with pyenv or conda) or name it with" \
			"'make PYTHON=/path/to/python3.11'." >&2; exit 1; fi
	@$(PYTHON) deploy/setup/install.py

.PHONY: demo
demo: $(DEMO)/evaluation.done ## Scenes to labels to a trained model to maps to a table, in runs/demo

# Unit tests, beside each other: one on each core, but on no more than there is memory for.
UNIT_TESTS := pytest tests/unit --numprocesses=logical --maxprocesses=4 --dist=worksteal

.PHONY: check
check: lint type ## Lint, types and the unit tests that aren't slow; under three minutes on 2 cores
	$(UNIT_TESTS) --quiet --disable-warnings -m 'not slow'

# What waits for local servers or for other programs: two files at once. The tests of a file stay
# together, because they share models and servers.
SHARED_TESTS := pytest tests/browser tests/integration/benchmarks tests/integration/inference \
	tests/integration/project tests/integration/scenes --numprocesses=2 --dist=loadfile
# Trainings on ranks and jobs of Spark have the machine for themselves.
LONE_TESTS := pytest tests/cluster tests/integration/autolabel tests/integration/training
COVERAGE := runs/coverage/report.json

# All parts run even where one fails, so that the report is of all tests.
.PHONY: test
test: setup ## Run all tests; the unit tests with line and branch coverage
	@failed=0; \
	$(UNIT_TESTS) --cov --cov-report=term-missing:skip-covered --cov-report=json:$(COVERAGE) || failed=1; \
	$(SHARED_TESTS) || failed=1; \
	$(LONE_TESTS) || failed=1; \
	python deploy/setup/coverage_line.py $(COVERAGE); exit $$failed

.PHONY: coverage
coverage: setup ## Run all tests with coverage, also of the programs that they start (a fifth slower)
	@export COVERAGE_FILE=$(CURDIR)/runs/coverage/data; failed=0; \
	$(UNIT_TESTS) --cov --cov-report= || failed=1; \
	$(SHARED_TESTS) --cov --cov-append --cov-report= || failed=1; \
	$(LONE_TESTS) --cov --cov-append --cov-report=term-missing:skip-covered --cov-report=json:$(COVERAGE) || failed=1; \
	python deploy/setup/coverage_line.py $(COVERAGE); exit $$failed

# Where builds are kept between clones (deploy/setup/build_horovod.py says the same).
CACHE := $(or $(POLYNYA_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/polynya)
SPARK35 := $(CACHE)/$(shell sed -n 's/^pyspark==\([0-9.]*\).*/pyspark-\1/p' requirements/spark35.txt)

.PHONY: test-spark35
test-spark35: setup ## Run the tests of labelling on Spark 3.5, which Dataproc has
	@if [ ! -d $(SPARK35) ]; then mkdir -p $(CACHE); partial=$$(mktemp -d -p $(CACHE)); \
		pip install --quiet --no-deps --require-hashes --target $$partial \
			-r requirements/spark35.txt; mv -T $$partial $(SPARK35); fi
	SPARK_HOME=$(SPARK35)/pyspark PYTHONPATH=$(SPARK35) \
		pytest tests/cluster tests/integration/autolabel/test_label_job.py tests/integration/autolabel/test_label_udf.py

.PHONY: format
format: setup ## Rewrite the code in the project's format
	ruff format .
	ruff check --fix .

.PHONY: lint
lint: setup ## Check style, format, which package may import which, shell scripts and the Dockerfile
	ruff check .
	ruff format --check .
	lint-imports
	shellcheck --external-sources --source-path=SCRIPTDIR $(SHELL_FILES)
	hadolint deploy/container/Dockerfile deploy/container/Dockerfile.cuda

SHELL_FILES := .ci/run $(wildcard deploy/*.sh deploy/*/*.sh deploy/*/*.env deploy/*/*.sbatch)

.PHONY: type
type: setup ## Check the types
	mypy $(CODE) deploy/setup

.PHONY: bench
bench: setup ## Measure every stage against its baseline, beside the paper's figures; some minutes, in runs/bench/suite
	python -m benchmarks.suite

.PHONY: bench-full
bench-full: setup ## The same in full sizes; over an hour
	python -m benchmarks.suite --full

.PHONY: bench-labels
bench-labels: setup ## Measure how right labels are under cloud and shadow, in runs/bench/labels
	python -m benchmarks.labels

.PHONY: bench-labelling
bench-labelling: setup ## Measure labelling at scale against the published pipeline, in runs/bench/labelling
	python -m benchmarks.labelling

.PHONY: bench-training
bench-training: setup ## Measure training on ranks: efficiency, table, overhead, in runs/bench/training
	python -m benchmarks.training

.PHONY: bench-input
bench-input: setup ## Measure how fast tiles come to the training step, in runs/bench/input
	python -m benchmarks.input

.PHONY: bench-maps
bench-maps: demo ## Measure maps: speed and memory on a large scene, seams, decisions, gaps; in runs/bench/maps
	python -m benchmarks.maps speed --trained $(DEMO)/model
	python -m benchmarks.maps seams --model $(DEMO)/model
	python -m benchmarks.maps decisions --model $(DEMO)/model --shards $(DEMO)/shards
	python -m benchmarks.maps gaps --model $(DEMO)/model

.PHONY: bench-accuracy
bench-accuracy: setup ## Train models on clear scenes, score them under cloud and shadow, in runs/bench/accuracy
	python -m benchmarks.accuracy

.PHONY: samples
samples: setup ## Make the shipped sample scenes again, from their seeds
	python -m data_samples --shipped --out data_samples/scenes

.PHONY: pack
pack: setup ## Pack the environments and the code of the Spark jobs for clusters, in runs/pack
	python deploy/setup/pack.py label predict

.PHONY: lock
lock: setup ## Resolve the packages of setup.cfg again and lock them by hash
	uv pip compile --quiet --upgrade setup.cfg $(foreach extra,$(LOCKED_EXTRAS),--extra $(extra)) \
		--python-version 3.11 --generate-hashes --output-file requirements/lock.txt
	$(MAKE) --no-print-directory lock-packs

.PHONY: lock-packs
lock-packs: setup ## Lock the packs (without Spark, which clusters have), the image and MLflow to the same versions
	$(LOCK_PACK) --extra spark --no-emit-package pyspark --no-emit-package py4j \
		--output-file requirements/pack-label.txt
	$(LOCK_PACK) --extra spark --extra train --no-emit-package pyspark --no-emit-package py4j \
		--output-file requirements/pack-predict.txt
	$(LOCK_PACK) --extra spark --extra train --output-file requirements/image.txt
	sed -n 's/^tensorflow-cpu==\([0-9.]*\).*/tensorflow[and-cuda]==\1/p' requirements/lock.txt \
		| uv pip compile --quiet - --constraint requirements/lock.txt --python-version 3.11 \
			--generate-hashes --no-annotate --output-file requirements/cuda.txt
	{ echo "# MLflow with its server and pages, which tests start; in an environment of its own."; \
		sed -n 's/^mlflow-skinny==\([0-9.]*\).*/mlflow==\1/p' requirements/lock.txt \
		| uv pip compile --quiet - --python-version 3.11 --generate-hashes --no-annotate --no-header; \
		} > requirements/mlflow.txt

LOCKED_EXTRAS := spark train mpi openvino onnx earthengine stac xarray indices baseline sweep tracking tensorboard serve docs horovod-build dev
LOCK_PACK := uv pip compile --quiet setup.cfg --constraint requirements/lock.txt --python-version 3.11 \
	--generate-hashes --no-annotate

# Everything is read each time: pages that are kept would keep their warnings to themselves.
SITE := python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet --conf-dir docs/site .

.PHONY: docs
docs: setup ## Build the site of the documents, in runs/docs
	$(SITE) runs/docs
	@echo "Open runs/docs/index.html"

.PHONY: docs-links
docs-links: setup ## Ask the servers of all links in the documents whether these still lead somewhere
	$(SITE) --builder linkcheck runs/docs-links

.PHONY: notebooks
notebooks: setup ## Run the notebooks of docs/notebooks again and keep their results
	jupyter execute --inplace docs/notebooks/*.ipynb

.PHONY: clean
clean: ## Remove what runs and tests made; .venv and the caches stay
	rm -rf build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* \
		spark-warehouse metastore_db derby.log
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# --- The demo, stage by stage -------------------------------------------------------------------
# Each stage leaves a file STAGE.done beside its folder, so a second `make demo` skips it.
# `| environment` orders without making a stage out of date.

TRAIN_SCENES := data_samples/scenes/train
TEST_SCENES := data_samples/scenes/heldout
# Scenes to train on beside the shipped ones; they are made here, because they needn't be downloaded.
MORE_SCENES := 64

$(DEMO)/scenes.done: $(wildcard data_samples/*.py) | environment
	@echo "== 1/5 Making $(MORE_SCENES) more scenes to train on"
	@mkdir -p $(DEMO) || { echo "Error: The demo writes into $(CURDIR)/$(DEMO): run it in a clone that" \
		"you can write." >&2; exit 1; }
	python -m data_samples --out $(basename $@) --count $(MORE_SCENES) --size 512 --seed 11 --sky mixed
	@touch $@

$(DEMO)/shards.done: $(DEMO)/scenes.done $(RECIPE) $(wildcard $(TRAIN_SCENES)/*.tif)
	@echo "== 2/5 Taking cloud and shadow out and labelling by colours, with Spark"
	spark-submit autolabel/job.py --scenes $(TRAIN_SCENES)/*_{clear,shadow,cloud,both}.tif \
		$(basename $<)/*_{shadow,cloud,both}.tif --out $(basename $@) --recipe $(RECIPE) --overwrite
	@touch $@

$(DEMO)/model.done: $(DEMO)/shards.done
	@echo "== 3/5 Training on $(RANKS) ranks, with Horovod"
	horovodrun --gloo -np $(RANKS) python training/train.py --shards $(basename $<) --out $(basename $@) \
		--recipe $(RECIPE) --overwrite
	@touch $@

$(DEMO)/maps.done: $(DEMO)/model.done $(wildcard $(TEST_SCENES)/*.tif)
	@echo "== 4/5 Mapping whole scenes that the model hasn't seen"
	polynya predict $(basename $<) $(TEST_SCENES)/*_{clear,shadow,cloud,both}.tif --out $(basename $@) --overwrite
	@touch $@

$(DEMO)/evaluation.done: $(DEMO)/maps.done
	@echo "== 5/5 How right each step is, against the truth"
	polynya evaluate --model $(DEMO)/model --maps $(basename $<) --out $(basename $@) \
		--scenes $(TEST_SCENES)/*_{clear,shadow,cloud,both}.tif
	@touch $@
	@echo "Maps: $(DEMO)/maps; tables and pictures: $(DEMO)/evaluation"
