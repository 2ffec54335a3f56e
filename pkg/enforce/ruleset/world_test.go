package ruleset

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// world builds snapshots and inputs for tests.
type world struct {
	snap  policy.Snapshot
	cfg   Config
	local []string // pods of this node, by namespace/name
}

func newWorld() *world {
	return &world{cfg: Config{
		InterfacePrefix: "np", Node: "node1", DenyGroup: 100, LogGroup: 101,
		LocalCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64")},
	}}
}

func (w *world) namespace(name string, labels ...string) {
	l := labelMap(labels)
	l["kubernetes.io/metadata.name"], l["projectcalico.org/name"] = name, name
	w.snap.Namespaces = append(w.snap.Namespaces, &policy.Namespace{Name: name, Labels: l})
}

func labelMap(kv []string) selector.Labels {
	l := selector.Labels{}
	for _, s := range kv {
		k, v, _ := strings.Cut(s, "=")
		l[k] = v
	}
	return l
}

// pod adds a pod of this node: "vote/db", its addresses, and labels.
func (w *world) pod(id, addrs string, labels ...string) *policy.Endpoint {
	ep := w.remote(id, addrs, labels...)
	w.local = append(w.local, id)
	return ep
}

func (w *world) remote(id, addrs string, labels ...string) *policy.Endpoint {
	ns, name, _ := strings.Cut(id, "/")
	l := labelMap(labels)
	l["projectcalico.org/namespace"], l["projectcalico.org/orchestrator"] = ns, "k8s"
	ep := &policy.Endpoint{Namespace: ns, Name: name, Labels: l,
		Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: ns, Name: name}}
	for _, a := range strings.Fields(addrs) {
		ep.Addrs = append(ep.Addrs, netip.MustParseAddr(a))
	}
	w.snap.Endpoints = append(w.snap.Endpoints, ep)
	return ep
}

func (w *world) find(id string) *policy.Endpoint {
	for _, ep := range w.snap.Endpoints {
		if ep.ID() == id {
			return ep
		}
	}
	return nil
}

func (w *world) tier(name string, order float64, end policy.Action) {
	w.snap.Tiers = append(w.snap.Tiers, &policy.Tier{Name: name, Order: order, DefaultAction: end})
}

// policy adds a policy of one direction: in ns, or a global one if that is "".
func (w *world) policy(ns, name, sel string, dir policy.Direction, rules ...policy.Rule) *policy.Policy {
	p := &policy.Policy{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: name}, Tier: "default", Order: 100, Selector: parse(sel)}
	if ns == "" {
		p.Kind = policy.KindGlobalNetworkPolicy
	}
	p.Types[dir] = true
	p.Rules[dir] = rules
	w.snap.Policies = append(w.snap.Policies, p)
	return p
}

func parse(s string) *selector.Selector {
	if s == "" {
		return nil
	}
	return selector.MustParse(s)
}

// from is a rule on the source, ports on the destination.
func from(a policy.Action, sel string, proto policy.Protocol, ports ...policy.PortRange) policy.Rule {
	return policy.Rule{Action: a, Protocol: proto, Source: policy.Entity{Selector: parse(sel)}, Destination: policy.Entity{Ports: ports}}
}

func toward(a policy.Action, sel string, proto policy.Protocol, ports ...policy.PortRange) policy.Rule {
	return policy.Rule{Action: a, Protocol: proto, Destination: policy.Entity{Selector: parse(sel), Ports: ports}}
}

