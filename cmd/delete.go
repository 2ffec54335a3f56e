package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// DeleteOptions are what delete needs.
type DeleteOptions struct {
	EditOptions
	Files          []string
	Recursive      bool
	Word           string
	Names          []string
	Namespace      string
	IgnoreNotFound bool
}

// NewCmdDelete is "netpol delete".
func NewCmdDelete(f *cli.Factory, runF func(context.Context, *DeleteOptions) error) *cobra.Command {
	opts := &DeleteOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "delete TYPE NAME … | delete -f FILE|DIRECTORY|-",
		Short: "Delete policies, tiers or what manifests name",
		Long: `Delete policies, tiers or what manifests name. A tier that has policies and the
tiers that are built in are not deleted.`,
		Example: `  netpol delete networkpolicy db -n vote
  netpol delete tier platform
  netpol delete -f policies/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.read(args); err != nil {
				return err
			}
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return deleteRun(cmd.Context(), opts)
		},
	}
	addFileFlags(cmd, &opts.Files, &opts.Recursive)
	cmd.Flags().BoolVar(&opts.IgnoreNotFound, "ignore-not-found", false, "what is not there is no error")
	opts.addFlags(cmd)
	cmd.ValidArgsFunction = completeGet(f)
	return cmd
}

// read takes TYPE NAME … or TYPE/NAME.
func (o *DeleteOptions) read(args []string) error {
	const try = "netpol delete networkpolicy NAME -n NAMESPACE, or netpol delete -f FILE"
	switch {
	case len(o.Files) > 0 && len(args) > 0:
		return cli.Usage(try, "-f and a name can't be given together")
	case len(o.Files) > 0:
		return nil
	case len(args) == 0:
		return cli.Usage(try, "TYPE and NAME are missing")
	}
	o.Word, o.Names = args[0], args[1:]
	if word, name, ok := strings.Cut(args[0], "/"); ok {
		o.Word, o.Names = word, append([]string{name}, args[1:]...)
	}
	if len(o.Names) == 0 {
		return cli.Usage(try, "NAME is missing")
	}
	return nil
}

func deleteRun(ctx context.Context, opts *DeleteOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	keys, err := opts.keys(ctx, w)
	if err != nil {
		return err
	}
	going := map[policy.Key]bool{}
	for _, k := range keys {
		going[k] = true
	}
	// Policies go before their tiers, so that none is without its tier (S13).
	slices.SortStableFunc(keys, func(a, b policy.Key) int { return deleteRank(a) - deleteRank(b) })
	var changes []cluster.Change
	for _, k := range keys {
		if k.Kind == policy.KindTier {
			if err := w.deletable(k.Name, going); err != nil {
				return err
			}
		}
		changes = append(changes, cluster.Change{Delete: k})
	}
	if len(changes) == 0 {
		return nil
	}
	return opts.change(ctx, changes, nil)
}

func deleteRank(k policy.Key) int {
	if k.Kind == policy.KindTier {
		return 1
	}
	return 0
}

// keys are the resources to delete; all must be there unless it does not
// matter.
func (o *DeleteOptions) keys(ctx context.Context, w *world) ([]policy.Key, error) {
	var out []policy.Key
	if len(o.Files) > 0 {
		objects, err := readManifests(o.IO.In, o.Files, o.Recursive)
		if err != nil {
			return nil, err
		}
		for _, u := range objects {
			w.settle(u)
			key := cluster.KeyOf(u)
			there, err := w.exists(ctx, key)
			if err != nil {
				return nil, err
			}
			switch {
			case there, key.Kind == policy.KindTier && isBuiltin(key.Name):
				out = append(out, key)
			case !o.IgnoreNotFound:
				return nil, &cli.Error{What: "no " + key.String(), Try: "the same with --ignore-not-found"}
			}
		}
		return out, nil
	}
	n, err := findNoun(o.Word, "netpol delete --help")
	if err != nil {
		return nil, err
	}
	for _, name := range o.Names {
		if n.name == "tiers" && isBuiltin(name) {
			out = append(out, tierKey(name))
			continue
		}
		key, err := w.find(n.singular(), n.kinds, name, o.Namespace)
		if err != nil && o.IgnoreNotFound && !w.has(n.kinds, name, o.Namespace) {
			continue
		}
		if err == nil && w.home != "" && o.Namespace == "" && key.Namespace != "" && key.Namespace != w.home {
			err = &cli.Error{What: fmt.Sprintf("%s is not in namespace %s of your context", key, w.home), Try: "the same with -n " + key.Namespace}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

// exists says whether there is a resource. What a cluster has beside what
// verdicts depend on was not listed.
func (w *world) exists(ctx context.Context, key policy.Key) (bool, error) {
	if _, server := w.store.(cluster.Server); !server || slices.Contains(w.keys, key) || slices.Contains(orderKinds, key.Kind) {
		return slices.Contains(w.keys, key), nil
	}
	_, err := w.store.Get(ctx, key)
	if errors.Is(err, cluster.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// has says whether there is a resource of a name in a namespace, or in any if
// none is given.
func (w *world) has(kinds []policy.Kind, name, namespace string) bool {
	if ns, base, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, base
	}
	return slices.ContainsFunc(w.keys, func(k policy.Key) bool {
		return k.Name == name && slices.Contains(kinds, k.Kind) && (namespace == "" || k.Namespace == "" || k.Namespace == namespace)
	})
}
