package recommend

import (
	"cmp"
	"net/netip"
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
	// Wider are nets and network sets that hold more addresses outside than were
	// seen.
	Wider []Wider
	// Breaks are observed flows, at any workload, that are allowed now and that
	// the policies alone would refuse, default-deny or not: what enforcing them
	// would break.
	Breaks []Blocked
	// Doubts are those of which nobody can say that: the address of one end is
	// not known, and it would be refused with some addresses only.
	Doubts []Doubt
}

// Wider is a part of a rule that lets in more addresses than were seen.
type Wider struct {
	Policy    policy.Key
	Direction policy.Direction
	Net       netip.Prefix // of a net
	Set       policy.Key   // of a network set
	// Seen is how many of the addresses were seen.
	Seen int
}

// Blocked is an observed flow that would not be allowed.
type Blocked struct {
	Flow *flow.Observed
	By   policy.Hit
}

// ByDefaultDeny says that what refuses it is the default-deny that the proof
// assumes.
func (b *Blocked) ByDefaultDeny() bool { return b.By.Policy.Name == defaultDeny }

// Doubt is an observed flow that may not be allowed, and why that is not known.
type Doubt struct {
	Flow   *flow.Observed
	Reason string
}

// Pair is a connection that is possible between two workloads.
type Pair struct {
	Source, Destination policy.Workload
	Protocol            policy.Protocol
	Port                uint16
}

// prove judges the observed flows and every pair of workloads.
func prove(req *Request, res *Result, targets []*target, wanted []wantedFlow, observed []flow.Observed) Proof {
	added := make([]*policy.Policy, len(res.Policies))
	replaced := map[policy.Key]bool{}
	for i, p := range res.Policies {
		added[i] = p.Model()
		replaced[p.Key] = true
		replaced[p.Drop] = true
	}
	drop := func(k policy.Key) bool { return replaced[k] }
	m := tier.New(withPolicies(req, targets, added, drop), req.Model)
	rp := replay.New(m)
	proof := Proof{Observed: len(wanted), Wider: wider(res.Policies)}
	for _, w := range wanted {
		if by := refusal(rp, req, w); by != nil {
			proof.Blocked = append(proof.Blocked, Blocked{Flow: w.Observed, By: *by})
			continue
		}
		proof.Allowed++
	}
	proof.NotObserved = newPairs(req, m, rp, targets, wanted).find()
	if suspects := refusedBy(rp, req, observed); len(suspects) > 0 {
		then := replay.New(tier.New(withPolicies(req, nil, added, drop), req.Model), req.Model)
		proof.Breaks, proof.Doubts = breaks(req, suspects, then)
	}
	return proof
}

// refusedBy are the flows that are refused at some end, those apart that are left
// out because the request says so. What is allowed beside a default-deny is
// allowed without it.
func refusedBy(rp *replay.Replay, req *Request, observed []flow.Observed) []*flow.Observed {
	var out []*flow.Observed
	for i := range observed {
		o := &observed[i]
		if !req.leftOut(o) && slices.ContainsFunc(rp.Any(o), func(c tier.Conn) bool { return !rp.Judge(req.scope(), o, c).Allowed() }) {
			out = append(out, o)
		}
	}
	return out
}

// breaks are the flows that are allowed now and refused by then, and those that
// may be.
func breaks(req *Request, suspects []*flow.Observed, then *replay.Replay) (sure []Blocked, doubts []Doubt) {
	now := replay.New(req.Model)
	broken := func(o *flow.Observed, pairs []tier.Conn) *policy.Hit {
		for _, c := range pairs {
			v := then.Judge(req.scope(), o, c)
			if v.Allowed() || !now.Judge(req.scope(), o, c).Allowed() {
				continue
			}
			if by := v.Denied[policy.Egress]; by != nil {
				return by
			}
			return v.Denied[policy.Ingress]
		}
		return nil
	}
	for _, o := range suspects {
		_, doubt := then.Ask(o, func(pairs []tier.Conn) bool { return broken(o, pairs) != nil }, "refused", "as now")
		if doubt != "" {
			doubts = append(doubts, Doubt{Flow: o, Reason: doubt})
			continue
		}
		pairs := then.Any(o)
		if !replay.Unaddressed(o.Source) && !replay.Unaddressed(o.Destination) {
			pairs = append(now.Pairs(o), pairs...)
		}
		if by := broken(o, pairs); by != nil {
			sure = append(sure, Blocked{Flow: o, By: *by})
		}
	}
	return sure, doubts
}

// wider are the nets and network sets of the rules that hold more addresses than
// the evidence.
func wider(policies []*Policy) []Wider {
	var out []Wider
	for _, p := range policies {
		for d, rules := range p.Rules {
			for i := range rules {
				r := &rules[i]
				seen := map[netip.Addr]bool{}
				for _, o := range r.Evidence {
					peer := o.Source
					if policy.Direction(d) == policy.Egress {
						peer = o.Destination
					}
					seen[peer.Addr.Unmap().WithZone("")] = true
				}
				w := Wider{Policy: p.Key, Direction: policy.Direction(d)}
				for _, n := range r.Nets {
					w.Net, w.Seen = n, 0
					for a := range seen {
						if n.Contains(a) {
							w.Seen++
						}
					}
					if host := n.Addr().BitLen() - n.Bits(); host > 30 || w.Seen < 1<<host {
						out = append(out, w)
					}
				}
				w.Net = netip.Prefix{}
				for _, set := range r.Sets {
					w.Set, w.Seen = set, len(seen)
					out = append(out, w)
				}
			}
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

func comparePairs(a, b Pair) int {
	return cmp.Or(
		compareWorkloads(a.Source, b.Source),
		compareWorkloads(a.Destination, b.Destination),
		cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Port, b.Port),
	)
}
