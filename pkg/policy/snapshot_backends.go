package policy

import (
	"maps"
	"net/netip"
	"slices"
)

// withBackends are the Services with the backends that their slices add. A
// Service has a new pointer only where it or its backends changed.
func (st *snapshotState) withBackends(old *snapshotState) []*Service {
	st.dns = st.localDNS()
	if st.services == old.services && st.slices == old.slices && slices.Equal(st.resolved, old.resolved) && equalDNS(st.dns, old.dns) {
		return old.backed
	}
	if len(st.slices.unique) == 0 && len(st.dns) == 0 {
		return st.services.unique
	}
	of := map[[2]string][]*Slice{}
	for _, s := range st.slices.unique {
		of[[2]string{s.Namespace, s.Service}] = append(of[[2]string{s.Namespace, s.Service}], s)
	}
	out := make([]*Service, len(st.services.unique))
	for i, svc := range st.services.unique {
		out[i] = svc
		list, local := of[[2]string{svc.Namespace, svc.Name}], st.dns[svc]
		if len(list) == 0 && len(local) == 0 {
			continue
		}
		backends := mergeBackends(append(st.backendsOf(svc, list), localBackends(svc, local)...))
		before := find(old.backed, svc, byService.key)
		switch {
		case len(backends) == 0:
		case before != nil && sameBut(before, svc) && slices.EqualFunc(before.Backends, backends, sameBackend) && slices.Equal(before.Local, local):
			out[i] = before
		default:
			c := *svc
			c.Backends, c.Local = backends, local
			out[i] = &c
		}
	}
	return out
}

// backendsOf are what the slices of a Service list but addresses of pods that
// the Service selects: those follow the pods.
func (st *snapshotState) backendsOf(svc *Service, list []*Slice) []Backend {
	var all []Backend
	for _, s := range list {
		all = append(all, s.Backends...)
	}
	if len(svc.Selector) > 0 && len(all) > 0 {
		pods := map[netip.Addr]bool{}
		for _, ep := range endpointsIn(st.resolved, svc.Namespace) {
			if carries(ep, svc.Selector) {
				for _, a := range ep.Addrs {
					pods[a] = true
				}
			}
		}
		all = slices.DeleteFunc(all, func(b Backend) bool { return pods[b.Addr] })
	}
	return mergeBackends(all)
}

// sameBut says whether two Services are the same but for their backends.
func sameBut(a, b *Service) bool {
	return a.Origin == b.Origin && slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.Ports, b.Ports) && maps.Equal(a.Selector, b.Selector)
}

func sameBackend(a, b Backend) bool { return a.Addr == b.Addr && slices.Equal(a.Ports, b.Ports) }