func nets(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func single(n uint16) policy.PortRange { return policy.PortRange{Min: n, Max: n} }

// snapshot is a sorted copy.
func (w *world) snapshot() *policy.Snapshot {
	s := w.snap
	s.Endpoints = slices.Clone(s.Endpoints)
	slices.SortFunc(s.Endpoints, compareEndpoints)
	s.Namespaces = slices.Clone(s.Namespaces)
	slices.SortFunc(s.Namespaces, func(a, b *policy.Namespace) int { return strings.Compare(a.Name, b.Name) })
	s.Policies = slices.Clone(s.Policies)
	slices.SortFunc(s.Policies, func(a, b *policy.Policy) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	s.Tiers = slices.Clone(s.Tiers)
	return &s
}

func ifaceOf(id string) string {
	return "np" + strings.NewReplacer("/", "-").Replace(id)[:min(len(id), 12)]
}

// input judges the world as it is now; prev is the model of the last input.
func (w *world) input(prev *tier.Model) Input {
	in := Input{Model: tier.New(w.snapshot(), prev), Config: w.cfg}
	for _, id := range w.local {
		if ep := w.find(id); ep != nil {
			in.Local = append(in.Local, Local{Endpoint: ep, Interface: ifaceOf(id)})
		}
	}
	return in
}

func (w *world) compile(t testing.TB) *Compiled {
	t.Helper()
	c, err := Compile(w.input(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := wellFormed(c.Ruleset); err != nil {
		t.Fatal(err)
	}
	return c
}

// addr is the pod's address of a family: 4 or 6.
func (w *world) addr(id string, version int) netip.Addr {
	for _, a := range w.find(id).Addrs {
		if a.Is4() == (version == 4) {
			return a
		}
	}
	panic(id)
}

// packet is the first packet of a connection between two pods or addresses.
func (w *world) packet(src, dst string, proto policy.Protocol, dport uint16) Packet {
	p := Packet{IIF: "eth0", OIF: "eth0", Protocol: proto, SPort: 40000, DPort: dport, HopLimit: 64, TCPFlags: tcpSYN}
	p.Src, p.Dst = w.resolve(src), w.resolve(dst)
	if slices.Contains(w.local, src) {
		p.IIF = ifaceOf(src)
	}
	if slices.Contains(w.local, dst) {
		p.OIF = ifaceOf(dst)
	}
	return p
}

func (w *world) resolve(s string) netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return a
	}
	return w.find(s).Addrs[0]
}

// wellFormed holds what the kernel and package nft take for granted.
func wellFormed(r *Ruleset) error {
	chains, sets := map[string]bool{}, map[string]*Set{}
	for _, c := range r.Chains {
		if chains[c.Name] {
			return fmt.Errorf("two chains %s", c.Name)
		}
		chains[c.Name] = true
	}
	for i, s := range r.Sets {
		if sets[s.Name] != nil {
			return fmt.Errorf("two sets %s", s.Name)
		}
		if i > 0 && r.Sets[i-1].Name > s.Name {
			return fmt.Errorf("set %s is out of order", s.Name)
		}
		sets[s.Name] = s
		if err := wellFormedSet(s, chains); err != nil {
			return err
		}
	}
	for _, c := range r.Chains {
		for i := range c.Rules {
			if err := wellFormedRule(&c.Rules[i], chains, sets); err != nil {
				return fmt.Errorf("chain %s rule %d: %w", c.Name, i, err)
			}
		}
	}
	return nil
}

func wellFormedSet(s *Set, chains map[string]bool) error {
	width := 0
	for _, f := range s.Fields {
		width += padded(f)
	}
	for i, e := range s.Elements {
		switch {
		case len(e.Key) != width || s.Interval != (len(e.KeyEnd) == width):
			return fmt.Errorf("set %s: element %d has a key of the wrong size", s.Name, i)
		case i > 0 && s.Elements[i-1].Key > e.Key || i > 0 && !s.Interval && s.Elements[i-1].Key == e.Key:
			return fmt.Errorf("set %s: element %d out of order", s.Name, i)
		case !s.Map && e.Verdict != Verdict{}:
			return fmt.Errorf("set %s: element %d has a verdict", s.Name, i)
		case s.Map && e.Verdict.Chain != "" && !chains[e.Verdict.Chain]:
			return fmt.Errorf("set %s: element %d leads to no chain", s.Name, i)
		}
		if s.Interval && len(s.Elements) < 500 {
			for _, o := range s.Elements[:i] {
				if overlap(s.Fields, &o, &e) {
					return fmt.Errorf("set %s: element %d overlaps", s.Name, i)
				}
			}
		}
	}
	return nil
}

func overlap(fields []Field, a, b *Element) bool {
	at := 0
	for _, f := range fields {
		end := at + padded(f)
		if a.Key[at:end] > b.KeyEnd[at:end] || b.Key[at:end] > a.KeyEnd[at:end] {
			return false
		}
		at = end
	}
	return true
}

func wellFormedRule(r *Rule, chains map[string]bool, sets map[string]*Set) error {
	if r.Verdict.Chain != "" && !chains[r.Verdict.Chain] {
		return fmt.Errorf("no chain %s", r.Verdict.Chain)
	}
	known := map[string]bool{}
	needs := func(fields []Field) error {
		for _, f := range fields {
			want := ""
			switch f {
			case SAddr4, DAddr4:
				want = "family2"
			case SAddr6, DAddr6, HopLimit:
				want = "family10"
			case TCPFlags:
				want = "proto6"
			case ICMPv6Type:
				want = "proto58"
			}
			if want != "" && !known[want] {
				return fmt.Errorf("%s without %s before it", fieldNames[f], want)
			}
			if (f == DPort || f == SPort) && !slices.Contains(fields, L4Proto) && !known["proto"] {
				return fmt.Errorf("a port without its protocol")
			}
		}
		return nil
	}
	for _, m := range r.Matches {
		if err := needs(m.Fields); err != nil {
			return err
		}
		if m.Set != "" {
			if s := sets[m.Set]; s == nil || s.Map || !slices.Equal(s.Fields, m.Fields) {
				return fmt.Errorf("no such set: %s", m.Set)
			}
			continue
		}
		switch m.Fields[0] {
		case NFProto:
			known[fmt.Sprintf("family%d", m.Value[0])] = true
		case L4Proto:
			known[fmt.Sprintf("proto%d", m.Value[0])], known["proto"] = true, true
		}
	}
	if r.VMap == nil {
		return nil
	}
	if s := sets[r.VMap.Map]; s == nil || !s.Map || !slices.Equal(s.Fields, r.VMap.Fields) {
		return fmt.Errorf("no such map: %s", r.VMap.Map)
	}
	return needs(r.VMap.Fields)
}
