package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeFlows is a source of flows that were seen before.
type fakeFlows struct{ agg *flow.Aggregator }

func (s fakeFlows) List(_ context.Context, f flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	flows, coverage := s.agg.List(f, testNow)
	return flows, coverage, nil
}

// Follow tells what there is, and ends as Ctrl-C does.
func (s fakeFlows) Follow(_ context.Context, f flow.Filter, each func(flow.Flow) error) error {
	flows, _ := s.agg.List(f, testNow)
	for _, fl := range flows {
		if err := each(fl); err != nil {
			return err
		}
	}
	return context.Canceled
}

// bench is a directory with the voting application and WordPress, and what was
// seen of them.
type bench struct {
	width int // of the terminal; 0: a pipe
	t     *testing.T
	dir   string
	agg   *flow.Aggregator
	// source takes the place of what agg saw.
	source func() flow.Source
	stdin  string
}

const dnsManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      containers:
        - {name: dns, image: dns, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: TCP}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
`

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), agg: flow.NewAggregator(testNow.Add(-time.Hour), flow.DefaultLimits())}
	for _, app := range []string{"vote", "wordpress"} {
		if err := os.CopyFS(filepath.Join(b.dir, app), os.DirFS("../examples/"+app)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(b.dir, "dns.yaml"), []byte(dnsManifest), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// sawVote adds what the voting application does: 10 connections a flow.
func (b *bench) sawVote() *bench {
	b.saw("192.0.2.10", "vote/vote", policy.TCP, 80, "vote/vote")
	b.saw("192.0.2.10", "vote/result", policy.TCP, 80, "vote/result")
	b.saw("vote/vote", "vote/redis", policy.TCP, 6379, "vote/redis")
	b.saw("vote/worker", "vote/redis", policy.TCP, 6379, "vote/redis")
	b.saw("vote/worker", "vote/db", policy.TCP, 5432, "vote/db")
	b.saw("vote/result", "vote/db", policy.TCP, 5432, "vote/db")
	for _, client := range []string{"vote", "worker", "result"} {
		b.saw("vote/"+client, "kube-system/coredns", policy.UDP, 53, "kube-system/kube-dns")
	}
	b.saw("wordpress/wordpress", "wordpress/mysql", policy.TCP, 3306, "wordpress/mysql")
	return b
}

func benchPeer(s string) flow.Peer {
	if a, err := netip.ParseAddr(s); err == nil {
		return flow.Peer{Kind: flow.PeerNetwork, Addr: a}
	}
	ns, name, _ := strings.Cut(s, "/")
	return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: ns, Name: name}}
}

func (b *bench) saw(from, to string, proto policy.Protocol, port uint16, service string) {
	b.t.Helper()
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	k := flow.Key{Source: benchPeer(from), Destination: benchPeer(to), Protocol: proto, Port: port, Enforced: allow, Pending: allow}
	k.ServiceNamespace, k.ServiceName, _ = strings.Cut(service, "/")
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		local := k.Source
		if d == policy.Ingress {
			local = k.Destination
		}
		if local.Kind != flow.PeerWorkload {
			continue
		}
		k.Direction = d
		for i := range 10 {
			at := testNow.Add(time.Duration(i-30) * time.Minute)
			b.agg.Started(k, flow.Ends{}, at)
			b.agg.Ended(k, flow.Counters{PacketsIn: 5, PacketsOut: 5, BytesIn: 500, BytesOut: 300}, at)
		}
	}
}

// sawFrom adds one connection of an end of any kind, as the destination reports
// it.
func (b *bench) sawFrom(from flow.Peer, to string, port uint16) {
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	k := flow.Key{
		Source: from, Destination: benchPeer(to), Protocol: policy.TCP, Port: port,
		Direction: policy.Ingress, Enforced: allow, Pending: allow,
	}
	b.agg.Started(k, flow.Ends{}, testNow.Add(-time.Minute))
	b.agg.Ended(k, flow.Counters{}, testNow.Add(-time.Minute))
}

// run is one command on the bench's directory.
func (b *bench) run(args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	b.t.Setenv("NETPOL_CONFIG", "")
	b.t.Setenv("XDG_CONFIG_HOME", b.dir)
	var out, errs bytes.Buffer
	streams := &cli.Streams{In: strings.NewReader(b.stdin), Out: &out, Err: &errs, Width: b.width}
	config, err := cli.NewConfig()
	if err != nil {
		b.t.Fatal(err)
	}
	f := cli.New(streams, config)
	f.Now = func() time.Time { return testNow }
	f.Flows = func(context.Context) (flow.Source, error) {
		if b.agg == nil {
			return nil, errors.New("no flows")
		}
		if b.source != nil {
			return b.source(), nil
		}
		return fakeFlows{b.agg}, nil
	}
	root, err := NewCmdRoot(f, "netpol")
	if err != nil {
		b.t.Fatal(err)
	}
	root.SetArgs(append([]string{"--dir", b.dir}, args...))
	err = root.ExecuteContext(b.t.Context())
	cli.Report(streams.Err, err)
	return out.String(), errs.String(), cli.Code(err)
}

// must is run that fails the test unless the exit code is as wanted.
func (b *bench) must(code int, args ...string) (stdout, stderr string) {
	b.t.Helper()
	stdout, stderr, got := b.run(args...)
	if got != code {
		b.t.Fatalf("netpol %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout, stderr
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

func TestAgentTextIsPlain(t *testing.T) {
	gone := fmt.Errorf("reading flows: %w", status.Error(codes.Unavailable, "connection error: dial unix /x"))
	if got := agentText(gone); got != "no agent answers" {
		t.Errorf("got %q", got)
	}
	if got := agentText(errors.New("bad filter")); got != "bad filter" {
		t.Errorf("got %q", got)
	}
}

func TestCoverageTextOfNoTime(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		from, to time.Time
		want     string
	}{
		{noon, noon.Add(time.Hour), "seen from 2026-03-01T12:00:00Z to 2026-03-01T13:00:00Z"},
		{time.Time{}, time.Time{}, "nothing was observed"},
		{noon.Add(time.Hour), noon, "nothing was observed since 2026-03-01T13:00:00Z"},
	} {
		if got := (coverageReport{From: tc.from, To: tc.to}).text(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
