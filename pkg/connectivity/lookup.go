package connectivity

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

type lookup struct {
	m          *tier.Model
	s          *policy.Snapshot
	namespaces []string
	sorted     *sorts
}

// pods are the workloads of a name, or else the pods.
func (l *lookup) pods(name string, qualified bool) []End {
	here := func(ns string) bool { return len(l.namespaces) == 0 || slices.Contains(l.namespaces, ns) }
	workloads, pods := map[string][]*policy.Endpoint{}, []End{}
	var order []string
	for _, ep := range l.s.Endpoints {
		if w := ep.Workload; w.String() == name || !qualified && w.Name == name && here(w.Namespace) {
			if workloads[w.String()] == nil {
				order = append(order, w.String())
			}
			workloads[w.String()] = append(workloads[w.String()], ep)
		}
		if ep.ID() == name || !qualified && ep.Name == name && here(ep.Namespace) {
			pods = append(pods, End{Kind: EndPod, Name: ep.ID(), Peers: []tier.Peer{{Endpoint: ep}}})
		}
	}
	if len(order) == 0 {
		return pods
	}
	var out []End
	for _, w := range order {
		out = append(out, End{Kind: EndWorkload, Name: w, Peers: l.distinct(workloads[w])})
	}
	return out
}

// distinct are two endpoints of each sort, in order: one would do, but that it
// always reaches itself (S32).
func (l *lookup) distinct(eps []*policy.Endpoint) []tier.Peer {
	seen := map[int32]int{}
	var out []tier.Peer
	for _, ep := range eps {
		if len(eps) > 2 {
			n := l.sorts().pod(ep)
			if seen[n]++; seen[n] > 2 {
				continue
			}
		}
		out = append(out, tier.Peer{Endpoint: ep})
	}
	return out
}

// sorts are made when they are first asked for.
func (l *lookup) sorts() *sorts {
	if l.sorted == nil {
		l.sorted = newSorts(l.m, NewAtoms(l.s))
	}
	return l.sorted
}

func (l *lookup) atoms() *Atoms { return l.sorts().atoms }

func setName(k policy.Key) string {
	if k.Namespace == "" {
		return prefixSet + "/" + k.Name
	}
	return prefixSet + "/" + k.Namespace + "/" + k.Name
}

// sets finds network sets by NAME or NAMESPACE/NAME. A bare name is a global
// set, or, if there is none of it or anywhere is set, a namespace's.
func (l *lookup) sets(name string, anywhere bool) []End {
	var global, named []End
	for _, set := range l.s.NetworkSets {
		end := func() End {
			e := End{Kind: EndSet, Name: setName(set.Key)}
			for _, a := range l.atoms().In(set) {
				e.Peers = append(e.Peers, tier.Peer{Addr: a.Addr})
			}
			return e
		}
		switch {
		case set.Namespace != "" && set.Namespace+"/"+set.Name == name:
			return []End{end()}
		case set.Name != name:
		case set.Namespace == "":
			global = append(global, end())
		case len(l.namespaces) == 0 || slices.Contains(l.namespaces, set.Namespace):
			named = append(named, end())
		}
	}
	if len(global) > 0 && !anywhere {
		return global
	}
	return append(global, named...)
}

func (l *lookup) setNames() []string {
	var out []string
	for _, set := range l.s.NetworkSets {
		out = append(out, strings.TrimPrefix(setName(set.Key), prefixSet+"/"))
	}
	return out
}

func (l *lookup) internet() *End {
	e := &End{Kind: EndInternet, Name: nameInternet}
	for _, a := range l.atoms().Internet() {
		e.Peers = append(e.Peers, tier.Peer{Addr: a.Addr})
	}
	return e
}

// service finds a Service by NAMESPACE/NAME or NAME.
func (l *lookup) service(name string) (*End, error) {
	var found []End
	var known []string
	for _, svc := range l.s.Services {
		full := svc.Namespace + "/" + svc.Name
		known = append(known, full)
		if full == name || svc.Name == name && (len(l.namespaces) == 0 || slices.Contains(l.namespaces, svc.Namespace)) {
			e := End{Kind: EndService, Name: prefixService + "/" + full, Service: svc, Peers: l.distinct(l.s.ServiceEndpoints(svc))}
			for _, b := range svc.Backends {
				e.Peers = append(e.Peers, l.m.Peer(b.Addr))
			}
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return nil, &UnknownName{What: "service", Name: name, Known: known}
	}
	return one(prefixService+"/"+name, found)
}

// host finds a node: by itself or its host endpoints, which know its addresses,
// or by its pods, and then its addresses are not known.
func (l *lookup) host(node string) (*End, error) {
	e := &End{Kind: EndHost, Name: prefixHost + "/" + node, Node: node}
	var addrs []netip.Addr
	for _, n := range l.s.Nodes {
		if n.Name == node {
			addrs = append(addrs, n.Addrs...)
		}
	}
	for _, h := range l.s.HostEndpoints {
		if h.Node == node {
			addrs = append(addrs, h.Addrs...)
		}
	}
	for i, a := range addrs {
		if !slices.Contains(addrs[:i], a) {
			e.Peers = append(e.Peers, tier.Peer{Addr: a})
		}
	}
	if len(e.Peers) > 0 {
		return e, nil
	}
	known := l.nodes()
	if !slices.Contains(known, node) {
		return nil, &UnknownName{What: "node", Name: node, Known: known}
	}
	e.Peers = []tier.Peer{{}}
	return e, nil
}

func (l *lookup) nodes() []string {
	var out []string
	for _, ep := range l.s.Endpoints {
		if ep.Node != "" {
			out = append(out, ep.Node)
		}
	}
	for _, h := range l.s.HostEndpoints {
		if h.Node != "" {
			out = append(out, h.Node)
		}
	}
	for _, n := range l.s.Nodes {
		out = append(out, n.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unknown is the error for a name that nothing has, with a word on the usual
// slips.
func (l *lookup) unknown(name string) error {
	e := &UnknownName{What: "workload, pod, network set or address", Name: name, Known: Names(l.s)}
	head, rest, ok := strings.Cut(name, "/")
	switch {
	case head == "outside" || name == "outside-client":
		e.Hint = nameInternet + " for what is outside of the cluster, or the client's address"
	case ok && slices.ContainsFunc(l.s.Services, func(s *policy.Service) bool { return s.Namespace == head && s.Name == rest }):
		e.Hint = prefixService + "/" + name + " for the Service of that name"
	case slices.Contains(l.nodes(), name):
		e.Hint = prefixHost + "/" + name + " for the node of that name"
	case strings.Contains(name, "."):
		if _, err := netip.ParsePrefix(name); err == nil {
			e.Hint = "one address of it: " + strings.SplitN(name, "/", 2)[0]
		}
	}
	return e
}
