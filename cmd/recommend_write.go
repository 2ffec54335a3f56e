package cmd

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// writeRecommended makes the edits and returns when they are in force.
func writeRecommended(ctx context.Context, opts *RecommendOptions, res *recommend.Result, changes []cluster.Change) error {
	edit := newEditOptions(opts.Factory)
	edit.DryRun, edit.Format = opts.DryRun, output.Text
	if opts.FormatGiven && opts.Format.Structured() {
		edit.Format = opts.Format
	}
	words := map[policy.Key]string{}
	for _, p := range res.Policies {
		words[p.Key] = "staged"
		if opts.Enforce {
			words[p.Key] = "enforced"
		}
		if p.Base != nil && len(p.Rules[policy.Ingress])+len(p.Rules[policy.Egress]) > 0 {
			words[p.Key] += " with more rules"
		}
		if p.Drop != (policy.Key{}) {
			words[p.Drop] = silent
		}
	}
	if err := edit.change(ctx, changes, words); err != nil {
		return err
	}
	if len(changes) > 0 {
		edit.notEnforced()
	}
	return nil
}

// recommendChanges are the edits, and the objects one for each policy.
func recommendChanges(ctx context.Context, store cluster.Store, res *recommend.Result) ([]cluster.Change, []*unstructured.Unstructured, error) {
	var changes []cluster.Change
	var objects []*unstructured.Unstructured
	for _, p := range res.Policies {
		var base *unstructured.Unstructured
		if p.Base != nil {
			var err error
			if base, err = store.Get(ctx, p.Base.Key); err != nil {
				return nil, nil, changeError(err)
			}
		}
		object, err := p.Object(base)
		if err != nil {
			return nil, nil, err
		}
		objects = append(objects, object)
		// A policy that somebody else makes meanwhile is not overwritten.
		fresh := p.Base == nil || p.Base.Key != p.Key
		change := cluster.Change{Object: object, IfAbsent: fresh}
		if p.Base == nil {
			change.Text = []byte(p.YAML())
		} else {
			change.Comments = p.Comments(object)
		}
		changes = append(changes, change)
		if p.Drop != (policy.Key{}) {
			changes = append(changes, cluster.Change{Delete: p.Drop})
		}
	}
	return changes, objects, nil
}

// shownBreaks is how many flows a refusal names.
const shownBreaks = 20

func refuseBreaks(res *recommend.Result) error {
	if len(res.Proof.Breaks) == 0 {
		return refuseDoubts("enforcing the recommendation", res.Proof.Doubts, "--force")
	}
	var where []string
	left := map[*flow.Observed]string{}
	for _, s := range res.Skipped {
		if s.Flow != nil {
			left[s.Flow] = s.Reason
		}
	}
	for i, b := range res.Proof.Breaks {
		if i == shownBreaks {
			where = append(where, fmt.Sprintf("… and %d more", len(res.Proof.Breaks)-i))
			break
		}
		text := breakText(b)
		if reason := left[b.Flow]; reason != "" {
			text += "; no rule was written, since " + reason
		}
		where = append(where, text)
	}
	return cli.Refuse("enforcing the recommendation would block "+plural(len(res.Proof.Breaks), "flow")+" that "+wereWas(len(res.Proof.Breaks))+" seen",
		where, "netpol recommend … --stage, then look at netpol report; --exclude or --include-suspicious say what is meant; or --force")
}

// refuseDoubts is the answer where nobody can say whether something would block
// flows that were seen. What else can be done comes after the advice.
func refuseDoubts(what string, doubts []recommend.Doubt, otherwise string) error {
	lines := doubtTexts(doubts)
	if more := len(lines) - shownBreaks; more > 0 {
		lines = append(lines[:shownBreaks:shownBreaks], fmt.Sprintf("… and %d more", more))
	}
	return cli.Refuse("nobody can say whether "+what+" would block "+plural(len(doubts), "flow")+" that "+wereWas(len(doubts))+" seen",
		lines, replay.Advice+"; or "+otherwise)
}
