package replay

import (
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

func pod(name, workload, node string, addrs ...string) *policy.Endpoint {
	ep := &policy.Endpoint{
		Namespace: "ns", Name: name, Node: node, Labels: selector.Labels{"app": workload},
		Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "ns", Name: workload},
	}
	for _, a := range addrs {
		ep.Addrs = append(ep.Addrs, netip.MustParseAddr(a))
	}
	return ep
}

func workload(name string) flow.Peer {
	return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "ns", Name: name}}
}

func host(name string) flow.Peer {
	return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: name}}
}

// closed denies all ingress of app=b; by is a rule before that.
func closed(by ...policy.Rule) *policy.Policy {
	p := &policy.Policy{
		Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: "b"},
		Tier: "default", Order: policy.Unordered, Selector: selector.MustParse("app == 'b'"),
	}
	p.Types[policy.Ingress], p.Rules[policy.Ingress] = true, by
	return p
}

func model(policies []*policy.Policy, eps ...*policy.Endpoint) *tier.Model {
	return tier.New(&policy.Snapshot{
		Namespaces: []*policy.Namespace{{Name: "ns"}}, Policies: policies, Endpoints: eps,
	}, nil)
}

func TestPairsOfPodsThatAreAlike(t *testing.T) {
	nets := policy.Rule{Action: policy.Allow, Source: policy.Entity{Nets: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}}
	eps := []*policy.Endpoint{
		pod("a-1", "a", "n1", "10.0.0.1", "fd00::1"), pod("a-2", "a", "n1", "10.0.0.2", "fd00::2"),
		pod("b-1", "b", "n1", "10.0.0.3", "fd00::3"), pod("c-1", "c", "n1"),
	}
	bare := New(model([]*policy.Policy{closed()}, eps...))
	byNets := New(model([]*policy.Policy{closed(nets)}, eps...))
	for _, c := range []struct {
		name     string
		r        *Replay
		from, to flow.Peer
		want     int
	}{
		{"no policy tells a's pods apart", bare, workload("a"), workload("b"), 1},
		{"addresses tell them apart, of both families", byNets, workload("a"), workload("b"), 4},
		{"replicas of one workload", bare, workload("a"), workload("a"), 2},
		{"a pod and itself is no pair (S32)", bare, workload("b"), workload("b"), 0},
		{"a pod without an address yet", byNets, workload("c"), workload("b"), 1},
		{"an address outside is of one family", byNets, flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr("2001:db8::1")}, workload("b"), 1},
		{"an end that is gone", bare, workload("gone"), workload("b"), 0},
	} {
		o := &flow.Observed{Source: c.from, Destination: c.to, Protocol: policy.TCP, Port: 80}
		if got := len(c.r.Pairs(o)); got != c.want {
			t.Errorf("%s: %d pairs, want %d", c.name, got, c.want)
		}
	}
	o := &flow.Observed{Source: workload("a"), Destination: workload("b"), Protocol: policy.TCP, Port: 80}
	allowed := 0
	for _, p := range byNets.Pairs(o) {
		if byNets.Judge(tier.Enforced(), o, p).Allowed() {
			allowed++
		}
	}
	if allowed != 1 {
		t.Errorf("%d pairs are allowed, want the one from 10.0.0.1", allowed)
	}
}

func TestS12_OnlyTheOwnHostIsAlwaysAllowed(t *testing.T) {
	r := New(model([]*policy.Policy{closed()}, pod("b-1", "b", "n1", "10.0.0.3")))
	for name, want := range map[string]bool{"n1": true, "n2": false} {
		o := &flow.Observed{Source: host(name), Destination: workload("b"), Protocol: policy.TCP, Port: 80}
		for _, p := range r.Pairs(o) {
			if got := r.Judge(tier.Enforced(), o, p).Allowed(); got != want {
				t.Errorf("from host %s: allowed %v, want %v", name, got, want)
			}
		}
	}
}

func TestEndpointsByNameAloneWhereTheKindIsUnknown(t *testing.T) {
	r := New(model(nil, pod("a-1", "a", "n1")))
	for _, c := range []struct {
		kind policy.Kind
		want int
	}{{"", 1}, {policy.KindDeployment, 1}, {policy.KindStatefulSet, 0}} {
		w := policy.Workload{Kind: c.kind, Namespace: "ns", Name: "a"}
		if got := len(r.Endpoints(w)); got != c.want {
			t.Errorf("kind %q: %d pods, want %d", c.kind, got, c.want)
		}
		if got := r.Gone(flow.Peer{Kind: flow.PeerWorkload, Workload: w}); got != (c.want == 0) {
			t.Errorf("kind %q: gone %v", c.kind, got)
		}
	}
}
