package flow

import "context"

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
	n := 0
	for i := range flows {
		if fl := s.names.Flow(flows[i]); f.Match(fl.Key) {
			flows[n] = fl
			n++
		}
	}
	return Joined(flows[:n]), coverage, nil
}

// Joined are flows sorted by key, of each key one. It uses their room.
func Joined(flows []Flow) []Flow {
	sortFlows(flows)
	out := flows[:0]
	for i := range flows {
		if n := len(out); n > 0 && out[n-1].Key == flows[i].Key {
			out[n-1].Add(flows[i])
			continue
		}
		out = append(out, flows[i])
	}
	clear(flows[len(out):])
	return out
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

// FromCalico marks a source as Calico's: its flows have Calico's names, and its
// pending verdicts are Calico's.
func FromCalico(source Source) Source { return calicos{source} }

// IsCalicos says whether FromCalico marked the source.
func IsCalicos(source Source) bool {
	_, ok := source.(calicos)
	return ok
}

type calicos struct{ Source }

// FromHubble marks a source as Hubble's: its flows have Hubble's names, and no
// pending verdicts of their own.
func FromHubble(source Source) Source { return hubbles{source} }

// IsForeign says whether FromCalico or FromHubble marked the source: its names
// are not netpol's.
func IsForeign(source Source) bool {
	_, ok := source.(hubbles)
	return ok || IsCalicos(source)
}

// NamedForeign is Named of a foreign source, marked as that is; of another it is
// the source itself.
func NamedForeign(source Source, names *Names) Source {
	switch source.(type) {
	case calicos:
		return calicos{Named(source, names)}
	case hubbles:
		return hubbles{Named(source, names)}
	}
	return source
}

type hubbles struct{ Source }
