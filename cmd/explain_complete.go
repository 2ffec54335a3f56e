package cmd

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

// completeEnds completes SOURCE and DESTINATION.
func completeEnds(cmd *cobra.Command, f *cli.Factory) {
	source, destination := completer(f, endNames, endKinds...), completer(f, destinationNames, endKinds...)
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

// endKinds are those that the ends of connections are known from.
var endKinds = append(slices.Clone(workloadKinds), policy.KindService, policy.KindNetworkSet, policy.KindGlobalNetworkSet, policy.KindHostEndpoint, policy.KindNode)

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
