package cmd

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// NewCmdTier is "netpol tier".
func NewCmdTier(f *cli.Factory) *cobra.Command {
	return newGroup("tier", "List, create, move and delete tiers",
		NewCmdTierList(f, nil), NewCmdTierCreate(f, nil), NewCmdTierMove(f, nil), NewCmdTierDelete(f, nil))
}

// NewCmdTierList is "netpol tier list", another word for "get tiers".
func NewCmdTierList(f *cli.Factory, runF func(context.Context, *GetOptions) error) *cobra.Command {
	opts := newGetOptions(f)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tiers in the order in which they are visited",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Word = "tiers"
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return getRun(cmd.Context(), opts)
		},
	}
	addDir(cmd, "look at")
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML, output.Name)
	return cmd
}

// moveTier gives a tier its place among the others.
func (w *world) moveTier(slots []tier.Slot, key policy.Key, flags *placeFlags) ([]tier.Slot, error) {
	where, err := flags.place(func(name string) (policy.Key, error) {
		t, err := w.tierOr(name, "netpol tier list")
		if err != nil {
			return policy.Key{}, err
		}
		return tierKey(t.Name), nil
	})
	if err != nil {
		return nil, err
	}
	out, err := tier.Move(slots, key, where)
	if err != nil {
		return nil, placeError(err)
	}
	return out, nil
}

// renumbered is the word for neighbours that got another order.
func renumbered(changes []cluster.Change) map[policy.Key]string {
	out := map[policy.Key]string{}
	for _, c := range changes {
		out[cluster.KeyOf(c.Object)] = "renumbered"
	}
	return out
}

// TierMoveOptions are what "tier move" needs.
type TierMoveOptions struct {
	EditOptions
	Name  string
	Place placeFlags
}

// NewCmdTierMove is "netpol tier move".
func NewCmdTierMove(f *cli.Factory, runF func(context.Context, *TierMoveOptions) error) *cobra.Command {
	opts := &TierMoveOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:     "move NAME --before|--after TIER",
		Short:   "Move a tier before or after another",
		Example: `  netpol tier move audit --after platform`,
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			if err := opts.Place.read(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return tierMoveRun(cmd.Context(), opts)
		},
	}
	opts.Place.addTo(cmd, f, "tier", tierNames, policy.KindTier)
	addDir(cmd, "work on")
	opts.addFlags(cmd)
	completeArg(cmd, f, tierNames, policy.KindTier)
	return cmd
}

func tierMoveRun(ctx context.Context, opts *TierMoveOptions) error {
	if !opts.Place.relative() && !opts.Place.hasOrder {
		return cli.Usage("netpol tier move "+opts.Name+" --before TIER", "where to? give --before, --after, --first, --last or --order")
	}
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	t, err := w.tierOr(opts.Name, "netpol tier list")
	if err != nil {
		return err
	}
	key := tierKey(t.Name)
	if isBuiltin(t.Name) {
		return &cli.Error{What: fmt.Sprintf("tier %q is built in and stays where it is", t.Name), Try: "move the other tiers around it"}
	}
	slots := []tier.Slot{{Key: key, Order: opts.Place.order}}
	if opts.Place.relative() {
		if slots, err = w.moveTier(w.tierSlots(), key, &opts.Place); err != nil {
			return err
		}
	}
	changes, err := w.orderChanges(ctx, slots, policy.Key{})
	if err != nil {
		return err
	}
	words := renumbered(changes)
	words[key] = "moved"
	return opts.change(ctx, changes, words)
}

// orderCell is an order as people write it.
func orderCell(o policy.Order) string {
	if math.IsInf(o, 1) {
		return "-"
	}
	return strconv.FormatFloat(o, 'f', -1, 64)
}
