package connectivity

import (
	"github.com/netpol-project/netpol/pkg/policy"
)

// Names lists the workloads, pods, network sets and nodes that Lookup knows.
func Names(s *policy.Snapshot) []string {
	seen := map[string]bool{}
	var out []string
	add := func(n string) {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	for _, ep := range s.Endpoints {
		add(ep.Workload.String())
		add(ep.ID())
	}
	for _, set := range s.NetworkSets {
		add(setName(set.Key))
	}
	l := lookup{s: s}
	for _, n := range l.nodes() {
		add(prefixHost + "/" + n)
	}
	add(nameInternet)
	return out
}

// ServiceNames lists the Services as Lookup knows them.
func ServiceNames(s *policy.Snapshot) []string {
	var out []string
	for _, svc := range s.Services {
		out = append(out, prefixService+"/"+svc.Namespace+"/"+svc.Name)
	}
	return out
}
