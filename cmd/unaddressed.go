package cmd

import (
	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
)

// noteUnaddressed notes what an answer about pods without addresses leaves out:
// nets match addresses, so none of these pods, and notNets all of them. That is
// how it is in manifests alone; pods that run have addresses.
func noteUnaddressed(io *cli.Streams, snaps ...*policy.Snapshot) {
	most := 0
	for _, s := range snaps {
		if n := unaddressed(s); n > most && namesNets(s.Policies) {
			most = n
		}
	}
	if most > 0 {
		verb := "have"
		if most == 1 {
			verb = "has"
		}
		io.ErrPrinter().Printf("note: %s %s no address here, so that no net in a policy holds one\n", plural(most, "workload"), verb)
	}
}

// unaddressed counts the endpoints without addresses.
func unaddressed(s *policy.Snapshot) int {
	n := 0
	for _, ep := range s.Endpoints {
		if len(ep.Addrs) == 0 {
			n++
		}
	}
	return n
}

// namesNets says whether a rule of a policy has nets.
func namesNets(policies []*policy.Policy) bool {
	for _, p := range policies {
		for _, rules := range p.Rules {
			for i := range rules {
				r := &rules[i]
				if len(r.Source.Nets)+len(r.Source.NotNets)+len(r.Destination.Nets)+len(r.Destination.NotNets) > 0 {
					return true
				}
			}
		}
	}
	return false
}
