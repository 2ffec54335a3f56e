package cmd

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// NewCmdTier is "netpol tier".
func NewCmdTier(f *cli.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tier",
		Short: "List, create, move and delete tiers",
		Args:  cobra.ArbitraryArgs,
		RunE:  parent,
	}
	cmd.AddCommand(NewCmdTierList(f, nil), NewCmdTierCreate(f, nil), NewCmdTierMove(f, nil), NewCmdTierDelete(f, nil))
	return cmd
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
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML, output.Name)
	return cmd
}

// TierCreateOptions are what "tier create" needs.
type TierCreateOptions struct {
	EditOptions
	Name          string
	DefaultAction string
	Place         placeFlags
}

// NewCmdTierCreate is "netpol tier create".
func NewCmdTierCreate(f *cli.Factory, runF func(context.Context, *TierCreateOptions) error) *cobra.Command {
	opts := &TierCreateOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a tier, right before tier default unless said otherwise",
		Long: `Create a tier, right before tier default unless said otherwise.

What the policies of a tier select and none of their rules decides meets the
tier's default action: deny, or pass to the next tier.`,
		Example: `  netpol tier create platform --before default
  netpol tier create audit --first --default-action pass`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			if err := opts.Place.read(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return tierCreateRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.DefaultAction, "default-action", "deny", "what happens at the end of the tier: deny or pass")
	opts.Place.addTo(cmd, "tier")
	opts.addFlags(cmd)
	completeFlag(cmd, f, "before", tierNames)
	completeFlag(cmd, f, "after", tierNames)
	return cmd
}

func tierCreateRun(ctx context.Context, opts *TierCreateOptions) error {
	action, ok := map[string]string{"deny": "Deny", "pass": "Pass"}[strings.ToLower(opts.DefaultAction)]
	if !ok {
		return cli.Usage("--default-action deny or --default-action pass", "--default-action: expected deny or pass, found %q", opts.DefaultAction)
	}
	w, _, err := loadWorld(ctx, opts.Store)
	if err != nil {
		return err
	}
	if w.snap.Tier(opts.Name) != nil {
		return &cli.Error{What: fmt.Sprintf("tier %q exists already", opts.Name), Try: "netpol tier list"}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"defaultAction": action}}}
	u.SetAPIVersion(stage.APIVersion)
	u.SetKind(string(policy.KindTier))
	u.SetName(opts.Name)
	if opts.Place.hasOrder {
		setOrder(u, opts.Place.order)
		return opts.change(ctx, []cluster.Change{{Object: u, IfAbsent: true}}, nil)
	}
	if !opts.Place.relative() {
		opts.Place.before = tier.DefaultTier
	}
	key := tierKey(opts.Name)
	slots, err := w.moveTier(append(w.tierSlots(), tier.Slot{Key: key, Order: policy.Unordered}), key, &opts.Place)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if s.Key == key {
			setOrder(u, s.Order)
		}
	}
	changes, err := w.orderChanges(ctx, slots, key)
	if err != nil {
		return err
	}
	return opts.change(ctx, append(changes, cluster.Change{Object: u, IfAbsent: true}), renumbered(changes))
}

// moveTier gives a tier its place among the others.
func (w *world) moveTier(slots []tier.Slot, key policy.Key, flags *placeFlags) ([]tier.Slot, error) {
	where, err := flags.place(func(name string) (policy.Key, error) {
		t, err := w.tier(name)
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
		Example: `  netpol tier move platform --before application`,
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
	opts.Place.addTo(cmd, "tier")
	opts.addFlags(cmd)
	completeArg(cmd, f, tierNames)
	completeFlag(cmd, f, "before", tierNames)
	completeFlag(cmd, f, "after", tierNames)
	return cmd
}

func tierMoveRun(ctx context.Context, opts *TierMoveOptions) error {
	if !opts.Place.relative() && !opts.Place.hasOrder {
		return cli.Usage("netpol tier move "+opts.Name+" --before TIER", "where to? give --before, --after, --first, --last or --order")
	}
	w, _, err := loadWorld(ctx, opts.Store)
	if err != nil {
		return err
	}
	t, err := w.tier(opts.Name)
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
	opts.addFlags(cmd)
	completeArg(cmd, f, tierNames)
	return cmd
}

func tierDeleteRun(ctx context.Context, opts *TierDeleteOptions) error {
	w, _, err := loadWorld(ctx, opts.Store)
	if err != nil {
		return err
	}
	t, err := w.tier(opts.Name)
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
		return &cli.Error{What: fmt.Sprintf("tier %q is built in and can't be deleted", name)}
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

// orderCell is an order as people write it.
func orderCell(o policy.Order) string {
	if math.IsInf(o, 1) {
		return "-"
	}
	return strconv.FormatFloat(o, 'f', -1, 64)
}
