package cmd

import (
	"context"
	"errors"
	"math"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// placeFlags say where in its order a policy or tier is to stand.
type placeFlags struct {
	before, after string
	first, last   bool
	order         float64
	hasOrder      bool
}

// addTo gives a command the flags; what is what it places, known its neighbours.
func (p *placeFlags) addTo(cmd *cobra.Command, f *cli.Factory, what string, known names, kinds ...policy.Kind) {
	fs := cmd.Flags()
	fs.StringVar(&p.before, "before", "", "put it right before this "+what)
	fs.StringVar(&p.after, "after", "", "put it right after this "+what)
	fs.BoolVar(&p.first, "first", false, "put it before all others")
	fs.BoolVar(&p.last, "last", false, "put it after all others")
	fs.Float64Var(&p.order, "order", 0, "give it this order (lower comes first)")
	completeFlag(cmd, f, "before", known, kinds...)
	completeFlag(cmd, f, "after", known, kinds...)
}

// read notes which flags were given, and refuses two of them; call it first.
func (p *placeFlags) read(cmd *cobra.Command) error {
	var given []string
	for _, name := range []string{"before", "after", "first", "last", "order"} {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	p.hasOrder = cmd.Flags().Changed("order")
	if len(given) > 1 {
		return cli.Usage(cmd.CommandPath()+" --help", "%s can't be given together", strings.Join(given, " and "))
	}
	return nil
}

// relative says whether a place among others was asked for.
func (p *placeFlags) relative() bool {
	return p.before != "" || p.after != "" || p.first || p.last
}

// place turns the flags into a place; find looks the neighbour up.
func (p *placeFlags) place(find func(name string) (policy.Key, error)) (tier.Place, error) {
	where := tier.Place{First: p.first, Last: p.last}
	var err error
	switch {
	case p.before != "":
		where.Before, err = find(p.before)
	case p.after != "":
		where.After, err = find(p.after)
	}
	return where, err
}

// placeError gives an error of tier.Move its next step.
func placeError(err error) error {
	switch {
	case errors.Is(err, tier.ErrNoRoom):
		return &cli.Error{What: "it can't be put there: " + err.Error(),
			Where: []string{"Kubernetes policies always have order 1000, tier default 1000000"}, Err: err}
	case errors.Is(err, tier.ErrFixed):
		return &cli.Error{What: "it can't be moved: " + err.Error(), Err: err}
	case errors.Is(err, tier.ErrNoSlot):
		return &cli.Error{What: "it can't be put beside itself", Try: "netpol get policies, or netpol tier list", Err: err}
	}
	return err
}

// setOrder writes an order into an object; none for Unordered.
func setOrder(u *unstructured.Unstructured, order policy.Order) {
	spec, ok := u.Object["spec"].(map[string]any)
	if !ok {
		spec = map[string]any{}
		u.Object["spec"] = spec
	}
	switch {
	case math.IsInf(order, 1):
		delete(spec, "order")
	case order == math.Trunc(order) && math.Abs(order) < 1e15:
		spec["order"] = int64(order)
	default:
		spec["order"] = order
	}
}

// orderChanges read the resources of slots and give them their new orders.
// What is in skip is written by the caller.
func (w *world) orderChanges(ctx context.Context, slots []tier.Slot, skip policy.Key) ([]cluster.Change, error) {
	var out []cluster.Change
	for _, s := range slots {
		if s.Key == skip {
			continue
		}
		u, err := w.store.Get(ctx, s.Key)
		if err != nil {
			return nil, err
		}
		setOrder(u, s.Order)
		out = append(out, cluster.Change{Object: u})
	}
	return out, nil
}
