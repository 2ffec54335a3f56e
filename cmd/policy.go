package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// NewCmdPolicy is "netpol policy".
func NewCmdPolicy(f *cli.Factory) *cobra.Command {
	return newGroup("policy", "Move a policy within its tier or to another", NewCmdPolicyMove(f, nil))
}

// PolicyMoveOptions are what "policy move" needs.
type PolicyMoveOptions struct {
	EditOptions
	Name, Namespace string
	Tier            string
	Place           placeFlags
}

// NewCmdPolicyMove is "netpol policy move".
func NewCmdPolicyMove(f *cli.Factory, runF func(context.Context, *PolicyMoveOptions) error) *cobra.Command {
	opts := &PolicyMoveOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "move NAME [--tier TIER] [--before|--after POLICY]",
		Short: "Move a policy within its tier or to another",
		Long: `Move a policy within its tier or to another. A staged policy and the enforced
one of the same name move together.

With --tier alone it keeps its order there. Others are renumbered only where no
order is left between neighbours.`,
		Example: `  netpol policy move redis --ns vote --tier platform
  netpol policy move redis --ns vote --before db`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			err := opts.Place.read(cmd)
			if err != nil {
				return err
			}
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return policyMoveRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Tier, "tier", "", "tier to move it to")
	opts.Place.addTo(cmd, f, "policy of the tier", policyNames(f, policyKinds), policyKinds...)
	addDir(cmd, "work on")
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, policyNames(f, policyKinds), policyKinds...)
	completeTier(cmd, f)
	return cmd
}

func policyMoveRun(ctx context.Context, opts *PolicyMoveOptions) error {
	if opts.Tier == "" && !opts.Place.relative() && !opts.Place.hasOrder {
		return cli.Usage("netpol policy move "+opts.Name+" --tier TIER", "where to? give --tier, --before, --after, --first, --last or --order")
	}
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	pair, err := w.twins(opts.Name, opts.Namespace)
	if err != nil {
		return err
	}
	target, err := opts.target(w, pair[0])
	if err != nil {
		return err
	}
	slots, err := opts.slots(w, pair, target)
	if err != nil {
		return err
	}
	changes, err := w.orderChanges(ctx, slots, policy.Key{})
	if err != nil {
		return err
	}
	words := renumbered(changes)
	for _, c := range changes {
		for _, key := range pair {
			if cluster.KeyOf(c.Object) == key {
				words[key] = "moved"
				setTier(c.Object, target)
			}
		}
	}
	return opts.change(ctx, changes, words)
}

// twins are the policies of one name that move together: the enforced one, the
// staged one, or both.
func (w *world) twins(name, namespace string) ([]policy.Key, error) {
	key, err := w.either("policy", name, namespace)
	if err != nil {
		return nil, err
	}
	switch key.Kind.Enforced() {
	case policy.KindKubernetesNetworkPolicy:
		return nil, &cli.Error{
			What: fmt.Sprintf("%s can't be moved: Kubernetes policies are in tier default at order 1000", key),
			Try:  "write it as a projectcalico.org/v3 NetworkPolicy",
		}
	case policy.KindClusterNetworkPolicy:
		return nil, &cli.Error{
			What: fmt.Sprintf("%s can't be moved: its tier and spec.priority say its place", key),
			Try:  "change spec.priority; netpol apply -f FILE",
		}
	}
	out := []policy.Key{key}
	if twin, ok := stage.Twin(key); ok {
		for _, k := range w.keys {
			if k == twin {
				out = append(out, twin)
			}
		}
	}
	return out, nil
}

// either finds a policy by name, the enforced one of two twins.
func (w *world) either(what, name, namespace string) (policy.Key, error) {
	key, err := w.find(what, enforcedKinds, name, namespace)
	if err == nil {
		return key, nil
	}
	if staged, stagedErr := w.find(what, stagedKinds, name, namespace); stagedErr == nil {
		return staged, nil
	}
	// Say it of all policies, or that the enforced ones are too many.
	if _, both := w.find(what, policyKinds, name, namespace); both != nil {
		err = both
	}
	return key, err
}

// target is the tier that the policy will be in.
func (o *PolicyMoveOptions) target(w *world, key policy.Key) (string, error) {
	if o.Tier != "" {
		t, err := w.tier(o.Tier)
		if err != nil {
			return "", err
		}
		return t.Name, nil
	}
	p := w.snap.Policy(key)
	if p == nil {
		return "", &cli.Error{What: key.String() + " has faults", Try: "netpol get policies"}
	}
	return p.Tier, nil
}

// slots are the policies whose order or tier changes.
func (o *PolicyMoveOptions) slots(w *world, pair []policy.Key, target string) ([]tier.Slot, error) {
	all := w.slots(target)
	var own []tier.Slot
	for _, key := range pair {
		s := tier.Slot{Key: key, Order: policy.Unordered}
		if p := w.snap.Policy(key); p != nil {
			s.Order = p.Order
		}
		if o.Place.hasOrder {
			s.Order = o.Place.order
		}
		own = append(own, s)
		if p := w.snap.Policy(key); p == nil || p.Tier != target {
			all = append(all, s)
		}
	}
	if !o.Place.relative() {
		return own, nil
	}
	where, err := o.Place.place(func(name string) (policy.Key, error) { return w.neighbour(name, o.Namespace, target) })
	if err != nil {
		return nil, err
	}
	out, err := tier.Move(all, pair[0], where)
	if err != nil {
		return nil, placeError(err)
	}
	return out, nil
}

// setTier writes the tier into a policy.
func setTier(u *unstructured.Unstructured, name string) {
	spec, ok := u.Object["spec"].(map[string]any)
	if !ok {
		spec = map[string]any{}
		u.Object["spec"] = spec
	}
	spec["tier"] = name
}
