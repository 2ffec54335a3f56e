package recommend

import (
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Proof is what the evaluator says of the recommendation: with the policies in
// force and a default-deny for the targets' namespaces, at the targets' ends.
type Proof struct {
	// Observed flows that were to stay allowed, and how many of them are.
	Observed, Allowed int
	// Blocked are the others, and what refuses them.
	Blocked []Blocked
	// NotObserved are workloads and ports that are allowed too though no flow
	// was seen: what the policies are wider than the evidence.
	NotObserved []Pair
	// Breaks are observed flows, at any workload, that are allowed now and that
	// the policies alone would refuse, default-deny or not: what enforcing them
	// would break.
	Breaks []Blocked
}

// Blocked is an observed flow that would not be allowed.
type Blocked struct {
	Flow *flow.Observed
	By   policy.Hit
}

// Pair is a connection that is possible between two workloads.
type Pair struct {
	Source, Destination policy.Workload
	Protocol            policy.Protocol
	Port                uint16
}

// prove judges the observed flows and every pair of workloads.
func prove(req *Request, policies []*Policy, targets []*target, wanted []wantedFlow) Proof {
	added := make([]*policy.Policy, len(policies))
	replaced := map[policy.Key]bool{}
	for i, p := range policies {
		added[i] = p.Model()
		replaced[p.Key] = true
		replaced[p.Drop] = true
	}
	drop := func(k policy.Key) bool { return replaced[k] }
	m := tier.New(withPolicies(req, targets, added, drop), nil)
	rp := replay.New(m)
	proof := Proof{Observed: len(wanted)}
	for _, w := range wanted {
		if by := refusal(rp, req, w); by != nil {
			proof.Blocked = append(proof.Blocked, Blocked{Flow: w.Observed, By: *by})
			continue
		}
		proof.Allowed++
	}
	proof.NotObserved = notObserved(rp, m, req, targets, wanted)
	proof.Breaks = breaks(req, replay.New(tier.New(withPolicies(req, nil, added, drop), nil)))
	return proof
}

// breaks are the flows that are allowed now and refused by then.
func breaks(req *Request, then *replay.Replay) []Blocked {
	var out []Blocked
	now := replay.New(req.Model)
	observed := now.Observed(req.Flows)
	for i := range observed {
		o := &observed[i]
		for _, c := range now.Pairs(o) {
			v := then.Judge(req.scope(), o, c)
			if v.Allowed() || !now.Judge(req.scope(), o, c).Allowed() {
				continue
			}
			by := v.Denied[policy.Egress]
			if by == nil {
				by = v.Denied[policy.Ingress]
			}
			out = append(out, Blocked{Flow: o, By: *by})
			break
		}
	}
	return out
}

// refusal is what refuses w at a target's end, nil if nothing does.
func refusal(rp *replay.Replay, req *Request, w wantedFlow) *policy.Hit {
	for _, c := range rp.Pairs(w.Observed) {
		v := rp.Judge(req.scope(), w.Observed, c)
		for d := range w.ends {
			if w.ends[d] != nil && v.Denied[d] != nil {
				return v.Denied[d]
			}
		}
	}
	return nil
}

// port is a port that something listens on or was connected to.
type port struct {
	protocol policy.Protocol
	number   uint16
}

// notObserved tries every workload against every other one's ports, those that
// its containers declare and those that were connected to.
func notObserved(rp *replay.Replay, m *tier.Model, req *Request, targets []*target, wanted []wantedFlow) []Pair {
	isTarget := map[policy.Workload]bool{}
	for _, t := range targets {
		for _, w := range t.workloads {
			isTarget[w] = true
		}
	}
	seen := map[Pair]bool{}
	ports := map[policy.Workload]map[port]bool{}
	reps := map[policy.Workload]*policy.Endpoint{}
	for _, ep := range m.Snapshot().Endpoints {
		if reps[ep.Workload] == nil {
			reps[ep.Workload], ports[ep.Workload] = ep, map[port]bool{}
		}
		for _, p := range ep.Ports {
			ports[ep.Workload][port{p.Protocol, p.Port}] = true
		}
	}
	for _, w := range wanted {
		src, dst := workloadOf(rp, w.Source), workloadOf(rp, w.Destination)
		number := replay.Port(w.Observed)
		seen[Pair{src, dst, w.Protocol, number}] = true
		if ports[dst] != nil {
			ports[dst][port{w.Protocol, number}] = true
		}
	}
	var out []Pair
	for src, from := range reps {
		for dst, to := range reps {
			if src == dst || !isTarget[src] && !isTarget[dst] {
				continue
			}
			for p := range ports[dst] {
				pair := Pair{src, dst, p.protocol, p.number}
				if !seen[pair] && possible(m, req, isTarget, from, to, pair) {
					out = append(out, pair)
				}
			}
		}
	}
	slices.SortFunc(out, comparePairs)
	return out
}

// possible asks the ends that are targets: the others' policies are not what
// is being recommended.
func possible(m *tier.Model, req *Request, isTarget map[policy.Workload]bool, from, to *policy.Endpoint, p Pair) bool {
	src, dst := tier.Peer{Endpoint: from}, tier.Peer{Endpoint: to}
	if isTarget[p.Source] && m.Judge(req.scope(), policy.Egress, src, dst, p.Protocol, p.Port).Action != policy.Allow {
		return false
	}
	return !isTarget[p.Destination] || m.Judge(req.scope(), policy.Ingress, dst, src, p.Protocol, p.Port).Action == policy.Allow
}

// workloadOf is the workload of a flow's end as the pods have it.
func workloadOf(rp *replay.Replay, p flow.Peer) policy.Workload {
	if eps := rp.Endpoints(p.Workload); p.Kind == flow.PeerWorkload && len(eps) > 0 {
		return eps[0].Workload
	}
	return p.Workload
}

func comparePairs(a, b Pair) int {
	return cmp.Or(
		compareWorkloads(a.Source, b.Source),
		compareWorkloads(a.Destination, b.Destination),
		cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Port, b.Port),
	)
}
