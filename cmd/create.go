package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// NewCmdCreate is "netpol create".
func NewCmdCreate(f *cli.Factory) *cobra.Command {
	return newGroup("create", "Create a policy from rules on the command line", NewCmdCreatePolicy(f, nil))
}

// CreatePolicyOptions are what "create policy" needs.
type CreatePolicyOptions struct {
	EditOptions
	Name      string
	Namespace string
	Global    bool
	Tier      string
	Selector  string
	// NamespaceSelector is for global policies only.
	NamespaceSelector string
	Ingress, Egress   []string
	Types             []string
	Enforce           bool
	Place             placeFlags
}

// NewCmdCreatePolicy is "netpol create policy".
func NewCmdCreatePolicy(f *cli.Factory, runF func(context.Context, *CreatePolicyOptions) error) *cobra.Command {
	opts := &CreatePolicyOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "policy NAME",
		Short: "Create a policy, staged unless --enforce is given",
		Long: `Create a policy, staged unless --enforce is given.

A rule is  ACTION [PROTOCOL[:PORTS]] [from|to PEER]

  ACTION    allow, deny, pass or log
  PROTOCOL  tcp, udp, sctp, icmp, icmpv6, udplite or 1 to 255; none: any
  PORTS     numbers and ranges of destination ports: 80,443,8000:8080
  PEER      SELECTOR                    pods of the policy's namespace
            SELECTOR in ns NAME[,NAME]  pods of other namespaces
            ns NAME[,NAME]              all pods of these namespaces
            ns-selector SELECTOR        all pods of namespaces with these labels
            cidr CIDR[,CIDR]            addresses
            anywhere                    anything, also outside the cluster

With --ns it is a policy of that namespace, with --global one of all (there,
a SELECTOR alone means the pods of every namespace). -o yaml prints the policy
and writes nothing.`,
		Example: `  netpol create policy db --ns vote --tier platform --selector "app == 'db'" \
    --ingress "allow tcp:5432 from app == 'worker' || app == 'result'"
  netpol create policy dns --global --egress "allow udp:53 to k8s-app == 'kube-dns' in ns kube-system" \
    --egress "allow tcp:53 to k8s-app == 'kube-dns' in ns kube-system" --namespace-selector "has(team)"
  netpol create policy web --ns shop --selector "app == 'web'" --ingress "allow tcp:80,443" -o yaml`,
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
			return createPolicyRun(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&opts.Global, "global", false, "a policy of all namespaces, not of one")
	fs.StringVar(&opts.Tier, "tier", tier.DefaultTier, "tier to put it in")
	fs.StringVar(&opts.Selector, "selector", "", "pods it is for (default: all)")
	fs.StringVar(&opts.NamespaceSelector, "namespace-selector", "", "namespaces it is for (with --global)")
	fs.StringArrayVar(&opts.Ingress, "ingress", nil, "rule for connections to the pods; may be repeated")
	fs.StringArrayVar(&opts.Egress, "egress", nil, "rule for connections from the pods; may be repeated")
	fs.StringSliceVar(&opts.Types, "types", nil, "ingress, egress or both (default: those that have rules)")
	fs.BoolVar(&opts.Enforce, "enforce", false, "enforce it at once instead of staging it")
	opts.Place.addTo(cmd, f, "policy of the tier", policyNames(f, policyKinds), policyKinds...)
	addDir(cmd, "work on")
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeTier(cmd, f)
	return cmd
}

func createPolicyRun(ctx context.Context, opts *CreatePolicyOptions) error {
	if !opts.Global && opts.Namespace == "" && opts.Default != nil {
		opts.Namespace = opts.Default()
	}
	object, err := opts.object()
	if err != nil {
		return err
	}
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	if _, err := w.tier(opts.Tier); err != nil {
		return err
	}
	if opts.Namespace != "" {
		if err := w.namespaces([]string{opts.Namespace}); err != nil {
			return err
		}
	}
	changes, err := opts.placed(ctx, w, object)
	if err != nil {
		return err
	}
	if _, faults := policy.ValidateObject(object); faults.Err() != nil {
		return cli.FaultsError(faults)
	}
	if opts.Format.Structured() {
		return printObject(opts.IO, opts.Format, object)
	}
	key := cluster.KeyOf(object)
	word := "staged"
	if opts.Enforce {
		word = "created and enforced"
	}
	err = opts.change(ctx, changes, map[policy.Key]string{key: word})
	if failure := (*cluster.Failure)(nil); errors.Is(err, cluster.ErrConflict) && !errors.As(err, &failure) {
		return &cli.Error{What: key.String() + " exists already", Try: "netpol get policies " + opts.Name, Err: err}
	}
	if err == nil && opts.Enforce {
		opts.notEnforced()
	}
	return err
}

// placed are the changes that create object at its place in the tier.
func (o *CreatePolicyOptions) placed(ctx context.Context, w *world, object *unstructured.Unstructured) ([]cluster.Change, error) {
	create := cluster.Change{Object: object, IfAbsent: true}
	if o.Place.hasOrder {
		setOrder(object, o.Place.order)
	}
	if !o.Place.relative() {
		return []cluster.Change{create}, nil
	}
	where, err := o.Place.place(func(name string) (policy.Key, error) { return w.neighbour(name, o.Namespace, o.Tier) })
	if err != nil {
		return nil, err
	}
	key := cluster.KeyOf(object)
	slots, err := tier.Move(append(w.slots(o.Tier), tier.Slot{Key: key, Order: policy.Unordered}), key, where)
	if err != nil {
		return nil, placeError(err)
	}
	for _, s := range slots {
		if s.Key == key {
			setOrder(object, s.Order)
		}
	}
	others, err := w.orderChanges(ctx, slots, key)
	return append(others, create), err
}

// neighbour is a policy of a tier by name.
func (w *world) neighbour(name, namespace, tierName string) (policy.Key, error) {
	key, err := w.either("policy in tier "+tierName, name, namespace)
	if err != nil {
		return key, err
	}
	if p := w.snap.Policy(key); p != nil && p.Tier != tierName {
		return key, &cli.Error{What: fmt.Sprintf("%s is in tier %s, not in %s", key, p.Tier, tierName), Try: "netpol get policies"}
	}
	return key, nil
}

// printObject prints a resource as a manifest.
func printObject(io *cli.Streams, format output.Format, u *unstructured.Unstructured) error {
	if format == output.YAML {
		text, err := cluster.Render(u)
		if err == nil {
			_, err = io.Out.Write(text)
		}
		return err
	}
	return io.Printer().Object(format, u.Object)
}
