# What a person runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# KEEP=1 leaves the demo running.
KEEP ?=
export KEEP
# RECORD=run.csv records the demo, second by second.
RECORD ?=
# Where the commands below look, whatever the environment says.
export CARGO_TARGET_DIR := $(CURDIR)/target

.PHONY: help demo replay-demo test lint unit e2e generate build bench bench-decisions fuzz check compiler

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## A backlog on a real cluster and a real Kafka, drained before your eyes (KEEP=1 leaves it running, RECORD=run.csv records it)
	@target/debug/testbed demo $(if $(RECORD),--record '$(RECORD)')

replay-demo: ## A recorded demo (RECORD=run.csv) and the simulator on the same arrivals, side by side
	@cargo build --quiet --workspace --locked --bin replay-demo
	@target/debug/replay-demo $(or $(RECORD),$(wildcard tests/decisions/recordings/demo-*.csv))

test: TOOLS = --all
test: check lint unit e2e ## Everything: format, clippy, unit, architecture, generated files, chart, end to end

lint: compiler ## Format and clippy
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets --locked -- -D warnings

# Every test there is, but the end-to-end suite, which has a target of its own, and benchmarks.
TESTS := $(notdir $(basename $(wildcard tests/*.rs tests/testbed/tests/*.rs))) \
  $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))
unit: TOOLS = --all
unit: build ## Tests without a cluster, and those of the test bed itself
	cargo test --quiet --workspace --locked --lib --bins $(patsubst %,--test %,$(filter-out e2e,$(TESTS)))

# The cases wait more than they work: more of them side by side than there are processors.
e2e: TOOLS = --all
e2e: build ## The end-to-end suite on the test bed
	@rm -rf target/tmp/e2e-times
	cargo test --quiet --workspace --locked --test e2e -- --test-threads=6
	@echo "Slowest cases (seconds):"; cat target/tmp/e2e-times/* | sort -rn | head -5

generate: build ## Write what is made from something else: definitions, manifests, the chart's schema and README, the documents' pictures and outputs
	SPILLWAY_REGENERATE=1 cargo test --quiet --workspace --test generated --test documents -- --test-threads=1 current::

# Looked at with nothing else running: a decision takes what the processor's cache leaves of it.
bench: ## How long one decision takes, on 1,000 and on 10,000 partitions
	cargo bench --quiet --workspace --locked --bench decide

# FUZZ_SECONDS=600 goes on for longer, PROPTEST_CASES=1000000 tries more.
fuzz: ## The readers against mutated and hostile input, the engine against made-up stories (FUZZ_SECONDS=60)
	SPILLWAY_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) cargo test --quiet --workspace --locked --test fuzz -- --nocapture
	PROPTEST_CASES=$(or $(PROPTEST_CASES),5000) cargo test --quiet --workspace --locked --lib -- properties restarts

bench-decisions: compiler ## Decisions against every other way, on recorded and generated traffic: docs/benchmark.md (some 25 minutes)
	cargo build --quiet --release --workspace --locked --bin bench-decisions
	@target/release/bench-decisions

# The parts of the bed (Go, Maven) are built while the rest compiles. Bash keeps Ctrl-C from what it
# starts with `&`, so that is ended here.
build: check ## Build everything, and fetch the parts of the test bed (once)
	@target/debug/testbed-tools $(TOOLS) & tools=$$!; \
	  trap 'kill $$tools 2>/dev/null || :' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	  cargo build --workspace --bins --locked; wait $$tools

# Asked for by itself it is for every test; the demo needs no browser.
check: compiler ## Say what this machine lacks
	@target/debug/testbed-tools check $(if $(filter check,$(MAKECMDGOALS)),--all,$(TOOLS))

# What it takes to compile, said before a compiler says it in many lines.
compiler:
	@command -v cargo >/dev/null || { echo "make: Rust is needed: install it from https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "make: a C compiler is needed (Debian: build-essential)"; exit 1; }
	@cargo build --quiet --locked -p spillway-testbed-tools && target/debug/testbed-tools check compile
