package cmd

import (
	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
)

// noteMetrics notes what can't be said of flows that come from the agents' metrics:
// these have no addresses outside.
func noteMetrics(io *cli.Streams, source flow.Source, flows []flow.Flow) {
	if !flow.IsMetrics(source) {
		return
	}
	outside := map[flow.Key]bool{}
	for i := range flows {
		k := flow.Key{Source: flows[i].Source, Destination: flows[i].Destination, Protocol: flows[i].Protocol, Port: flows[i].Port}
		if replay.Unaddressed(k.Source) || replay.Unaddressed(k.Destination) {
			outside[k] = true
		}
	}
	if len(outside) > 0 {
		io.ErrPrinter().Printf("note: of %s the address outside is not known: no rule is recommended for it, and it can't be judged where the verdict depends on that\n", plural(len(outside), "flow"))
	}
}
