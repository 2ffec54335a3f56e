package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// GetOptions are what get needs.
type GetOptions struct {
	IO        *cli.Streams
	Now       func() time.Time
	Store     func() (cluster.Store, error)
	Word      string
	Names     []string
	Namespace string
	Format    output.Format
}

func newGetOptions(f *cli.Factory) *GetOptions {
	return &GetOptions{IO: f.IO, Now: f.Now, Store: f.Store}
}

// NewCmdGet is "netpol get".
func NewCmdGet(f *cli.Factory, runF func(context.Context, *GetOptions) error) *cobra.Command {
	opts := newGetOptions(f)
	cmd := &cobra.Command{
		Use:   "get TYPE [NAME …]",
		Short: "List policies, tiers, pods, namespaces or services",
		Long: `List policies, tiers, pods, namespaces or services, of all namespaces unless -n
says which. Policies come in the order in which they are judged.

Types: tiers; policies (all kinds), networkpolicies (netpol), globalnetworkpolicies
(gnp), kubernetesnetworkpolicies (knp), staged, stagednetworkpolicies (snp),
stagedglobalnetworkpolicies (sgnp); pods (po), namespaces (ns), services (svc).`,
		Example: `  netpol get policies -n vote
  netpol get staged default-deny -o yaml
  netpol get tiers`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usage("netpol get policies", "TYPE is missing: policies, staged, tiers, pods, namespaces or services")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Word, opts.Names = args[0], args[1:]
			if word, name, ok := strings.Cut(args[0], "/"); ok {
				opts.Word, opts.Names = word, append([]string{name}, args[1:]...)
			}
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return getRun(cmd.Context(), opts)
		},
	}
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML, output.Name)
	cmd.ValidArgsFunction = completeGet(f)
	return cmd
}

// completeGet completes the type, then names of it.
func completeGet(f *cli.Factory) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			var out []string
			for _, n := range nouns {
				out = append(out, n.name)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		}
		n, err := findNoun(args[0], "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if n.name == "tiers" {
			return completer(f, tierNames)(cmd, args, prefix)
		}
		return completer(f, policyNames(f, n.kinds))(cmd, args, prefix)
	}
}

func getRun(ctx context.Context, opts *GetOptions) error {
	n, err := findNoun(opts.Word, "netpol get --help")
	if err != nil {
		return err
	}
	w, faults, err := loadWorld(ctx, opts.Store)
	if err != nil {
		return err
	}
	for i := range faults {
		opts.IO.ErrPrinter().Printf("warning: %s\n", faults[i].Error())
	}
	if opts.Namespace != "" {
		if err := w.namespaces([]string{opts.Namespace}); err != nil {
			return err
		}
	}
	keys, err := w.selectKeys(n, opts)
	if err != nil {
		return err
	}
	switch {
	case opts.Format.Structured():
		return getObjects(ctx, opts, w, keys)
	case opts.Format == output.Name:
		for _, k := range keys {
			opts.IO.Printer().Printf("%s\n", resourceName(k))
		}
		return nil
	case len(keys) == 0:
		opts.IO.ErrPrinter().Printf("no %s found%s\n", n.name, inNamespace(opts.Namespace))
		return nil
	}
	return getTable(opts, w, n, keys)
}

func inNamespace(ns string) string {
	if ns == "" {
		return ""
	}
	return " in namespace " + ns
}

// selectKeys are the resources asked for, in the order in which they are to be
// listed.
func (w *world) selectKeys(n noun, opts *GetOptions) ([]policy.Key, error) {
	all := w.listed(n)
	if len(opts.Names) > 0 {
		var out []policy.Key
		for _, name := range opts.Names {
			hits := matching(all, name, opts.Namespace)
			if len(hits) == 0 {
				var known []string
				for _, k := range all {
					known = append(known, k.Name)
				}
				return nil, cli.Unknown(strings.TrimSuffix(n.singular(), "s"), name, known, "netpol get "+n.name)
			}
			out = append(out, hits...)
		}
		return out, nil
	}
	return slices.DeleteFunc(all, func(k policy.Key) bool {
		return opts.Namespace != "" && k.Namespace != "" && k.Namespace != opts.Namespace
	}), nil
}

// singular is the noun for one.
func (n noun) singular() string {
	switch n.name {
	case "staged":
		return "staged policy"
	case "policies":
		return "policy"
	}
	if stem, ok := strings.CutSuffix(n.name, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(n.name, "s")
}

func matching(all []policy.Key, name, namespace string) []policy.Key {
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, rest
	}
	var out []policy.Key
	for _, k := range all {
		if k.Name == name && (namespace == "" || k.Namespace == "" || k.Namespace == namespace) {
			out = append(out, k)
		}
	}
	return out
}

