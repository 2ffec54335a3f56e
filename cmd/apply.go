package cmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// ApplyOptions are what apply needs.
type ApplyOptions struct {
	EditOptions
	Files     []string
	Recursive bool
	Namespace string
}

// NewCmdApply is "netpol apply".
func NewCmdApply(f *cli.Factory, runF func(context.Context, *ApplyOptions) error) *cobra.Command {
	opts := &ApplyOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIRECTORY|-",
		Short: "Create or change resources from manifests",
		Long: `Create or change resources from manifests. Everything is checked before anything
is written.`,
		Example: `  netpol apply -f policies/ -R
  netpol create policy web --ns shop --ingress "allow tcp:80" -o yaml | netpol apply -f -`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(opts.Files) == 0 {
				return cli.Usage("netpol apply -f FILE", "-f is missing: which manifests?")
			}
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return applyRun(cmd.Context(), opts)
		},
	}
	addFileFlags(cmd, &opts.Files, &opts.Recursive)
	opts.addFlags(cmd)
	opts.addForce(cmd)
	return cmd
}

func addFileFlags(cmd *cobra.Command, files *[]string, recursive *bool) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "manifest, directory of manifests, or - for standard input; may be repeated")
	cmd.Flags().BoolVarP(recursive, "recursive", "R", false, "directories within directories too")
}

func applyRun(ctx context.Context, opts *ApplyOptions) error {
	objects, warnings, err := readManifestsAnd(opts.IO.In, opts.Files, opts.Recursive)
	if err != nil {
		return err
	}
	tellFaults(opts.IO, warnings)
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	changes, err := applyChanges(w, objects, opts.Namespace)
	if err != nil {
		return err
	}
	return opts.change(ctx, changes, nil)
}

// applyChanges checks objects against each other and the world: one name once,
// the namespace that -n says, tiers that exist or come along. Tiers are written
// first, so that no policy is without its tier in between (S13).
func applyChanges(w *world, objects []*unstructured.Unstructured, namespace string) ([]cluster.Change, error) {
	coming := map[string]bool{}
	seen := map[policy.Key]bool{}
	for _, u := range objects {
		key := cluster.KeyOf(u)
		if namespace != "" && cluster.Namespaced(key.Kind) {
			if u.GetNamespace() != "" && u.GetNamespace() != namespace {
				return nil, cli.Usage("netpol apply without -n", "%s is not in namespace %s, which -n says", key, namespace)
			}
			u.SetNamespace(namespace)
		}
		w.settle(u)
		key = cluster.KeyOf(u)
		if seen[key] {
			return nil, &cli.Error{What: fmt.Sprintf("%s is given twice", key)}
		}
		seen[key] = true
		if key.Kind == policy.KindTier {
			coming[key.Name] = true
		}
	}
	for _, u := range objects {
		name, _, _ := unstructured.NestedString(u.Object, "spec", "tier")
		if !slices.Contains(policyKinds, cluster.KeyOf(u).Kind) || name == "" || coming[name] {
			continue
		}
		if _, err := w.tier(name); err != nil {
			if e, ok := err.(*cli.Error); ok {
				e.Where = append(e.Where, cluster.KeyOf(u).String())
			}
			return nil, err
		}
	}
	changes := make([]cluster.Change, len(objects))
	for i, u := range objects {
		changes[i] = cluster.Change{Object: u}
	}
	slices.SortStableFunc(changes, func(a, b cluster.Change) int { return applyRank(a.Object) - applyRank(b.Object) })
	return changes, nil
}

// settle puts what names no namespace into the kubeconfig's, as kubectl does.
func (w *world) settle(u *unstructured.Unstructured) {
	if w.home != "" && u.GetNamespace() == "" && cluster.Namespaced(cluster.KeyOf(u).Kind) {
		u.SetNamespace(w.home)
	}
}

func applyRank(u *unstructured.Unstructured) int {
	switch cluster.KeyOf(u).Kind {
	case policy.KindNamespace:
		return 0
	case policy.KindTier:
		return 1
	}
	return 2
}
