package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// snapshotState is what the next snapshot is made from.
type snapshotState struct {
	tiers      *series[Tier]
	policies   *series[Policy]
	namespaces *series[Namespace] // those that are written down
	pods       *series[Endpoint]
	templates  *series[Template]
	services   *series[Service] // as they are written down
	sets       *series[NetworkSet]
	hosts      *series[HostEndpoint]
	accounts   *series[ServiceAccount]
	nodes      *series[Node]
	slices     *series[Slice]
	idle       []*Idle
	// dns are the addresses of node-local DNS caches, by the Service as it is
	// written down.
	dns map[*Service][]netip.Addr
	// backed are the Services with their backends, as services.unique, and
	// backings how those with slices came about.
	backed   []*Service
	backings map[*Service]backing
	// owners of workloads that were made by another one.
	owners map[Workload]Workload
	// resolved are the pods with the workload at the top, as pods.unique.
	resolved []*Endpoint
	// unborn are the endpoints that stand in for templates without pods.
	unborn  map[*Template]*Endpoint
	implied map[string]*Namespace
}

// NewSnapshot makes the snapshot of all resources. prev, if not nil, is the
// snapshot before of the same source: what did not change is shared with it by
// pointer, and costs next to nothing.
//
// Pods get the workload at the top of their owners; a workload without pods is
// an endpoint of its own, without addresses, so that manifests can be judged
// before anything runs. Namespaces that others speak of exist.
//
// The faults are of the resources together: the same one twice (the first in
// the order of places counts), policies in tiers that there are not (S13; they
// stay in the snapshot). The policies' own faults are Decode's.
func NewSnapshot(revision uint64, resources []Resource, prev *Snapshot) (*Snapshot, Faults) {
	if prev == nil {
		prev = &Snapshot{}
	}
	old := prev.state
	if old == nil {
		old = &snapshotState{}
	}
	st := old.sortOut(resources)
	s := &Snapshot{
		Revision:        revision,
		Tiers:           st.tiers.unique,
		Policies:        st.policies.unique,
		NetworkSets:     st.sets.unique,
		HostEndpoints:   st.hosts.unique,
		ServiceAccounts: st.accounts.unique,
		Nodes:           st.nodes.unique,
		state:           st,
	}
	st.resolve(old)
	st.backed = reuse(old.backed, st.withBackends(old))
	s.Services = st.backed
	s.Endpoints = reuse(prev.Endpoints, st.endpoints(old))
	s.Namespaces = reuse(prev.Namespaces, st.allNamespaces(s, old))
	return s, st.faults()
}

// reuse returns old if both hold the same.
func reuse[T any](old, now []*T) []*T {
	if slices.Equal(old, now) {
		return old
	}
	return now
}

// sortOut puts resources into the series of their types.
func (old *snapshotState) sortOut(resources []Resource) *snapshotState {
	var (
		tiers      = sized(old.tiers)
		policies   = sized(old.policies)
		namespaces = sized(old.namespaces)
		pods       = sized(old.pods)
		templates  = sized(old.templates)
		services   = sized(old.services)
		sets       = sized(old.sets)
		hosts      = sized(old.hosts)
		accounts   = sized(old.accounts)
		nodes      = sized(old.nodes)
		slices     = sized(old.slices)
		idle       []*Idle
	)
	for i := range resources {
		switch v := resources[i].Value.(type) {
		case *Endpoint:
			pods = append(pods, v)
		case *Policy:
			policies = append(policies, v)
		case *Template:
			templates = append(templates, v)
		case *Service:
			services = append(services, v)
		case *Namespace:
			namespaces = append(namespaces, v)
		case *Tier:
			tiers = append(tiers, v)
		case *NetworkSet:
			sets = append(sets, v)
		case *HostEndpoint:
			hosts = append(hosts, v)
		case *ServiceAccount:
			accounts = append(accounts, v)
		case *Node:
			nodes = append(nodes, v)
		case *Slice:
			slices = append(slices, v)
		case *Idle:
			idle = append(idle, v)
		}
	}
	return &snapshotState{
		tiers:      old.tiers.next(tiers, byTier),
		policies:   old.policies.next(policies, byPolicy),
		namespaces: old.namespaces.next(namespaces, byNamespace),
		pods:       old.pods.next(pods, byEndpoint),
		templates:  old.templates.next(templates, byTemplate),
		services:   old.services.next(services, byService),
		sets:       old.sets.next(sets, bySet),
		hosts:      old.hosts.next(hosts, byHost),
		accounts:   old.accounts.next(accounts, byAccount),
		nodes:      old.nodes.next(nodes, byNode),
		slices:     old.slices.next(slices, bySlice),
		idle:       reuse(old.idle, idle),
	}
}

// sized makes room for as many as there were before.
func sized[T any](s *series[T]) []*T {
	if s == nil {
		return nil
	}
	return make([]*T, 0, len(s.raw)+1)
}

// endpoints are the pods, and one endpoint for each workload that has none.
func (st *snapshotState) endpoints(old *snapshotState) []*Endpoint {
	missing := map[Workload]*Template{}
	for _, t := range st.templates.unique {
		if t.Owner.Name == "" && !t.HostNetwork {
			missing[t.Workload] = t
		}
	}
	if len(missing) == 0 {
		return st.resolved
	}
	var last Workload
	for _, ep := range st.resolved {
		if ep.Workload != last {
			last = ep.Workload
			delete(missing, last)
		}
	}
	for _, p := range st.idle {
		delete(missing, p.Workload)
	}
	st.unborn = make(map[*Template]*Endpoint, len(missing))
	extra := make([]*Endpoint, 0, len(missing))
	for _, t := range missing {
		ep := old.unborn[t]
		if ep == nil {
			ep = &Endpoint{Namespace: t.Workload.Namespace, Name: t.Workload.Name, Workload: t.Workload,
				Labels: t.Labels, Ports: t.Ports, Origin: t.Origin}
		}
		st.unborn[t] = ep
		extra = append(extra, ep)
	}
	slices.SortFunc(extra, func(a, b *Endpoint) int {
		if c := byEndpoint.compare(a, b); c != 0 {
			return c
		}
		return strings.Compare(string(a.Workload.Kind), string(b.Workload.Kind))
	})
	return mergeIn(st.resolved, extra, byEndpoint.compare)
}

// allNamespaces are those written down and those that others speak of.
func (st *snapshotState) allNamespaces(s *Snapshot, old *snapshotState) []*Namespace {
	st.implied = map[string]*Namespace{}
	var extra []*Namespace
	last := ""
	need := func(name string) {
		if name == last || name == "" {
			return
		}
		last = name
		if st.implied[name] != nil {
			return
		}
		if _, ok := slices.BinarySearchFunc(st.namespaces.unique, name, namespaceNamed); ok {
			return
		}
		ns := old.implied[name]
		if ns == nil {
			ns = &Namespace{Name: name, Labels: new(interner).set(namespaceLabels(name))}
		}
		st.implied[name] = ns
		extra = append(extra, ns)
	}
	for _, p := range s.Policies {
		need(p.Namespace)
	}
	for _, ep := range s.Endpoints {
		need(ep.Namespace)
	}
	for _, svc := range s.Services {
		need(svc.Namespace)
	}
	for _, set := range s.NetworkSets {
		need(set.Namespace)
	}
	for _, a := range s.ServiceAccounts {
		need(a.Namespace)
	}
	slices.SortFunc(extra, byNamespace.key)
	return mergeIn(st.namespaces.unique, extra, byNamespace.key)
}

func namespaceNamed(ns *Namespace, name string) int { return strings.Compare(ns.Name, name) }
