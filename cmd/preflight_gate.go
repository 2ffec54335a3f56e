package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// gate is what commands need that put policies in force.
type gate struct {
	Force     bool
	Preflight preflightFunc
	// Doing says what is done where that is not enforcing: "%s" is the policies.
	Doing string
	// report is what was found; nil if nothing could be.
	report *stage.PreflightReport
}

// promotion is one staged policy and what enforcing it changes.
type promotion struct {
	policy *policy.Policy
	staged *unstructured.Unstructured
	// enforced is what it replaces, nil for nothing.
	enforced *unstructured.Unstructured
	edits    []stage.Edit
	// kept: it is turned back into a staged policy that is there already.
	kept bool
}

// check judges promotions, and refuses what would cut something, or what would
// close all it selects where nothing can be seen, or nothing was. hints is what the
// user types to look further.
func (g *gate) check(ctx context.Context, o *EditOptions, list []promotion, hints string) error {
	staged := make([]*policy.Policy, len(list))
	for i := range list {
		staged[i] = list[i].policy
	}
	var err error
	if g.report, err = g.Preflight(ctx, staged); err != nil {
		if g.Force {
			o.IO.ErrPrinter().Printf("note: nothing was checked before: %s\n", firstLine(err.Error()))
			return nil
		}
		return err
	}
	g.notes(o, list)
	refusal := g.refusal(o, list, hints)
	if refusal == nil {
		if !o.DryRun.on() {
			g.tellBridge(o)
		}
		return nil
	}
	if g.Force {
		var e *cli.Error
		if errors.As(refusal, &e) && o.Format == output.Text {
			o.IO.ErrPrinter().Printf("warning: --force: %s\n", e.What)
		}
		return nil
	}
	g.tell(o)
	if o.Format.Structured() {
		if err := o.IO.Printer().Object(o.Format, g.document()); err != nil {
			return err
		}
	}
	return refusal
}

func (g *gate) document() *preflightReport {
	if g.report == nil {
		return nil
	}
	return &preflightReport{output.NewMeta("Preflight"), g.report}
}

func (g *gate) blind() bool { return g.report.Impact == nil }

// unseen: traffic could be looked at, and there was none yet.
func (g *gate) unseen() bool { return !g.blind() && g.report.Impact.Summary.Flows.Observed == 0 }

// notes tells what is known less than one would like.
func (g *gate) notes(o *EditOptions, list []promotion) {
	if o.Format != output.Text {
		return
	}
	e := o.IO.ErrPrinter()
	switch {
	case g.blind() && !o.Offline() && !g.closesAll(list):
		e.Printf("warning: the traffic of this cluster can't be looked at, so nothing is known of what this blocks\n")
	case g.unseen() && !g.report.Closes:
		e.Printf("warning: no traffic has been seen yet, so nothing is known of what this blocks\n")
	}
	if o.DryRun.on() {
		return // tell has the rest
	}
	for _, note := range g.report.Notes {
		e.Printf("note: %s\n", note)
	}
	for _, note := range g.report.NotChecked {
		if !strings.HasPrefix(note, string(stage.ClassObserved)) {
			e.Printf("note: not checked: %s\n", note)
		}
	}
	count := map[stage.Class]int{}
	for _, p := range g.report.Problems {
		if !p.Refuses {
			count[p.Class]++
		}
	}
	for _, class := range []stage.Class{stage.ClassDNS, stage.ClassAPIServer, stage.ClassMetrics} {
		if n := count[class]; n > 0 {
			e.Printf("note: %s: %s would be cut that nobody was seen to use; --dry-run lists them\n", class, plural(n, "way"))
		}
	}
}

func (g *gate) closesAll(list []promotion) bool {
	return slices.ContainsFunc(list, func(p promotion) bool { return p.staged != nil && stage.ClosesAll(p.staged) })
}

// refusal is why not to go on, nil for no reason.
func (g *gate) refusal(o *EditOptions, list []promotion, hints string) error {
	name, force := what(list), "--force enforces it all the same"
	policies := name
	if g.Doing != "" {
		policies = enforcedNames(list)
		name, force = fmt.Sprintf(g.Doing, policies), "--force does it all the same"
	}
	if g.blind() && g.closesAll(list) {
		return cli.Refuse(fmt.Sprintf("%s has no rules: it closes all that it selects, and without traffic to look at nobody can say what that would break", policies),
			problemLines(g.report), "where the traffic is: "+hints+"; or here, if you know: --force")
	}
	if g.unseen() && g.report.Closes {
		return cli.Refuse(fmt.Sprintf("%s has no rules: it closes all that it selects, and no flow was seen yet: nothing tells whether traffic would be cut", policies),
			problemLines(g.report), "wait until there is traffic (netpol flows --follow), then "+hints+"; or, if you know: --force")
	}
	refusals := g.report.Refusals()
	switch seen, undecided := g.seen(), g.undecided(); {
	case undecided > 0 && len(refusals) == undecided:
		return cli.Refuse(fmt.Sprintf("nobody can say whether %s would block %s that %s seen", name, plural(undecided, "flow"), wasWere(int64(undecided))),
			problemLines(g.report), replay.Advice+"; "+force)
	case undecided > 0 && len(refusals) == seen+undecided:
		return cli.Refuse(fmt.Sprintf("%s would block %s that %s seen, and %d more can't be judged", name, plural(seen, "flow"), wasWere(int64(seen)), undecided),
			problemLines(g.report), hints+"; "+replay.Advice+"; "+force)
	case undecided > 0:
		return cli.Refuse(fmt.Sprintf("%s would cut %s that %s needed, and %d more can't be judged", name, plural(len(refusals)-undecided, "way"), isAre(len(refusals)-undecided), undecided),
			problemLines(g.report), "add the rules above; "+hints+"; "+replay.Advice+"; "+force)
	case len(refusals) > 0 && len(refusals) == seen:
		return cli.Refuse(fmt.Sprintf("%s would block %s that %s seen", name, plural(seen, "flow"), wasWere(int64(seen))),
			problemLines(g.report), hints+"; "+force)
	case len(refusals) > 0:
		return cli.Refuse(fmt.Sprintf("%s would cut %s that %s needed", name, plural(len(refusals), "way"), isAre(len(refusals))),
			problemLines(g.report), "add the rules above; "+hints+"; "+force)
	case g.report.Gap != "" && !o.Offline(): // files change together
		return cli.Refuse(fmt.Sprintf("there is no order of %s that leaves no gap, and no temporary policy that bridges it: %s would be refused for a moment", name, g.report.Gap),
			nil, "put the rules for one pod into one policy, or enforce them in parts; "+force)
	}
	return nil
}
