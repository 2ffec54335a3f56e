# Everything here works on a fresh machine with Go, make and git.
export CGO_ENABLED ?= 0

.PHONY: all build demo test race lint prove fuzz bench bench-flows generate completions image krew deploy-check kube-binaries test-cluster test-prometheus e2e e2e-binaries e2e-packages clean

all: build

build: bin/netpol

# Go's own cache decides what has to be built again.
.PHONY: bin/netpol
bin/netpol:
	go build -trimpath -ldflags '-s -w' -o $@ .

# The workshop on two example applications, with real packets, on this machine.
demo: build
	./bin/netpol lab demo

# Both draw the same random worlds every time, so that a failure is the change's
# own; RAPID_SEED=0 draws others, as make prove does.
test race: export RAPID_SEED ?= 1

test:
	go vet ./...
	go test -timeout 30m ./...

# Kubernetes and etcd themselves, built from the modules that test/go.mod pins:
# minutes when Go's cache is cold. They are built again when that file changes.
KUBE_VERSION = $(shell sed -n 's|^\tk8s.io/kubernetes v\([0-9.]*\).*|\1|p' test/go.mod)
KUBE_LDFLAGS = -s -w \
	-X k8s.io/component-base/version.gitVersion=v$(KUBE_VERSION) \
	-X k8s.io/component-base/version.gitMajor=$(word 1,$(subst ., ,$(KUBE_VERSION))) \
	-X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(KUBE_VERSION)))
KUBE_CONTROL_PLANE = bin/kube/etcd bin/kube/kube-apiserver bin/kube/kube-controller-manager

kube-binaries: $(KUBE_CONTROL_PLANE)

bin/kube/etcd: test/go.mod test/go.sum
	cd test && go build -trimpath -ldflags '-s -w' -o ../$@ go.etcd.io/etcd/server/v3
	touch $@

bin/kube/kube%: test/go.mod test/go.sum
	cd test && go build -trimpath -ldflags '$(KUBE_LDFLAGS)' -o ../$@ k8s.io/kubernetes/cmd/$(notdir $@)
	touch $@

# Tests against a real API server. NETPOL_KUBE_BIN is where its binaries are, if
# they are not to be built.
test-cluster:
ifdef NETPOL_KUBE_BIN
	go test -run '^TestCluster' ./...
else
	$(MAKE) kube-binaries
	NETPOL_KUBE_BIN=$(CURDIR)/bin/kube go test -run '^TestCluster' ./...
endif

# Tests against a real Prometheus server: Debian's package, taken apart into
# bin/prometheus and not installed. NETPOL_PROMETHEUS_BIN is where prometheus and
# promtool are, if they are not to be fetched.
PROMETHEUS_VERSION = 2.42.0+ds-5+deb12u1
test-prometheus:
ifdef NETPOL_PROMETHEUS_BIN
	go test -run '^TestPrometheus' ./cmd ./pkg/flow/prometheus ./pkg/enforce
else
	$(MAKE) bin/prometheus/$(PROMETHEUS_VERSION)/usr/bin/prometheus
	NETPOL_PROMETHEUS_BIN=$(CURDIR)/bin/prometheus/$(PROMETHEUS_VERSION)/usr/bin go test -run '^TestPrometheus' ./cmd ./pkg/flow/prometheus ./pkg/enforce
endif

bin/prometheus/$(PROMETHEUS_VERSION)/usr/bin/prometheus:
	@command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "Prometheus is taken from Debian's package: without apt set NETPOL_PROMETHEUS_BIN to the directory of prometheus and promtool" >&2; exit 1; }
	rm -rf bin/prometheus && mkdir -p bin/prometheus/deb
	if [ "$$(id -u)" = 0 ]; then apt-get update -qq; fi
	cd bin/prometheus/deb && apt-get download -qq prometheus=$(PROMETHEUS_VERSION)
	dpkg -x bin/prometheus/deb/*.deb bin/prometheus/$(PROMETHEUS_VERSION)
	rm -rf bin/prometheus/deb

# A real cluster of three nodes on this machine, as root. KEEP=1 leaves it up
# after the tests until Ctrl-C; RUN picks tests, as -run does.
CONTAINERD_VERSION = $(shell sed -n 's|^\tgithub.com/containerd/containerd/v2 \(v[^ ]*\).*|\1|p' test/containerd/go.mod)
E2E_BINARIES = $(KUBE_CONTROL_PLANE) $(addprefix bin/kube/,kube-scheduler kubelet kube-proxy kubectl \
	containerd containerd-shim-runc-v2 ctr)
RUN ?= ^TestE2E
e2e: e2e-packages e2e-binaries
	NETPOL_E2E_BIN=$(CURDIR)/bin/kube NETPOL_E2E_LOGS=$(CURDIR)/bin/e2e-logs NETPOL_E2E_KEEP=$(KEEP) \
		go test -count 1 -v -timeout $(if $(KEEP),0,30m) -run '$(RUN)' ./internal/e2e

# Node software that is no Go module. Without apt the test says what is missing.
e2e-packages:
	@if { ! command -v runc && ! command -v /usr/sbin/runc || ! command -v nft && ! command -v /usr/sbin/nft || ! ls /usr/lib/cni/ptp /opt/cni/bin/ptp; } >/dev/null 2>&1 \
		&& command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -y -qq runc nftables containernetworking-plugins util-linux iproute2 >/dev/null; fi

e2e-binaries: $(E2E_BINARIES)
	go build -trimpath -ldflags '-s -w' -o bin/kube/netpol .
	go build -trimpath -ldflags '-s -w' -o bin/kube/tools ./internal/e2e/tools
	go -C tools run ./image -name $(IMAGE) -o $(CURDIR)/bin/kube/netpol-image.tar linux/$$(go env GOARCH)=$(CURDIR)/bin/kube/netpol

bin/kube/containerd bin/kube/containerd-shim-runc-v2 bin/kube/ctr: test/containerd/go.mod test/containerd/go.sum
	cd test/containerd && go build -trimpath -tags 'no_btrfs no_devmapper no_zfs' \
		-ldflags '-s -w -X github.com/containerd/containerd/v2/version.Version=$(CONTAINERD_VERSION)' \
		-o ../../$@ github.com/containerd/containerd/v2/cmd/$(notdir $@)
	touch $@

# The race detector needs a C compiler.
race:
	CGO_ENABLED=1 go test -race -timeout 30m ./...

# Linters run as pinned modules, so that nothing has to be installed.
lint:
	test -z "$$(gofmt -l cmd pkg internal tools main.go | tee -a /dev/stderr)"
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	go run github.com/OpenPeeDeeP/depguard/v2/cmd/depguard@v2.3.0 ./...
	go mod tidy -diff
	GOOS=darwin go build -o /dev/null .

# The three proofs on many more random worlds than make test has time for, and
# fuzzing.
prove:
	NETPOL_PROVE_CASES=2000 go test -count 1 -timeout 60m ./internal/prove ./pkg/enforce/ruleset ./pkg/recommend
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

# The command line over large files of flows. DIR keeps the files.
RECORDS ?= 10000000
FLOWS ?= 100000
bench-flows:
	NETPOL_BENCH_RECORDS=$(RECORDS) NETPOL_BENCH_FLOWS=$(FLOWS) NETPOL_BENCH_DIR=$(DIR) \
		go test -run '^$$' -bench File -benchtime 1x -timeout 0 ./internal/figures

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
