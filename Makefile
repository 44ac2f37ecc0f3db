# Two commands matter: `make run` and `make test`. Everything else is a part of them or a long loop.
# Logic lives in `cargo xtask`; this file only names things.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A clean clone in CI shares its build products with the next one.
ifeq ($(CI),true)
export CARGO_TARGET_DIR ?= $(HOME)/.cache/aios/target
endif
export AIOS_STATE ?= $(CURDIR)/.aios

XTASK := cargo xtask
# Services have users of their own, and only root can start them.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n --preserve-env=PATH)

.PHONY: help setup setup-test build page run up down container test test-rust test-python test-page test-system test-vm check image base iso vm vm-test soak bench bench-boot eval docs

help: ## Shows this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: ## Installs what is missing: Debian packages, system users, Python packages.
	$(XTASK) setup

setup-test: ## The same, a browser to test the page with, and cargo-nextest.
	$(XTASK) setup --for run --for image --for vm --for browser --for tests

build: setup page ## Builds every binary and the page.
	cargo build --release --workspace --bins

page: setup
	$(XTASK) page

run: build ## Sets up, builds, starts aiOS, does a first goal; Ctrl-C stops it.
	$(XTASK) run

up: build ## Starts aiOS in the background.
	$(XTASK) up

down: ## Stops it; leaves no process, container, mount or socket.
	$(XTASK) down

container: image ## Runs the image as a container, does a first goal in it; `cargo xtask container --stop` ends it.
	$(XTASK) container

test: setup-test build test-rust test-python test-page test-system test-vm ## Runs every test.

test-rust: build
	$(XTASK) docs --check
	$(XTASK) agent-image
	cargo nextest run --release --workspace --no-fail-fast -E 'not package(aios-tests-e2e)'

test-python: build
	cd python && ../.venv/bin/python -m pytest tests/ -v

test-page: setup ## The page's unit tests.
	$(XTASK) page --test

test-system: build ## The whole path on this machine: command line, page, `make down` leaves nothing.
	$(XTASK) test-system

test-vm: build ## The whole path in the image: as a container, booted, and updated to a bad image and a good one.
	$(XTASK) image
	$(XTASK) container --test --port 9190
	$(XTASK) vm --test
	$(XTASK) life --hand-laid

check: build ## Formatting, lints, licences, and whether the reference is current.
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	cd python && ../.venv/bin/ruff check . && ../.venv/bin/ruff format --check . && ../.venv/bin/mypy
	$(XTASK) deny
	$(XTASK) docs --check

docs: build ## Writes the reference, man pages and completions from the code.
	$(XTASK) docs

image: build ## Builds the bootable OCI image.
	$(XTASK) image

base: setup ## Makes the base images from Debian packages.
	$(XTASK) base

iso: image ## Writes target/aios.iso, which boots the image live and installs it.
	$(XTASK) iso

vm: image ## Boots the image in QEMU.
	$(XTASK) vm

vm-test: build ## The image in full: compiled inside too, booted, tested, powered off; installed, updated, broken, rolled back.
	$(XTASK) image --compile
	$(XTASK) vm --test
	$(XTASK) life

soak: build ## Long loops: at least 100 kills at given points, and every process of an instance at each moment of a goal.
	AIOS_SOAK=1 cargo nextest run --release --profile soak -p aios-tests-kills --no-fail-fast
	AIOS_SOAK=1 $(XTASK) test-system kills
	AIOS_SEQUENCES=10000 cargo nextest run --release --profile soak -p aios-tools --no-fail-fast -E 'test(/^sequences::/)'

bench: build ## Figures, beside what they are compared to.
	$(XTASK) setup --for bench
	cargo build --release -p aios-bench
	$(AS_ROOT) $${CARGO_TARGET_DIR:-target}/release/aios-bench

bench-boot: build ## Boots the image by aios-init and by systemd in turn, and compares: half an hour and a quiet machine.
	$(XTASK) setup --for vm
	$(XTASK) image
	$(XTASK) bench-boot

eval: build ## Makes real faults, has them found and mended, and counts.
	$(XTASK) setup --for tests
	cargo build --release -p aios-eval
	$(XTASK) eval
