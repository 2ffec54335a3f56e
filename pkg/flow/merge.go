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
	// Connections: a connection between two pods is reported by both ends and
	// counted once here. It is the larger of what the two ends report, where an
	// end reports what it refused and what it let pass, and of the latter those
	// that began in the span or were open in it.
	Connections int64
	// Denied of these were refused, by the end that reports more (or refused
	// more).
	Denied int64
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
	groups := map[observedKey]*observedSum{}
	for i := range flows {
		f := &flows[i]
		if f.Enforced.Rule == policy.Closed {
			continue
		}
		k := observedKey{f.Source, f.Destination, f.Protocol, f.Port}
		g := groups[k]
		if g == nil {
			g = &observedSum{Observed: Observed{
				Source: f.Source, Destination: f.Destination, Protocol: f.Protocol, Port: f.Port,
				FirstSeen: f.FirstSeen, LastSeen: f.LastSeen,
			}}
			groups[k] = g
		}
		g.add(f)
	}
	out := make([]Observed, 0, len(groups))
	for _, g := range groups {
		out = append(out, g.result())
	}
	slices.SortFunc(out, compareObserved)
	return out
}

type observedKey struct {
	source, destination Peer
	protocol            policy.Protocol
	port                uint16
}

// observedSum has what each end reports apart, by policy.Direction.
type observedSum struct {
	Observed
	denied, started, open [2]int64
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
	if f.FirstSeen.Before(g.FirstSeen) {
		g.FirstSeen = f.FirstSeen
	}
	if f.LastSeen.After(g.LastSeen) {
		g.LastSeen = f.LastSeen
	}
	if s := f.ServiceString(); s != "" && !slices.Contains(g.Services, s) {
		g.Services = append(g.Services, s)
	}
}

func (g *observedSum) result() Observed {
	slices.Sort(g.Services)
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		n := g.denied[d] + max(g.started[d], g.open[d])
		if n > g.Connections || n == g.Connections && g.denied[d] > g.Denied {
			g.Connections, g.Denied = n, g.denied[d]
		}
	}
	return g.Observed
}

func compareObserved(a, b Observed) int {
	return cmp.Or(
		ComparePeers(a.Source, b.Source),
		ComparePeers(a.Destination, b.Destination),
		cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Port, b.Port),
	)
}
