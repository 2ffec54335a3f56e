package recommend

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// group judges one flow and notes what it needs; nil if it would not be blocked.
// Where nobody can say that for want of an address it needs nothing.
func (f *fixer) group(o *flow.Observed) *FixGroup {
	g := &FixGroup{Flow: o}
	if !f.inScope(o) {
		return nil
	}
	blocked, doubt := f.labels.rp.Ask(o, func(pairs []tier.Conn) bool { return len(f.hits(o, pairs)) > 0 }, "blocked", "unchanged")
	if !blocked && doubt == "" {
		return nil
	}
	f.groups[o] = g
	if doubt != "" {
		if g.State, g.Reason = f.judge(o, nil); g.State != FixLeft {
			g.State, g.Reason = FixUndecided, doubt
		}
		return g
	}
	hits := f.hits(o, f.labels.rp.Any(o))
	for i := range hits {
		if d := hits[i].dir; g.Blocked[d] == nil {
			g.Blocked[d] = &hits[i].hit
		}
	}
	if g.State, g.Reason = f.judge(o, hits); g.State == FixDone {
		f.need(g, hits)
	}
	return g
}

// hits are what would refuse some of the pairs that are allowed now.
func (f *fixer) hits(o *flow.Observed, pairs []tier.Conn) []fixHit {
	var out []fixHit
	for _, c := range pairs {
		then := f.labels.rp.Judge(tier.Pending(), o, c)
		if then.Allowed() || !f.labels.rp.Judge(tier.Enforced(), o, c).Allowed() {
			continue
		}
		for d, by := range then.Denied {
			if by == nil {
				continue
			}
			if h := (fixHit{policy.Direction(d), *by}); !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	return out
}

func (f *fixer) inScope(o *flow.Observed) bool {
	return len(f.req.Namespaces) == 0 || slices.Contains(f.req.Namespaces, o.Source.Workload.Namespace) ||
		slices.Contains(f.req.Namespaces, o.Destination.Workload.Namespace)
}

// fixHit is what refuses a flow at one end.
type fixHit struct {
	dir policy.Direction
	hit policy.Hit
}

// judge says whether a flow is to be fixed, and why not.
func (f *fixer) judge(o *flow.Observed, hits []fixHit) (FixState, string) {
	if f.req.Want != nil && !f.req.Want(o) {
		return FixLeft, "not asked for"
	}
	switch kind, reason := f.review.skip(o); kind {
	case "":
	case SkipExcluded:
		return FixLeft, reason
	case SkipNoRule:
		return FixNoRule, reason
	case SkipRefused:
		return FixDecision, strings.TrimSuffix(reason, orIncludeDenied)
	default:
		return FixReview, reason
	}
	for _, h := range hits {
		switch {
		case h.hit.Rule >= 0:
			return FixDecision, fmt.Sprintf("rule %d of %s refuses it by name at its %s end: an Allow would have to stand before that rule, in tier %s, which is for a person to decide",
				h.hit.Rule, h.hit.Policy, endName(h.dir), h.hit.Tier)
		case h.hit.Rule != policy.EndOfTier:
			return FixDecision, "it is refused before any policy is asked"
		case f.labels.snap.Tier(h.hit.Tier) == nil:
			return FixDecision, "tier " + h.hit.Tier + " of " + h.hit.Policy.String() + " does not exist"
		}
	}
	return FixDone, ""
}

func endName(d policy.Direction) string {
	if d == policy.Egress {
		return "source"
	}
	return "destination"
}
