package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
)

// ConnectivityOptions are what connectivity needs.
type ConnectivityOptions struct {
	Factory  *cli.Factory
	Scope    scopeFlags
	External bool
	Source   worldFrom
	Format   output.Format
}

// Formats that only matrices of connections have.
const (
	formatCSV      output.Format = "csv"
	formatDOT      output.Format = "dot"
	formatMermaid  output.Format = "mermaid"
	formatMarkdown output.Format = "md"
)

// NewCmdConnectivity is "netpol connectivity".
func NewCmdConnectivity(f *cli.Factory, runF func(*ConnectivityOptions) error) *cobra.Command {
	opts := &ConnectivityOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "connectivity",
		Short: "Show who may talk to whom, as the policies say",
		Long: `Show for every pair of workloads, on every port that the destination declares,
whether the policies allow it. This is the model's answer; "netpol probe" asks
the network. "some" means that the pods of a workload are not judged alike: some
of the pairs of pods may talk.

With -n, pairs of which one end is in the namespace; with -A, the cluster's own
workloads too; with --external, also what is outside: network sets, nodes with
host endpoints, nets that rules name, and the internet.

With -o wide, what is allowed on all ports, declared or not, and what decided.
-o dot and -o mermaid draw what is allowed; csv and md are tables.`,
		Example: `  netpol connectivity
  netpol connectivity --ns vote --pending --external
  netpol connectivity -f policies/ --flows flows.jsonl.zst
  netpol connectivity -o dot | dot -Tsvg > connectivity.svg
  netpol connectivity -o json > expected.json && netpol probe --expect expected.json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return connectivityRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Scope.pending, "pending", false, "as if every staged policy were enforced")
	cmd.Flags().StringVar(&opts.Scope.only, "only", "", "as if this staged policy were enforced")
	cmd.Flags().BoolVar(&opts.External, "external", false, "what is outside of the cluster too")
	opts.Source.addTo(cmd)
	addDir(cmd, "judge by")
	completeFlag(cmd, f, "only", stagedNames, stagedKinds...)
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML,
		formatCSV, formatDOT, formatMermaid, formatMarkdown)
	return cmd
}

func connectivityRun(ctx context.Context, opts *ConnectivityOptions) error {
	f := opts.Factory
	m, err := loadModel(ctx, f, &opts.Source)
	if err != nil {
		return err
	}
	if err := knownNamespaces(m.Snapshot(), f.Namespaces(), opts.Source.Given()); err != nil {
		return err
	}
	scope, err := opts.Scope.scope(m.Snapshot(), onlyOne(f.Namespaces()))
	if err != nil {
		return err
	}
	if len(m.Snapshot().Endpoints) == 0 {
		f.IO.ErrPrinter().Printf("warning: there are no pods and no workloads here, so no connections\n")
	}
	pairs := connectivity.Matrix(m, scope, connectivity.Options{
		Pick:    connectivity.InNamespaces(f.Namespaces(), f.AllNamespaces()),
		Outside: opts.External,
		// The narrow formats show declared ports only, and those to the outside,
		// which declares none.
		Spaces: opts.Format != output.Text && opts.Format != formatCSV || opts.External,
	})
	if err := printConnectivity(opts, pairs); err != nil {
		return err
	}
	noteUnaddressed(f.IO, m.Snapshot())
	return nil
}

// stagedNames lists the staged policies, for --only.
func stagedNames(w *world) []string {
	var out []string
	for _, p := range w.snap.Policies {
		if p.Kind.Staged() {
			out = append(out, p.Name)
		}
	}
	return out
}
