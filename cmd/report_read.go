package cmd

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/cluster/declared"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// impactReport is the JSON of report.
type impactReport struct {
	output.Meta
	// Scope is "policy" (one staged policy alone) or "pending" (all of them).
	Scope    string         `json:"scope"`
	Policies []policyReport `json:"policies"`
	// Ignored are staged policies that count for nothing (stagedAction Ignore).
	Ignored    []policyReport `json:"ignored,omitempty"`
	Namespaces []string       `json:"namespaces"` // empty: all
	Coverage   coverageReport `json:"coverage"`
	// CalicoDiffers are those of the policies that Calico's own pending verdict
	// judges otherwise; only where the flows are Calico's.
	CalicoDiffers []stage.CalicoDifference `json:"calicoDiffers,omitempty"`
	*stage.Report
	// Refused are flows that were allowed when they were seen, and that what is
	// enforced in the directory refuses; only where a directory as a whole is judged by
	// flows that were seen elsewhere.
	Refused []stage.Item `json:"refused,omitempty"`
	// By is what Groups are put together by.
	By     stage.GroupBy `json:"by"`
	Groups []stage.Group `json:"groups"`
	// Trend is absent where flows can't be asked for a span of time.
	Trend     *stage.Trend     `json:"trend,omitempty"`
	Live      liveReport       `json:"live"`
	Readiness *stage.Readiness `json:"readiness"`
	// Unreadable are resources that the user may not list, so that it is not
	// known which workloads were not seen.
	Unreadable []string `json:"unreadable,omitempty"`
	// Unjudged are policies and tiers that have faults, so that the report is not
	// about them; "" is what could not be read at all.
	Unjudged []string `json:"unjudged,omitempty"`

	snap *policy.Snapshot
	now  time.Time
}

// policyReport names a policy in JSON.
type policyReport struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Tier      string `json:"tier"`
	// StagedAction is Set, Learn, Delete or Ignore (S27).
	StagedAction string `json:"stagedAction,omitempty"`
	// Replaces says that a policy of its name is enforced, which it would
	// replace, or delete.
	Replaces bool `json:"replaces,omitempty"`
	// Since is when it became what it is, as far as that is known.
	Since *time.Time `json:"since,omitempty"`
}

func newPolicyReport(p *policy.Policy, snap *policy.Snapshot) policyReport {
	out := policyReport{Kind: string(p.Kind), Namespace: p.Namespace, Name: p.Name, Tier: p.Tier, StagedAction: string(p.StagedAction)}
	if twin, ok := stage.Twin(p.Key); ok {
		out.Replaces = snap.Policy(twin) != nil
	}
	return out
}

// readReport reads flows and policies, and judges.
func readReport(ctx context.Context, opts *ReportOptions) (*impactReport, error) {
	f := opts.Factory
	namespaces, err := namespacesOf(f)
	if err != nil {
		return nil, err
	}
	since, err := parseSince(opts.Since, f.Now())
	if err != nil {
		return nil, err
	}
	filter := flow.Filter{Namespaces: namespaces, Since: since}
	source := opts.Source
	source.before = func(w *world, s flow.Source) error { return foresee(ctx, opts, w, s, filter) }
	ev, err := gather(ctx, f, &source, filter)
	if err != nil {
		return nil, err
	}
	doc := &impactReport{
		Meta: output.NewMeta("Report"), Scope: "pending", snap: ev.snap, now: f.Now(),
		Policies: []policyReport{}, Namespaces: namespaces, Coverage: newCoverageReport(ev.coverage),
		By: stage.GroupBy(cmp.Or(opts.By, string(stage.ByWorkload))),
	}
	if doc.Namespaces == nil {
		doc.Namespaces = []string{}
	}
	scope, policies, err := doc.choose(ev, opts.Policy)
	if err != nil {
		return nil, err
	}
	doc.Unjudged = ev.unjudged()
	doc.Report = stage.Impact(ev.model, ev.flows, scope)
	if f.Offline() && opts.Policy == "" {
		var unsure []stage.Item
		doc.Refused, unsure = stage.Refused(ev.model, ev.flows, scope)
		doc.AddUndecided(unsure...)
	}
	if ev.calico {
		doc.CalicoDiffers = doc.differences(ev.snap)
	}
	if err := doc.follow(ctx, opts, ev, policies); err != nil {
		return nil, err
	}
	doc.Coverage.Policies = doc.Policies // now it is known since when
	doc.Groups = doc.Report.Groups(doc.By)
	if doc.Live, err = readLive(ctx, opts, ev, doc, scope); err != nil {
		return nil, err
	}
	return doc, doc.assess(ctx, opts, ev, scope)
}

