package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/stage"
)

// EnforceOptions are what enforce needs.
type EnforceOptions struct {
	EditOptions
	policySelection
	gate
	Source  flowsFrom
	Confirm confirmFlags
}

// NewCmdEnforce is "netpol enforce".
func NewCmdEnforce(f *cli.Factory, runF func(context.Context, *EnforceOptions) error) *cobra.Command {
	opts := &EnforceOptions{EditOptions: newEditOptions(f)}
	opts.Preflight = preflightOf(f, &opts.Source)
	cmd := &cobra.Command{
		Use:   "enforce POLICY … | enforce --all | enforce -l SELECTOR",
		Short: "Enforce staged policies, unless that would cut what is needed",
		Long: `Enforce staged policies: each replaces the enforced one of its name (or, where
it stages a deletion, deletes it), and the staged one goes once the enforced one
is in force. Several are judged together, and enforced in an order in which
nothing is refused for a moment that is allowed before and after (with a
temporary policy from the first step to the last where no order does that).

As long as that would cut traffic that was seen, cluster DNS, the API server,
what the API server calls (webhooks, aggregated APIs) or metrics, it is refused
with exit code 1, with the rule that would help. So is what would cut what nodes
themselves need, if policies for host endpoints are enforced there. Where no
traffic can be seen (--dir without --flows, an empty file), or none was seen
yet, so is a policy without rules, which would close whatever it selects.
--force overrides that; --dry-run shows what was looked at.

--confirm-within puts them on trial: unless netpol confirm comes in time, every
agent goes back to what is enforced now, also if nobody can be reached then. The
staged policies stay until then. Where no agent of netpol enforces (a directory,
beside Calico) that takes --wait, for one policy: this command stays, and goes
back itself when the time is over (exit code 1), or at once when it is
interrupted (130). --rollback-on-deny has it go back earlier: as soon as
connections of at least two pods are refused that were usual before the policy
was staged. What was seen later, once only, or in a scan never counts, so nobody
who is refused can open it. It is in the history and, on a cluster, an Event on
the policy.

A staged policy whose stagedAction is Ignore is left out of --all and -l.`,
		Example: `  netpol enforce default-deny --ns vote
  netpol enforce --all --ns vote --dry-run
  netpol enforce -l team=web
  netpol enforce default-deny --ns vote --confirm-within 5m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.policySelection.read(cmd, args); err != nil {
				return err
			}
			opts.Confirm.Typed = cmd.Flags().Changed("confirm-within")
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
	cmd.Flags().BoolVar(&opts.Force, "force", false, "enforce them whatever they would cut")
	opts.policySelection.addTo(cmd, "staged policies")
	opts.Source.addTo(cmd)
	opts.Confirm.addTo(cmd, f, &opts.Source)
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, policyNames(f, stagedKinds), stagedKinds...)
	return cmd
}

func enforceRun(ctx context.Context, opts *EnforceOptions) error {
	if err := opts.checkTrial(ctx); err != nil {
		return err
	}
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	keys, err := opts.keys(ctx, w, stagedKinds, opts.stagedOf(w))
	if err != nil {
		return err
	}
	list, err := opts.promotions(ctx, w, keys)
	if err != nil {
		return err
	}
	left, err := opts.leftovers(ctx, w, keys, "")
	if err != nil {
		return err
	}
	list = append(list, left...)
	if err := opts.check(ctx, &opts.EditOptions, list, opts.hints()); err != nil {
		return err
	}
	if opts.DryRun.on() {
		opts.preflight = opts.document()
	}
	if err := opts.trials(ctx, list); err != nil {
		return err
	}
	steps, words := promoteSteps(opts.plan(list), list)
	if err := opts.writer().changeInSteps(ctx, steps, words); err != nil {
		key, _ := stage.Twin(list[0].policy.Key)
		return opts.unfinished(ctx, key, err)
	}
	opts.gate.tell(&opts.EditOptions)
	return opts.afterTrials(ctx, list)
}

// hints are the commands that look further.
func (o *EnforceOptions) hints() string {
	where := " -A"
	if o.Namespace != "" {
		where = " --ns " + o.Namespace
	}
	return "netpol report" + o.flags() + ", then netpol recommend" + where
}
