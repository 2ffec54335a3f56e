package cmd

import (
	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
)

// tellFaults prints faults in resources on stderr, each by its severity: the
// answer may depend on what is missing. The command goes on.
func tellFaults(streams *cli.Streams, faults policy.Faults) {
	p := streams.ErrPrinter()
	for i := range faults {
		p.Printf("%s: %s\n", severity(&faults[i]), faults[i].Error())
	}
}

// severity is error for what is not judged as its author meant, and warning
// otherwise.
func severity(f *policy.Fault) string {
	if f.Warning {
		return "warning"
	}
	return "error"
}
