# Everything here works on a fresh machine with Go, make and git.
export CGO_ENABLED ?= 0

.PHONY: all build demo test race lint prove fuzz bench generate completions image krew deploy-check clean

all: build

build: bin/netpol

# Go's own cache decides what has to be built again.
.PHONY: bin/netpol
bin/netpol:
	go build -trimpath -ldflags '-s -w' -o $@ .

# The workshop on two example applications, with real packets, on this machine.
demo: build
	./bin/netpol lab demo

test:
	go vet ./...
	go test ./...

# The race detector needs a C compiler.
race:
	CGO_ENABLED=1 go test -race ./...

# Linters run as pinned modules, so that nothing has to be installed.
lint:
	test -z "$$(gofmt -l cmd pkg internal tools main.go | tee /dev/stderr)"
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	go run github.com/OpenPeeDeeP/depguard/v2/cmd/depguard@v2.3.0 ./...
	go mod tidy -diff
	GOOS=darwin go build -o /dev/null .

# The three proofs on many more random worlds than make test has time for, and
# fuzzing.
prove:
	NETPOL_PROVE_CASES=2000 go test -count 1 -timeout 60m ./internal/prove ./pkg/enforce/ruleset
	$(MAKE) fuzz FUZZTIME=5m

# Every fuzz target, one after the other. Inputs that failed stay in testdata.
FUZZTIME ?= 1m
fuzz:
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' cmd internal pkg | xargs -n1 dirname | sort -u); do \
		for target in $$(go test -list '^Fuzz' ./$$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$pkg; \
		done; \
	done

# In benchstat's format. BENCH picks benchmarks, as -bench does.
BENCH ?= .
bench:
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count 6 -timeout 60m ./...

generate:
	go generate ./...

completions: build
	mkdir -p completions
	./bin/netpol completion bash > completions/netpol.bash
	./bin/netpol completion zsh > completions/_netpol
	./bin/netpol completion fish > completions/netpol.fish
	./bin/netpol completion powershell > completions/netpol.ps1

# What is shipped. The release that deploy/ names, unless VERSION says another.
VERSION ?= $(shell sed -n 's/^const Release = "\(.*\)"/\1/p' internal/install/doc.go)
IMAGE ?= ghcr.io/netpol-project/netpol:$(VERSION)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
COMMITTED := $(or $(shell git log -1 --format=%ct 2>/dev/null),0)

# The program for one platform: bin/dist/linux_arm64/netpol. The same commit and
# Go give the same bytes.
bin/dist/%/netpol: FORCE
	GOOS=$(firstword $(subst _, ,$*)) GOARCH=$(lastword $(subst _, ,$*)) \
		go build -trimpath -ldflags '-s -w -buildid=' -o $@ .
FORCE:

# The image of both architectures as the tar of an OCI layout, without a
# container engine: ctr, podman, skopeo, kind and docker load it.
image: bin/dist/linux_amd64/netpol bin/dist/linux_arm64/netpol
	go -C tools run ./image -name $(IMAGE) -revision '$(COMMIT)' -created $(COMMITTED) -o $(CURDIR)/bin/dist/netpol-image.tar \
		linux/amd64=$(CURDIR)/bin/dist/linux_amd64/netpol linux/arm64=$(CURDIR)/bin/dist/linux_arm64/netpol

# Archives and the manifest of kubectl's plugin manager.
KREW := linux_amd64 linux_arm64 darwin_amd64 darwin_arm64
krew: $(KREW:%=bin/dist/%/netpol)
	go -C tools run ./krew -version $(VERSION) -created $(COMMITTED) -manifest $(CURDIR)/deploy/krew/netpol.yaml -license $(CURDIR)/LICENSE \
		-o $(CURDIR)/bin/dist $(foreach p,$(KREW),$(subst _,/,$(p))=$(CURDIR)/bin/dist/$(p)/netpol)

# The chart against Helm and against netpol install; the image; the archives.
deploy-check: build image krew
	go -C tools vet ./...
	NETPOL_BIN=$(CURDIR)/bin/netpol NETPOL_IMAGE=$(CURDIR)/bin/dist/netpol-image.tar NETPOL_DIST=$(CURDIR)/bin/dist NETPOL_VERSION=$(VERSION) \
		go -C tools test -count 1 ./...

clean:
	rm -rf bin
