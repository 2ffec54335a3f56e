package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// StageOptions are what stage needs.
type StageOptions struct {
	EditOptions
	Name       string
	Namespaces []string
	All        bool
	Namespaced bool
	Delete     bool
	Files      []string
	Recursive  bool
}

// NewCmdStage is "netpol stage".
func NewCmdStage(f *cli.Factory, runF func(context.Context, *StageOptions) error) *cobra.Command {
	opts := &StageOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "stage default-deny --ns NAMESPACE | stage POLICY | stage -f FILE",
		Short: "Stage a policy: it blocks nothing until it is enforced",
		Long: `Stage a policy: it blocks nothing, and netpol report shows what it would block.

stage default-deny closes whole namespaces in both directions. It is one policy
for all of them: another namespace later extends what is staged or enforced and
never narrows it. It stands in tier default, has no rules and no order: it
decides nothing itself, so it can't come in the way of an allow in that tier.
-A takes all namespaces but kube-system and netpol-system.

stage POLICY makes a staged copy of an enforced policy, to be edited and then
enforced in its place; with --delete, a staged deletion of it. stage -f stages
the policies of manifests.`,
		Example: `  netpol stage default-deny --ns vote
  netpol stage default-deny --ns vote --ns wordpress --namespaced
  netpol stage db --ns vote --delete
  netpol stage -f policies/`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = strings.Join(args, "")
			opts.Namespaces, opts.All = f.Namespaces(), f.AllNamespaces()
			if err := opts.check(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return stageRun(cmd.Context(), opts)
		},
	}
	addFileFlags(cmd, &opts.Files, &opts.Recursive)
	cmd.Flags().BoolVar(&opts.Namespaced, "namespaced", false, "default-deny as one policy in each namespace")
	cmd.Flags().BoolVar(&opts.Delete, "delete", false, "stage the deletion of an enforced policy")
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, func(w *world) []string {
		return append(policyNames(f, enforcedKinds)(w), stage.DefaultDenyName)
	}, enforcedKinds...)
	return cmd
}

// check refuses flags that do not fit together.
func (o *StageOptions) check() error {
	const try = "netpol stage default-deny --ns NAMESPACE"
	isDeny := o.Name == stage.DefaultDenyName
	switch {
	case len(o.Files) > 0 && (o.Name != "" || o.Delete || o.Namespaced):
		return cli.Usage(try, "-f takes neither a name nor --delete nor --namespaced")
	case len(o.Files) > 0:
		return nil
	case o.Name == "":
		return cli.Usage(try, "what to stage is missing: default-deny, the name of a policy, or -f FILE")
	case len(o.Namespaces) > 0 && o.All:
		return cli.Usage(try, "-n and -A can't be given together")
	case isDeny && !o.Delete && len(o.Namespaces) == 0 && !o.All:
		return cli.Usage(try, "--ns is missing: which namespace is to be closed? (-A for all)")
	case o.Namespaced && (!isDeny || o.Delete):
		return cli.Usage(try, "--namespaced is for stage default-deny only")
	case (!isDeny || o.Delete) && len(o.Namespaces) > 1:
		return cli.Usage(try, "one namespace is needed here, but %d were given", len(o.Namespaces))
	}
	return nil
}

func stageRun(ctx context.Context, opts *StageOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	if err := w.namespaces(opts.Namespaces); err != nil {
		return err
	}
	var changes []cluster.Change
	switch {
	case len(opts.Files) > 0:
		changes, err = opts.fromFiles(w)
	case opts.Name != stage.DefaultDenyName || opts.Delete:
		changes, err = opts.copyOf(ctx, w)
	case opts.Namespaced:
		changes, err = opts.denyEach(ctx, w)
	default:
		changes, err = opts.denyAll(ctx, w)
	}
	if err != nil || len(changes) == 0 {
		return stageError(err)
	}
	words := map[policy.Key]string{}
	for _, c := range changes {
		if key := cluster.KeyOf(c.Object); key.Kind.Staged() {
			words[key] = "staged"
		}
	}
	if err := opts.change(ctx, changes, words); err != nil {
		return err
	}
	if opts.Format == output.Text && opts.Name != "" {
		flag := ""
		if len(opts.Namespaces) > 0 {
			flag = " --ns " + strings.Join(opts.Namespaces, ",")
		}
		opts.IO.ErrPrinter().Printf("nothing is blocked by it; see what it would block: netpol report %s%s\n", opts.Name, flag)
	}
	return nil
}

