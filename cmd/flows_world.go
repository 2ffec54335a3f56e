package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/recording"
	"github.com/netpol-project/netpol/pkg/policy"
)

// worldFrom is --flows of commands that look at policies and not at traffic: of
// flows they take the workloads alone, with their labels, ports and addresses.
type worldFrom struct {
	flowsFrom
	// recorded is what a recording brings, seen the flows of another file; nil:
	// not read yet.
	recorded *policy.Snapshot
	seen     []flow.Flow
}

func (o *worldFrom) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.From, "flows", "", "take the workloads, too, that a recording has (netpol flows record) or Calico's or Hubble's flows in a file tell of; - for standard input")
}

// listPods is what to type for the names that there are; of a recording's pods
// no list of resources tells.
func listPods(recorded bool) string {
	if recorded {
		return "netpol connectivity -A"
	}
	return "netpol get pods -A"
}

// onto is a snapshot with the workloads of the flows that it lacks.
func (o *worldFrom) onto(ctx context.Context, f *cli.Factory, snap *policy.Snapshot) (*policy.Snapshot, error) {
	if !o.Given() {
		return snap, nil
	}
	if !o.isFile() {
		return nil, cli.Usage("netpol flows record -o flows.jsonl.zst --flows "+cli.ShellWord(o.From),
			"--flows %s: this looks at workloads and policies, so it needs a file", o.From)
	}
	if err := o.read(ctx, f); err != nil {
		return nil, err
	}
	if o.recorded != nil {
		return snap.WithWorld(o.recorded), nil
	}
	names := flow.NewNames(snap)
	flows := make([]flow.Flow, len(o.seen))
	for i := range flows {
		flows[i] = names.Flow(o.seen[i])
	}
	w := &world{snap: snap}
	_, err := w.witness(f, flows)
	return w.snap, err
}

// read reads the file, once.
func (o *worldFrom) read(ctx context.Context, f *cli.Factory) error {
	if o.recorded != nil || o.seen != nil {
		return nil
	}
	source, err := o.open(ctx, f)
	if err != nil {
		return err
	}
	flows, _, err := source.List(ctx, flow.Filter{IncludeProbes: true})
	if err != nil {
		return o.failed(source, err)
	}
	rec, ok := source.(*recording.Source)
	if !ok {
		o.seen = flows
		return nil
	}
	o.recorded = rec.World()
	if note := rec.Note(); note != "" {
		f.IO.ErrPrinter().Printf("note: %s\n", note)
	}
	return nil
}
