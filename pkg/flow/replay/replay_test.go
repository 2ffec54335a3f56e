package replay

import (
	"net/netip"
	"slices"
	"testing"
	"time"

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
		pod("b-1", "b", "n1", "10.0.0.3", "fd00::3"), pod("c-1", "c", "n1"), pod("d", "d", ""),
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
		{"a manifest stands for all replicas", bare, workload("d"), workload("d"), 1},
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
		o := &flow.Observed{Source: flow.Peer{Kind: flow.PeerWorkload, Workload: w}, Destination: workload("a")}
		if got := r.Gone(o); (got != "") != (c.want == 0) {
			t.Errorf("kind %q: gone %q", c.kind, got)
		}
	}
}

// Addresses of pods are used again (S35): what was seen of one before its pod
// was made is not what that pod did.
func TestS35_WhatAnAddressDidBeforeItsPodIsNotThePods(t *testing.T) {
	made := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	young := pod("b-1", "b", "n1", "10.0.0.3")
	young.Created = made.UnixNano()
	old := pod("c-1", "c", "n1", "10.0.0.4") // of a directory, which tells no times
	r := New(model([]*policy.Policy{closed()}, pod("a-1", "a", "n1", "10.0.0.1"), young, old))
	at := func(addr string) flow.Peer {
		return r.Named(flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr(addr)})
	}
	for _, c := range []struct {
		name     string
		from, to flow.Peer
		seen     time.Time
		gone     string
	}{
		{"before", workload("a"), at("10.0.0.3"), made.Add(-time.Second), "10.0.0.3 was not yet the address of ns/b-1, which is younger"},
		{"before, as a source", at("10.0.0.3"), workload("a"), made.Add(-time.Hour), "10.0.0.3 was not yet the address of ns/b-1, which is younger"},
		{"between two addresses", at("192.0.2.1"), at("10.0.0.3"), made.Add(-time.Hour), "10.0.0.3 was not yet the address of ns/b-1, which is younger"},
		{"since", workload("a"), at("10.0.0.3"), made.Add(time.Second), ""},
		{"of a workload, whose pods come and go", workload("a"), workload("b"), made.Add(-time.Hour), ""},
		{"a pod whose age is not known", workload("a"), at("10.0.0.4"), made.Add(-time.Hour), ""},
		{"a flow whose time is not known", workload("a"), at("10.0.0.3"), time.Time{}, ""},
		{"an address outside", workload("a"), at("192.0.2.1"), made.Add(-time.Hour), ""},
	} {
		o := &flow.Observed{Source: c.from, Destination: c.to, Protocol: policy.TCP, Port: 80, LastSeen: c.seen}
		if got := r.Gone(o); got != c.gone {
			t.Errorf("%s: gone %q, want %q", c.name, got, c.gone)
		}
		if pairs := r.Pairs(o); (len(pairs) == 0) != (c.gone != "") {
			t.Errorf("%s: %d pairs", c.name, len(pairs))
		}
	}
}

