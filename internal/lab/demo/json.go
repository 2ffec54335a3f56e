package demo

import "fmt"

// peer is one end of an item in any report.
type peer struct{ Namespace, Workload, Kind, Address string }

func (p peer) String() string {
	if p.Workload == "" {
		return p.Address
	}
	return p.Namespace + "/" + p.Workload
}

// item is a line of any report.
type item struct {
	Source, Destination         peer
	Protocol, Result, Direction string
	Port                        int
	BlockedBy, DeniedBy         *struct{ Tier, Kind, Namespace, Name string }
}

// String is "from → to:port".
func (i item) String() string {
	return fmt.Sprintf("%s → %s:%d", i.Source, i.Destination, i.Port)
}

// probeDocument, flowsDocument and reportDocument are the parts of the
// commands' JSON that the checks look at.
type (
	probeDocument struct {
		Summary struct{ Pairs, Connected int }
		Items   []item
	}
	flowsDocument  struct{ Items []item }
	reportDocument struct {
		Summary struct {
			Flows struct{ Observed, WouldBlock int }
		}
		Items []item
	}
)

// status is the part of lab status that the checks look at.
type status struct {
	Agent struct {
		Ready    bool
		Problems []string
	}
	Pods    []pod
	Outside pod
}

type pod struct {
	Namespace, Name string
	Targets         []struct {
		Target, LastError string
		OK, Failed        int
	}
}
