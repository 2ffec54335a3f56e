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

// HistoryOptions are what history needs.
type HistoryOptions struct {
	EditOptions
	Name, Namespace string
	All             bool
}

// historyReport is the JSON of history.
type historyReport struct {
	output.Meta
	Items []historyItem `json:"items"`
}

// historyItem is the past of one policy, the present last.
type historyItem struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Enforced: there is such a policy now.
	Enforced  bool             `json:"enforced"`
	Revisions []stage.Revision `json:"revisions"`
}

// NewCmdHistory is "netpol history".
func NewCmdHistory(f *cli.Factory, runF func(context.Context, *HistoryOptions) error) *cobra.Command {
	opts := &HistoryOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "history [POLICY]",
		Short: "Show the last revisions of policies, also of deleted ones",
		Long: `Show the last revisions of enforced policies: what netpol changed, when, who
did, and by which command. What somebody else changed in between is shown as
such once it is noticed. Without a name it is one line for each policy that has
a past. What a terminal has no room for, the end of a long command too, is there
with -o wide, -o json and in a pipe.

On a cluster a policy carries its history (annotation netpol.dev/history, at
most 128 KiB, the oldest goes first); that of deleted ones is in ConfigMap
netpol-history in namespace netpol-system. In a directory it is in
.netpol-history.json.`,
		Example: `  netpol history
  netpol history db --ns vote
  netpol history db --ns vote -o json`,
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = strings.Join(args, "")
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return historyRun(cmd.Context(), opts)
		},
	}
	addDir(cmd, "look at")
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	completeArg(cmd, f, policyNames(f, enforcedKinds), enforcedKinds...)
	return cmd
}

func historyRun(ctx context.Context, opts *HistoryOptions) error {
	w, err := opts.worldTold(ctx)
	if err != nil {
		return err
	}
	var pasts []past
	if opts.Name != "" {
		p, err := w.past(ctx, opts.Name, opts.Namespace)
		if err != nil {
			return err
		}
		pasts = []past{*p}
	} else if pasts, err = opts.allPasts(ctx, w); err != nil {
		return err
	}
	if len(pasts) == 0 && opts.Namespace != "" {
		if err := w.namespaces([]string{opts.Namespace}); err != nil {
			return err
		}
	}
	doc := historyReport{Meta: output.NewMeta("History"), Items: []historyItem{}}
	for _, p := range pasts {
		doc.Items = append(doc.Items, historyItem{string(p.key.Kind), p.key.Namespace, p.key.Name, p.live != nil, p.revisions})
	}
	if opts.Format.Structured() {
		return opts.IO.Printer().Object(opts.Format, doc)
	}
	if opts.Name != "" {
		return printRevisions(opts.IO, &pasts[0], opts.Format == output.Wide)
	}
	return printPasts(opts, pasts, opts.Format == output.Wide)
}

// past is a policy and its revisions, the present one last.
type past struct {
	key       policy.Key
	live      *unstructured.Unstructured // nil: it is not enforced now
	staged    bool                       // it is staged instead
	revisions []stage.Revision
}

// past finds an enforced policy, or a deleted one, by name.
func (w *world) past(ctx context.Context, name, namespace string) (*past, error) {
	archive, carried, err := w.archive(ctx)
	key, findErr := w.find("policy", enforcedKinds, name, namespace)
	if findErr != nil {
		if errors.Is(findErr, errAmbiguous) || err != nil {
			return nil, errors.Join(findErr, err)
		}
		var unknown *cli.Error
		if errors.As(findErr, &unknown) && unknown.Try == "netpol get policies" {
			unknown.Try = "netpol history" // which has deleted ones, too
		}
		return w.deleted(archive, findErr, name, namespace)
	}
	if err != nil && !carried {
		return nil, err
	}
	live, err := w.store.Get(ctx, key)
	if err != nil {
		return nil, changeError(err)
	}
	return newPast(key, live, archive, carried), nil
}

func newPast(key policy.Key, live *unstructured.Unstructured, archive stage.Archive, carried bool) *past {
	kept := stage.HistoryOf(live)
	if !carried || live == nil {
		kept = archive.Get(key)
	}
	return &past{key: key, live: live, revisions: stage.Past(kept, live)}
}

// deleted finds a policy that is only in the archive.
func (w *world) deleted(archive stage.Archive, notFound error, name, namespace string) (*past, error) {
	if ns, rest, ok := strings.Cut(name, "/"); ok && namespace == "" {
		namespace, name = ns, rest
	}
	var hits []*past
	for _, a := range archive.All() {
		if a.Name == name && (namespace == "" || a.Namespace == "" || a.Namespace == namespace) {
			hits = append(hits, newPast(a.Key(), nil, archive, false))
		}
	}
	switch len(hits) {
	case 0:
		return nil, notFound
	case 1:
		return hits[0], nil
	}
	e := &cli.Error{Err: errAmbiguous, What: fmt.Sprintf("%q is not one deleted policy but %d", name, len(hits)), Try: "the same with -n NAMESPACE"}
	for _, p := range hits {
		e.Where = append(e.Where, p.key.String())
	}
	return nil, e
}

// archive is what is kept beside the policies.
func (w *world) archive(ctx context.Context) (a stage.Archive, carried bool, err error) {
	from, carried := archivesOf(w.store)
	if from == nil {
		return stage.Archive{}, carried, nil
	}
	a, err = from.read(ctx)
	return a, carried, err
}

// allPasts are all policies that have a past.
func (o *HistoryOptions) allPasts(ctx context.Context, w *world) ([]past, error) {
	archive, carried, err := w.archive(ctx)
	switch {
	case err != nil && !carried:
		return nil, err
	case err != nil:
		o.IO.ErrPrinter().Printf("note: deleted policies are left out: %s\n", firstLine(err.Error()))
	}
	var out []past
	seen := map[policy.Key]bool{}
	for _, kind := range enforcedKinds {
		list, err := w.store.List(ctx, kind, o.Namespace)
		if err != nil {
			return nil, err
		}
		for _, u := range list {
			key := cluster.KeyOf(u)
			seen[key] = true
			if p := newPast(key, u, archive, carried); len(p.revisions) > 1 || len(p.revisions) == 1 && !p.revisions[0].Others {
				out = append(out, *p)
			}
		}
	}
	for _, a := range archive.All() {
		if key := a.Key(); !seen[key] && (o.Namespace == "" || o.Namespace == key.Namespace) {
			p := newPast(key, nil, archive, carried)
			twin, ok := stage.Twin(key)
			p.staged = ok && w.snap.Policy(twin) != nil
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b past) int {
		return strings.Compare(a.key.Namespace+"/"+a.key.Name, b.key.Namespace+"/"+b.key.Name)
	})
	return out, nil
}
