package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

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
	opts.Place.addTo(cmd, f, "tier", tierNames, policy.KindTier)
	addDir(cmd, "work on")
	opts.addFlags(cmd)
	return cmd
}

func tierCreateRun(ctx context.Context, opts *TierCreateOptions) error {
	action, ok := map[string]string{"deny": "Deny", "pass": "Pass"}[strings.ToLower(opts.DefaultAction)]
	if !ok {
		return cli.Usage("--default-action deny or --default-action pass", "--default-action: expected deny or pass, found %q", opts.DefaultAction)
	}
	w, err := opts.world(ctx)
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
