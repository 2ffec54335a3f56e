package flow

import (
	"context"
	"slices"
)

// Named is a source whose flows have the names of what there is now (Names).
// Flows that are alike by then are one.
func Named(source Source, names *Names) Source { return &named{source, names} }

type named struct {
	source Source
	names  *Names
}

// wide is a filter without the criteria that are about names.
func wide(f Filter) Filter {
	f.Workload, f.From, f.To = "", "", ""
	return f
}

// List implements Source.
func (s *named) List(ctx context.Context, f Filter) ([]Flow, Coverage, error) {
	flows, coverage, err := s.source.List(ctx, wide(f))
	if err != nil {
		return nil, Coverage{}, err
	}
	at := make(map[Key]int, len(flows))
	out := make([]Flow, 0, len(flows))
	for i := range flows {
		fl := s.names.Flow(flows[i])
		if !f.Match(fl.Key) {
			continue
		}
		if i, again := at[fl.Key]; again {
			out[i].Add(fl)
			continue
		}
		at[fl.Key] = len(out)
		out = append(out, fl)
	}
	slices.SortFunc(out, func(x, y Flow) int { return Compare(x.Key, y.Key) })
	return out, coverage, nil
}

// Follow implements Source.
func (s *named) Follow(ctx context.Context, f Filter, each func(Flow) error) error {
	return s.source.Follow(ctx, wide(f), func(fl Flow) error {
		if fl = s.names.Flow(fl); !f.Match(fl.Key) {
			return nil
		}
		return each(fl)
	})
}

// Add counts another flow of the same key. Traces that differ are not told.
func (f *Flow) Add(g Flow) {
	if g.FirstSeen.Before(f.FirstSeen) {
		f.FirstSeen = g.FirstSeen
	}
	if g.LastSeen.After(f.LastSeen) {
		f.LastSeen = g.LastSeen
	}
	f.Connections += g.Connections
	f.Completed += g.Completed
	f.Live += g.Live
	f.PacketsIn += g.PacketsIn
	f.PacketsOut += g.PacketsOut
	f.BytesIn += g.BytesIn
	f.BytesOut += g.BytesOut
	f.SourceLabels, f.DestinationLabels = intersect(f.SourceLabels, g.SourceLabels), intersect(f.DestinationLabels, g.DestinationLabels)
	if !slices.Equal(f.EnforcedTrace, g.EnforcedTrace) {
		f.EnforcedTrace = nil
	}
	if !slices.Equal(f.PendingTrace, g.PendingTrace) {
		f.PendingTrace = nil
	}
}

// FromCalico marks a source as Calico's: its flows have Calico's names, and its
// pending verdicts are Calico's.
func FromCalico(source Source) Source { return calicos{source} }

// IsCalicos says whether FromCalico marked the source.
func IsCalicos(source Source) bool {
	_, ok := source.(calicos)
	return ok
}

type calicos struct{ Source }