func TestCasesOfAnUnknownAddress(t *testing.T) {
	outside := flow.Peer{Kind: flow.PeerNetwork}
	nets := policy.Rule{Action: policy.Allow, Source: policy.Entity{Nets: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}}
	closedTo := model([]*policy.Policy{closed(nets)}, pod("b-1", "b", "n1", "10.0.0.1"), pod("d-1", "d", "n1", "10.0.0.2", "fd00::2"), pod("e-1", "e", "n1"))
	none := model([]*policy.Policy{closed(nets)}, pod("b-1", "b", "n1"))
	for _, c := range []struct {
		name     string
		m        *tier.Model
		to       string
		protocol policy.Protocol
		want     []string
	}{
		{"S23: the family that the pod has", closedTo, "b", policy.TCP, []string{"any other address", "203.0.113.0/24"}},
		{"no policy of the pod looks at addresses", closedTo, "d", policy.TCP, []string{"any other address", "any other IPv6 address"}},
		{"a pod without an address has those of other pods", closedTo, "e", policy.TCP, []string{"any other address", "any other IPv6 address"}},
		{"where no pod has one, it may be either", none, "b", policy.TCP, []string{"any other address", "any other IPv6 address", "203.0.113.0/24"}},
		{"S22: ICMPv6 is of IPv6", none, "b", policy.ICMPv6, []string{"any other IPv6 address"}},
		{"S22: ICMP is of IPv4", none, "b", policy.ICMP, []string{"any other address", "203.0.113.0/24"}},
	} {
		var got []string
		for _, one := range New(c.m).Cases(&flow.Observed{Source: outside, Destination: workload(c.to), Protocol: c.protocol, Port: 80}) {
			got = append(got, one.Where)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	known := &flow.Observed{Source: flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr("192.0.2.1")}, Destination: workload("b"), Protocol: policy.TCP, Port: 80}
	if got := New(closedTo).Cases(known); len(got) != 1 || got[0].Where != "" || len(got[0].Pairs) != 1 {
		t.Errorf("a known address: %+v", got)
	}
}

// What would decide at the end that reported a flow, if all that is staged were
// enforced.
func TestPendingOfOneEnd(t *testing.T) {
	staged := closed()
	staged.Kind = policy.KindStagedNetworkPolicy
	staged.StagedAction = policy.StagedSet
	onlyA := closed(policy.Rule{Action: policy.Allow, Source: policy.Entity{Nets: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}})
	onlyA.Kind, onlyA.StagedAction = staged.Kind, staged.StagedAction
	eps := []*policy.Endpoint{pod("a-1", "a", "n1", "10.0.0.1"), pod("a-2", "a", "n1", "10.0.0.2"), pod("b-1", "b", "n1", "10.0.0.3")}
	for _, c := range []struct {
		name     string
		by       *policy.Policy
		from, to flow.Peer
		dir      policy.Direction
		seen     int
		want     policy.Action
		ok       bool
	}{
		{"it is refused at the end that it is closed at", staged, workload("a"), workload("b"), policy.Ingress, policy.NoPolicy, policy.Deny, true},
		{"the other end lets it go", staged, workload("a"), workload("b"), policy.Egress, policy.NoPolicy, policy.Allow, true},
		{"one of the pods is refused", onlyA, workload("a"), workload("b"), policy.Ingress, policy.NoPolicy, policy.Deny, true},
		{"its own host is not (S12)", staged, host("n1"), workload("b"), policy.Ingress, policy.NoPolicy, policy.Allow, true},
		{"another host is", staged, host("n2"), workload("b"), policy.Ingress, policy.NoPolicy, policy.Deny, true},
		{"no policy was asked (S31)", staged, workload("a"), workload("b"), policy.Ingress, policy.Closed, 0, false},
		{"an end is gone", staged, workload("gone"), workload("b"), policy.Ingress, policy.NoPolicy, 0, false},
		{"a pod reaches itself (S32)", staged, workload("b"), workload("b"), policy.Ingress, policy.NoPolicy, 0, false},
	} {
		f := &flow.Flow{Key: flow.Key{
			Source: c.from, Destination: c.to, Protocol: policy.TCP, Port: 80, Direction: c.dir,
			Enforced: policy.Hit{Rule: c.seen, Action: policy.Allow},
		}}
		by, ok := New(model([]*policy.Policy{c.by}, eps...)).Pending(f)
		if ok != c.ok || by.Action != c.want {
			t.Errorf("%s: %+v, %v", c.name, by, ok)
		}
	}
}

// A node that is told by its name alone has the address that the cluster says,
// and nets hold it (Nets).
func TestANodesAddressIsKnownByItsName(t *testing.T) {
	nets := policy.Rule{Action: policy.Allow, Source: policy.Entity{Nets: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/24")}}}
	m := tier.New(&policy.Snapshot{
		Namespaces: []*policy.Namespace{{Name: "ns"}}, Policies: []*policy.Policy{closed(nets)}, Endpoints: []*policy.Endpoint{pod("b-1", "b", "n1", "10.0.0.3")},
		Nodes: []*policy.Node{{Name: "n2", Addrs: []netip.Addr{netip.MustParseAddr("172.18.0.2")}}, {Name: "n3", Addrs: []netip.Addr{netip.MustParseAddr("172.18.1.3")}}},
	}, nil)
	r := New(m)
	for name, want := range map[string]bool{"n2": true, "n3": false, "n4": false} {
		o := &flow.Observed{Source: r.Named(host(name)), Destination: workload("b"), Protocol: policy.TCP, Port: 80}
		pairs := r.Pairs(o)
		if len(pairs) != 1 || r.Judge(tier.Enforced(), o, pairs[0]).Allowed() != want {
			t.Errorf("from node %s: %d pairs, want allowed %v", name, len(pairs), want)
		}
	}
}

// Where an address decides that is not known, no verdict is made up.
func TestPendingOfAnUnknownAddress(t *testing.T) {
	staged := closed(policy.Rule{Action: policy.Allow, Source: policy.Entity{Nets: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}})
	staged.Kind, staged.StagedAction = policy.KindStagedNetworkPolicy, policy.StagedSet
	r := New(model([]*policy.Policy{staged}, pod("b-1", "b", "n1", "10.0.0.3")))
	f := &flow.Flow{Key: flow.Key{Source: flow.Peer{Kind: flow.PeerNetwork}, Destination: workload("b"), Protocol: policy.TCP, Port: 80, Direction: policy.Ingress}}
	if by, ok := r.Pending(f); ok {
		t.Errorf("it is said to be %+v", by)
	}
	f.Source.Addr = netip.MustParseAddr("203.0.113.7")
	if by, ok := r.Pending(f); !ok || by.Action != policy.Allow {
		t.Errorf("a known address: %+v, %v", by, ok)
	}
}
