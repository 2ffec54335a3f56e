package cmd

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// DiffOptions are what diff needs.
type DiffOptions struct {
	Factory *cli.Factory
	Files   []string
	Pending bool
	From    string
	To      string
	Source  worldFrom
	Format  output.Format
}

// NewCmdDiff is "netpol diff".
func NewCmdDiff(f *cli.Factory, runF func(*DiffOptions) error) *cobra.Command {
	opts := &DiffOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "diff -f DIR | --pending | --from DIR --to DIR",
		Short: "Show the connections that a change of policies allows or forbids",
		Long: `Show the connections that are allowed before a change and not after, or the
other way round: not the text that changes. All protocols and ports count,
declared or not, between workloads and to and from what is outside; what is on
ports that no container declares comes last.

  -f DIR              what there is, against the same with the resources of DIR
                      applied: they replace those of their kind, namespace and
                      name, or are added; nothing is deleted
  --pending           what is enforced, against that with every staged policy
                      enforced
  --from DIR --to DIR one directory against the other, each the whole of it

Directories are read with all directories in them. With -n, connections of which
one end is in the namespace; with -A, the cluster's own workloads too. The exit
code is 0 if nothing changes and 1 if something does. -o md is for a comment on
a pull request.`,
		Example: `  netpol diff --pending
  netpol diff -f policies/ -o md
  netpol diff --from main/manifests --to manifests --ns vote
  netpol diff --from main/policies --to policies --flows flows.jsonl.zst`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return diffRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&opts.Files, "filename", "f", nil, "file or directory of manifests to apply, or - for standard input")
	flags.BoolVar(&opts.Pending, "pending", false, "as if every staged policy were enforced")
	flags.StringVar(&opts.From, "from", "", "directory of manifests before")
	flags.StringVar(&opts.To, "to", "", "directory of manifests after")
	opts.Source.addTo(cmd)
	for _, name := range []string{"from", "to"} {
		_ = cmd.MarkFlagDirname(name) // the flag exists
	}
	output.AddFlag(flags, &opts.Format, output.Text, output.Wide, output.JSON, output.YAML, formatMarkdown)
	return cmd
}

func diffRun(ctx context.Context, opts *DiffOptions) error {
	before, after, err := opts.views(ctx)
	if err != nil {
		return err
	}
	f := opts.Factory
	if err := knownNamespaces(both(before, after), f.Namespaces(), opts.Source.Given()); err != nil {
		return err
	}
	if len(before.Model.Snapshot().Endpoints)+len(after.Model.Snapshot().Endpoints) == 0 {
		return cli.Usage("netpol diff --from DIR --to DIR, with the workloads in both", "there are no pods and no workloads to compare the connections of")
	}
	changes := connectivity.Changes(before, after, connectivity.Options{
		Pick: connectivity.InNamespaces(f.Namespaces(), f.AllNamespaces()), Outside: true,
	})
	if err := printDiff(opts, changes); err != nil {
		return err
	}
	noteUnaddressed(f.IO, before.Model.Snapshot(), after.Model.Snapshot())
	return cli.Answer(len(changes) == 0)
}

// both has the namespaces of two views.
func both(before, after connectivity.View) *policy.Snapshot {
	b, a := before.Model.Snapshot(), after.Model.Snapshot()
	return &policy.Snapshot{Namespaces: append(b.Namespaces[:len(b.Namespaces):len(b.Namespaces)], a.Namespaces...)}
}

// views are the two sides that the flags ask for.
func (o *DiffOptions) views(ctx context.Context) (before, after connectivity.View, err error) {
	dirs := o.From != "" || o.To != ""
	ways := 0
	for _, given := range []bool{len(o.Files) > 0, o.Pending, dirs} {
		if given {
			ways++
		}
	}
	const try = "netpol diff --pending"
	switch {
	case ways == 0:
		return before, after, cli.Usage(try, "what to compare with is missing: -f, --pending, or --from and --to")
	case ways > 1:
		return before, after, cli.Usage(try, "-f, --pending and --from with --to can't be given together")
	case o.Source.From == "-" && slices.Contains(o.Files, "-"):
		return before, after, cli.Usage(try, "-f - and --flows -: standard input can be read only once")
	case dirs && o.From == "":
		return before, after, cli.Usage("", "--from is missing")
	case dirs && o.To == "":
		return before, after, cli.Usage("", "--to is missing")
	case dirs:
		from, err := o.read([]string{o.From}, true)
		if err != nil {
			return before, after, err
		}
		to, err := o.read([]string{o.To}, true)
		if err != nil {
			return before, after, err
		}
		if from, err = o.Source.onto(ctx, o.Factory, from); err != nil {
			return before, after, err
		}
		if to, err = o.Source.onto(ctx, o.Factory, to); err != nil {
			return before, after, err
		}
		return connectivity.View{Model: tier.New(from, nil)}, connectivity.View{Model: tier.New(to, nil)}, nil
	}
	m, err := loadModel(ctx, o.Factory, &o.Source)
	if err != nil {
		return before, after, err
	}
	before = connectivity.View{Model: m}
	if o.Pending {
		return before, connectivity.View{Model: m, Scope: tier.Pending()}, nil
	}
	over, err := o.read(o.Files, false)
	if err != nil {
		return before, after, err
	}
	return before, connectivity.View{Model: tier.New(connectivity.Overlay(m.Snapshot(), over), nil)}, nil
}

// read reads manifests. What can't be read as it is meant is an error: a diff
// without it would look harmless. whole says that there is nothing else, so
// that policies in unknown tiers are told.
func (o *DiffOptions) read(paths []string, whole bool) (*policy.Snapshot, error) {
	var resources []policy.Resource
	var all policy.Faults
	decoder := policy.NewDecoder()
	if !whole {
		decoder.Home = o.Factory.DefaultNamespace() // where apply would put it
	}
	for _, path := range paths {
		files, err := manifestFiles(path, true)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := readManifest(o.Factory.IO.In, file)
			if err != nil {
				return nil, err
			}
			if file == "-" {
				file = "standard input"
			}
			found, faults := decoder.Decode(file, data)
			resources, all = append(resources, found...), append(all, faults...)
		}
	}
	if errs := all.Errors(); len(errs) > 0 {
		return nil, cli.FaultsError(errs)
	}
	if len(resources) == 0 {
		return nil, noResources(paths, true)
	}
	snap, faults := policy.NewSnapshot(1, resources, nil)
	tellFaults(o.Factory.IO, slices.DeleteFunc(append(all, faults...), func(f policy.Fault) bool {
		return !whole && f.Code == policy.CodeMissingTier
	}))
	return snap, nil
}
