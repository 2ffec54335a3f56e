package cmd

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// UnenforceOptions are what unenforce needs.
type UnenforceOptions struct {
	EditOptions
	policySelection
	gate
	Source flowsFrom
}

// NewCmdUnenforce is "netpol unenforce".
func NewCmdUnenforce(f *cli.Factory, runF func(context.Context, *UnenforceOptions) error) *cobra.Command {
	opts := &UnenforceOptions{EditOptions: newEditOptions(f)}
	opts.Preflight = preflightOf(f, &opts.Source)
	opts.Doing = "turning %s back into staged"
	cmd := &cobra.Command{
		Use:   "unenforce POLICY … | unenforce --all | unenforce -l SELECTOR",
		Short: "Turn enforced policies back into staged ones",
		Long: `Turn enforced policies back into staged ones: they decide nothing any more, and
netpol report shows what they would block. The staged one is written first, so a
stop in between changes no verdict.

A policy that allows something may be all that allows it beside a default-deny:
that is judged as by netpol enforce, and refused with exit code 1 until --force.`,
		Example: `  netpol unenforce default-deny
  netpol unenforce --all --ns vote --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.policySelection.read(cmd, args); err != nil {
				return err
			}
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return unenforceRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Force, "force", false, "even if that cuts something")
	opts.policySelection.addTo(cmd, "enforced policies")
	opts.Source.addTo(cmd)
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, policyNames(f, stageableKinds), stageableKinds...)
	return cmd
}

// stageableKinds are the enforced kinds that have a staged form.
var stageableKinds = []policy.Kind{policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy}

func unenforceRun(ctx context.Context, opts *UnenforceOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	list, err := opts.demotions(ctx, w)
	if err != nil {
		return err
	}
	if err := opts.check(ctx, &opts.EditOptions, list, "netpol unenforce"+opts.again()+" --dry-run"); err != nil {
		return err
	}
	if opts.DryRun.on() {
		opts.preflight = opts.document()
	}
	steps, words := unenforceSteps(opts.plan(list), list)
	if err := opts.changeInSteps(ctx, steps, words); err != nil {
		return err
	}
	opts.gate.tell(&opts.EditOptions)
	opts.notEnforced()
	return nil
}

// policyOf is an object as the model has it.
func policyOf(u *unstructured.Unstructured) (*policy.Policy, error) {
	value, faults := policy.ValidateObject(u)
	if err := cli.FaultsError(faults); err != nil {
		return nil, err
	}
	p, ok := value.(*policy.Policy)
	if !ok {
		return nil, &cli.Error{What: cluster.KeyOf(u).String() + " is no policy"}
	}
	return p, nil
}

// unenforceSteps writes all staged ones first, and then takes the enforced ones
// away, as planned.
func unenforceSteps(plan stage.Plan, list []promotion) ([]editStep, map[policy.Key]string) {
	staged := editStep{silent: true}
	words := map[policy.Key]string{}
	for i := range list {
		changes := stageEdits(list[i].edits)
		if len(changes) == 1 {
			continue // a bridge that was left
		}
		staged.changes = append(staged.changes, changes[0])
		from, to := keyOfChange(changes[1]), keyOfChange(changes[0])
		words[to], words[from] = "staged, and not enforced any more", silent
		if list[i].kept {
			words[to], words[from] = silent, "not enforced any more, and staged already"
		}
	}
	gone := stepsOf(plan, list, func(p *promotion) cluster.Change {
		changes := stageEdits(p.edits)
		return changes[len(changes)-1]
	}, words)
	for _, st := range gone {
		for _, c := range st.changes {
			if st.bridge {
				notes := c.Object.GetAnnotations()
				notes[noteBridgeBy] = "unenforce"
				c.Object.SetAnnotations(notes)
			}
		}
	}
	if len(staged.changes) == 0 {
		return gone, words
	}
	return append([]editStep{staged}, gone...), words
}
