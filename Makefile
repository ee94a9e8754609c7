# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Idle OpenMP threads that spin make everything slow on a machine that has other work too.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help demo test test-all lint format bench bench-models bench-criteria bench-lowrank bench-quality docs example clean bench-int8 bench-coding bench-search bench-deep bench-mnist bench-structured

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

demo: $(VENV)/.ready ## Train LeNet-5 on MNIST, cut it to a quarter of its MACs, prove and measure it
	$(BIN)/secateur demo --out out/demo

test: $(VENV)/.ready ## Run the tests
	$(BIN)/python -m pytest -m 'not slow' -n 2

test-all: $(VENV)/.ready ## Run the tests, the slow ones too
	SECATEUR_EXAMPLES=2000 $(BIN)/python -m pytest -n 2

lint: $(VENV)/.ready ## Check style, types, layers and spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell README.md CONTRIBUTING.md CHANGELOG.md docs src tests examples benchmarks

format: $(VENV)/.ready ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready ## Equivalence over four networks, import time, cost of tracing and verifying
	$(BIN)/python benchmarks/equivalence.py
	$(BIN)/python benchmarks/import_time.py

# The zoos, once with Secateur and once with the peer that it is measured beside, which must not meet.
ZOO := .venv-zoo
PEER := .venv-peer
MODELS := benchmarks/models

$(ZOO)/.ready $(PEER)/.ready: constraints.txt $(MODELS)/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(@D)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -r $(MODELS)/requirements.txt \
		$(if $(filter $(PEER),$(@D)),torch-pruning==1.6.1,-e .)
	touch $@

bench-models: $(ZOO)/.ready $(PEER)/.ready ## Check the channel graph over the public model zoos, beside a peer (hours)
	$(ZOO)/bin/python -m benchmarks.models $(ARGS)

bench-criteria: $(VENV)/.ready ## Criteria and repairs beside oracles, their cost, and at scale; writes docs/oracles.md (half an hour)
	$(BIN)/python -m benchmarks.criteria $(ARGS)

bench-lowrank: $(VENV)/.ready ## Thin layers and compact blocks beside their oracles and on LeNet-5; writes docs/lowrank.md
	$(BIN)/python -m benchmarks.lowrank

QUALITY := benchmarks.quality
bench-quality: $(VENV)/.ready $(ZOO)/.ready ## What is left when nothing is trained after a cut, over methods and budgets (an hour)
	$(BIN)/python examples/mobilenet_v2/fetch.py
	$(BIN)/python -m $(QUALITY) --steps fashion-weights fashion-channels mobilenet-weights mobilenet-channels
	$(ZOO)/bin/python -m $(QUALITY) --steps sentences
	$(BIN)/python -m $(QUALITY) --steps page

bench-int8: $(VENV)/.ready ## MobileNetV2 in few bits: weights, simulated integers, two runtimes; writes docs/int8.md (half an hour)
	$(BIN)/python examples/mobilenet_v2/fetch.py
	$(BIN)/python -m benchmarks.int8 $(ARGS)
bench-coding: $(VENV)/.ready ## Sizes and speed of packed files beside zstd and xz, 200,000 mutated files; writes docs/coding.md
	$(BIN)/python -m benchmarks.coding
bench-search: $(VENV)/.ready ## Which search finds the best widths at equal numbers of evaluations; writes docs/search.md (hours)
	$(BIN)/python -m benchmarks.search $(ARGS)
bench-deep: $(VENV)/.ready ## Deep Compression on MNIST, the smallest files, MobileNetV2 in an eighth; writes docs/deep.md (an hour)
	$(BIN)/python examples/mobilenet_v2/fetch.py
	$(BIN)/python -m benchmarks.deep $(ARGS)
bench-structured: $(VENV)/.ready ## Channels that go while a ResNet trains, at half the MACs; writes docs/structured.md (an hour)
	$(BIN)/python -m benchmarks.structured $(ARGS)
bench-mnist: $(VENV)/.ready ## LeNets by the old papers' methods and our own, beside the papers' figures; writes docs/mnist.md (an hour)
	$(BIN)/python -m benchmarks.mnist $(ARGS)

docs: $(VENV)/.ready ## Write docs/reference.md from the classes themselves
	$(BIN)/python docs/build.py

example: $(VENV)/.ready ## MobileNetV2 with ImageNet weights: fetch weights and photos, cut to 70 % of the MACs, recover
	$(BIN)/python examples/mobilenet_v2/fetch.py
	$(BIN)/python examples/mobilenet_v2/compress.py

clean: ## Remove everything that was built
	rm -rf $(VENV) $(ZOO) $(PEER) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
