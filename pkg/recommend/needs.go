package recommend

import (
	"slices"
	"strconv"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// need is one flow that a target's policy must allow in one direction.
type need struct {
	flow *flow.Observed
	peer flow.Peer
}

// wantedFlow is an observed flow that is to stay allowed, and the targets at
// its ends, nil where an end is none.
type wantedFlow struct {
	*flow.Observed
	ends [2]*target // by policy.Direction: Egress is the source's
}

// wantedFlows are the flows of the targets that are to stay allowed: those that
// the enforced policies allow now, or all of them if the request says so. What
// comes from a pod's own host is always allowed and needs no rule (S12).
func wantedFlows(req *Request, rp *replay.Replay, targets []*target, res *Result) []wantedFlow {
	byWorkload := map[policy.Workload]*target{}
	for _, t := range targets {
		for _, w := range t.workloads {
			byWorkload[w] = t
		}
	}
	find := func(p flow.Peer) *target {
		if p.Kind != flow.PeerWorkload {
			return nil
		}
		if eps := rp.Endpoints(p.Workload); len(eps) > 0 {
			return byWorkload[eps[0].Workload]
		}
		return nil
	}
	observed := rp.Observed(req.Flows)
	var out []wantedFlow
	for i := range observed {
		o := &observed[i]
		w := wantedFlow{Observed: o}
		w.ends[policy.Egress], w.ends[policy.Ingress] = find(o.Source), find(o.Destination)
		if w.ends[policy.Egress] == nil && w.ends[policy.Ingress] == nil {
			continue
		}
		if reason := skip(req, rp, o); reason != "" {
			res.Skipped = append(res.Skipped, Skipped{Flow: o, Reason: reason})
			continue
		}
		for _, t := range w.ends {
			if t != nil {
				t.seen = true
			}
		}
		if o.Source.Kind != flow.PeerHost {
			out = append(out, w)
		}
	}
	return out
}

// skip is why no rule is written for a flow, empty if one is.
func skip(req *Request, rp *replay.Replay, o *flow.Observed) string {
	if why := rp.Gone(o); why != "" {
		return why + ", so no selector picks it"
	}
	if o.Source.Kind == flow.PeerHost && !rp.FromOwnHost(o) {
		return "node " + o.Source.Workload.Name + " forwards it for somebody else (a NodePort or load balancer), so who may come that way is for you to say"
	}
	if o.Destination.Kind == flow.PeerHost && !o.Destination.Addr.IsValid() {
		return "the host's address is not known"
	}
	if o.Source.Kind == flow.PeerNetwork && !o.Source.Addr.IsValid() || o.Destination.Kind == flow.PeerNetwork && !o.Destination.Addr.IsValid() {
		return "the address is not known; a rule for any address is never recommended"
	}
	if req.IncludeDenied {
		return ""
	}
	pairs := rp.Pairs(o)
	if len(pairs) > 0 && !slices.ContainsFunc(pairs, func(c tier.Conn) bool {
		return rp.Judge(tier.Enforced(), o, c).Allowed()
	}) {
		return "the enforced policies refuse it; --include-denied recommends it all the same"
	}
	return ""
}

// findNeeds asks, with every target closed and every namespace of theirs under
// a default-deny, which wanted flows are refused: those need a rule. What is
// allowed even so is allowed by a rule that is there.
func findNeeds(req *Request, targets []*target, wanted []wantedFlow) {
	var closed []*policy.Policy
	for i, t := range targets {
		closed = append(closed, closing(req, t, i))
	}
	rp := replay.New(tier.New(withPolicies(req, targets, closed, nil), nil))
	for _, w := range wanted {
		pairs := rp.Pairs(w.Observed)
		for d, t := range w.ends {
			if t == nil || len(pairs) == 0 {
				continue
			}
			if slices.ContainsFunc(pairs, func(c tier.Conn) bool {
				return rp.Judge(req.scope(), w.Observed, c).Denied[d] != nil
			}) {
				peer := w.Source
				if policy.Direction(d) == policy.Egress {
					peer = w.Destination
				}
				t.needs[d] = append(t.needs[d], need{flow: w.Observed, peer: peer})
			} else {
				t.covered[d] = true
			}
		}
	}
}

// closing is the policy of a target without its rules. Its name is one that no
// resource can have.
func closing(req *Request, t *target, number int) *policy.Policy {
	p := &policy.Policy{
		Key:      policy.Key{Kind: req.kind(), Namespace: t.workloads[0].Namespace, Name: "~" + strconv.Itoa(number)},
		Tier:     req.Tier,
		Order:    policy.Unordered,
		Types:    [2]bool{true, true},
		Selector: t.pick.selector(),
	}
	if req.Staged {
		p.StagedAction = policy.StagedSet
	}
	return p
}

// withPolicies is the present with more policies, some left out (drop), and a
// default-deny for the targets' namespaces at the very end.
func withPolicies(req *Request, targets []*target, added []*policy.Policy, drop func(policy.Key) bool) *policy.Snapshot {
	s := *req.Model.Snapshot()
	s.Policies = slices.DeleteFunc(slices.Clone(s.Policies), func(p *policy.Policy) bool { return drop != nil && drop(p.Key) })
	s.Policies = append(s.Policies, added...)
	closed := map[string]bool{}
	for _, t := range targets {
		ns := t.workloads[0].Namespace
		if closed[ns] {
			continue
		}
		closed[ns] = true
		s.Policies = append(s.Policies, &policy.Policy{
			Key:   policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "~default-deny"},
			Tier:  "default",
			Order: policy.Unordered,
			Types: [2]bool{true, true},
		})
	}
	slices.SortFunc(s.Policies, tier.ComparePolicies)
	return &s
}
