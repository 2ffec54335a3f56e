package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cli/shorthand"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// NewCmdCreate is "netpol create".
func NewCmdCreate(f *cli.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a policy from rules on the command line",
		Args:  cobra.ArbitraryArgs,
		RunE:  parent,
	}
	cmd.AddCommand(NewCmdCreatePolicy(f, nil))
	return cmd
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
	opts.Place.addTo(cmd, "policy of the tier")
	opts.addFlags(cmd)
	completeTier(cmd, f)
	return cmd
}

func createPolicyRun(ctx context.Context, opts *CreatePolicyOptions) error {
	object, err := opts.object()
	if err != nil {
		return err
	}
	w, _, err := loadWorld(ctx, opts.Store)
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
	if _, faults := policy.ValidateObject(object); len(faults) > 0 {
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
	if errors.Is(err, cluster.ErrConflict) {
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

// object is the policy that the flags describe.
func (o *CreatePolicyOptions) object() (*unstructured.Unstructured, error) {
	kind, err := o.kind()
	if err != nil {
		return nil, err
	}
	spec := map[string]any{"tier": o.Tier}
	if kind.Staged() {
		spec["stagedAction"] = string(policy.StagedSet)
	}
	for _, s := range []struct{ flag, field, text string }{
		{"--selector", "selector", o.Selector}, {"--namespace-selector", "namespaceSelector", o.NamespaceSelector},
	} {
		if s.text == "" {
			continue
		}
		if err := checkSelector(s.flag, s.text); err != nil {
			return nil, err
		}
		spec[s.field] = s.text
	}
	types, err := o.types()
	if err != nil {
		return nil, err
	}
	spec["types"] = types
	for _, d := range []struct {
		dir   policy.Direction
		rules []string
		field string
	}{{policy.Ingress, o.Ingress, "ingress"}, {policy.Egress, o.Egress, "egress"}} {
		var rules []any
		for _, text := range d.rules {
			rule, err := shorthand.Rule(text, d.dir)
			if err != nil {
				return nil, ruleError("--"+d.field, err)
			}
			rules = append(rules, rule)
		}
		if len(rules) > 0 {
			spec[d.field] = rules
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion(stage.APIVersion)
	u.SetKind(string(kind))
	u.SetName(o.Name)
	if !o.Global {
		u.SetNamespace(o.Namespace)
	}
	return u, nil
}

// kind is the kind of policy that the flags ask for.
func (o *CreatePolicyOptions) kind() (policy.Kind, error) {
	const try = "netpol create policy " + "NAME --ns NAMESPACE …, or --global"
	switch {
	case o.Global && o.Namespace != "":
		return "", cli.Usage(try, "--global and --ns can't be given together")
	case !o.Global && o.Namespace == "":
		return "", cli.Usage(try, "--ns is missing: which namespace is the policy of?")
	case !o.Global && o.NamespaceSelector != "":
		return "", cli.Usage(try, "--namespace-selector is for --global policies only")
	case o.Global && o.Enforce:
		return policy.KindGlobalNetworkPolicy, nil
	case o.Global:
		return policy.KindStagedGlobalNetworkPolicy, nil
	case o.Enforce:
		return policy.KindNetworkPolicy, nil
	}
	return policy.KindStagedNetworkPolicy, nil
}

// types are the directions: those given, or those that have rules (S3).
func (o *CreatePolicyOptions) types() ([]any, error) {
	if len(o.Types) == 0 {
		switch {
		case len(o.Egress) == 0:
			return []any{"Ingress"}, nil
		case len(o.Ingress) == 0:
			return []any{"Egress"}, nil
		}
		return []any{"Ingress", "Egress"}, nil
	}
	var out []any
	given := map[string]bool{}
	for _, t := range o.Types {
		word := strings.ToLower(strings.TrimSpace(t))
		if word != "ingress" && word != "egress" {
			return nil, cli.Usage("--types ingress,egress", "--types: expected ingress or egress, found %q", t)
		}
		if !given[word] {
			out = append(out, strings.ToUpper(word[:1])+word[1:])
		}
		given[word] = true
	}
	if len(o.Ingress) > 0 && !given["ingress"] || len(o.Egress) > 0 && !given["egress"] {
		return nil, cli.Usage("--types ingress,egress", "--types leaves out a direction that has rules, which would never act")
	}
	return out, nil
}

// checkSelector refuses a bad selector and points at the place.
func checkSelector(flag, text string) error {
	_, err := selector.Parse(text)
	var wrong *selector.Error
	if errors.As(err, &wrong) {
		return &cli.Error{
			What:  fmt.Sprintf("%s: %s", flag, wrong.Error()),
			Where: []string{text, strings.Repeat(" ", max(0, wrong.Column-1)) + "^"}, Err: err,
		}
	}
	if err != nil {
		return &cli.Error{What: fmt.Sprintf("%s: %v", flag, err), Err: err}
	}
	return nil
}

// ruleError points at the place in a rule.
func ruleError(flag string, err error) error {
	var wrong *shorthand.Error
	if errors.As(err, &wrong) {
		return &cli.Error{What: fmt.Sprintf("%s: %s", flag, wrong.Error()), Where: wrong.Pointer(), Try: "netpol create policy --help", Err: err}
	}
	return err
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
