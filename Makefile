# What a person runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# KEEP=1 leaves the demo running.
KEEP ?=
export KEEP

.PHONY: help demo test lint unit e2e generate prepare

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## A backlog on a real cluster and a real Kafka, drained before your eyes (KEEP=1 leaves it running)
	cargo run --quiet -p spillway-testbed --bin testbed -- demo

test: lint unit e2e ## Everything: format, clippy, unit, architecture, generated files, chart, end to end

lint: ## Format and clippy
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets --locked -- -D warnings

unit: prepare ## Tests without a cluster
	cargo test --quiet --workspace --locked

e2e: prepare ## The end-to-end suite on the test bed

generate: prepare ## Write what is made from something else: definitions, plain manifests, the chart's README
	SPILLWAY_REGENERATE=1 cargo test --quiet -p spillway --test generated -- --test-threads=1 current::

prepare: ## Build and fetch the parts of the test bed (once)
	cargo run --quiet -p spillway-testbed --bin testbed -- prepare
