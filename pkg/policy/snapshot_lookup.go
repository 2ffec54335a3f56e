package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Namespace is the namespace of that name, nil if there is none.
func (s *Snapshot) Namespace(name string) *Namespace {
	return find(s.Namespaces, name, namespaceNamed)
}

// Policy is the policy with that key, nil if there is none.
func (s *Snapshot) Policy(key Key) *Policy {
	return find(s.Policies, key, func(p *Policy, key Key) int { return p.Key.Compare(key) })
}

// Tier is the tier of that name as it is written down, or a built-in one (S1);
// nil if there is none.
func (s *Snapshot) Tier(name string) *Tier {
	if t := find(s.Tiers, name, func(t *Tier, name string) int { return strings.Compare(t.Name, name) }); t != nil {
		return t
	}
	return BuiltinTier(name)
}

// AllTiers are the tiers that are written down and the built-in ones that are
// not (S1), in no order.
func (s *Snapshot) AllTiers() []*Tier {
	out := slices.Clone(s.Tiers)
	for _, name := range []string{"kube-admin", "default", "kube-baseline"} {
		if !slices.ContainsFunc(out, func(t *Tier) bool { return t.Name == name }) {
			out = append(out, BuiltinTier(name))
		}
	}
	return out
}

// Service is the Service of that name, nil if there is none.
func (s *Snapshot) Service(namespace, name string) *Service {
	return find(s.Services, [2]string{namespace, name}, func(v *Service, id [2]string) int {
		return compareNames(v.Namespace, v.Name, id[0], id[1])
	})
}

// NetworkSet is the set of either kind with that key, nil if there is none.
func (s *Snapshot) NetworkSet(key Key) *NetworkSet {
	return find(s.NetworkSets, key, func(v *NetworkSet, key Key) int { return v.Key.Compare(key) })
}

// HostEndpoint is the host endpoint of that name, nil if there is none.
func (s *Snapshot) HostEndpoint(name string) *HostEndpoint {
	return find(s.HostEndpoints, name, func(v *HostEndpoint, name string) int { return strings.Compare(v.Name, name) })
}

// ServiceAccount is the account of that name, nil if it is not written down.
func (s *Snapshot) ServiceAccount(namespace, name string) *ServiceAccount {
	return find(s.ServiceAccounts, [2]string{namespace, name}, func(v *ServiceAccount, id [2]string) int {
		return compareNames(v.Namespace, v.Name, id[0], id[1])
	})
}

// Endpoint is the pod of that name, nil if there is none. A workload without
// pods has the endpoint of its own name.
func (s *Snapshot) Endpoint(namespace, name string) *Endpoint {
	return find(s.Endpoints, [2]string{namespace, name}, func(v *Endpoint, id [2]string) int {
		return compareNames(v.Namespace, v.Name, id[0], id[1])
	})
}

// EndpointsIn are the endpoints of a namespace, sorted by name.
func (s *Snapshot) EndpointsIn(namespace string) []*Endpoint {
	return endpointsIn(s.Endpoints, namespace)
}

func endpointsIn(all []*Endpoint, namespace string) []*Endpoint {
	byNamespace := func(v *Endpoint, ns string) int { return strings.Compare(v.Namespace, ns) }
	from, _ := slices.BinarySearchFunc(all, namespace, byNamespace)
	to := from
	for to < len(all) && all[to].Namespace == namespace {
		to++
	}
	return all[from:to]
}

// WorkloadEndpoints are the endpoints of a workload, sorted by name. An empty
// Kind means any kind.
func (s *Snapshot) WorkloadEndpoints(w Workload) []*Endpoint {
	var out []*Endpoint
	for _, ep := range s.EndpointsIn(w.Namespace) {
		if ep.Workload.Name == w.Name && (w.Kind == "" || ep.Workload.Kind == w.Kind) {
			out = append(out, ep)
		}
	}
	return out
}

// ServiceFor is the Service that has a cluster address and port, nil if there
// is none. It walks all Services: callers with many addresses keep a table.
func (s *Snapshot) ServiceFor(addr netip.Addr, proto Protocol, port uint16) (*Service, *ServicePort) {
	for _, svc := range s.Services {
		if !slices.Contains(svc.Addrs, addr) && !slices.Contains(svc.Local, addr) {
			continue
		}
		for i := range svc.Ports {
			if p := &svc.Ports[i]; p.Protocol == proto && p.Port == port {
				return svc, p
			}
		}
	}
	return nil, nil
}

// ServiceEndpoints are the endpoints that carry the labels that a Service
// selects; none for one without a selector. Terminating pods are not among
// them.
func (s *Snapshot) ServiceEndpoints(svc *Service) []*Endpoint {
	if len(svc.Selector) == 0 {
		return nil
	}
	var out []*Endpoint
	for _, ep := range s.EndpointsIn(svc.Namespace) {
		if !ep.Terminating && carries(ep, svc.Selector) {
			out = append(out, ep)
		}
	}
	return out
}

func carries(ep *Endpoint, labels map[string]string) bool {
	for k, v := range labels {
		if have, ok := ep.Labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// TargetPortOf is the port of ep that a Service's port leads to; 0 if it is
// given by a name that no container port of ep has.
func (p *ServicePort) TargetPortOf(ep *Endpoint) uint16 {
	if p.TargetName == "" {
		return p.TargetPort
	}
	for _, c := range ep.Ports {
		if c.Name == p.TargetName && c.Protocol == p.Protocol {
			return c.Port
		}
	}
	return 0
}

func find[T, K any](list []*T, key K, compare func(*T, K) int) *T {
	if i, ok := slices.BinarySearchFunc(list, key, compare); ok {
		return list[i]
	}
	return nil
}

// WithPolicies is the snapshot with other policies, for a source that calls them
// by other names. Everything else is shared.
func (s *Snapshot) WithPolicies(policies []*Policy) *Snapshot {
	out := *s
	out.Policies, out.state = slices.Clone(policies), nil
	slices.SortFunc(out.Policies, func(a, b *Policy) int { return a.Key.Compare(b.Key) })
	return &out
}

// WithEndpoints is the snapshot with more endpoints, and the namespaces that
// they are in. Everything else is shared.
func (s *Snapshot) WithEndpoints(more []*Endpoint) *Snapshot {
	out := *s
	out.state = nil
	out.Endpoints = slices.Concat(s.Endpoints, more)
	slices.SortStableFunc(out.Endpoints, byEndpoint.compare)
	out.Namespaces = slices.Clone(s.Namespaces)
	for _, ep := range more {
		if out.Namespace(ep.Namespace) == nil {
			out.Namespaces = append(out.Namespaces, &Namespace{Name: ep.Namespace, Labels: new(interner).set(namespaceLabels(ep.Namespace))})
			slices.SortFunc(out.Namespaces, byNamespace.key)
		}
	}
	return &out
}

// WithEndpoint is the snapshot with another endpoint of the same name in place
// of one. Everything else is shared.
func (s *Snapshot) WithEndpoint(now *Endpoint) *Snapshot {
	out := *s
	out.state = nil
	for i, ep := range s.Endpoints {
		if ep.Namespace == now.Namespace && ep.Name == now.Name {
			out.Endpoints = slices.Clone(s.Endpoints)
			out.Endpoints[i] = now
			break
		}
	}
	return &out
}
