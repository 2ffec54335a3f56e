package cmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// RollbackOptions are what rollback needs.
type RollbackOptions struct {
	EditOptions
	gate
	Name, Namespace string
	To              int64
	Source          flowsFrom
}

// NewCmdRollback is "netpol rollback".
func NewCmdRollback(f *cli.Factory, runF func(context.Context, *RollbackOptions) error) *cobra.Command {
	opts := &RollbackOptions{EditOptions: newEditOptions(f)}
	opts.Preflight = preflightOf(f, &opts.Source)
	opts.Doing = "rolling %s back"
	cmd := &cobra.Command{
		Use:   "rollback POLICY",
		Short: "Put an earlier revision of a policy back in force",
		Long: `Put an earlier revision of an enforced policy back in force: the one before, or
the one that --to names (netpol history POLICY lists them). A deleted policy
comes back as it was last.

It is a change as any other: what it would cut is judged as by netpol enforce,
and it becomes a revision of its own, so that it can be rolled back too.`,
		Example: `  netpol rollback db --ns vote
  netpol rollback db --ns vote --to 3 --dry-run`,
		Args: exactArgs("POLICY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			if cmd.Flags().Changed("to") && opts.To < 1 {
				return cli.Usage("netpol history "+opts.Name, "--to %d: expected the number of a revision", opts.To)
			}
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return rollbackRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().Int64Var(&opts.To, "to", 0, "revision to go back to; default: the one before")
	cmd.Flags().BoolVar(&opts.Force, "force", false, "even if that cuts something")
	opts.Source.addTo(cmd)
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, policyNames(f, enforcedKinds), enforcedKinds...)
	return cmd
}

func rollbackRun(ctx context.Context, opts *RollbackOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	one, err := w.past(ctx, opts.Name, opts.Namespace)
	if err != nil {
		return err
	}
	r, err := opts.target(one)
	if err != nil {
		return err
	}
	object := stage.AtRevision(one.live, one.key, *r)
	if one.live == nil {
		object.SetGroupVersionKind(cluster.GVK(one.key.Kind))
	}
	candidate, err := policyOf(object)
	if err != nil {
		return err
	}
	if _, err := w.tier(candidate.Tier); err != nil {
		return err
	}
	if err := opts.judge(ctx, object, candidate); err != nil {
		return err
	}
	if opts.DryRun.on() {
		opts.preflight = opts.document()
	}
	words := map[policy.Key]string{one.key: fmt.Sprintf("rolled back to revision %d", r.Revision)}
	if err := opts.change(ctx, []cluster.Change{{Object: object, IfAbsent: one.live == nil}}, words); err != nil {
		return err
	}
	opts.gate.tell(&opts.EditOptions)
	opts.notEnforced()
	return nil
}

// target is the revision to go back to.
func (o *RollbackOptions) target(one *past) (*stage.Revision, error) {
	list := one.revisions
	history := "netpol history " + o.Name
	if o.Namespace != "" {
		history += " --ns " + o.Namespace
	}
	if o.To != 0 {
		i := slices.IndexFunc(list, func(r stage.Revision) bool { return r.Revision == o.To })
		switch {
		case i < 0:
			return nil, &cli.Error{What: fmt.Sprintf("%s has no revision %d, or it is not kept any more", one.key, o.To), Try: history}
		case list[i].Deleted:
			return nil, &cli.Error{What: fmt.Sprintf("revision %d is the deletion of %s", o.To, one.key), Try: "netpol delete, or netpol unenforce " + o.Name}
		}
		return &list[i], nil
	}
	if one.live != nil && len(list) > 0 {
		list = list[:len(list)-1] // the present one
	}
	for i := range slices.Backward(list) {
		if !list[i].Deleted {
			return &list[i], nil
		}
	}
	return nil, &cli.Error{What: fmt.Sprintf("%s has no revision before the present one", one.key), Try: history}
}

// judge is the preflight: the revision as if it were staged. A kind that has no
// staged form can't be judged so, and takes --force.
func (o *RollbackOptions) judge(ctx context.Context, object *unstructured.Unstructured, p *policy.Policy) error {
	staged, err := stage.Stage(object, policy.StagedSet)
	if err != nil {
		if o.Force {
			return nil
		}
		return cli.Refuse(fmt.Sprintf("what %s would cut can't be judged", p.Key), nil, "netpol diff -f FILE; --force puts it in force all the same")
	}
	candidate, err := policyOf(staged)
	if err != nil {
		return err
	}
	return o.check(ctx, &o.EditOptions, []promotion{{policy: candidate, staged: staged}}, o.again()+" --dry-run")
}

// again is the command as it was typed.
func (o *RollbackOptions) again() string {
	out := "netpol rollback " + o.Name
	if o.Namespace != "" {
		out += " --ns " + o.Namespace
	}
	if o.To != 0 {
		out += fmt.Sprintf(" --to %d", o.To)
	}
	return out
}
