# make demo: a running node with example functions.   make test: everything checked.
SHELL := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X mayfly.dev/mayfly/internal/cli.version=$(VERSION)
CACHE := $(CURDIR)/.cache
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(CACHE)/golangci-lint-$(GOLANGCI_VERSION)

.PHONY: build demo demo-stop test lint unit cross bench generate fuzz clean

build: ## the static binary bin/mayfly
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/mayfly ./cmd/mayfly

demo: ## set up, start a node, deploy the examples, call them
	scripts/setup.sh demo
	$(MAKE) --no-print-directory build
	scripts/demo.sh start

demo-stop: ## stop the node that make demo started
	scripts/demo.sh stop

test: ## set up and check everything: lint, architecture, tests, cross builds
	scripts/setup.sh test
	$(MAKE) --no-print-directory lint cross build unit

lint: $(GOLANGCI)
	$(GOLANGCI) run ./...
	go vet ./...

$(GOLANGCI):
	mkdir -p $(CACHE)
	GOBIN=$(CACHE) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(CACHE)/golangci-lint $@

unit:
	go test -race -shuffle=on -timeout 20m ./...

cross: ## the other platforms must build
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/mayfly
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/mayfly

bench: ## timings against bare processes, direct servers and peers, and the numbers to reach
	scripts/setup.sh bench
	$(MAKE) --no-print-directory build
	go run ./test/bench

fuzz: ## a short run of every fuzz test
	scripts/fuzz.sh

generate: ## reference pages, OpenAPI, schemas
	go generate ./...

clean:
	rm -rf bin $(CACHE) .demo
