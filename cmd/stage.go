package cmd

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// StageOptions are what stage needs.
type StageOptions struct {
	EditOptions
	Name       string
	Namespaces []string
	All        bool
	Namespaced bool
	Delete     bool
	Files      []string
	Recursive  bool
}

// NewCmdStage is "netpol stage".
func NewCmdStage(f *cli.Factory, runF func(context.Context, *StageOptions) error) *cobra.Command {
	opts := &StageOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "stage default-deny --ns NAMESPACE | stage POLICY | stage -f FILE",
		Short: "Stage a policy: it blocks nothing until it is enforced",
		Long: `Stage a policy: it blocks nothing, and netpol report shows what it would block.

stage default-deny closes whole namespaces in both directions. It is one policy
for all of them: another namespace later extends what is staged or enforced and
never narrows it. It stands in tier default, has no rules and no order: it
decides nothing itself, so it can't come in the way of an allow in that tier.
-A takes all namespaces but kube-system and netpol-system.

stage POLICY makes a staged copy of an enforced policy, to be edited and then
enforced in its place; with --delete, a staged deletion of it. stage -f stages
the policies of manifests.`,
		Example: `  netpol stage default-deny --ns vote
  netpol stage default-deny --ns vote --ns wordpress --namespaced
  netpol stage db --ns vote --delete
  netpol stage -f policies/`,
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = strings.Join(args, "")
			opts.Namespaces, opts.All = f.Namespaces(), f.AllNamespaces()
			if err := opts.check(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return stageRun(cmd.Context(), opts)
		},
	}
	addFileFlags(cmd, &opts.Files, &opts.Recursive)
	cmd.Flags().BoolVar(&opts.Namespaced, "namespaced", false, "default-deny as one policy in each namespace")
	cmd.Flags().BoolVar(&opts.Delete, "delete", false, "stage the deletion of an enforced policy")
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, func(w *world) []string {
		return append(policyNames(f, enforcedKinds)(w), stage.DefaultDenyName)
	}, enforcedKinds...)
	return cmd
}

// check refuses flags that do not fit together.
func (o *StageOptions) check() error {
	const try = "netpol stage default-deny --ns NAMESPACE"
	isDeny := o.Name == stage.DefaultDenyName
	switch {
	case len(o.Files) > 0 && (o.Name != "" || o.Delete || o.Namespaced):
		return cli.Usage(try, "-f takes neither a name nor --delete nor --namespaced")
	case len(o.Files) > 0:
		return nil
	case o.Name == "":
		return cli.Usage(try, "what to stage is missing: default-deny, the name of a policy, or -f FILE")
	case len(o.Namespaces) > 0 && o.All:
		return cli.Usage(try, "-n and -A can't be given together")
	case isDeny && !o.Delete && len(o.Namespaces) == 0 && !o.All:
		return cli.Usage(try, "--ns is missing: which namespace is to be closed? (-A for all)")
	case o.Namespaced && (!isDeny || o.Delete):
		return cli.Usage(try, "--namespaced is for stage default-deny only")
	case (!isDeny || o.Delete) && len(o.Namespaces) > 1:
		return cli.Usage(try, "one namespace is needed here, but %d were given", len(o.Namespaces))
	}
	return nil
}

func stageRun(ctx context.Context, opts *StageOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	if err := w.namespaces(opts.Namespaces); err != nil {
		return err
	}
	var changes []cluster.Change
	switch {
	case len(opts.Files) > 0:
		changes, err = opts.fromFiles(w)
	case opts.Name != stage.DefaultDenyName || opts.Delete:
		changes, err = opts.copyOf(ctx, w)
	case opts.Namespaced:
		changes, err = opts.denyEach(ctx, w)
	default:
		changes, err = opts.denyAll(ctx, w)
	}
	if err != nil || len(changes) == 0 {
		return stageError(err)
	}
	words := map[policy.Key]string{}
	for _, c := range changes {
		if key := cluster.KeyOf(c.Object); key.Kind.Staged() {
			words[key] = "staged"
		}
	}
	if err := opts.change(ctx, changes, words); err != nil {
		return err
	}
	if opts.Format == output.Text && opts.Name != "" {
		flag := ""
		if len(opts.Namespaces) > 0 {
			flag = " --ns " + strings.Join(opts.Namespaces, ",")
		}
		opts.IO.ErrPrinter().Printf("nothing is blocked by it; see what it would block: %s\n", opts.typed("netpol report "+opts.Name+flag))
	}
	return nil
}

// stageError gives an error of package stage its next step.
func stageError(err error) error {
	switch {
	case errors.Is(err, stage.ErrNotDefaultDeny), errors.Is(err, stage.ErrTooLong):
		return &cli.Error{What: err.Error(), Try: "--namespaced makes a policy in each namespace instead", Err: err}
	case errors.Is(err, stage.ErrNotStageable):
		return &cli.Error{What: err.Error(), Where: []string{"staged are NetworkPolicy, of projectcalico.org/v3 and of Kubernetes, and GlobalNetworkPolicy"}, Err: err}
	}
	return err
}
