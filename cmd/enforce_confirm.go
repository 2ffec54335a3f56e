package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// shortestTrial is the least that is worth confirming.
const shortestTrial = time.Second

// confirmFlags put what is enforced on trial: unless somebody confirms it in
// time, what was enforced before is enforced again.
type confirmFlags struct {
	Within time.Duration
	// Typed: --confirm-within was given, whatever it says.
	Typed    bool
	Rollback rollback
	// Calico is what is known of Calico on a cluster.
	Calico func(context.Context) (*calico.Info, error)
	// began is when the trial did, by a clock that nobody sets.
	began time.Time
	// pause waits between two looks of the guard; tests replace it.
	pause func(context.Context, time.Duration)
}

func (c *confirmFlags) addTo(cmd *cobra.Command, f *cli.Factory, from *flowsFrom) {
	c.Calico = f.Calico
	c.Rollback.Open = func(ctx context.Context) (flow.Source, error) {
		_, source, err := openFlows(ctx, f, from, flow.Filter{})
		return source, err
	}
	c.Rollback.Failed = from.failed
	cmd.Flags().IntVar(&c.Rollback.Denied, "rollback-on-deny", 0,
		"on guard (--confirm-within --wait): go back as soon as so many connections (3 if none is given) of two pods are refused that were usual before it was staged")
	cmd.Flags().Lookup("rollback-on-deny").NoOptDefVal = "3"
	cli.SpanVar(cmd.Flags(), &c.Within, "confirm-within", 0,
		"go back to what is enforced now unless netpol confirm comes in this time; with --wait this command stays on guard")
}

// on says whether a trial was asked for.
func (o *EnforceOptions) onTrial() bool { return o.Confirm.Typed || o.Confirm.Within != 0 }

// guards says whether this command is to stay until the trial ends.
func (o *EnforceOptions) guards() bool { return o.onTrial() && o.Wait.asked() }

// checkTrial refuses a trial that nobody would end, before anything is written.
func (o *EnforceOptions) checkTrial(ctx context.Context) error {
	within := o.Confirm.Within
	if err := o.Confirm.Rollback.check(o); err != nil {
		return err
	}
	switch {
	case !o.onTrial():
		return nil
	case within < shortestTrial || within > policy.LongestTrial:
		return cli.Usage("--confirm-within 5m", "--confirm-within %s: expected from %s to %s", within, output.Age(shortestTrial), output.Age(policy.LongestTrial))
	case o.guards() && o.DryRun.on():
		return cli.Usage("", "--wait and --dry-run can't be given together: nothing is written that could be guarded")
	case o.guards() || o.DryRun.on():
		return nil
	}
	const try = "the same with --wait, which keeps this command itself on guard"
	why, err := o.unguarded(ctx)
	switch {
	case why != "":
		return cli.Refuse("--confirm-within: nobody here would go back when the time is over: "+why, nil, try)
	case err != nil && !errors.Is(err, context.Canceled):
		return &cli.Error{What: "--confirm-within: whether agents here would go back when the time is over can't be found out",
			Where: []string{firstLine(err.Error())}, Try: try, Err: err}
	}
	return err
}

// unguarded is why no agent of ours would end a trial; empty if they would.
func (o *EnforceOptions) unguarded(ctx context.Context) (why string, err error) {
	if o.Offline() {
		return "no agent watches this directory", nil
	}
	store, err := o.Store()
	if err != nil {
		return "", err
	}
	if _, server := store.(cluster.Server); !server {
		agent, err := o.Agent(ctx)
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(ctx, waitUnasked)
		defer cancel()
		_, err = agent.Status(ctx, &agentpb.StatusRequest{})
		return "", err
	}
	if o.Confirm.Calico != nil {
		if info, err := o.Confirm.Calico(ctx); err == nil && info.Enforces() {
			return fmt.Sprintf("Calico %s enforces, and no agent of netpol", info.Version), nil
		}
	}
	_, err = o.Nodes(ctx)
	if errors.Is(err, cli.ErrNotInstalled) {
		return "no agent of netpol is installed", nil
	}
	return "", err
}

// trial makes of what enforcing changes what it changes on trial, if that was
// asked for.
func (o *EnforceOptions) trial(edits []stage.Edit, enforced *unstructured.Unstructured) ([]stage.Edit, error) {
	if !o.onTrial() {
		return stage.OffTrial(edits), nil
	}
	edits, err := stage.OnTrial(edits, enforced, stage.TrialRequest{Within: o.Confirm.Within, Now: o.Confirm.began})
	switch {
	case errors.Is(err, stage.ErrDeletion):
		return nil, cli.Refuse("--confirm-within: "+err.Error(), nil,
			"stage it with other rules instead of --delete, enforce that on trial, and delete it once that is confirmed")
	case err != nil:
		return nil, &cli.Error{What: "--confirm-within: " + err.Error(), Try: "the same without --confirm-within, which nothing takes back", Err: err}
	}
	return edits, nil
}

// writer is how the change is made. What --wait waits for is the trial's end
// then, and not the nodes.
func (o *EnforceOptions) writer() *EditOptions {
	edit := o.EditOptions
	if o.guards() {
		edit.Wait = waitFlags{}
	}
	return &edit
}

// trials puts all that is to be enforced on trial, or ends trials that it goes
// over.
func (o *EnforceOptions) trials(ctx context.Context, list []promotion) error {
	if n := len(slices.DeleteFunc(slices.Clone(list), func(p promotion) bool { return p.staged == nil })); o.guards() && n > 1 {
		return cli.Usage("the same without --wait, or one policy at a time", "--wait stays on guard for one policy, and these are %d", n)
	}
	o.Confirm.began = o.Now() // for all of them: they go back together
	for i := range list {
		p := &list[i]
		if p.staged == nil {
			continue // a bridge that was left
		}
		if err := o.Confirm.Rollback.remember(ctx, p.policy.Key, p.staged); err != nil {
			return err
		}
		var err error
		if p.edits, err = o.trial(p.edits, p.enforced); err != nil {
			return err
		}
	}
	return nil
}

// afterTrials says how to keep what was enforced, or stays on guard.
func (o *EnforceOptions) afterTrials(ctx context.Context, list []promotion) error {
	key, _ := stage.Twin(list[0].policy.Key)
	switch {
	case !o.onTrial():
		o.notEnforced()
	case o.DryRun.on():
	case o.guards():
		return o.guard(ctx, key)
	case o.Format == output.Text && len(list) > 1:
		o.IO.ErrPrinter().Printf("what was enforced before comes back in %s, for each that you do not keep: %s\n", o.Confirm.Within, o.typed("netpol confirm --list"))
	case o.Format == output.Text:
		o.IO.ErrPrinter().Printf("what was enforced before comes back in %s unless you keep this: %s\n", o.Confirm.Within, o.typed(confirmCommand(key)))
	}
	return nil
}

// confirmCommand is what to type to keep a policy that is on trial.
func confirmCommand(key policy.Key) string {
	if key.Namespace != "" {
		return "netpol confirm " + key.Name + " --ns " + key.Namespace
	}
	return "netpol confirm " + key.Name
}
