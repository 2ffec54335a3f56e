package cmd

import (
	"context"
	"math"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/flow"
)

// flowsFrom is where a command's flows come from.
type flowsFrom struct {
	cli.FlowsFrom
	// partial: the command shows what there is, and decides nothing.
	partial bool
	// scope are the namespaces whose flows do where all are not the user's to
	// see; none: only all do.
	scope []string
	// coverage is of the flows that were read; nil: none were.
	coverage *flow.Coverage
	// kept is an open source, for commands that ask it again and again.
	kept flow.Source
	// before is called when the policies are known, and before flows are read; nil:
	// there is nothing to do.
	before func(*world, flow.Source) error
}

func (o *flowsFrom) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.From, "flows", "", "where flows come from: a recording (netpol flows record), or a file of Calico's flow logs or of hubble observe -o jsonpb; - for standard input; goldmane://HOST:PORT; or what Prometheus has of the agents' metrics, prometheus://HOST:PORT or prometheus+https://HOST/PATH, with ?range=14d")
	flags.StringVar(&o.CA, "flows-ca", "", "file with the certificate of Goldmane's or Prometheus' authority")
	flags.StringVar(&o.Cert, "flows-cert", "", "file with the client certificate for Goldmane or Prometheus")
	flags.StringVar(&o.Key, "flows-key", "", "file with the client certificate's key")
	flags.StringVar(&o.TokenFile, "flows-token-file", "", "file with the bearer token for Prometheus")
	flags.StringVar(&o.PasswordFile, "flows-password-file", "", "file with the password for prometheus+https://USER@HOST")
	if flags.ShorthandLookup("f") == nil {
		addDir(cmd, "judge by")
	}
}

// open opens the source that the flags name, or else the target's own.
func (o *flowsFrom) open(ctx context.Context, f *cli.Factory) (flow.Source, error) {
	if o.kept != nil {
		return o.kept, nil
	}
	if o.isFile() {
		saveMemory()
	}
	if o.Given() {
		o.Now, o.Note = f.Now, func(text string) { f.IO.ErrPrinter().Printf("note: %s\n", text) }
		return o.Open(f.IO.In)
	}
	if err := o.Misplaced(); err != nil {
		return nil, err
	}
	return f.Flows(ctx)
}

// fileMemory is how much memory, in bytes, a command over a file of flows takes
// before the collector of garbage works harder rather than take more.
const fileMemory = 200 << 20

// saveMemory makes the collector do so, unless the user has set a limit
// (GOMEMLIMIT). Most of what reading a large file leaves behind is garbage.
func saveMemory() {
	if before := debug.SetMemoryLimit(-1); before == math.MaxInt64 {
		debug.SetMemoryLimit(fileMemory)
	}
}

// failed is an error of the source as users see it.
func (o *flowsFrom) failed(source flow.Source, err error) error {
	if o.Given() || flow.IsCalicos(source) {
		return o.Error(err)
	}
	return flowsError(err)
}

// isFile says whether flows are in a file, which is read from its beginning
// whatever is asked for.
func (o *flowsFrom) isFile() bool { return o.Given() && !strings.Contains(o.From, "://") }

// storeOf opens the target's resources. Where nobody said which and there is
// none, a file of flows is judged by what it brings itself, and Prometheus' flows
// are shown without.
func (o *flowsFrom) storeOf(f *cli.Factory) func() (cluster.Store, error) {
	return func() (cluster.Store, error) {
		store, err := f.Store()
		if o.alone(f, err) {
			return cluster.Nothing(), nil
		}
		return store, err
	}
}

// alone says whether the flows are all that there is: no directory, lab or cluster,
// which err of Factory.Store tells.
func (o *flowsFrom) alone(f *cli.Factory, err error) bool {
	return (o.isFile() || o.IsPrometheus()) && f.NoTarget(err)
}
