package cmd

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/pkg/policy"
)

// toValidate is what there is to validate.
type toValidate struct {
	snap      *policy.Snapshot
	faults    policy.Faults
	resources int
	files     []string
	// read gives a file's text once more; origin tells where a resource is.
	read   func(file string) ([]byte, error)
	origin func(policy.Key) policy.Origin
}

// standardInput is what faults call it.
const standardInput = "standard input"

// readToValidate reads -f, or the store in use.
func readToValidate(ctx context.Context, opts *ValidateOptions) (*toValidate, error) {
	if len(opts.Files) == 0 {
		return readStore(ctx, opts)
	}
	var files []string
	for _, path := range opts.Files {
		list, err := manifestFiles(path, opts.Recursive)
		if err != nil {
			return nil, err
		}
		files = append(files, list...)
	}
	slices.Sort(files)
	files = slices.Compact(files) // -f a -f a/b.yaml
	in := &toValidate{files: files, read: os.ReadFile}
	resources, faults, err := decodeFiles(opts, in)
	if err != nil {
		return nil, err
	}
	if len(resources) == 0 && len(faults) == 0 {
		return nil, noResources(opts.Files, opts.Recursive)
	}
	in.resources = len(resources)
	snap, more := policy.NewSnapshot(1, resources, nil)
	in.snap, in.faults = snap, append(faults, more...)
	at := make(map[policy.Key]policy.Origin, len(resources))
	for i := range resources {
		if _, ok := at[resources[i].Key]; !ok {
			at[resources[i].Key] = resources[i].Origin
		}
	}
	in.origin = func(k policy.Key) policy.Origin { return at[k] }
	return in, nil
}

// decodeFiles decodes the files of in, several at once.
func decodeFiles(opts *ValidateOptions, in *toValidate) ([]policy.Resource, policy.Faults, error) {
	decoder := policy.NewDecoder()
	resources := make([][]policy.Resource, len(in.files))
	faults := make([]policy.Faults, len(in.files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range in.files {
		if file == "-" {
			data, err := readManifest(opts.Factory.IO.In, file)
			if err != nil {
				return nil, nil, err
			}
			in.files[i] = standardInput
			in.read = func(file string) ([]byte, error) {
				if file == standardInput {
					return data, nil
				}
				return os.ReadFile(file)
			}
			resources[i], faults[i] = decoder.Decode(standardInput, data)
			continue
		}
		group.Go(func() error {
			data, err := readManifest(nil, file)
			if err != nil {
				return err
			}
			resources[i], faults[i] = decoder.Decode(file, data)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return slices.Concat(resources...), slices.Concat(faults...), nil
}

// readStore reads --dir, the lab or the cluster.
func readStore(ctx context.Context, opts *ValidateOptions) (*toValidate, error) {
	store, err := opts.Factory.Store()
	if err != nil {
		return nil, err
	}
	snap, faults, err := store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("validate: %w", err)
	}
	if len(keys)+len(faults) == 0 && opts.Factory.Offline() { // a check of nothing must not pass
		return nil, noResources([]string{opts.Factory.Config.GetString("dir")}, true)
	}
	in := &toValidate{snap: snap, faults: faults, resources: len(keys), read: os.ReadFile}
	at := map[policy.Key]policy.Origin{}
	files := map[string]bool{}
	add := func(k policy.Key, o policy.Origin) {
		at[k] = o
		files[o.File] = true
	}
	eachOrigin(snap, add)
	for _, f := range faults {
		files[f.Origin.File] = true
	}
	delete(files, "")
	for file := range files {
		in.files = append(in.files, file)
	}
	slices.Sort(in.files)
	in.origin = func(k policy.Key) policy.Origin { return at[k] }
	return in, nil
}

// speaksOf says whether anything that was read is in a namespace, or is it.
func (in *toValidate) speaksOf(namespace string) bool {
	found := slices.ContainsFunc(in.faults, func(f policy.Fault) bool { return f.Key.Namespace == namespace })
	eachOrigin(in.snap, func(k policy.Key, _ policy.Origin) {
		found = found || k.Namespace == namespace || k.Kind == policy.KindNamespace && k.Name == namespace
	})
	return found
}

// eachOrigin calls f for everything in a snapshot that is written down.
func eachOrigin(s *policy.Snapshot, f func(policy.Key, policy.Origin)) {
	for _, v := range s.Policies {
		f(v.Key, v.Origin)
	}
	for _, v := range s.Tiers {
		f(policy.Key{Kind: policy.KindTier, Name: v.Name}, v.Origin)
	}
	for _, v := range s.NetworkSets {
		f(v.Key, v.Origin)
	}
	for _, v := range s.HostEndpoints {
		f(policy.Key{Kind: policy.KindHostEndpoint, Name: v.Name}, v.Origin)
	}
	for _, v := range s.Namespaces {
		f(policy.Key{Kind: policy.KindNamespace, Name: v.Name}, v.Origin)
	}
	for _, v := range s.Services {
		f(policy.Key{Kind: policy.KindService, Namespace: v.Namespace, Name: v.Name}, v.Origin)
	}
	for _, v := range s.ServiceAccounts {
		f(policy.Key{Kind: policy.KindServiceAccount, Namespace: v.Namespace, Name: v.Name}, v.Origin)
	}
	for _, v := range s.Endpoints {
		f(policy.Key{Kind: policy.KindPod, Namespace: v.Namespace, Name: v.Name}, v.Origin)
	}
}
