package connectivity

import (
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Overlay is base with the resources of over applied: those of one kind,
// namespace and name are replaced, others are added, nothing is deleted. A
// workload that over describes keeps base's pods and their addresses, with the
// labels and ports that over gives them.
func Overlay(base, over *policy.Snapshot) *policy.Snapshot {
	out := &policy.Snapshot{
		Revision: base.Revision + 1,
		Tiers:    merge(base.Tiers, over.Tiers, func(a, b *policy.Tier) int { return cmp.Compare(a.Name, b.Name) }),
		Policies: merge(base.Policies, over.Policies, func(a, b *policy.Policy) int { return a.Key.Compare(b.Key) }),
		Services: merge(base.Services, over.Services, func(a, b *policy.Service) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		}),
		NetworkSets: merge(base.NetworkSets, over.NetworkSets, func(a, b *policy.NetworkSet) int { return a.Key.Compare(b.Key) }),
		HostEndpoints: merge(base.HostEndpoints, over.HostEndpoints, func(a, b *policy.HostEndpoint) int {
			return cmp.Compare(a.Name, b.Name)
		}),
		ServiceAccounts: merge(base.ServiceAccounts, over.ServiceAccounts, func(a, b *policy.ServiceAccount) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		}),
		Nodes: merge(base.Nodes, over.Nodes, func(a, b *policy.Node) int { return cmp.Compare(a.Name, b.Name) }),
	}
	byName := func(a, b *policy.Namespace) int { return cmp.Compare(a.Name, b.Name) }
	// A namespace that over only speaks of has no labels of its own there.
	written := slices.DeleteFunc(slices.Clone(over.Namespaces), func(ns *policy.Namespace) bool {
		_, known := slices.BinarySearchFunc(base.Namespaces, ns, byName)
		return ns.Origin == (policy.Origin{}) && known
	})
	out.Namespaces = merge(base.Namespaces, written, byName)
	out.Endpoints = overlayPods(base, over)
	return out
}

// merge is base with over's in the place of equal ones; both are sorted.
func merge[T any](base, over []*T, compare func(a, b *T) int) []*T {
	if len(over) == 0 {
		return base
	}
	out := slices.DeleteFunc(slices.Clone(base), func(b *T) bool {
		_, replaced := slices.BinarySearchFunc(over, b, compare)
		return replaced
	})
	out = append(out, over...)
	slices.SortFunc(out, compare)
	return out
}

func overlayPods(base, over *policy.Snapshot) []*policy.Endpoint {
	byID := func(a, b *policy.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Workload.Kind, b.Workload.Kind))
	}
	templates, pods := map[policy.Workload]*policy.Endpoint{}, []*policy.Endpoint{}
	for _, ep := range over.Endpoints {
		if ep.StandsForAll() {
			templates[ep.Workload] = ep // in the place of pods that do not run yet
		} else {
			pods = append(pods, ep)
		}
	}
	used := map[policy.Workload]bool{}
	out := make([]*policy.Endpoint, 0, len(base.Endpoints)+len(over.Endpoints))
	for _, ep := range base.Endpoints {
		if t := templates[ep.Workload]; t != nil {
			used[ep.Workload] = true
			ep = relabelled(ep, t)
		}
		out = append(out, ep)
	}
	for w, t := range templates {
		if !used[w] {
			pods = append(pods, t)
		}
	}
	slices.SortFunc(pods, byID)
	return merge(out, pods, byID)
}

// relabelled is a pod as its workload's new template would make it. Labels that
// something else put on the pod stay as long as it keeps all of the template's.
func relabelled(ep, t *policy.Endpoint) *policy.Endpoint {
	same := slices.Equal(ep.Ports, t.Ports)
	for k, v := range t.Labels {
		same = same && ep.Labels[k] == v
	}
	if same && len(ep.Addrs) > 0 {
		return ep
	}
	c := *ep
	c.Labels, c.Ports, c.Origin = t.Labels, t.Ports, t.Origin
	return &c
}