// choose is the scope of the report, and the policies in it.
func (r *impactReport) choose(ev *evidence, name string) (tier.Scope, []*policy.Policy, error) {
	scope := tier.Pending()
	picked := ev.snap.Policies
	if name != "" {
		p, err := ev.stagedPolicy(name, r.Namespaces)
		if err != nil {
			return scope, nil, err
		}
		scope, picked, r.Scope = tier.Only(p.Key), []*policy.Policy{p}, "policy"
	}
	var in []*policy.Policy
	for _, p := range picked {
		switch {
		case !p.Kind.Staged():
		case p.StagedAction == policy.StagedIgnore:
			r.Ignored = append(r.Ignored, newPolicyReport(p, ev.snap))
		default:
			in = append(in, p)
		}
		if p.Kind.Staged() && (p.StagedAction != policy.StagedIgnore || r.Scope == "policy") {
			r.Policies = append(r.Policies, newPolicyReport(p, ev.snap))
		}
	}
	return scope, in, nil
}

// differences are those of Calico's judgement of the policies of the report.
func (r *impactReport) differences(snap *policy.Snapshot) []stage.CalicoDifference {
	return slices.DeleteFunc(stage.CalicoDiffers(snap), func(d stage.CalicoDifference) bool {
		return !slices.ContainsFunc(r.Policies, func(p policyReport) bool {
			return p.Kind == d.Kind && p.Namespace == d.Namespace && p.Name == d.Name
		})
	})
}

// assess says what was not seen.
func (r *impactReport) assess(ctx context.Context, opts *ReportOptions, ev *evidence, scope tier.Scope) error {
	in := &stage.Evidence{
		Flows: ev.flows, Coverage: ev.coverage, Namespaces: r.Namespaces, Policies: r.promoted(), Unjudged: len(r.Unjudged), Undecided: len(r.MayBlock()),
		Least: opts.Least, Now: opts.Factory.Now(),
	}
	if len(in.Policies) > 0 {
		var err error
		if in.Declared, r.Unreadable, err = declared.Workloads(ctx, ev.store, r.Namespaces); err != nil {
			return err
		}
		in.Unreadable = r.Unreadable
	}
	r.Readiness = stage.Assess(ev.model, scope, in)
	return nil
}

// unjudged are the policies and tiers that have faults and are in no snapshot,
// sorted; what could not be read at all is one of them, without a name.
func (w *world) unjudged() []string {
	var out []string
	for key := range w.faulty {
		switch {
		case key.Kind == "":
			out = append(out, "")
		case key.Kind == policy.KindTier && w.snap.Tier(key.Name) == nil,
			slices.Contains(slices.Concat(stagedKinds, enforcedKinds), key.Kind) && w.snap.Policy(key) == nil:
			out = append(out, key.String())
		}
	}
	slices.Sort(out)
	return out
}

// promoted are the policies that the report promotes: those that are ignored
// count for nothing.
func (r *impactReport) promoted() []policy.Key {
	var out []policy.Key
	for _, p := range r.Policies {
		if p.StagedAction != string(policy.StagedIgnore) {
			out = append(out, p.key())
		}
	}
	return out
}
