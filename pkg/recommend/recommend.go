// Package recommend turns what was observed into the fewest and narrowest
// policies that allow it, and proves what they do.
//
// It is pure: flows and a model in, policies and a proof out. It writes nothing,
// and it decides no verdict: package tier does.
package recommend

import (
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Request says what to recommend, and from what.
type Request struct {
	// Model holds the policies, pods and labels of the present.
	Model *tier.Model
	// There holds the policies that count as there already, if these are others
	// than the present ones (files that are not applied yet); else nil.
	There *policy.Snapshot
	// Flows are the evidence, probes left out.
	Flows []flow.Flow
	// Targets are the workloads that policies are wanted for.
	Targets []policy.Workload
	// ByNamespace makes one policy for each namespace of the targets, for all of
	// its pods.
	ByNamespace bool
	// Directions are those that policies are wanted for, by policy.Direction;
	// none is both.
	Directions [2]bool
	// Tier is the tier that new policies go to.
	Tier string
	// Staged makes staged policies and takes what is staged already for
	// there; otherwise policies are enforced, and only enforced ones count.
	Staged bool
	// InPlace extends a policy that is there as what it is, staged or enforced,
	// and counts both as there. Staged says only what new ones are.
	InPlace bool
	// Mine says which policies were recommended before and may be extended;
	// nil is none. Others are never touched.
	Mine func(policy.Key) bool
	// Select says which flows are left out.
	Select
	// Write says how rules are written.
	Write
}

// Select says which flows are left out.
type Select struct {
	// IncludeDenied recommends flows too that are refused.
	IncludeDenied bool
	// IncludeSuspicious recommends flows too that look as if nobody wants them.
	IncludeSuspicious bool
	// MinConnections is how often a flow must have been seen; below 2 any is enough.
	MinConnections int64
	// Exclude are flows that are left out whatever else is said.
	Exclude []Exclude
	// Until is the end of what was seen: a flow that was seen once and not again
	// in the hour and more until then looks as if nobody needs it. Zero: none does.
	Until time.Time
	// Sensitive says which namespaces are marked so by more than their label
	// (SensitiveMark); nil is none.
	Sensitive func(namespace string) bool
}

// Write says how rules are written.
type Write struct {
	// Services writes who is connected to as the Service that was used, where
	// there was one.
	Services bool
	// Numbers writes ports by number, those too that have a name.
	Numbers bool
	// Exact allows nothing that was not seen: no network sets, no wider nets, no
	// DNS over TCP that was not seen, and nothing for workloads that labels can't
	// tell from others, unless it was seen of all of them.
	Exact bool
	// Nets bounds the nets of addresses outside.
	Nets NetBounds
	// Evidence writes the evidence of each rule as its annotations.
	Evidence bool
}

// Result is what is recommended, sorted by namespace and name.
type Result struct {
	Policies []*Policy
	// Covered are targets whose observed flows are all allowed already by a
	// policy's own rules, Unseen those that no flow was seen of.
	Covered, Unseen []policy.Workload
	// Skipped are flows that no rule was written for, and why.
	Skipped []Skipped
	// Once are flows that rules were written for though each was seen once.
	Once  []*flow.Observed
	Proof Proof
}

// Skipped is a flow or a workload that is left out.
type Skipped struct {
	Flow     *flow.Observed // nil if it is a workload
	Workload policy.Workload
	Kind     SkipKind
	Reason   string
}

// SkipKind is the kind of reason for leaving something out.
type SkipKind string

// The kinds of reasons.
const (
	SkipNoRule     SkipKind = "noRule"     // no rule can say it
	SkipRefused    SkipKind = "refused"    // policies refuse it
	SkipSuspicious SkipKind = "suspicious" // for somebody to look at
	SkipExcluded   SkipKind = "excluded"   // as asked for
)

// Policy is one recommended policy.
type Policy struct {
	policy.Key
	Tier     string
	Selector *selector.Selector
	Types    [2]bool   // by policy.Direction
	Rules    [2][]Rule // by policy.Direction
	// Workloads are those that the selector picks: one, unless labels can't
	// tell some apart, or the policy is for a whole namespace. Unasked are those
	// of them that were not asked for.
	Workloads, Unasked []policy.Workload
	// Base is the policy that this one extends by Rules, nil if it is new.
	// Its key differs from Key in its kind where an enforced policy is
	// extended by a staged one.
	Base *policy.Policy
	// Drop is the staged policy that this one makes obsolete; zero if none.
	Drop policy.Key
	// WithEvidence writes the evidence of each rule as its annotations.
	WithEvidence bool
}

// scope is what counts as there already.
func (r *Request) scope() tier.Scope {
	if r.Staged || r.InPlace {
		return tier.Pending()
	}
	return tier.Enforced()
}

func (r *Request) kind() policy.Kind {
	if r.Staged {
		return policy.KindStagedNetworkPolicy
	}
	return policy.KindNetworkPolicy
}

// there is what counts as there already.
func (r *Request) there() *policy.Snapshot {
	if r.There != nil {
		return r.There
	}
	return r.Model.Snapshot()
}

// wants says whether policies are wanted for a direction.
func (r *Request) wants(d policy.Direction) bool {
	return r.Directions[d] || r.Directions == [2]bool{}
}

// Recommend writes the policies. A policy has all types that are asked for, since
// the aim is that everything else is refused; only a direction that another
// policy's rules govern already, and where nothing is missing, is left to that
// one.
func Recommend(req Request) *Result {
	res := &Result{}
	rp := replay.New(req.Model)
	observed := rp.Observed(req.Flows)
	labels := newLabeler(req.Model.Snapshot(), rp)
	targets := findTargets(&req, labels, res)
	wanted := wantedFlows(&req, labels, targets, observed, res)
	findNeeds(&req, targets, wanted, res)
	names := newNames(&req, labels)
	for _, t := range targets {
		switch {
		case !t.seen:
			res.Unseen = append(res.Unseen, t.asked...)
		case len(t.needs[policy.Ingress])+len(t.needs[policy.Egress]) == 0:
			res.Covered = append(res.Covered, t.asked...)
		default:
			if p := build(&req, t, labels, names, res); p != nil {
				res.Policies = append(res.Policies, p)
			}
		}
	}
	res.Once = once(res.Policies)
	res.Proof = prove(&req, res, targets, wanted, observed)
	return res
}

// build writes the policy of one target; nil if no need can be put into a rule.
func build(req *Request, t *target, labels *labeler, names *names, res *Result) *Policy {
	p := &Policy{Tier: req.Tier, Selector: t.selector, Workloads: t.workloads, Unasked: t.unasked, WithEvidence: req.Evidence}
	for d := range t.needs {
		dir := policy.Direction(d)
		if !req.wants(dir) {
			continue
		}
		p.Rules[d] = rulesFor(&req.Write, dir, t, labels, res)
		p.Types[d] = len(p.Rules[d]) > 0 || !t.covered[d]
	}
	if len(p.Rules[policy.Ingress])+len(p.Rules[policy.Egress]) == 0 {
		return nil
	}
	names.assign(p, t)
	return p
}

// once are the flows of the policies that were seen once, each once.
func once(policies []*Policy) []*flow.Observed {
	var out []*flow.Observed
	done := map[*flow.Observed]bool{}
	for _, p := range policies {
		for _, o := range p.Flows() {
			if o.Connections <= 1 && !done[o] {
				done[o] = true
				out = append(out, o)
			}
		}
	}
	return out
}
