package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// UnstageOptions are what unstage needs.
type UnstageOptions struct {
	EditOptions
	Name, Namespace string
}

// NewCmdUnstage is "netpol unstage".
func NewCmdUnstage(f *cli.Factory, runF func(context.Context, *UnstageOptions) error) *cobra.Command {
	opts := &UnstageOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:     "unstage POLICY",
		Short:   "Take a staged policy back; what is enforced stays",
		Example: `  netpol unstage default-deny`,
		Args:    exactArgs("POLICY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return unstageRun(cmd.Context(), opts)
		},
	}
	addDir(cmd, "work on")
	opts.addFlags(cmd)
	completeArg(cmd, f, policyNames(f, stagedKinds), stagedKinds...)
	return cmd
}

func unstageRun(ctx context.Context, opts *UnstageOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	key, err := w.staged(opts.Name, opts.Namespace)
	if err != nil {
		return err
	}
	u, err := w.store.Get(ctx, key)
	if err != nil {
		return err
	}
	return opts.change(ctx, stageEdits(stage.Unstage(u)), map[policy.Key]string{key: "unstaged"})
}

// staged finds a staged policy, and says so if it is enforced already.
func (w *world) staged(name, namespace string) (policy.Key, error) {
	key, err := w.find("staged policy", stagedKinds, name, namespace)
	if err == nil || errors.Is(err, errAmbiguous) {
		return key, err
	}
	if enforced, other := w.find("policy", enforcedKinds, name, namespace); other == nil {
		return key, &cli.Error{What: fmt.Sprintf("%s is enforced, and nothing of that name is staged", enforced), Try: "netpol get policies", Err: err}
	}
	return key, err
}
