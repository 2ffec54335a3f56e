package connectivity

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Words that names of ends begin with.
const (
	nameInternet  = "internet"
	prefixSet     = "set"
	prefixService = "svc"
	prefixHost    = "host"
)

// EndKind is what a name stands for.
type EndKind uint8

// The kinds of ends.
const (
	EndWorkload EndKind = iota
	EndPod
	EndAddress
	EndSet
	EndService
	EndHost
	EndInternet
)

// End is one end of connections: what a user's name stands for.
type End struct {
	Kind EndKind
	Name string // in full: what the user could have typed
	// Peers are who there is to judge: of pods that no rule can tell apart two, of
	// such addresses one. A Service has those behind it.
	Peers   []tier.Peer
	Service *policy.Service // of EndService
	Node    string          // of EndHost
}

// UnknownName is a name that nothing has.
type UnknownName struct {
	What, Name string
	Known      []string
	// Hint says what to type instead, where that is known.
	Hint string
}

// Error names it.
func (e *UnknownName) Error() string { return fmt.Sprintf("no %s %q", e.What, e.Name) }

// AmbiguousName is a name that several have.
type AmbiguousName struct {
	Name string
	Of   []string // in full
}

// Error names it.
func (e *AmbiguousName) Error() string {
	return fmt.Sprintf("%q is not one name but %d: %s", e.Name, len(e.Of), strings.Join(e.Of, ", "))
}

// Find is the first of the peers that a name stands for, as Lookup finds them.
// ok is false for a name that does not exist; Names lists those that do.
func Find(m *tier.Model, name string) (peer tier.Peer, ok bool) {
	e, err := Lookup(m, name, nil)
	if err != nil || len(e.Peers) == 0 {
		return tier.Peer{}, false
	}
	return e.Peers[0], true
}

// Lookup finds what a name stands for: namespace/workload, namespace/pod, an
// address, set/…, svc/namespace/name, host/node, internet, or a bare name that
// one workload, pod or network set has, in the namespaces given if there are
// any. The error is an *UnknownName or an *AmbiguousName.
func Lookup(m *tier.Model, name string, namespaces []string) (*End, error) {
	l := lookup{m: m, s: m.Snapshot(), namespaces: namespaces}
	if addr, err := netip.ParseAddr(name); err == nil {
		return &End{Kind: EndAddress, Name: name, Peers: []tier.Peer{m.Peer(addr)}}, nil
	}
	head, rest, qualified := strings.Cut(name, "/")
	if e := l.pods(name, qualified); len(e) > 0 {
		return one(name, e)
	}
	switch {
	case name == nameInternet:
		return l.internet(), nil
	case !qualified:
		if e := l.sets(name, true); len(e) > 0 {
			return one(name, e)
		}
	case head == prefixSet:
		if e := l.sets(rest, false); len(e) > 0 {
			return one(name, e)
		}
		return nil, &UnknownName{What: "network set", Name: rest, Known: l.setNames()}
	case head == prefixService:
		return l.service(rest)
	case head == prefixHost:
		return l.host(rest)
	}
	return nil, l.unknown(name)
}

// LookupTarget is Lookup for a target. What looks like namespace/workload, but
// is not there, may be a bare name with a protocol: then that is taken out of
// the name.
func LookupTarget(m *tier.Model, t Target, namespaces []string) (*End, Target, error) {
	e, err := Lookup(m, t.Name, namespaces)
	head, tail, ok := strings.Cut(t.Name, "/")
	proto, known := protocolNamed(tail)
	if err == nil || !ok || !known || t.Protocol != 0 || head == prefixSet || head == prefixHost {
		return e, t, err
	}
	spec := PortSpec{Protocol: proto}
	if t.Given {
		port := t.PortName
		if port == "" {
			port = strconv.Itoa(int(t.Port))
		}
		var bad error
		if spec, bad = portOf(proto, port); bad != nil {
			return e, t, err
		}
	}
	if bare, other := Lookup(m, head, namespaces); other == nil {
		return bare, Target{Name: head, PortSpec: spec}, nil
	}
	return e, t, err
}

func one(name string, ends []End) (*End, error) {
	if len(ends) == 1 {
		return &ends[0], nil
	}
	e := &AmbiguousName{Name: name}
	for i := range ends {
		e.Of = append(e.Of, ends[i].Name)
	}
	return nil, e
}
