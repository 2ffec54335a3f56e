package cmd

import (
	"bufio"
	"context"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// askedFlow is what tells flows apart whose text may be the same: of a Deployment and a
// StatefulSet of one name.
type askedFlow struct {
	source, destination flow.Peer
	protocol            policy.Protocol
	port                uint16
}

func askedFor(o *flow.Observed) askedFlow {
	return askedFlow{o.Source, o.Destination, o.Protocol, o.Port}
}

// choose asks for each flow whether it is to be fixed, and fixes those.
func (o *FixOptions) choose(req recommend.FixRequest, res *recommend.FixResult) (*recommend.FixResult, error) {
	if o.Yes || o.DryRun.on() || len(res.Edits) == 0 {
		return res, nil
	}
	if !o.IO.ErrTerminal {
		return nil, cli.Usage("the same command with --yes; without --stage and --enforce it shows them", "edits of %s are to be made: that takes --yes", plural(len(res.Edits), "policy"))
	}
	in, e := bufio.NewReader(o.IO.In), o.IO.ErrPrinter()
	chosen := map[askedFlow]bool{}
	for _, g := range res.Groups {
		if g.State != recommend.FixDone {
			continue
		}
		e.Printf("%s: %s.\nAllow it? [y/N] ", recommend.FlowText(g.Flow), strings.Join(editsFor(res, g), "; "))
		answer, err := in.ReadString('\n')
		if err != nil && answer == "" {
			return nil, cli.Usage("the same command with --yes", "nobody answered: nothing was changed")
		}
		if a := strings.ToLower(strings.TrimSpace(answer)); a == "y" || a == "yes" {
			chosen[askedFor(g.Flow)] = true
		}
	}
	want := req.Want
	req.Want = func(fl *flow.Observed) bool { return chosen[askedFor(fl)] && (want == nil || want(fl)) }
	return recommend.Fix(req), nil
}

// make writes the edits, unless they would block something else.
func (o *FixOptions) make(ctx context.Context, res *recommend.FixResult, patches []patch) error {
	if len(res.Proof.Breaks) > 0 {
		return cli.Refuse("the edits would block "+plural(len(res.Proof.Breaks), "flow")+" that "+wereWas(len(res.Proof.Breaks))+" seen and that nothing blocks without them",
			blockedTexts(res.Proof.Breaks), "--stage, which blocks nothing, or netpol recommend for these workloads")
	}
	if len(res.Proof.Doubts) > 0 {
		return refuseDoubts("the edits", res.Proof.Doubts, "without --stage and --enforce, which shows them")
	}
	defer func() { o.tellFixes(res) }()
	if len(patches) == 0 {
		if o.Format.Structured() {
			return o.tell(nil, nil)
		}
		return nil
	}
	words := map[policy.Key]string{}
	changes := make([]cluster.Change, len(patches))
	for i, p := range patches {
		changes[i] = p.change()
		if p.edit.Key.Kind.Staged() {
			words[p.edit.Key] = "staged"
		} else {
			words[p.edit.Key] = "enforced"
		}
		if p.edit.Base != nil {
			words[p.edit.Key] += " with more allowed"
		}
	}
	if err := o.change(ctx, changes, words); err != nil {
		return err
	}
	o.notEnforced()
	return nil
}
