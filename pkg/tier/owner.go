package tier

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Owner is the endpoint that has the address (S35), or nil.
func (m *Model) Owner(addr netip.Addr) *policy.Endpoint {
	ep, _ := m.owners.get(addr.Unmap())
	return ep
}

// Peer is the end of a connection that has the address: the endpoint that owns
// it, or the address alone.
func (m *Model) Peer(addr netip.Addr) Peer {
	return Peer{Endpoint: m.Owner(addr), Addr: addr.Unmap()}
}

// prefer says whether a rather than b owns an address that both claim: the
// newest that is not being terminated.
func prefer(a, b *policy.Endpoint) bool {
	if a.Terminating != b.Terminating {
		return !a.Terminating
	}
	if a.Created != b.Created {
		return a.Created > b.Created
	}
	return a.ID() < b.ID() // any rule will do, as long as it is always the same
}

func (m *Model) rebuildOwners() {
	m.owners = overlay[netip.Addr, *policy.Endpoint]{base: make(map[netip.Addr]*policy.Endpoint, len(m.snap.Endpoints))}
	m.shared = false
	for _, ep := range m.snap.Endpoints {
		m.claim(ep)
	}
}

func (m *Model) claim(ep *policy.Endpoint) {
	for _, addr := range ep.Addrs {
		other, ok := m.owners.get(addr)
		if ok && other != nil {
			m.shared = true
			if prefer(other, ep) {
				continue
			}
		}
		m.owners.set(addr, ep)
	}
}

// setOwners takes over prev's owners. Where addresses are shared it starts
// over, since who comes next is not remembered.
func (m *Model) setOwners(prev *Model, removed, added []*policy.Endpoint) {
	m.owners, m.shared = prev.owners, prev.shared
	if len(removed)+len(added) == 0 {
		return
	}
	if prev.shared {
		m.rebuildOwners()
		return
	}
	m.owners = m.owners.with(2 * (len(removed) + len(added)))
	for _, ep := range removed {
		for _, addr := range ep.Addrs {
			m.owners.set(addr, nil)
		}
	}
	for _, ep := range added {
		m.claim(ep)
	}
}
