package recommend

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
)

// labeler finds the selectors of workloads.
type labeler struct {
	snap        *policy.Snapshot
	rp          *replay.Replay
	cluster     *clusterNets
	byNamespace map[string][]*policy.Endpoint
	// sets are the network sets by their namespaces: a selector of pods picks
	// those too that have the labels (S18).
	sets  map[string][]*policy.NetworkSet
	cache map[policy.Workload]picked
}

type picked struct {
	pick  pick
	picks []policy.Workload
}

func newLabeler(s *policy.Snapshot, rp *replay.Replay) *labeler {
	l := &labeler{
		snap: s, rp: rp, cluster: newClusterNets(s),
		byNamespace: map[string][]*policy.Endpoint{}, sets: map[string][]*policy.NetworkSet{}, cache: map[policy.Workload]picked{},
	}
	for _, set := range s.NetworkSets {
		l.sets[set.Namespace] = append(l.sets[set.Namespace], set)
	}
	for _, ep := range s.Endpoints {
		l.byNamespace[ep.Namespace] = append(l.byNamespace[ep.Namespace], ep)
	}
	return l
}

// workload is the workload of a flow's end as its pods have it: the flow may not
// tell its kind.
func (l *labeler) workload(p flow.Peer) policy.Workload {
	if eps := l.rp.Endpoints(p.Workload); p.Kind == flow.PeerWorkload && len(eps) > 0 {
		return eps[0].Workload
	}
	return p.Workload
}

// workloadsIn are all workloads of a namespace, sorted.
func (l *labeler) workloadsIn(namespace string) []policy.Workload {
	var out []policy.Workload
	for _, ep := range l.byNamespace[namespace] {
		out = append(out, ep.Workload)
	}
	slices.SortFunc(out, compareWorkloads)
	return slices.Compact(out)
}

// endpoints are the pods of some workloads.
func (l *labeler) endpoints(workloads []policy.Workload) []*policy.Endpoint {
	var out []*policy.Endpoint
	for _, w := range workloads {
		out = append(out, l.rp.Endpoints(w)...)
	}
	return out
}

// pick is the smallest set of stable labels that picks w in its namespace, and
// the workloads that it picks: w alone, unless labels can't tell others apart.
func (l *labeler) pick(w policy.Workload) (pick, []policy.Workload) {
	if c, ok := l.cache[w]; ok {
		return c.pick, c.picks
	}
	own := l.rp.Endpoints(w)
	var others []*policy.Endpoint
	for _, ep := range l.byNamespace[w.Namespace] {
		if ep.Workload != w {
			others = append(others, ep)
		}
	}
	p := choose(shared(own), others)
	if slices.ContainsFunc(others, func(ep *policy.Endpoint) bool { return p.matches(ep.Labels) }) {
		p = withAbsent(p, own, others)
	}
	// Network sets have no orchestrator, so that label leaves them out.
	if !p.empty() && slices.ContainsFunc(l.sets[w.Namespace], func(set *policy.NetworkSet) bool { return p.matches(set.Labels) }) {
		p.equal = append(slices.Clone(p.equal), label{policy.LabelOrchestrator, "k8s"})
	}
	picks := []policy.Workload{w}
	for _, ep := range others {
		if !p.empty() && p.matches(ep.Labels) {
			picks = append(picks, ep.Workload)
		}
	}
	slices.SortFunc(picks, compareWorkloads)
	picks = slices.Compact(picks)
	l.cache[w] = picked{p, picks}
	return p, picks
}
