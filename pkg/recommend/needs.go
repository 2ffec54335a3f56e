package recommend

import (
	"fmt"
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
	// own is the workload of the target, peer the other end.
	own  policy.Workload
	peer flow.Peer
}

// wantedFlow is an observed flow that is to stay allowed, and the targets at
// its ends, nil where an end is none.
type wantedFlow struct {
	*flow.Observed
	ends [2]*target // by policy.Direction: Egress is the source's
}

// own is the end in a direction, other the one across.
func (w *wantedFlow) own(d policy.Direction) flow.Peer {
	if d == policy.Egress {
		return w.Source
	}
	return w.Destination
}

func (w *wantedFlow) other(d policy.Direction) flow.Peer { return w.own(1 - d) }

// wantedFlows are the flows of the targets that are to stay allowed. What comes
// from a pod's own host is always allowed and needs no rule (S12).
func wantedFlows(req *Request, labels *labeler, targets []*target, observed []flow.Observed, res *Result) []wantedFlow {
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
		return byWorkload[labels.workload(p)]
	}
	r := newReview(req, labels, observed)
	var out []wantedFlow
	for i := range observed {
		o := &observed[i]
		w := wantedFlow{Observed: o}
		w.ends[policy.Egress], w.ends[policy.Ingress] = find(o.Source), find(o.Destination)
		for d := range w.ends {
			if !req.wants(policy.Direction(d)) {
				w.ends[d] = nil
			}
		}
		if w.ends == [2]*target{} {
			continue
		}
		if kind, reason := r.skip(o); kind != "" {
			res.Skipped = append(res.Skipped, Skipped{Flow: o, Kind: kind, Reason: reason})
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

// findNeeds asks, with every target closed and every namespace of theirs under
// a default-deny, which wanted flows are refused: those need a rule. What is
// allowed even so is allowed by a rule that is there. What a rule of a policy
// that may be extended refuses by name was refused by somebody's hand, and no
// rule after it would help.
func findNeeds(req *Request, targets []*target, wanted []wantedFlow, res *Result) {
	var closed []*policy.Policy
	for i, t := range targets {
		closed = append(closed, closing(req, t, i))
	}
	rp := replay.New(tier.New(withPolicies(req, targets, closed, nil), nil))
	for i := range wanted {
		w := &wanted[i]
		pairs := rp.Pairs(w.Observed)
		if len(pairs) == 0 {
			continue
		}
		verdicts := make([]replay.Verdict, len(pairs))
		for j, c := range pairs {
			verdicts[j] = rp.Judge(req.scope(), w.Observed, c)
		}
		for d, t := range w.ends {
			if t == nil {
				continue
			}
			at := slices.IndexFunc(verdicts, func(v replay.Verdict) bool { return v.Denied[d] != nil })
			if at < 0 {
				t.covered[d] = true
				continue
			}
			if by := verdicts[at].Denied[d]; by.Rule >= 0 && req.Mine != nil && req.Mine(by.Policy) {
				res.Skipped = append(res.Skipped, Skipped{Flow: w.Observed, Kind: SkipRefused,
					Reason: fmt.Sprintf("rule %d of %s refuses it", by.Rule, by.Policy)})
				continue
			}
			dir := policy.Direction(d)
			t.needs[d] = append(t.needs[d], need{flow: w.Observed, own: w.own(dir).Workload, peer: w.other(dir)})
		}
	}
}

// closing is the policy of a target without its rules. Its name is one that no
// resource can have.
func closing(req *Request, t *target, number int) *policy.Policy {
	p := &policy.Policy{
		Key:      policy.Key{Kind: req.kind(), Namespace: t.namespace, Name: "~" + strconv.Itoa(number)},
		Tier:     req.Tier,
		Order:    policy.Unordered,
		Types:    [2]bool{req.wants(policy.Ingress), req.wants(policy.Egress)},
		Selector: t.selector,
	}
	if req.Staged {
		p.StagedAction = policy.StagedSet
	}
	return p
}

// defaultDeny is the name of the default-deny that is assumed: one that no resource
// can have.
const defaultDeny = "~default-deny"

// withPolicies is what is there with more policies, some left out (drop), and a
// default-deny for the targets' namespaces at the very end.
func withPolicies(req *Request, targets []*target, added []*policy.Policy, drop func(policy.Key) bool) *policy.Snapshot {
	s := *req.there()
	s.Policies = slices.DeleteFunc(slices.Clone(s.Policies), func(p *policy.Policy) bool { return drop != nil && drop(p.Key) })
	s.Policies = append(s.Policies, added...)
	closed := map[string]bool{}
	for _, t := range targets {
		if closed[t.namespace] {
			continue
		}
		closed[t.namespace] = true
		s.Policies = append(s.Policies, &policy.Policy{
			Key:   policy.Key{Kind: policy.KindNetworkPolicy, Namespace: t.namespace, Name: defaultDeny},
			Tier:  "default",
			Order: policy.Unordered,
			Types: [2]bool{req.wants(policy.Ingress), req.wants(policy.Egress)},
		})
	}
	slices.SortFunc(s.Policies, tier.ComparePolicies)
	return &s
}
