# Everything here works on a fresh machine with Go, make and git.
export CGO_ENABLED ?= 0

.PHONY: all build demo test race lint prove fuzz bench generate completions clean

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
	test -z "$$(gofmt -l cmd pkg internal main.go | tee /dev/stderr)"
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

clean:
	rm -rf bin
