# Lazaret. `make help` says what there is.

LAB := /usr/bin/python3 -B tests/lab/lab

.PHONY: help install build check test test-crash fuzz bench demo lab-up lab-down lab-status

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  Nothing listens beyond loopback. Everything but Debian packages stays in target/."

install: toolchain ## what is missing: Debian packages (with sudo when not root), Python packages in target/lab
	@$(LAB) install

build: toolchain ## the programs: target/debug/lazaret, target/debug/lazaret-agent
	@echo "building lazaret and lazaret-agent"; cargo build --workspace

check: toolchain ## in a minute or two: format, lints, every test that needs no lab
	@/usr/bin/python3 -B tests/lab/check

test: toolchain ## every test: brings the lab up once, takes it down at the end (KEEP=1 leaves it, TESTS=name picks some)
	@/usr/bin/python3 -B tests/lab/suite

test-crash: toolchain ## SIGKILL before and after each effect of a case, about half an hour, with the lab
	@TESTS="--test system crash -- --include-ignored" /usr/bin/python3 -B tests/lab/suite

fuzz: toolchain ## each parser of the core fuzzed for SECONDS=60 (needs cargo-fuzz)
	@.ci/fuzz $(or $(SECONDS),60)

sim: toolchain ## the response against a model of the cloud: operations made up for SECONDS=60 (SEED=n begins elsewhere)
	@LAZARET_SIM_SECONDS=$(or $(SECONDS),60) LAZARET_SIM_SEED=$(or $(SEED),1) cargo test -q -p lazaret --lib -- --nocapture whatever_happens killed_before_or_after

load: toolchain ## fifty cases at once with five hundred instances: time, requests, memory
	@LAZARET_LOAD=1 cargo test -q --lib -- --nocapture fifty_cases

bench: toolchain ## the core's speed and memory, as ratios to the least work that could do the same
	@cargo bench -q -p lazaret-attest --bench speed --bench memory

demo: toolchain ## the whole story on this machine: attest, condemn, fence, evacuate (KEEP=1 leaves it up)
	@/usr/bin/python3 -B tests/lab/demo

lab-up: ## the lab: OpenStack, TPMs, agents, BMCs (run `make install build` first)
	@$(LAB) up

lab-down: ## ends the lab and forgets its state; packages and caches stay in target/lab
	@$(LAB) down --wipe

lab-status: ## what of the lab runs
	@$(LAB) status

.PHONY: toolchain
toolchain:
	@test -x /usr/bin/python3 || { echo "The lab needs /usr/bin/python3 (3.11, as in Debian 12): apt-get install python3"; exit 1; }
	@/usr/bin/python3 -B tests/lab/check --toolchain
