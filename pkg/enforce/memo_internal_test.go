//go:build linux

package enforce

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Reports are remembered while nothing changes that they depend on, and only
// what all that was in force allows.
func TestMemoForgetsWhatMayHaveChanged(t *testing.T) {
	at := time.Unix(1000, 0)
	pods := []*policy.Endpoint{
		{Namespace: "shop", Name: "client", Node: "node", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}},
		{Namespace: "shop", Name: "server", Node: "node", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
	}
	model := func() *tier.Model { return tier.New(&policy.Snapshot{Endpoints: pods}, nil) }
	one := tuple{protocol: 6, src: pods[0].Addrs[0], dst: pods[1].Addrs[0], srcPort: 40000, dstPort: 80}
	other := one
	other.srcPort++

	begin := func() *Agent {
		now := func() time.Time { return at }
		a := &Agent{opts: Options{Node: "node", Now: now}, live: newLive(), probes: newProbes(now)}
		a.places.Store(&places{})
		a.services.Store(indexServices(nil))
		a.history.add(revision{from: at, since: at, model: model()})
		known, in := a.recall(&one, at, a.settled(at))
		if known != nil || in == nil {
			t.Fatalf("at first: %v, %v", known, in)
		}
		if a.learn(&one, in) == nil {
			t.Fatal("not learnt")
		}
		return a
	}
	later := at.Add(time.Second)
	for _, c := range []struct {
		what           string
		change         func(*Agent)
		at             time.Time
		known, settled bool
	}{
		{"nothing", func(*Agent) {}, at, true, true},
		{"a model is on its way", func(a *Agent) { a.history.begin(revision{from: later, model: model()}) }, later, false, false},
		{"it was given up", func(a *Agent) {
			a.history.begin(revision{from: at, model: model()})
			a.history.abandon()
		}, later, true, true},
		{"a model came", func(a *Agent) { a.history.add(revision{from: later, since: later, model: model()}) }, later, false, true},
		{"a model came after the connection", func(a *Agent) { a.history.add(revision{from: later, since: later, model: model()}) }, at, false, false},
		{"places", func(a *Agent) { a.places.Store(&places{}) }, at, false, true},
		{"services", func(a *Agent) { a.services.Store(indexServices(nil)) }, at, false, true},
		{"it is a probe", func(a *Agent) { _ = a.probes.register(other.source(), time.Second) }, at, false, false},
		{"another is a probe", func(a *Agent) { _ = a.probes.register(one.source(), time.Second) }, at, true, true},
	} {
		a := begin()
		c.change(a)
		known, in := a.recall(&other, c.at, a.settled(c.at))
		if (known != nil) != c.known || (in != nil) != c.settled {
			t.Errorf("%s: known %v, settled %v; want %v and %v", c.what, known != nil, in != nil, c.known, c.settled)
		}
	}
}

// What only a former model allowed is no rule for what comes.
func TestMemoKeepsNoDenials(t *testing.T) {
	at := time.Unix(1000, 0)
	server := &policy.Endpoint{Namespace: "shop", Name: "server", Node: "node", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}
	before := tier.New(&policy.Snapshot{Endpoints: []*policy.Endpoint{server}}, nil)
	now := tier.New(&policy.Snapshot{Endpoints: []*policy.Endpoint{server}, Policies: []*policy.Policy{{
		Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "shut"}, Tier: "default", Types: [2]bool{policy.Ingress: true},
	}}}, nil)
	a := &Agent{opts: Options{Node: "node", Now: func() time.Time { return at }}, live: newLive(), probes: newProbes(time.Now)}
	a.places.Store(&places{})
	a.history.add(revision{from: at.Add(-time.Second), since: at.Add(-time.Second), model: before})
	a.history.add(revision{from: at, since: at, model: now})
	c := tuple{protocol: 6, src: netip.MustParseAddr("192.0.2.1"), dst: server.Addrs[0], dstPort: 80}
	_, in := a.recall(&c, at, a.settled(at))
	if in != now || a.learn(&c, in) != nil {
		t.Errorf("learnt by %p, want nothing by %p", in, now)
	}
	r := a.report(&c, at)
	if len(r.records) != 1 || !r.records[0].agreed || r.records[0].key.Enforced.Action != policy.Allow {
		t.Errorf("reported %+v", r.records)
	}
	if known, _ := a.recall(&c, at, a.settled(at)); known != nil {
		t.Error("remembered")
	}
}