// listed are all resources of a noun: policies in the order in which they are
// judged, tiers in the order in which they are visited, the others by name.
func (w *world) listed(n noun) []policy.Key {
	switch n.name {
	case "tiers":
		return w.tiersInOrder()
	case "pods":
		return keysOf(w.snap.Endpoints, func(e *policy.Endpoint) policy.Key {
			return policy.Key{Kind: policy.KindPod, Namespace: e.Namespace, Name: e.Name}
		})
	case "namespaces":
		return keysOf(w.snap.Namespaces, func(ns *policy.Namespace) policy.Key {
			return policy.Key{Kind: policy.KindNamespace, Name: ns.Name}
		})
	case "services":
		return keysOf(w.snap.Services, func(s *policy.Service) policy.Key {
			return policy.Key{Kind: policy.KindService, Namespace: s.Namespace, Name: s.Name}
		})
	}
	return w.policiesInOrder(n.kinds)
}

func keysOf[T any](list []*T, key func(*T) policy.Key) []policy.Key {
	out := make([]policy.Key, len(list))
	for i, v := range list {
		out[i] = key(v)
	}
	return out
}

// tiersInOrder leaves out built-in tiers other than default that nothing uses:
// they are for kinds of policies that few have.
func (w *world) tiersInOrder() []policy.Key {
	used := map[string]bool{tier.DefaultTier: true}
	for _, t := range w.snap.Tiers {
		used[t.Name] = true
	}
	for _, p := range w.snap.Policies {
		used[p.Tier] = true
	}
	tiers := slices.DeleteFunc(w.snap.AllTiers(), func(t *policy.Tier) bool { return !used[t.Name] })
	slices.SortFunc(tiers, tier.CompareTiers)
	return keysOf(tiers, func(t *policy.Tier) policy.Key { return tierKey(t.Name) })
}

// policiesInOrder are the policies of some kinds as they are judged; those that
// have no form because of faults come last.
func (w *world) policiesInOrder(kinds []policy.Kind) []policy.Key {
	rank := map[string]int{}
	for i, k := range w.tiersInOrder() {
		rank[k.Name] = i + 1
	}
	var known []*policy.Policy
	seen := map[policy.Key]bool{}
	for _, p := range w.snap.Policies {
		if slices.Contains(kinds, p.Kind) {
			known = append(known, p)
			seen[p.Key] = true
		}
	}
	slices.SortStableFunc(known, func(a, b *policy.Policy) int {
		if a.Tier != b.Tier {
			ra, rb := rank[a.Tier], rank[b.Tier]
			if (ra == 0) != (rb == 0) { // a tier that does not exist comes last (S13)
				return rb - ra
			}
			if ra != rb {
				return ra - rb
			}
			return strings.Compare(a.Tier, b.Tier)
		}
		return tier.ComparePolicies(a, b)
	})
	out := keysOf(known, func(p *policy.Policy) policy.Key { return p.Key })
	for _, k := range w.keys {
		if slices.Contains(kinds, k.Kind) && !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}

// getObjects prints the resources themselves: one as it is, several as a List.
func getObjects(ctx context.Context, opts *GetOptions, w *world, keys []policy.Key) error {
	items := make([]any, 0, len(keys))
	var last *unstructured.Unstructured
	written, err := w.objects(ctx, keys)
	if err != nil {
		return err
	}
	for _, k := range keys {
		u := written[k]
		if u == nil {
			u = w.implied(k)
		}
		items, last = append(items, u.Object), u
	}
	if len(opts.Names) == 1 && len(items) == 1 {
		return printObject(opts.IO, opts.Format, last)
	}
	list := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "List", "items": items}}
	return printObject(opts.IO, opts.Format, list)
}

// objects are resources as they are written down, each kind read once.
func (w *world) objects(ctx context.Context, keys []policy.Key) (map[policy.Key]*unstructured.Unstructured, error) {
	out := map[policy.Key]*unstructured.Unstructured{}
	kinds := map[policy.Kind]bool{}
	for _, k := range keys {
		if kinds[k.Kind] {
			continue
		}
		kinds[k.Kind] = true
		list, err := w.store.List(ctx, k.Kind, "")
		if err != nil {
			return nil, fmt.Errorf("get: %w", err)
		}
		for _, u := range list {
			// It is the store's, for its own checks, and would only confuse.
			u.SetResourceVersion("")
			if key := cluster.KeyOf(u); out[key] == nil {
				out[key] = u
			}
		}
	}
	return out, nil
}

// implied is a resource that is nowhere written down, as it would be: the
// built-in tier, namespaces that others speak of.
func (w *world) implied(k policy.Key) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(cluster.GVK(k.Kind))
	u.SetName(k.Name)
	if k.Namespace != "" {
		u.SetNamespace(k.Namespace)
	}
	if t := w.snap.Tier(k.Name); t != nil && k.Kind == policy.KindTier {
		u.Object["spec"] = map[string]any{"order": int64(t.Order), "defaultAction": t.DefaultAction.String()}
	}
	return u
}
