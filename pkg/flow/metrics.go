package flow

import (
	"context"

	"github.com/netpol-project/netpol/pkg/policy"
)

// FromMetrics marks a source as made from the agents' metrics: its names are
// netpol's, but for the kinds of workloads, which agents did not tell at first.
func FromMetrics(source Source) Source { return metrics{source} }

// IsMetrics says whether FromMetrics marked the source: it knows of no open
// connection, and of no address outside.
func IsMetrics(source Source) bool {
	_, ok := source.(metrics)
	return ok
}

type metrics struct{ Source }

// kinds finds the kinds that the workloads of flows have now.
type kinds struct {
	source Source
	named  map[string]policy.Workload
}

// WithKinds gives the workloads of a source from metrics the kinds that they have
// now, where agents did not tell. Flows of names that several workloads have are
// left out and counted as lost: nobody knows whose they are. Another source is as
// it was.
func WithKinds(source Source, names *Names) Source {
	m, ok := source.(metrics)
	if !ok {
		return source
	}
	return metrics{&kinds{m.Source, names.named}}
}

// peer is p with its kind; ok is false if it may be several.
func (s *kinds) peer(p Peer) (_ Peer, ok bool) {
	if p.Kind != PeerWorkload || p.Workload.Kind != "" {
		return p, true
	}
	w, known := s.named[p.Workload.String()]
	if !known {
		return p, true
	}
	p.Workload = w
	return p, w.Kind != ""
}

func (s *kinds) flow(f *Flow) (ok bool) {
	var source, destination bool
	f.Source, source = s.peer(f.Source)
	f.Destination, destination = s.peer(f.Destination)
	return source && destination
}

// List implements Source.
func (s *kinds) List(ctx context.Context, f Filter) ([]Flow, Coverage, error) {
	flows, coverage, err := s.source.List(ctx, f)
	if err != nil {
		return nil, Coverage{}, err
	}
	flows, lost := s.known(flows)
	coverage.Lost += lost
	return flows, coverage, nil
}

// known are the flows with their kinds, and how many connections are nobody's.
func (s *kinds) known(flows []Flow) (out []Flow, lost int64) {
	out = flows[:0]
	for i := range flows {
		if !s.flow(&flows[i]) {
			lost += flows[i].Connections
			continue
		}
		out = append(out, flows[i])
	}
	return Joined(out), lost
}

// Follow implements Source.
func (s *kinds) Follow(ctx context.Context, f Filter, each func(Flow) error) error {
	return s.source.Follow(ctx, f, func(fl Flow) error {
		if !s.flow(&fl) {
			return nil
		}
		return each(fl)
	})
}
