//go:build linux

package enforce

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

// serviceIndex finds the Service that a client dialled: by its cluster
// address, or by a port of the node.
type serviceIndex struct {
	list []*policy.Service // what it was made from
	by   map[dialled]servicePort
	// local are addresses of node-local caches (S33), this node's own by the
	// kernel's view.
	local map[netip.Addr]bool
}

// dialled is what a client connects to; addr is the zero Addr for a NodePort.
type dialled struct {
	protocol policy.Protocol
	addr     netip.Addr
	port     uint16
}

type servicePort struct{ namespace, name, port string }

func indexServices(list []*policy.Service) *serviceIndex {
	x := &serviceIndex{list: list, by: make(map[dialled]servicePort, 2*len(list)), local: map[netip.Addr]bool{}}
	for _, svc := range list {
		for _, p := range svc.Ports {
			to := servicePort{svc.Namespace, svc.Name, p.Name}
			for _, addr := range svc.Local {
				x.local[addr] = true
				x.by[dialled{p.Protocol, addr, p.Port}] = to
			}
			for _, addr := range svc.Addrs {
				x.by[dialled{p.Protocol, addr, p.Port}] = to
			}
			if p.NodePort != 0 {
				x.by[dialled{p.Protocol, netip.Addr{}, p.NodePort}] = to
			}
		}
	}
	return x
}

// of tells whether the index was made from this list.
func (x *serviceIndex) of(list []*policy.Service) bool {
	if x == nil || len(x.list) != len(list) {
		return false
	}
	for i := range list {
		if x.list[i] != list[i] {
			return false
		}
	}
	return true
}

// find looks a connection's dialled address up; toNode says that it is an
// address of the node.
func (x *serviceIndex) find(t *tuple, toNode bool) (servicePort, bool) {
	if x == nil || !t.dialled.IsValid() {
		return servicePort{}, false
	}
	d := dialled{t.protocol, t.dialled.Addr(), t.dialled.Port()}
	if toNode && !x.local[d.addr] {
		d.addr = netip.Addr{}
	}
	svc, ok := x.by[d]
	return svc, ok
}

// isLocal says whether a node-local cache has the address.
func (x *serviceIndex) isLocal(a netip.Addr) bool { return x != nil && x.local[a] }
