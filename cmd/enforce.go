package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// EnforceOptions are what enforce needs.
type EnforceOptions struct {
	EditOptions
	Name, Namespace string
	Force           bool
	Source          flowsFrom
	// Impact is what a staged policy would do to the flows that were seen.
	Impact func(context.Context, policy.Key) (*stage.Report, error)
}

// NewCmdEnforce is "netpol enforce".
func NewCmdEnforce(f *cli.Factory, runF func(context.Context, *EnforceOptions) error) *cobra.Command {
	opts := &EnforceOptions{EditOptions: newEditOptions(f)}
	opts.Impact = impactOf(f, &opts.Source)
	cmd := &cobra.Command{
		Use:   "enforce POLICY",
		Short: "Enforce a staged policy, unless it would block traffic that was seen",
		Long: `Enforce a staged policy: it replaces the enforced one of its name (or, where it
stages a deletion, deletes it), and the staged one goes.

As long as it would block traffic that was seen, it is refused with exit code 1.
Where no traffic can be seen (--dir without --flows), so is a policy without
rules, which would close whatever it selects. --force overrides both.`,
		Example: `  netpol enforce default-deny --ns vote
  netpol enforce db --ns vote`,
		Args: exactArgs("POLICY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return enforceRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Force, "force", false, "enforce it whatever it would block")
	opts.Source.addTo(cmd)
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, policyNames(f, stagedKinds), stagedKinds...)
	return cmd
}

// impactOf asks the flows of the lab's agent.
func impactOf(f *cli.Factory, from *flowsFrom) func(context.Context, policy.Key) (*stage.Report, error) {
	return func(ctx context.Context, key policy.Key) (*stage.Report, error) {
		ev, err := gather(ctx, f, from, flow.Filter{})
		if err != nil {
			return nil, err
		}
		return stage.Impact(ev.model, ev.flows, tier.Only(key)), nil
	}
}

func enforceRun(ctx context.Context, opts *EnforceOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	key, err := w.staged(opts.Name, opts.Namespace)
	if err != nil {
		return err
	}
	p := w.snap.Policy(key)
	if p == nil {
		return &cli.Error{What: key.String() + " has faults and can't be enforced", Try: "netpol get staged"}
	}
	if _, err := w.tier(p.Tier); err != nil {
		return err
	}
	staged, err := w.store.Get(ctx, key)
	if err != nil {
		return err
	}
	twin, _ := stage.Twin(key)
	enforced, err := w.optional(ctx, twin)
	if err != nil {
		return err
	}
	edits, err := stage.Enforce(staged, enforced)
	if err != nil {
		return enforceError(err, opts)
	}
	if err := opts.judge(ctx, key, staged); err != nil {
		return err
	}
	words := map[policy.Key]string{twin: "enforced", key: silent}
	if edits[0].Object == nil {
		words[twin] = "deleted"
	}
	if err := opts.change(ctx, stageEdits(edits), words); err != nil {
		return err
	}
	opts.notEnforced()
	return nil
}

func enforceError(err error, opts *EnforceOptions) error {
	switch {
	case errors.Is(err, stage.ErrIgnored):
		return &cli.Error{What: err.Error(), Try: "set spec.stagedAction to Set", Err: err}
	case errors.Is(err, stage.ErrNothingToDelete):
		return &cli.Error{What: err.Error(), Try: "netpol unstage " + opts.Name, Err: err}
	}
	return err
}

// judge refuses a policy that would block what was seen, or that would close
// all it selects where nothing can be seen.
func (o *EnforceOptions) judge(ctx context.Context, key policy.Key, staged *unstructured.Unstructured) error {
	if o.Force {
		return nil
	}
	report, recommend := "netpol report "+o.Name, "netpol recommend -A"
	if o.Namespace != "" {
		report += " --ns " + o.Namespace
		recommend = "netpol recommend --ns " + o.Namespace
	}
	var r *stage.Report
	blind := o.Offline() && !o.Source.Given()
	if !blind {
		var err error
		if r, err = o.Impact(ctx, key); err != nil && !errors.Is(err, cli.ErrNotInstalled) {
			return err
		}
		blind = err != nil
	}
	if blind {
		if !stage.ClosesAll(staged) {
			if !o.Offline() && o.Format == output.Text {
				o.IO.ErrPrinter().Printf("warning: the traffic of this cluster can't be looked at, so nothing is known of what this blocks\n")
			}
			return nil
		}
		return cli.Refuse(fmt.Sprintf("%s has no rules: it closes all that it selects, and without traffic to look at nobody can say what that would break", key),
			nil, "where the traffic is: "+report+"; or here, if you know: --force")
	}
	flows := r.Summary.Flows
	if flows.WouldBlock == 0 {
		if flows.Observed == 0 && o.Format == output.Text {
			o.IO.ErrPrinter().Printf("warning: no traffic has been seen yet, so nothing is known of what this blocks\n")
		}
		return nil
	}
	var lines []string
	for i := range r.Items {
		it := &r.Items[i]
		if i == 10 {
			lines = append(lines, fmt.Sprintf("and %d more", len(r.Items)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("%s → %s %s, %s: %s", it.Source, it.Destination, it.Port.Text(),
			plural(int(it.Connections), "connection"), itemBy(it, &footnotes{})))
	}
	return cli.Refuse(fmt.Sprintf("%s would block %s that %s seen", key, plural(int(flows.WouldBlock), "flow"), wasWere(flows.WouldBlock)),
		lines, report+", then "+recommend+"; --force enforces it all the same")
}

func wasWere(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
