package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/tier"
)

// keepIn opens the files of --keep, and makes the request one for them: what is in
// them counts as there, what recommend wrote into them may be extended, and what it
// wrote elsewhere is as if it were not there.
func keepIn(ctx context.Context, path string, ev *evidence, req *recommend.Request) (cluster.Store, error) {
	store, err := cluster.OpenKept(path)
	if errors.Is(err, fs.ErrNotExist) {
		dir := path
		if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" {
			dir = filepath.Dir(path)
		}
		return nil, cli.Usage("mkdir -p "+dir, "--keep %s: there is no such directory", path)
	}
	if err != nil {
		return nil, &cli.Error{What: err.Error(), Err: err}
	}
	snap, faults, err := store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	// A tier need not be in the files, if it is where the policies are going (S13).
	faults = slices.DeleteFunc(slices.Clone(faults), func(f policy.Fault) bool {
		return f.Warning || f.Unsupported || f.Code == policy.CodeMissingTier && ev.snap.Tier(f.Value) != nil
	})
	if len(faults) > 0 {
		return nil, keepFaults(path, faults, ev.told)
	}
	mine, err := recommendedBefore(ctx, store)
	if err != nil {
		return nil, err
	}
	elsewhere, err := recommendedBefore(ctx, ev.store)
	if err != nil {
		return nil, err
	}
	kept := map[policy.Key]bool{}
	for _, p := range snap.Policies {
		kept[p.Key] = true
	}
	there := *ev.snap
	there.Policies = slices.Clone(snap.Policies)
	for _, p := range ev.snap.Policies {
		if !kept[p.Key] && !elsewhere[p.Key] {
			there.Policies = append(there.Policies, p)
		}
	}
	slices.SortFunc(there.Policies, tier.ComparePolicies)
	there.Tiers = slices.Clone(ev.snap.Tiers)
	for _, t := range snap.Tiers {
		if ev.snap.Tier(t.Name) == nil {
			there.Tiers = append(there.Tiers, t)
		}
	}
	req.There, req.InPlace = &there, true
	req.Mine = func(k policy.Key) bool { return mine[k] }
	return store, nil
}

// keepFaults is the error where files that are to be kept have faults. Those of a
// directory that policies are judged by, too, were told before.
func keepFaults(path string, faults, told policy.Faults) error {
	known := func(f policy.Fault) bool {
		return slices.ContainsFunc(told, func(t policy.Fault) bool {
			file := t.Origin.File
			t.Origin.File = f.Origin.File
			return t == f && sameFile(file, f.Origin.File)
		})
	}
	rest := slices.DeleteFunc(slices.Clone(faults), known)
	if len(rest) > 0 {
		return cli.FaultsError(rest)
	}
	return &cli.Error{What: fmt.Sprintf("--keep %s: nothing is written as long as there are errors in it", path), Err: faults}
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// writeKept writes the files, and nothing else.
func writeKept(ctx context.Context, opts *RecommendOptions, store cluster.Store, changes []cluster.Change) error {
	edit := newEditOptions(opts.Factory)
	edit.DryRun, edit.Format = opts.DryRun, output.Text
	if opts.FormatGiven && opts.Format.Structured() {
		edit.Format = opts.Format
	}
	edit.Store = func() (cluster.Store, error) { return store, nil }
	edit.Offline = func() bool { return true }
	return edit.change(ctx, changes, nil)
}