// stageError gives an error of package stage its next step.
func stageError(err error) error {
	switch {
	case errors.Is(err, stage.ErrNotDefaultDeny), errors.Is(err, stage.ErrTooLong):
		return &cli.Error{What: err.Error(), Try: "--namespaced makes a policy in each namespace instead", Err: err}
	case errors.Is(err, stage.ErrNotStageable):
		return &cli.Error{What: err.Error(), Where: []string{"staged are NetworkPolicy, of projectcalico.org/v3 and of Kubernetes, and GlobalNetworkPolicy"}, Err: err}
	}
	return err
}

// denyAll stages the one default-deny for all namespaces asked for.
func (o *StageOptions) denyAll(ctx context.Context, w *world) ([]cluster.Change, error) {
	staged, err := w.optional(ctx, policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: stage.DefaultDenyName})
	if err != nil {
		return nil, err
	}
	enforced, err := w.optional(ctx, policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: stage.DefaultDenyName})
	if err != nil {
		return nil, err
	}
	object, changed, err := stage.DefaultDeny(stage.DenyRequest{
		Namespaces: o.Namespaces, All: o.All, Staged: staged, Enforced: enforced,
	})
	if err != nil {
		return nil, err
	}
	if !changed && !policy.Kind(object.GetKind()).Staged() {
		o.IO.ErrPrinter().Printf("%s is enforced already and covers all of that\n", cluster.KeyOf(object))
		return nil, nil
	}
	return []cluster.Change{{Object: object}}, nil
}

// denyEach stages a default-deny in each namespace. One that is there stays as
// it is.
func (o *StageOptions) denyEach(ctx context.Context, w *world) ([]cluster.Change, error) {
	names := o.Namespaces
	if o.All {
		for _, n := range namespaceNames(w) {
			if !slices.Contains(stage.Exempt(), n) {
				names = append(names, n)
			}
		}
	}
	var out []cluster.Change
	for _, ns := range names {
		fresh := stage.DefaultDenyIn(ns)
		key := cluster.KeyOf(fresh)
		old, err := w.optional(ctx, key)
		if err != nil {
			return nil, err
		}
		if old != nil && !stage.ClosesAll(old) {
			return nil, fmt.Errorf("%s: %w", key, stage.ErrNotDefaultDeny)
		}
		if old != nil {
			fresh = old
		}
		out = append(out, cluster.Change{Object: fresh})
	}
	return out, nil
}

// copyOf stages a copy, or the deletion, of an enforced policy.
func (o *StageOptions) copyOf(ctx context.Context, w *world) ([]cluster.Change, error) {
	namespace := strings.Join(o.Namespaces, "")
	key, err := w.find("policy", enforcedKinds, o.Name, namespace)
	if err != nil {
		return nil, err
	}
	u, err := w.store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	action := policy.StagedSet
	if o.Delete {
		action = policy.StagedDelete
	}
	staged, err := stage.Stage(u, action)
	if err != nil {
		return nil, err
	}
	if twin := cluster.KeyOf(staged); slices.Contains(w.keys, twin) {
		return nil, &cli.Error{What: twin.String() + " exists already", Try: "netpol unstage " + o.Name}
	}
	return []cluster.Change{{Object: staged, IfAbsent: true}}, nil
}

// fromFiles stages the policies of manifests; tiers in them are applied.
func (o *StageOptions) fromFiles(w *world) ([]cluster.Change, error) {
	objects, err := readManifests(o.IO.In, o.Files, o.Recursive)
	if err != nil {
		return nil, err
	}
	staged := make([]*unstructured.Unstructured, 0, len(objects))
	for _, u := range objects {
		if cluster.KeyOf(u).Kind != policy.KindTier {
			if u, err = stage.Stage(u, policy.StagedSet); err != nil {
				return nil, err
			}
		}
		staged = append(staged, u)
	}
	namespace := ""
	if len(o.Namespaces) == 1 {
		namespace = o.Namespaces[0]
	}
	return applyChanges(w, staged, namespace)
}

// optional reads a resource; nil if it is not there.
func (w *world) optional(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	if !slices.Contains(w.keys, key) {
		return nil, nil
	}
	return w.store.Get(ctx, key)
}
