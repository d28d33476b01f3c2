# Everything one does with this tree. `make help` lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell tools/version)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)

# A clone that belongs to someone else (a container's bind mount) makes git
# refuse, and go build with it; the version comes in by -X anyway.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

tool := go tool -modfile=tools/go.mod
# Prints go test's own lines, then every skip with its reason.
gotestsum := $(tool) gotestsum --format standard-quiet --

# The folders whose tests run the Temporal server (the second as the shipped
# program), and everything but them.
engine_tests := ./e2e/... ./lab/real/...
fast_tests = packages=$$(go list ./... | grep -v '/patchcycle/\(e2e\|lab/real\)\(/\|$$\)'); \
	$(gotestsum) -timeout 10m

# What make test-fast looks at, e.g. make test-fast PKG=./trust/...
PKG ?=

# What make crash does; N is also how many machines make lab-up boots.
N ?= 10
ENGINE ?= sqlite

# How long make fuzz looks at each parser; make test takes five seconds too.
FUZZTIME ?= 5s

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Build and try

.PHONY: build
build: ## Put the shipped binaries into bin/ (without cgo or local paths; the first time compiles for some minutes).
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/ ./cmd/...

.PHONY: packages
packages: build ## Build .deb of agent, relay and server into bin/.
	@tools/package agent relay server

.PHONY: repository
repository: packages ## Put the packages into a repository in DIR, signed by the key KEY of gpg's: how a release goes out.
	@tools/repository $(or $(DIR),bin/repository) $(or $(KEY),$(error say which key signs: make repository KEY=...))

.PHONY: demo
demo: ## Run a whole patch cycle here; options in ARGS, e.g. make demo ARGS="--auto-approve".
	@echo 'Compiling patchcycle with its Temporal server: minutes the first time, seconds afterwards.' >&2
	@go run ./cmd/patchcycle demo $(ARGS)

##@ Check

.PHONY: test
test: setup ## Run all tests; installs what they need on Debian when root. README and .ci/run call this.
	go vet ./...
	@$(fast_tests) $$packages
	@tools/fuzz 5s
	@# -count=1: these start processes, whose sources the test cache does not see.
	@# -p 1: the next one's machines would take the cores that the first one times.
	$(gotestsum) -timeout 50m -count=1 -p 1 $(engine_tests)

.PHONY: test-fast
test-fast: ## Run the tests that do not link the Temporal server: all of them, or those of PKG=./trust/...
	@$(fast_tests) $(or $(PKG),$$packages)

.PHONY: fuzz
fuzz: ## Look for input that brings a parser down, each target for FUZZTIME (default 5s).
	@tools/fuzz $(FUZZTIME)

.PHONY: setup
setup: ## Install the Debian packages that tests need (when root), or say which are missing.
	@tools/setup

.PHONY: lint
lint: ## Check style, common mistakes, and that workflows are deterministic.
	$(tool) golangci-lint run ./...
	$(tool) workflowcheck -config .workflowcheck.yml ./workflows/...

.PHONY: fmt
fmt: ## Format the Go files.
	$(tool) gofumpt -w .

.PHONY: deadcode
deadcode: ## List functions that no command and no test reaches.
	$(tool) deadcode -test ./...

.PHONY: requirements
requirements: ## List each requirement with the tests that serve it.
	@go test -count=1 -v -run '^TestEveryRequirementThatATestCitesIsListed$$' . | sed -n 's/^    //p'

##@ Prove and measure

.PHONY: crash
crash: ## Kill a cycle N times (default 10) on ENGINE=sqlite|postgres, and see it end as if nothing had been.
	go run ./lab/crash -n $(N) -engine $(ENGINE)

.PHONY: lab
lab: ## Send N real Debian machines (default 4) through a good and a bad cycle, with a killed server; as root, ten minutes.
	go run ./lab/real -kill $(if $(filter command,$(firstword $(origin N))),-n $(N))

.PHONY: lab-up
lab-up: ## Boot N real Debian machines (default 10) on this one, as root; then go run ./lab/hosts -h.
	go run ./lab/hosts up -n $(N)

.PHONY: lab-down
lab-down: ## Take them down again, also after a crash.
	go run ./lab/hosts down

.PHONY: histories
histories: ## Record workflow histories of a release, for the tests that replay them.
	go run ./lab/histories

.PHONY: bench
bench: ## Measure start, rest, cycles of growing size, waves of real machines (as root), assessment, relays; the figures of docs/performance.md.
	@# The relay and the real machines first: whatever they lack is said at once.
	go run ./lab/bench/serving
	go run ./lab/real -cycle waves
	go run ./lab/bench
	tools/bench-assess
	go run ./lab/bench return

.PHONY: bench-assess
bench-assess: ## Measure what assessing costs, beside osv-scanner; PATCHCYCLE_SHARED says where the real feeds are.
	@tools/bench-assess

.PHONY: bench-relay
bench-relay: ## Measure how a relay serves packages, beside nginx; five minutes, options in ARGS.
	go run ./lab/bench/serving $(ARGS)

.PHONY: bench-return
bench-return: ## Have 100,000 machines behind 500 relays come back after an outage; 30 minutes, options in ARGS.
	go run ./lab/bench return $(ARGS)

##@ Keep

.PHONY: docs
docs: ## Write docs/cli.md anew from the commands themselves.
	@mkdir -p bin
	go run ./cmd/patchcycle docs cli > bin/cli.md
	mv bin/cli.md docs/cli.md

.PHONY: clean
clean: ## Remove what was built here (go's own caches stay).
	rm -rf bin
