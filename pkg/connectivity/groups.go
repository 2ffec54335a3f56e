package connectivity

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Kinds of what stands for a workload outside of the cluster, besides the kinds
// of network sets and KindHostEndpoint.
const (
	// KindInternet is the addresses that the fewest words name.
	KindInternet policy.Kind = "Internet"
	// KindNets is addresses that some rule names by their nets.
	KindNets policy.Kind = "Nets"
)

// NodeText is what users type for a node of the matrix: namespace/workload, or
// for what is outside set/…, host/…, internet or nets.
func NodeText(w policy.Workload) string {
	switch w.Kind {
	case policy.KindNetworkSet, policy.KindGlobalNetworkSet:
		return setName(policy.Key{Namespace: w.Namespace, Name: w.Name})
	case policy.KindHostEndpoint:
		return prefixHost + "/" + w.Name
	case KindInternet, KindNets:
		return w.Name
	}
	return w.String()
}

// Outside says whether a node of the matrix is none of the cluster's workloads.
func Outside(w policy.Workload) bool {
	switch w.Kind {
	case policy.KindNetworkSet, policy.KindGlobalNetworkSet, policy.KindHostEndpoint, KindInternet, KindNets:
		return true
	}
	return false
}

// party is some of a group that no rule can tell apart.
type party struct {
	ep *policy.Endpoint // nil for addresses
	// addrs are of both families, or invalid.
	addrs       [2]netip.Addr
	sort, plain int32
	pods        int
}

func (p *party) peer(family int) tier.Peer {
	if family < 0 || p.homeless() {
		return tier.Peer{Endpoint: p.ep} // where it has no address, the other end's tells the family
	}
	return tier.Peer{Endpoint: p.ep, Addr: p.addrs[family]}
}

func (p *party) homeless() bool { return !p.addrs[0].IsValid() && !p.addrs[1].IsValid() }

// What families returns; nobody writes to them.
var (
	noFamily     = []int{-1}
	onlyIPv4     = []int{0}
	onlyIPv6     = []int{1}
	bothFamilies = []int{0, 1}
)

// families are the address families in which two parties can meet; -1 stands
// for a connection between two that have no addresses yet, or none in common.
func families(a, b *party) []int {
	if a.homeless() && b.homeless() {
		return noFamily
	}
	has := func(f int) bool {
		return (a.addrs[f].IsValid() || a.homeless()) && (b.addrs[f].IsValid() || b.homeless())
	}
	switch v4, v6 := has(0), has(1); {
	case v4 && v6:
		return bothFamilies
	case v4:
		return onlyIPv4
	case v6:
		return onlyIPv6
	}
	return noFamily
}

// group is a workload with its parties, or what is outside.
type group struct {
	node    policy.Workload
	parties []party
	ports   []policy.ContainerPort
	pods    int
}

func compareNodes(a, b policy.Workload) int {
	outside := func(w policy.Workload) int {
		if Outside(w) {
			return 1
		}
		return 0
	}
	return cmp.Or(outside(a)-outside(b), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// workloads are the groups of a model's endpoints, sorted.
func workloads(m *tier.Model, s *sorts) []group {
	index := map[policy.Workload]int{}
	var out []group
	for _, ep := range m.Snapshot().Endpoints {
		i, ok := index[ep.Workload]
		if !ok {
			i = len(out)
			index[ep.Workload] = i
			out = append(out, group{node: ep.Workload})
		}
		out[i].add(ep, s)
	}
	for i := range out {
		slices.SortFunc(out[i].ports, func(a, b policy.ContainerPort) int {
			return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
		})
	}
	slices.SortFunc(out, func(a, b group) int { return compareNodes(a.node, b.node) })
	return out
}

func (g *group) add(ep *policy.Endpoint, s *sorts) {
	g.pods++
	sort := s.pod(ep)
	if i := slices.IndexFunc(g.parties, func(p party) bool { return p.sort == sort }); i >= 0 {
		g.parties[i].pods++
	} else {
		g.parties = append(g.parties, party{ep: ep, addrs: addrsOf(ep), sort: sort, plain: s.plain(ep), pods: 1})
	}
	g.declare(ep.Ports)
}

// declare adds ports to those that the group has, each once.
func (g *group) declare(ports []policy.ContainerPort) {
	for _, p := range ports {
		if !slices.ContainsFunc(g.ports, func(o policy.ContainerPort) bool { return o.Protocol == p.Protocol && o.Port == p.Port }) {
			g.ports = append(g.ports, p)
		}
	}
}

// outsider is a group of addresses that no pod has.
type outsider struct {
	node  policy.Workload
	atoms []*Atom
}

// outsiders are the internet, network sets, host endpoints, and what rules name
// by nets, as the models know them.
func outsiders(atoms *Atoms, models ...*tier.Model) []outsider {
	var out []outsider
	index := map[policy.Workload]int{}
	dual := slices.ContainsFunc(models, func(m *tier.Model) bool { return dualStack(m.Snapshot()) })
	internet := atoms.Internet()
	for i := range atoms.all {
		a := &atoms.all[i]
		if a.Addr.Is6() && !dual || !slices.ContainsFunc(models, func(m *tier.Model) bool { return !owned(m, a) }) {
			continue
		}
		for _, node := range nodesOf(a, internet) {
			n, ok := index[node]
			if !ok {
				n = len(out)
				index[node] = n
				out = append(out, outsider{node: node})
			}
			out[n].atoms = append(out[n].atoms, a)
		}
	}
	slices.SortFunc(out, func(a, b outsider) int { return compareNodes(a.node, b.node) })
	return out
}

// address is the party of an atom.
func (s *sorts) address(a *Atom) party {
	p := party{sort: s.atom(a), pods: 1}
	p.plain = p.sort
	p.addrs[family(a.Addr)] = a.Addr
	return p
}

// dualStack says whether anything has an IPv6 address.
func dualStack(s *policy.Snapshot) bool {
	return slices.ContainsFunc(s.Endpoints, func(ep *policy.Endpoint) bool {
		return slices.ContainsFunc(ep.Addrs, netip.Addr.Is6)
	})
}

// owned says whether all of an atom's addresses are pods'.
func owned(m *tier.Model, a *Atom) bool {
	return !slices.ContainsFunc(a.Nets, func(n netip.Prefix) bool { return !n.IsSingleIP() || m.Owner(n.Addr()) == nil })
}

// nodesOf are the groups that an atom is of.
func nodesOf(a *Atom, internet []*Atom) []policy.Workload {
	var out []policy.Workload
	add := func(w policy.Workload) {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	for _, set := range a.Sets {
		add(policy.Workload{Kind: set.Kind, Namespace: set.Namespace, Name: set.Name})
	}
	for _, h := range a.Hosts {
		add(policy.Workload{Kind: policy.KindHostEndpoint, Name: cmp.Or(h.Node, h.Name)})
	}
	if len(out) > 0 {
		return out
	}
	if slices.Contains(internet, a) {
		return []policy.Workload{{Kind: KindInternet, Name: nameInternet}}
	}
	return []policy.Workload{{Kind: KindNets, Name: a.Text()}}
}

// Text is the atom's nets for people, the first few of them.
func (a *Atom) Text() string {
	const few = 3
	var parts []string
	for i, n := range a.Nets {
		if i == few && len(a.Nets) > few+1 {
			parts = append(parts, "…")
			break
		}
		if n.IsSingleIP() {
			parts = append(parts, n.Addr().String())
		} else {
			parts = append(parts, n.String())
		}
	}
	return strings.Join(parts, ",")
}
