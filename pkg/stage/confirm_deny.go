package stage

import (
	"cmp"
	"maps"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// What looks like a scan: a source that tried so many ports of one destination,
// or destinations at one port.
const (
	denyScanPorts = 20
	denyScanHosts = 50
)

// Missing is traffic that was usual before a policy was staged, and that it
// refuses now that it is enforced.
type Missing struct {
	// Connections are the refused attempts, and Pods who made them (namespace/name),
	// sorted: at least these. A workload of which flows tell no pods (Calico's do
	// not, nor those of an agent that has started since) stands for one of its own,
	// by its name.
	Connections int64
	Pods        []string
	Flows       []MissingFlow // the most attempts first
}

// MissingFlow is who can't reach whom.
type MissingFlow struct {
	Source, Destination flow.Peer
	Protocol            policy.Protocol
	Port                uint16
	Connections         int64
}

// pairKey is who connects to whom by what, whichever end tells.
type pairKey struct {
	source, destination flow.Peer
	protocol            policy.Protocol
	port                uint16
}

// MissingTraffic compares what was seen before a policy was staged with what it
// refuses since it is enforced. Nobody who is refused can make more of it: what
// was not seen before does not count, nor what looks suspicious: seen once,
// refused by either end, not from a workload, or part of a scan then or now.
func MissingTraffic(refusing *policy.Policy, before, since []flow.Flow) Missing {
	usual := usualTraffic(before)
	for source := range scanners(since) {
		for k := range usual {
			if k.source == source {
				delete(usual, k)
			}
		}
	}
	counts := map[pairKey]int64{}
	pods := map[flow.Peer]map[string]bool{}
	for i := range since {
		f := &since[i]
		k := pairOf(f)
		if !usual[k] || !refuses(refusing, f) {
			continue
		}
		counts[k] += f.Connections
		if pods[k.source] == nil {
			pods[k.source] = map[string]bool{}
		}
		for _, p := range f.Refused {
			pods[k.source][k.source.Workload.Namespace+"/"+p.Name] = true
		}
	}
	var out Missing
	for k, n := range counts {
		out.Connections += n
		out.Flows = append(out.Flows, MissingFlow{k.source, k.destination, k.protocol, k.port, n})
	}
	for source, names := range pods {
		if len(names) == 0 {
			names[source.String()] = true
		}
		out.Pods = slices.AppendSeq(out.Pods, maps.Keys(names))
	}
	slices.Sort(out.Pods)
	slices.SortFunc(out.Flows, func(a, b MissingFlow) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Source.String(), b.Source.String()),
			cmp.Compare(a.Destination.String(), b.Destination.String()), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return out
}

// refuses says whether a policy refused a connection: by a rule of its own, or by
// bringing it to the end of its tier (S8).
func refuses(p *policy.Policy, f *flow.Flow) bool {
	h := f.Enforced
	return !f.Probe && h.Action == policy.Deny && (h.Policy == p.Key || h.Rule == policy.EndOfTier && h.Tier == p.Tier)
}

func pairOf(f *flow.Flow) pairKey {
	return pairKey{f.Source, f.Destination, f.Protocol, f.Port}
}

// usualTraffic is what may be missed.
func usualTraffic(before []flow.Flow) map[pairKey]bool {
	type counts struct {
		allowed [2]int64 // by who reports
		denied  bool
	}
	by := map[pairKey]*counts{}
	for i := range before {
		f := &before[i]
		if f.Probe || f.Source.Kind != flow.PeerWorkload {
			continue
		}
		c := by[pairOf(f)]
		if c == nil {
			c = &counts{}
			by[pairOf(f)] = c
		}
		if f.Enforced.Action == policy.Allow {
			c.allowed[f.Direction] += f.Connections
		} else {
			c.denied = true
		}
	}
	scans := scanners(before)
	out := map[pairKey]bool{}
	for k, c := range by {
		out[k] = max(c.allowed[policy.Ingress], c.allowed[policy.Egress]) > 1 && !c.denied && !scans[k.source]
	}
	return out
}

// scanners are the sources that look as if they tried what there is.
func scanners(flows []flow.Flow) map[flow.Peer]bool {
	tried := map[pairKey]map[pairKey]bool{}
	out := map[flow.Peer]bool{}
	note := func(group, what pairKey, most int) {
		if tried[group] == nil {
			tried[group] = map[pairKey]bool{}
		}
		tried[group][what] = true
		if len(tried[group]) >= most {
			out[group.source] = true
		}
	}
	for i := range flows {
		k := pairOf(&flows[i])
		if flows[i].Probe {
			continue
		}
		note(pairKey{source: k.source, destination: k.destination, protocol: k.protocol}, k, denyScanPorts)
		note(pairKey{source: k.source, protocol: k.protocol, port: k.port}, k, denyScanHosts)
	}
	return out
}

// Denials is what a revert says of missing traffic.
func (m *Missing) Denials() *RevertDenials {
	const most = 10
	out := &RevertDenials{Connections: m.Connections, Pods: len(m.Pods), Flows: []RevertFlow{}, More: max(len(m.Flows)-most, 0)}
	for _, f := range m.Flows[:min(len(m.Flows), most)] {
		out.Flows = append(out.Flows, RevertFlow{f.Source.String(), f.Destination.String(), f.Protocol.String(), f.Port, f.Connections})
	}
	return out
}
