package ruleset

import (
	"cmp"
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

// sameType tells whether nft takes one field for the other in a set.
func sameType(a, b Field) bool {
	source := map[Field]Field{DAddr4: SAddr4, DAddr6: SAddr6, OIFName: IIFName, OIFKind: IIFKind, DPort: SPort}
	return cmp.Or(source[a], a) == cmp.Or(source[b], b)
}
