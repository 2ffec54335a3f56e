package cmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// TierDeleteOptions are what "tier delete" needs.
type TierDeleteOptions struct {
	EditOptions
	Name string
}

// NewCmdTierDelete is "netpol tier delete".
func NewCmdTierDelete(f *cli.Factory, runF func(context.Context, *TierDeleteOptions) error) *cobra.Command {
	opts := &TierDeleteOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a tier that has no policies",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return tierDeleteRun(cmd.Context(), opts)
		},
	}
	addDir(cmd, "work on")
	opts.addFlags(cmd)
	completeArg(cmd, f, tierNames, policy.KindTier)
	return cmd
}

func tierDeleteRun(ctx context.Context, opts *TierDeleteOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	t, err := w.tierOr(opts.Name, "netpol tier list")
	if err != nil {
		return err
	}
	if err := w.deletable(t.Name, nil); err != nil {
		return err
	}
	return opts.change(ctx, []cluster.Change{{Delete: tierKey(t.Name)}}, nil)
}

// deletable refuses to delete a tier that is built in (S1) or in use (S13);
// policies that go at the same time do not count.
func (w *world) deletable(name string, going map[policy.Key]bool) error {
	if isBuiltin(name) {
		return &cli.Error{What: fmt.Sprintf("tier %q is built in and can't be deleted", name), Try: "netpol tier list"}
	}
	var users []string
	for _, p := range w.snap.Policies {
		if p.Tier == name && !going[p.Key] {
			users = append(users, p.Key.String())
		}
	}
	if len(users) == 0 {
		return nil
	}
	slices.Sort(users)
	e := &cli.Error{
		What:  fmt.Sprintf("tier %q is in use by %s", name, plural(len(users), "policy")),
		Where: users, Try: "netpol policy move NAME --tier default",
	}
	if len(users) > 10 {
		e.Where = append(users[:10:10], fmt.Sprintf("and %d more", len(users)-10))
	}
	return e
}
