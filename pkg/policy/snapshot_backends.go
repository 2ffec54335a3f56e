package policy

import (
	"maps"
	"net/netip"
	"slices"
)

// backing is what adds to a Service as it is written down, and what they make
// of it together.
type backing struct {
	slices []*Slice
	local  []netip.Addr // of node-local DNS caches (S33)
	with   *Service
}

// withBackends are the Services with the backends that their slices and
// node-local DNS caches add. A Service has a new pointer only where it or its backends changed, and only
// those are looked at whose slices or whose namespace's pods changed.
func (st *snapshotState) withBackends(old *snapshotState) []*Service {
	changed := changedNamespaces(old.resolved, st.resolved)
	st.dns = st.localDNS()
	if st.services == old.services && st.slices == old.slices && len(changed) == 0 && equalDNS(st.dns, old.dns) {
		st.backings = old.backings
		return old.backed
	}
	if len(st.slices.unique) == 0 && len(st.dns) == 0 {
		return st.services.unique
	}
	of := map[[2]string][]*Slice{}
	for _, s := range st.slices.unique {
		id := [2]string{s.Namespace, s.Service}
		of[id] = append(of[id], s)
	}
	owners := ownersByNamespace{all: st.resolved}
	st.backings = make(map[*Service]backing, len(of))
	out := make([]*Service, len(st.services.unique))
	for i, svc := range st.services.unique {
		out[i] = svc
		now := backing{slices: of[[2]string{svc.Namespace, svc.Name}], local: st.dns[svc]}
		if len(now.slices) == 0 && len(now.local) == 0 {
			continue
		}
		was, known := old.backings[svc]
		if known && !changed[svc.Namespace] && slices.Equal(was.slices, now.slices) && slices.Equal(was.local, now.local) {
			now.with = was.with
		} else {
			now.with = now.of(svc, &owners, find(old.backed, svc, byService.key))
		}
		st.backings[svc] = now
		out[i] = now.with
	}
	return out
}

// of is svc with what its slices list, but addresses of pods that it selects:
// those follow the pods. It is before or svc itself where it can be.
func (b backing) of(svc *Service, owners *ownersByNamespace, before *Service) *Service {
	var all []Backend
	for _, s := range b.slices {
		all = append(all, s.Backends...)
	}
	if len(svc.Selector) > 0 {
		all = slices.DeleteFunc(all, func(b Backend) bool {
			return slices.ContainsFunc(owners.of(svc.Namespace, b.Addr), func(ep *Endpoint) bool { return carries(ep, svc.Selector) })
		})
	}
	all = mergeBackends(append(all, localBackends(svc, b.local)...))
	switch {
	case len(all) == 0:
		return svc
	case before != nil && sameBut(before, svc) && slices.EqualFunc(before.Backends, all, sameBackend) && slices.Equal(before.Local, b.local):
		return before
	}
	c := *svc
	c.Backends, c.Local = all, b.local
	return &c
}

// sameBut says whether two Services are the same but for their backends.
func sameBut(a, b *Service) bool {
	return a.Origin == b.Origin && slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.Ports, b.Ports) && maps.Equal(a.Selector, b.Selector)
}

func sameBackend(a, b Backend) bool { return a.Addr == b.Addr && slices.Equal(a.Ports, b.Ports) }

// changedNamespaces are those in which two sorted lists of pods differ.
func changedNamespaces(a, b []*Endpoint) map[string]bool {
	changed := map[string]bool{}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(a) > 0 && len(b) > 0 && a[0] == b[0]:
			a, b = a[1:], b[1:]
			continue
		case len(b) == 0 || len(a) > 0 && byEndpoint.key(a[0], b[0]) < 0:
			changed[a[0].Namespace] = true
			a = a[1:]
		case len(a) == 0 || byEndpoint.key(a[0], b[0]) > 0:
			changed[b[0].Namespace] = true
			b = b[1:]
		default: // of one name, and not the same
			changed[b[0].Namespace] = true
			a, b = a[1:], b[1:]
		}
	}
	return changed
}

// ownersByNamespace finds the pods of a namespace that have an address. Each
// namespace's table is made when it is first asked for.
type ownersByNamespace struct {
	all    []*Endpoint
	tables map[string]map[netip.Addr][]*Endpoint
}

func (o *ownersByNamespace) of(namespace string, a netip.Addr) []*Endpoint {
	table, ok := o.tables[namespace]
	if !ok {
		table = map[netip.Addr][]*Endpoint{}
		for _, ep := range endpointsIn(o.all, namespace) {
			for _, a := range ep.Addrs {
				table[a] = append(table[a], ep)
			}
		}
		if o.tables == nil {
			o.tables = map[string]map[netip.Addr][]*Endpoint{}
		}
		o.tables[namespace] = table
	}
	return table[a]
}
