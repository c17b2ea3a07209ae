# `make` alone says what can be made.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-builtin-rules

# Seconds for each fuzz target, and what the benches are told (`make bench BENCH="chat --rounds 9"`).
SECONDS_EACH ?= 10
BENCH ?=

# The parts of Kubernetes that the tests raise, and what they rest on.
CLUSTER := kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet
NODE := busybox-static conntrack containerd containernetworking-plugins etcd-server iproute2 iptables runc util-linux

# Where the cases of property tests begin: the same ones each time, so that a failure is that of a change.
# Others are tried with `make test SEED=2`, or at random with `cargo test`.
SEED := 1

# This machine, in the words of images.
ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
TARGET_amd64 := x86_64-unknown-linux-musl
TARGET_arm64 := aarch64-unknown-linux-musl
BUILD := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## This list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 27

.PHONY: test
test: ## Installs what the tests need, and runs them all
	@.ci/need build-essential curl nodejs npm procps python3 python3-venv $(NODE)
	@.ci/go-tool --all
	@tests/cluster/build $(CLUSTER) >/dev/null
	PROPTEST_RNG_SEED=$(SEED) cargo test --locked

.PHONY: manifests
manifests: ## Renders manifests/ from the chart anew
	UPDATE=1 cargo test --locked --test chart manifests

.PHONY: cluster
cluster: ## A Kubernetes with the chart and the injector in it, until you press enter
	@.ci/need build-essential curl etcd-server python3 util-linux
	cargo test --locked --test cluster for_people -- --ignored --nocapture

.PHONY: demo
demo: ## A storm of rate limits, dead keys and outages, absorbed: no account needed
	@.ci/need build-essential
	cargo run --locked --release -- demo

.PHONY: fmt
fmt: ## Formats the sources
	cargo fmt --all

.PHONY: fmt-check
fmt-check: ## Fails if `make fmt` would change anything
	cargo fmt --all --check

.PHONY: lint
lint: tools ## Clippy over everything, warnings denied
	cargo clippy --locked --all-targets -- -D warnings

.PHONY: doc
doc: ## The documentation of the code, warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

.PHONY: deny
deny: ## Licences, bans, sources and advisories of all dependencies
	@.ci/deny

.PHONY: fuzz
fuzz: ## Fuzzes each target briefly (SECONDS_EACH=10)
	@.ci/fuzz $(SECONDS_EACH)

.PHONY: ci
ci: ## What must hold before a change lands
	@.ci/run

.PHONY: image
image: image-$(ARCH) ## The image's static binary for this machine, in dist/

.PHONY: image-amd64
image-amd64: ## The same for amd64
	@.ci/need build-essential musl-tools
	@.ci/static amd64 $(TARGET_amd64)

.PHONY: image-arm64
image-arm64: ## The same for arm64, cross-built where need be
	@.ci/need build-essential $(if $(filter arm64,$(ARCH)),musl-tools,gcc-aarch64-linux-gnu)
	@.ci/static arm64 $(TARGET_arm64)

.PHONY: image-check
image-check: image ## Builds the image around the binary, without a daemon or registry, and checks it
	@.ci/need buildah
	@.ci/image-check $(ARCH)

.PHONY: image-check-arm64
image-check-arm64: image-arm64 ## The same for arm64, run under emulation
	@.ci/need buildah $(if $(filter amd64,$(ARCH)),qemu-user-static)
	@.ci/image-check arm64

.PHONY: bench
bench: image ## Keyweir beside nginx (BENCH="chat paced --rounds 9")
	@.ci/need nginx util-linux
	KEYWEIR_BIN=dist/$(ARCH)/keyweir cargo bench --locked --bench proxy -- $(BENCH)

.PHONY: simulate
simulate: ## Simulates standard situations and writes docs/simulation.md
	@.ci/need build-essential
	cargo bench --locked --bench simulation

.PHONY: callgrind
callgrind: ## Instructions per request, and where they go
	@.ci/need valgrind util-linux
	cargo build --locked --release --config 'profile.release.split-debuginfo="off"'
	KEYWEIR_BIN=$(BUILD)/release/keyweir cargo bench --locked --bench proxy -- callgrind

.PHONY: sizes
sizes: image ## The binary's size, and what makes it up
	@.ci/sizes $(ARCH) $(TARGET_$(ARCH))

.PHONY: tools
tools:
	@rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy
	rustup component list --installed 2>/dev/null | grep -q rustfmt || rustup component add rustfmt

.PHONY: clean
clean: ## Removes what was built
	cargo clean
	rm -rf dist fuzz/Cargo.lock
