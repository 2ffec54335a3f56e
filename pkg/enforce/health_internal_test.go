//go:build linux

package enforce

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestAliveUnlessTheLoopIsStuck(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &Agent{opts: Options{Now: func() time.Time { return now }}}
	if err := a.alive(); err != nil {
		t.Errorf("idle: %v", err)
	}
	a.begins()
	now = now.Add(stuckAfter)
	if err := a.alive(); err != nil {
		t.Errorf("at work for %s: %v", stuckAfter, err)
	}
	now = now.Add(time.Second)
	if a.alive() == nil {
		t.Error("stuck: no error")
	}
	a.ends()
	if err := a.alive(); err != nil {
		t.Errorf("done: %v", err)
	}
}

func TestLagIsOfTheOldestNews(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &Agent{opts: Options{Now: func() time.Time { return now }}}
	a.newsAt(now)
	now = now.Add(time.Second)
	a.newsAt(now)
	now = now.Add(time.Second)
	if got := a.lag(); got != 2*time.Second {
		t.Errorf("lag %s, want 2 s", got)
	}
	a.lagSince.Store(0)
	if got := a.lag(); got != 0 {
		t.Errorf("in sync: lag %s", got)
	}
}

func TestAFullTableOfConnectionsIsAWarning(t *testing.T) {
	for _, tc := range []struct {
		entries uint32
		warns   bool
	}{{0, false}, {799, false}, {800, true}, {1000, true}} {
		got := fullness(&collect.Fill{Entries: tc.entries, Max: 1000})
		if (len(got) == 1) != tc.warns || tc.warns && !strings.HasPrefix(got[0], "warning: ") {
			t.Errorf("%d of 1000: %q", tc.entries, got)
		}
	}
	if got := fullness(nil); got != nil {
		t.Errorf("nothing known: %q", got)
	}
}

// Neither many workloads nor a port scan makes more than the bound, and what
// is refused leaves room for what is allowed.
func TestFlowCountsAreBounded(t *testing.T) {
	c := newFlowCounts()
	key := func(n int, port uint16, action policy.Action) *flow.Key {
		return &flow.Key{
			Source: flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "a", Name: fmt.Sprint(n)}},
			Port:   port, Enforced: policy.Hit{Action: action}, Pending: policy.Hit{Action: action},
		}
	}
	for port := range uint16(60000) {
		c.counter(key(0, port, policy.Deny)).Add(1)
	}
	allowed := c.counter(key(1, 80, policy.Allow))
	allowed.Add(7)
	if c.counter(key(1, 80, policy.Allow)) != allowed {
		t.Error("one flow has two counters")
	}
	for n := range 60000 {
		c.counter(key(n, 81, policy.Allow)).Add(1)
	}
	series, denied, all := 0, uint64(0), uint64(0)
	others := map[policy.Action]uint64{}
	c.each(func(l *flowLabels, n uint64) {
		series++
		all += n
		if l.enforced == policy.Deny {
			denied += n
		}
		if l.source.kind == kindOther {
			others[l.enforced] += n
		}
		if got := len(l.values()); got != len(flowLabelNames) {
			t.Fatalf("%d values of %d labels", got, len(flowLabelNames))
		}
	})
	if series > maxFlowCounts+2 || denied != 60000 || all != 120007 {
		t.Errorf("%d series, %d denied, %d in all", series, denied, all)
	}
	if others[policy.Deny] != 60000-maxFlowCounts/2 || others[policy.Allow] == 0 {
		t.Errorf("counted together: %v", others)
	}
	if allowed.Load() != 7 {
		t.Errorf("the one before: %d, want 7", allowed.Load())
	}
	probe := key(1, 80, policy.Allow)
	probe.Probe = true
	if c.counter(probe) != nil || (*flowCounts)(nil).counter(probe) != nil {
		t.Error("a probe is counted")
	}
}

// Labels tell workloads of one name apart by their kind; nothing is said of who
// sent what was refused before any policy was asked (S31).
func TestFlowLabels(t *testing.T) {
	deployment := flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "shop", Name: "api", Kind: "Deployment"}}
	set := deployment
	set.Workload.Kind = "StatefulSet"
	network := flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr("192.0.2.7")}
	allow, closed := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}, policy.Hit{Rule: policy.Closed, Action: policy.Deny}
	c := newFlowCounts()
	for _, k := range []flow.Key{
		{Source: deployment, Destination: network, Protocol: policy.TCP, Port: 443, Direction: policy.Egress, Enforced: allow, Pending: allow},
		{Source: set, Destination: network, Protocol: policy.ICMP, Port: 2048, Direction: policy.Egress, Enforced: allow, Pending: allow},
		{Source: set, Destination: deployment, Protocol: policy.TCP, Port: 80, Direction: policy.Ingress, Enforced: closed, Pending: closed},
	} {
		c.counter(&k).Add(1)
	}
	var got []string
	c.each(func(l *flowLabels, n uint64) { got = append(got, strings.Join(l.values(), " ")) })
	slices.Sort(got)
	want := []string{
		"Egress Allow Allow Workload shop api Deployment Network    TCP 443",
		"Egress Allow Allow Workload shop api StatefulSet Network    ICMP ",
		"Ingress Deny Deny Unchecked    Workload shop api Deployment TCP 80",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
