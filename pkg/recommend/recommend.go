// Package recommend turns what was observed into the fewest and narrowest
// policies that allow it, and proves what they do.
//
// It is pure: flows and a model in, policies and a proof out. It writes nothing,
// and it decides no verdict: package tier does.
package recommend

import (
	"slices"
	"strings"

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
	// Flows are the evidence, probes left out.
	Flows []flow.Flow
	// Targets are the workloads that policies are wanted for.
	Targets []policy.Workload
	// Tier is the tier that new policies go to.
	Tier string
	// Staged makes staged policies and takes what is staged already for
	// there; otherwise policies are enforced, and only enforced ones count.
	Staged bool
	// IncludeDenied recommends flows too that the enforced policies refuse.
	IncludeDenied bool
	// Mine says which policies were recommended before and may be extended;
	// nil is none. Others are never touched.
	Mine func(policy.Key) bool
}

// Result is what is recommended, sorted by namespace and name.
type Result struct {
	Policies []*Policy
	// Covered are targets whose observed flows are all allowed already by a
	// policy's own rules, Unseen those that no flow was seen of.
	Covered, Unseen []policy.Workload
	// Skipped are flows that no rule was written for, and why.
	Skipped []Skipped
	Proof   Proof
}

// Skipped is a flow or a workload that is left out.
type Skipped struct {
	Flow     *flow.Observed // nil if it is a workload
	Workload policy.Workload
	Reason   string
}

// Policy is one recommended policy.
type Policy struct {
	policy.Key
	Tier     string
	Selector *selector.Selector
	Types    [2]bool   // by policy.Direction
	Rules    [2][]Rule // by policy.Direction
	// Workloads are those that the selector picks: one, unless labels can't
	// tell some apart.
	Workloads []policy.Workload
	// Base is the policy that this one extends by Rules, nil if it is new.
	// Its key differs from Key in its kind where an enforced policy is
	// extended by a staged one.
	Base *policy.Policy
	// Drop is the staged policy that this one makes obsolete; zero if none.
	Drop policy.Key
}

// scope is what counts as there already.
func (r *Request) scope() tier.Scope {
	if r.Staged {
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

// target is a group of workloads that one policy selects.
type target struct {
	workloads []policy.Workload
	pick      pick
	needs     [2][]need
	covered   [2]bool // some flow of that direction is allowed by a rule already
	seen      bool
}

// Recommend writes the policies. A policy has both types, since the aim is
// that everything else is refused; only a direction that another policy's rules
// govern already, and where nothing is missing, is left to that one.
func Recommend(req Request) *Result {
	res := &Result{}
	rp := replay.New(req.Model)
	labels := newLabeler(req.Model.Snapshot(), rp)
	targets := findTargets(&req, labels, res)
	wanted := wantedFlows(&req, rp, targets, res)
	findNeeds(&req, targets, wanted)
	names := newNames(&req)
	for _, t := range targets {
		switch {
		case !t.seen:
			res.Unseen = append(res.Unseen, t.workloads...)
		case len(t.needs[policy.Ingress])+len(t.needs[policy.Egress]) == 0:
			res.Covered = append(res.Covered, t.workloads...)
		default:
			if p := build(&req, t, labels, names, res); p != nil {
				res.Policies = append(res.Policies, p)
			}
		}
	}
	res.Proof = prove(&req, res.Policies, targets, wanted)
	return res
}

// build writes the policy of one target; nil if no need can be put into a rule.
func build(req *Request, t *target, labels *labeler, names *names, res *Result) *Policy {
	p := &Policy{Tier: req.Tier, Selector: t.pick.selector(), Workloads: t.workloads}
	for d := range t.needs {
		dir := policy.Direction(d)
		p.Rules[d] = rulesFor(dir, t, labels, res)
		p.Types[d] = len(p.Rules[d]) > 0 || !t.covered[d]
	}
	if len(p.Rules[policy.Ingress])+len(p.Rules[policy.Egress]) == 0 {
		return nil
	}
	names.assign(p)
	return p
}

// findTargets groups the workloads asked for by what labels can pick.
func findTargets(req *Request, labels *labeler, res *Result) []*target {
	wanted := slices.Clone(req.Targets)
	slices.SortFunc(wanted, compareWorkloads)
	wanted = slices.Compact(wanted)
	var out []*target
	done := map[policy.Workload]bool{}
	for _, w := range wanted {
		if done[w] {
			continue
		}
		p, picks := labels.pick(w)
		if p.empty() {
			res.Skipped = append(res.Skipped, Skipped{Workload: w, Reason: "its pods share no label that a selector could pick them by; give them one"})
			continue
		}
		for _, other := range picks {
			done[other] = true
		}
		out = append(out, &target{workloads: picks, pick: p})
	}
	return out
}

func compareWorkloads(a, b policy.Workload) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(string(a.Kind), string(b.Kind))
}
