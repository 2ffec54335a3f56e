package policy

import (
	"slices"
)

// WithWorld is the snapshot with what it lacks of another one: the endpoints of
// workloads that it does not have, Services, sets, hosts, accounts and nodes of
// other names, and namespaces that are not written down in it. Tiers and policies
// stay its own.
func (s *Snapshot) WithWorld(other *Snapshot) *Snapshot {
	out := *s
	out.state = nil
	out.Endpoints = slices.Clone(s.Endpoints)
	workloads := map[string]bool{}
	for _, ep := range s.Endpoints {
		workloads[ep.Workload.String()] = true
	}
	for _, ep := range other.Endpoints {
		if !workloads[ep.Workload.String()] && s.Endpoint(ep.Namespace, ep.Name) == nil {
			out.Endpoints = append(out.Endpoints, ep)
		}
	}
	slices.SortStableFunc(out.Endpoints, byEndpoint.compare)
	out.Namespaces = nil
	for _, ns := range s.Namespaces {
		if ns.Origin != (Origin{}) || other.Namespace(ns.Name) == nil {
			out.Namespaces = append(out.Namespaces, ns)
		}
	}
	out.Namespaces = lacking(out.Namespaces, other.Namespaces, byNamespace.key)
	out.Services = lacking(s.Services, other.Services, byService.key)
	out.NetworkSets = lacking(s.NetworkSets, other.NetworkSets, bySet.key)
	out.HostEndpoints = lacking(s.HostEndpoints, other.HostEndpoints, byHost.key)
	out.ServiceAccounts = lacking(s.ServiceAccounts, other.ServiceAccounts, byAccount.key)
	out.Nodes = lacking(s.Nodes, other.Nodes, byNode.key)
	return &out
}

// lacking is own with those of more that it has none like of. Both are sorted.
func lacking[T any](own, more []*T, compare func(a, b *T) int) []*T {
	var extra []*T
	for _, v := range more {
		if _, ok := slices.BinarySearchFunc(own, v, compare); !ok {
			extra = append(extra, v)
		}
	}
	if len(extra) == 0 {
		return own
	}
	return mergeIn(own, extra, compare)
}
