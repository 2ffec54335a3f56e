package cmd

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// recorded says whether changes of a policy are kept as history: of what is
// enforced, but for what is there for a moment.
func recorded(k policy.Key) bool { return slices.Contains(enforcedKinds, k.Kind) && !stage.IsBridge(k) }

// record puts what changes of enforced policies into their history: on a cluster
// the policies carry it, and those that go leave it in a ConfigMap, which is
// written first. finish keeps what a directory's file has, once the changes are
// made. No history is no reason not to make a change: it is told.
func (o *EditOptions) record(ctx context.Context, store cluster.Store, changes []cluster.Change) (out []cluster.Change, finish func(), err error) {
	nothing := func() {}
	archive, carried := archivesOf(store)
	if o.DryRun.on() || archive == nil || !slices.ContainsFunc(changes, func(c cluster.Change) bool { return recorded(keyOfChange(c)) }) {
		return changes, nothing, nil
	}
	r := &recorder{store: store, carried: carried, changes: slices.Clone(changes),
		fresh: map[policy.Key][]stage.Revision{}, mayGo: map[policy.Key][]stage.Revision{}}
	if o.Author != nil {
		r.by = o.Author()
	}
	if err := r.readAll(ctx); err != nil {
		return nil, nothing, err
	}
	if !carried || slices.ContainsFunc(r.changes, r.needsArchive) {
		if r.archive, err = archive.read(ctx); err != nil {
			o.noHistory(err)
			if r.archive == nil {
				r.archive = stage.Archive{}
			}
		}
	}
	for i := range r.changes {
		if err := r.add(i); err != nil {
			return nil, nothing, err
		}
	}
	keep := func(histories map[policy.Key][]stage.Revision) {
		if len(histories) > 0 {
			if err := archive.put(ctx, histories); err != nil {
				o.noHistory(err)
			}
		}
	}
	if carried {
		keep(r.fresh)
		return r.changes, func() { keep(r.mayGo) }, nil
	}
	return r.changes, func() { keep(r.fresh) }, nil
}

func (o *EditOptions) noHistory(err error) {
	text := firstLine(err.Error())
	if errors.Is(err, cluster.ErrNotFound) {
		text = "there is no namespace " + historyMapNamespace
	}
	o.IO.ErrPrinter().Printf("note: what netpol history knows is not complete: %s\n", text)
}

func keyOfChange(c cluster.Change) policy.Key {
	if c.Object == nil {
		return c.Delete
	}
	return cluster.KeyOf(c.Object)
}

// recorder makes histories for some changes.
type recorder struct {
	store   cluster.Store
	carried bool
	by      stage.Author
	changes []cluster.Change
	live    []*unstructured.Unstructured // by change; nil: not there, or not asked
	archive stage.Archive
	fresh   map[policy.Key][]stage.Revision // for the archive
	// mayGo are policies on trial that go if nobody confirms them: who takes them
	// back, an agent, can't keep what they were.
	mayGo map[policy.Key][]stage.Revision
}

// readAll reads what is there of what is to change.
func (r *recorder) readAll(ctx context.Context) error {
	r.live = make([]*unstructured.Unstructured, len(r.changes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, c := range r.changes {
		key := keyOfChange(c)
		if !recorded(key) {
			continue
		}
		group.Go(func() error {
			u, err := r.store.Get(ctx, key)
			if errors.Is(err, cluster.ErrNotFound) {
				return nil
			}
			r.live[i] = u
			return err
		})
	}
	return group.Wait()
}

// needsArchive says whether a change of a cluster's policy is about what the
// archive has: it comes, or it goes.
func (r *recorder) needsArchive(c cluster.Change) bool {
	i := slices.IndexFunc(r.changes, func(d cluster.Change) bool { return keyOfChange(d) == keyOfChange(c) })
	return recorded(keyOfChange(c)) && c.Object != nil && r.live[i] == nil
}

func (r *recorder) add(i int) error {
	c := r.changes[i]
	key := keyOfChange(c)
	live := r.live[i]
	if !recorded(key) || c.Object == nil && live == nil {
		return nil
	}
	kept := stage.HistoryOf(live)
	if !r.carried || live == nil {
		kept = r.archive.Get(key)
	}
	history, changed := stage.Record(kept, live, c.Object, r.by)
	switch {
	case !changed && r.carried:
		r.changes[i].Object = stage.KeepHistory(c.Object, live)
		return nil
	case !changed:
		return nil
	case !r.carried || c.Object == nil:
		r.fresh[key] = history
		if c.Object != nil {
			r.changes[i].Object = stage.Numbered(c.Object, history)
		}
		return nil
	}
	if p := stage.TrialOf(c.Object); p != nil && p.Trial.Previous == nil {
		r.mayGo[key] = history
	}
	object, err := stage.WithHistory(c.Object, history)
	r.changes[i].Object = object
	return err
}

// authorOf is who runs the command, for histories.
func authorOf(f *cli.Factory) stage.Author {
	return stage.Author{Time: f.Now(), User: userOf(f), Command: f.Ran}
}

// userOf is the user of the kubeconfig on a cluster, else that of this machine;
// "" where neither is known.
func userOf(f *cli.Factory) string {
	if f.OnCluster() {
		if conn, err := f.Cluster(); err == nil {
			return conn.Who()
		}
		return ""
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// commandText is a command as it was typed, as far as that says what it does:
// flags that say where and how it talks are left out.
func commandText(cmd *cobra.Command, args []string) string {
	words := append([]string{cmd.CommandPath()}, args...)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "output", "kubeconfig", "context", "dir", "policies", "lab", "as", "as-group", "wait", "timeout", "flows", "flows-ca", "flows-cert", "flows-key", "flows-token-file", "flows-password-file":
			return
		}
		if f.Value.Type() == "bool" && f.Value.String() == "true" {
			words = append(words, "--"+f.Name)
			return
		}
		words = append(words, fmt.Sprintf("--%s=%s", f.Name, strings.Trim(f.Value.String(), "[]")))
	})
	return shortened(strings.Join(words, " "), maxCommand)
}

// maxCommand bounds what of a command is kept, in bytes: a policy keeps 50 revisions
// at most, in 128 KiB with their specs.
const maxCommand = 1024

// shortened is a text of at most most bytes, and says so where its end is left out.
func shortened(text string, most int) string {
	const more = " …"
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}
