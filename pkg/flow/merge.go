package flow

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Observed is what a person calls one flow: who connects to whom by which
// protocol and port, whichever end reported it, whichever Service name it was
// reached by, and whatever the verdicts were at the time.
type Observed struct {
	Source, Destination Peer
	Protocol            policy.Protocol
	Port                uint16
	// Services are the names (namespace/name) it was reached by, sorted.
	Services []string
	// Domains are the DNS names by which an address outside was found, where the
	// source of flows tells them.
	Domains []string
	// Connections: a connection between two pods is reported by both ends and
	// counted once here. It is the larger of what the two ends report, where an
	// end reports what it refused and what it let pass, and of the latter those
	// that began in the span or were open in it.
	Connections int64
	// Denied of these were refused, by the end that reports more (or refused
	// more).
	Denied int64
	// Live is how many are open, by the end that knows of more.
	Live int64
	// FirstSeen and LastSeen are of attempts, by either end.
	FirstSeen, LastSeen time.Time
	// Reported says which ends reported it, by policy.Direction.
	Reported [2]bool
}

// Service is the Services in one text, empty if there is none.
func (o *Observed) Service() string { return strings.Join(o.Services, ", ") }

// Merge puts the flows of one span together. The result is sorted by source,
// destination, protocol and port. Probes and other things that should not count
// are the caller's to leave out. What was refused before any policy was asked
// (policy.Closed) is left out here: its source address is a claim that nobody
// has checked, and no policy may be made from what a pod says in another's name
// (S31).
func Merge(flows []Flow) []Observed {
	return MergeNamed(flows, func(p Peer) Peer { return p })
}

// MergeNamed is Merge with other names of the ends of flows.
func MergeNamed(flows []Flow, name func(Peer) Peer) []Observed {
	ends := observedEnds(flows, name)
	slices.SortFunc(ends, compareEnds)
	groups := 0
	for i := range ends {
		if i == 0 || !ends[i].alike(&ends[i-1]) {
			groups++
		}
	}
	out := make([]Observed, 0, groups)
	for len(ends) > 0 {
		f := &flows[ends[0].flow]
		g := observedSum{Observed: Observed{
			Source: name(f.Source), Destination: name(f.Destination), Protocol: f.Protocol, Port: f.Port,
			FirstSeen: f.FirstSeen, LastSeen: f.LastSeen,
		}}
		n := 0
		for ; n < len(ends) && ends[n].alike(&ends[0]); n++ {
			g.add(&flows[ends[n].flow])
		}
		ends = ends[n:]
		out = append(out, g.result())
	}
	return out
}

// observedEnd is what tells a flow from others here. There may be very many, so
// it is small: peers are numbered in their order.
type observedEnd struct {
	source, destination uint32
	flow                int32
	protocol            policy.Protocol
	port                uint16
}

func observedEnds(flows []Flow, name func(Peer) Peer) []observedEnd {
	var peers interned[Peer]
	out := make([]observedEnd, 0, len(flows))
	for i := range flows {
		f := &flows[i]
		if f.Enforced.Rule == policy.Closed {
			continue
		}
		out = append(out, observedEnd{peers.number(name(f.Source)), peers.number(name(f.Destination)), int32(i), f.Protocol, f.Port})
	}
	rank := peers.ranks(ComparePeers)
	for i := range out {
		out[i].source, out[i].destination = rank[out[i].source], rank[out[i].destination]
	}
	return out
}

func (e *observedEnd) alike(o *observedEnd) bool {
	return e.source == o.source && e.destination == o.destination && e.protocol == o.protocol && e.port == o.port
}

func compareEnds(a, b observedEnd) int {
	return cmp.Or(
		cmp.Compare(a.source, b.source),
		cmp.Compare(a.destination, b.destination),
		cmp.Compare(a.protocol, b.protocol),
		cmp.Compare(a.port, b.port),
		cmp.Compare(a.flow, b.flow),
	)
}

// observedSum has what each end reports apart, by policy.Direction.
type observedSum struct {
	Observed
	denied, started, open, live [2]int64
}

func (g *observedSum) add(f *Flow) {
	d := f.Direction
	g.Reported[d] = true
	if f.Enforced.Action == policy.Deny {
		g.denied[d] += f.Connections
	} else {
		g.started[d] += f.Connections
	}
	// A change of policy moves an open connection from one flow to another
	// (S29): what was open adds up over all verdicts, like what was started.
	g.open[d] += f.Completed + f.Live
	g.live[d] += f.Live
	if f.FirstSeen.Before(g.FirstSeen) {
		g.FirstSeen = f.FirstSeen
	}
	if f.LastSeen.After(g.LastSeen) {
		g.LastSeen = f.LastSeen
	}
	if s := f.ServiceString(); s != "" && !slices.Contains(g.Services, s) {
		g.Services = append(g.Services, s)
	}
	g.Domains = joinDomains(g.Domains, f.Domains)
}

func (g *observedSum) result() Observed {
	slices.Sort(g.Services)
	g.Live = max(g.live[0], g.live[1])
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		n := g.denied[d] + max(g.started[d], g.open[d])
		if n > g.Connections || n == g.Connections && g.denied[d] > g.Denied {
			g.Connections, g.Denied = n, g.denied[d]
		}
	}
	return g.Observed
}
