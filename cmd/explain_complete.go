package cmd

import (
	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/connectivity"
)

// completeEnds completes SOURCE and DESTINATION.
func completeEnds(cmd *cobra.Command, f *cli.Factory) {
	source, destination := completer(f, endNames), completer(f, destinationNames)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return source(cmd, args, prefix)
		case 1:
			return destination(cmd, args, prefix)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// endNames lists what connections can come from.
func endNames(w *world) []string { return connectivity.Names(w.snap) }

func destinationNames(w *world) []string {
	return append(connectivity.Names(w.snap), connectivity.ServiceNames(w.snap)...)
}

// allWorkloads lists the workloads, for completion.
func allWorkloads(w *world) []string {
	var out []string
	for _, ep := range w.snap.Endpoints {
		out = append(out, ep.Workload.String())
	}
	return out
}
