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

.PHONY: help demo replay-demo test lint workflows unit e2e generate build bench bench-decisions bench-scale fuzz soak check \
  compiler image image-check deny version chaos chaos-specs valgrind

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## A backlog on a real cluster and a real Kafka, drained before your eyes (KEEP=1 leaves it running, RECORD=run.csv records it)
	@target/debug/testbed demo $(if $(RECORD),--record '$(RECORD)')

replay-demo: ## A recorded demo (RECORD=run.csv) and the simulator on the same arrivals, side by side
	@cargo build --quiet --workspace --locked --bin replay-demo
	@target/debug/replay-demo $(or $(RECORD),$(wildcard tests/decisions/recordings/demo-*.csv))

test: TOOLS = --all
test: check lint workflows unit e2e ## Everything: format, clippy, workflows, unit, architecture, generated files, chart, end to end

lint: compiler ## Format and clippy
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets --locked -- -D warnings

ACTIONLINT := v1.7.12
workflows: ## The workflows of .github and the scripts of deploy, checked by actionlint and shellcheck
	@command -v shellcheck >/dev/null || { echo "make: shellcheck is needed (Debian: shellcheck)"; exit 1; }
	@shellcheck deploy/*.sh
	@[ -x target/tools/bin/actionlint-$(ACTIONLINT) ] || { \
	  GOBIN=$(CURDIR)/target/tools/bin go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT) && \
	  mv target/tools/bin/actionlint target/tools/bin/actionlint-$(ACTIONLINT); }
	@target/tools/bin/actionlint-$(ACTIONLINT)

# Every test there is, but the end-to-end suite and the image, which have targets of their own, and benchmarks.
TESTS := $(notdir $(basename $(wildcard tests/*.rs tests/testbed/tests/*.rs))) \
  $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))
unit: TOOLS = --all
# The same made-up stories each time: a change must not fail on what another brought in. `make fuzz` makes up new ones.
unit: build ## Tests without a cluster, and those of the test bed itself
	PROPTEST_RNG_SEED=1 cargo test --quiet --workspace --locked --lib --bins $(patsubst %,--test %,$(filter-out e2e image,$(TESTS)))

# The cases wait more than they work: more of them side by side than there are processors.
e2e: TOOLS = --all
e2e: build ## The end-to-end suite on the test bed
	@rm -rf target/tmp/e2e-times target/tmp/e2e-failures
	cargo test --quiet --workspace --locked --test e2e -- --test-threads=6 || \
	  { echo "What failed (more above):"; cat target/tmp/e2e-failures/*; exit 1; }
	@echo "Slowest cases (seconds):"; cat target/tmp/e2e-times/* | sort -rn | head -5

generate: build ## Write what is made from something else: definitions, manifests, the chart's schema and README, the documents' pictures and outputs
	SPILLWAY_REGENERATE=1 cargo test --quiet --workspace --test generated --test documents -- --test-threads=1 current::

# Looked at with nothing else running: a decision takes what the processor's cache leaves of it.
bench: ## How long one decision takes, on 1,000 and on 10,000 partitions
	cargo bench --quiet --workspace --locked --bench decide

# FUZZ_SECONDS=600 goes on for longer (seconds a target), FUZZ_TARGETS="scaler group" tries some,
# PROPTEST_CASES=1000000 tries more. What libFuzzer finds interesting is kept in target/fuzz; what breaks
# something belongs into fuzz/corpus. Its flags are unstable ones: the bootstrap variable has the pinned
# compiler take them.
FUZZ_TARGETS ?= $(notdir $(wildcard fuzz/corpus/*))
fuzz: compiler ## What comes from outside against libFuzzer, the engine against made-up stories (FUZZ_SECONDS=60 a target)
	@command -v cargo-fuzz >/dev/null || { echo "make: cargo-fuzz is needed: cargo install cargo-fuzz (a C++ compiler, too)"; exit 1; }
	@export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$(CURDIR)/target/fuzz; \
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p target/fuzz/corpus/$$target; \
	  echo "$$target:"; \
	  cargo fuzz run $$target target/fuzz/corpus/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(or $(FUZZ_SECONDS),60) -timeout=20 -rss_limit_mb=4096 -max_len=16384 \
	    -dict=fuzz/words.dict -print_final_stats=1 -verbosity=0 -close_fd_mask=1; \
	done
	PROPTEST_CASES=$(or $(PROPTEST_CASES),5000) cargo test --quiet --workspace --locked --lib -- properties restarts

# ROWS="broker-lost api-down" plays some, TIMES=1 each once, ROWS=none only writes the page anew.
chaos: TOOLS = --all
chaos: build ## What Spillway depends on, broken amid a recovery, one after another: docs/reliability.md (hours; TIMES=5, ROWS="…")
	TIMES='$(or $(TIMES),5)' ROWS='$(ROWS)' \
	  cargo test --quiet --workspace --locked --test e2e -- --ignored --nocapture whatever_breaks

soak: TOOLS = --all
soak: build ## An hour of scalers that come and go, brokers that are killed and backlogs: nothing may grow (MINUTES=60)
	MINUTES='$(MINUTES)' cargo test --quiet --workspace --locked --test e2e -- --ignored --nocapture an_hour_of_churn

# SPECS=10000, SEED=1: the same resources again.
chaos-specs: TOOLS = --all
chaos-specs: build ## 10,000 made-up resources on a real API server: each refused or served, their neighbour unharmed (SPECS, SEED)
	SPILLWAY_SPECS=$(or $(SPECS),10000) SPILLWAY_SEED=$(or $(SEED),1) \
	  cargo test --quiet --workspace --locked --test e2e -- --nocapture whatever_is_asked_for

# Everything that src/kafka/admin.rs does, against real brokers: connections, groups, logins, what fails.
# Left out is a test about a token of seconds, in which a sweep that valgrind slows down is too late.
valgrind: build ## The calls past Rust's checks under valgrind, against a real Kafka
	@command -v valgrind >/dev/null || { echo "make: valgrind is needed (Debian: valgrind)"; exit 1; }
	cargo --config 'target."cfg(unix)".runner = "valgrind --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99 --num-callers=40 --suppressions=$(CURDIR)/tests/valgrind.supp"' \
	  test --workspace --locked --test connection --test security -- --test-threads=1 --skip a_token_does_as_long_as_it_is_good

bench-decisions: compiler ## Decisions against every other way, on recorded and generated traffic: docs/benchmark.md (some 40 minutes)
	cargo build --quiet --release --workspace --locked --bin bench-decisions
	@target/release/bench-decisions

# The operator as released, the rest as tests have it. Ten minutes, half of them for the largest.
N ?=
bench-scale: build ## What many scalers cost, on a real control plane and three real brokers: docs/scale.md (N="100 1000")
	cargo build --quiet --release --locked -p spillway --bin spillway
	@target/debug/bench-scale $(N)

# The architecture of this machine; ARCHES="amd64 arm64" builds both, with a cross compiler for the other.
ARCHES ?= $(subst x86_64,amd64,$(subst aarch64,arm64,$(shell uname -m)))
image: compiler ## The image, built here with docker, podman or buildah, and looked into (ARCHES="amd64 arm64")
	deploy/image.sh $(ARCHES)
	@$(MAKE) image-check

# Where image-check finds spillway-ARCH.tar.
IMAGES ?= target/oci
image-check: compiler ## What is in target/oci/spillway-ARCH.tar, and that it starts and reaches a Kafka behind TLS
	SPILLWAY_IMAGES='$(patsubst %,$(abspath $(IMAGES))/spillway-%.tar,$(ARCHES))' \
	  cargo test --quiet --workspace --locked --test image $(AS_ROOT) -- --ignored --nocapture
# It mounts, and starts programs as another user.
AS_ROOT = $(if $(filter 0,$(shell id -u)),,--config "target.'cfg(unix)'.runner='sudo -E env PATH=$(PATH)'")

# CHECK="bans licenses sources" does without the database of advisories, which is on GitHub.
deny: compiler ## Licences, sources, duplicates and advisories of what Spillway is built from (CHECK=…)
	@cargo install --quiet --locked --root target/tools cargo-deny@0.20.2
	@target/tools/bin/cargo-deny --workspace check --hide-inclusion-graph $(CHECK)

# IS=0.2.0 fails unless that is the version, with a section in the changelog.
version: ## The one version, and that it is the same everywhere; NEW=0.2.0 moves it everywhere
	@cargo run --quiet --locked -p spillway-release -- $(if $(NEW),to '$(NEW)',check $(IS))

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
