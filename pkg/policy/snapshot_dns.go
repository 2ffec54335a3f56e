package policy

import (
	"maps"
	"net/netip"
	"slices"
)

// portDNS is where DNS is served.
const portDNS = 53

// localDNS are, for the cluster's DNS Service, the addresses at which
// node-local caches serve it (S33): the Service that has one of these
// addresses, else the one called kube-dns, in the cache's own namespace.
func (st *snapshotState) localDNS() map[*Service][]netip.Addr {
	addrs := map[string][]netip.Addr{} // by namespace
	for _, t := range st.templates.unique {
		addrs[t.Workload.Namespace] = append(addrs[t.Workload.Namespace], t.LocalDNS...)
	}
	for _, p := range st.idle {
		addrs[p.Namespace] = append(addrs[p.Namespace], p.LocalDNS...)
	}
	var out map[*Service][]netip.Addr
	for ns, list := range addrs {
		if len(list) == 0 {
			continue
		}
		slices.SortFunc(list, netip.Addr.Compare)
		if svc := st.clusterDNS(ns, list); svc != nil {
			if out == nil {
				out = map[*Service][]netip.Addr{}
			}
			out[svc] = slices.Compact(list)
		}
	}
	return out
}

func (st *snapshotState) clusterDNS(namespace string, local []netip.Addr) *Service {
	var named *Service
	for _, svc := range st.services.unique {
		if svc.Namespace != namespace || len(dnsPorts(svc)) == 0 {
			continue
		}
		if slices.ContainsFunc(svc.Addrs, func(a netip.Addr) bool { return slices.Contains(local, a) }) {
			return svc
		}
		if svc.Name == "kube-dns" {
			named = svc
		}
	}
	return named
}

// dnsPorts are the Service's DNS ports as a local address serves them.
func dnsPorts(svc *Service) []ContainerPort {
	var out []ContainerPort
	for i := range svc.Ports {
		if p := &svc.Ports[i]; p.Port == portDNS {
			out = append(out, ContainerPort{Name: p.Name, Protocol: p.Protocol, Port: portDNS})
		}
	}
	return sortPorts(out)
}

// localBackends are backends for the addresses of a cache on the node. With a
// cache the Service's own address is one of them: it is not translated then.
func localBackends(svc *Service, local []netip.Addr) []Backend {
	var out []Backend
	for _, a := range local {
		out = append(out, Backend{Addr: a, Ports: dnsPorts(svc)})
	}
	return out
}

func equalDNS(a, b map[*Service][]netip.Addr) bool {
	return maps.EqualFunc(a, b, func(x, y []netip.Addr) bool { return slices.Equal(x, y) })
}
