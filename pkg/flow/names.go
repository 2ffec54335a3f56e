package flow

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// SetNames finds the network set that names an address (S18). It does not
// change once it is made; the nil SetNames knows none.
type SetNames struct {
	sets []*policy.NetworkSet // what it was made from
	nets map[netip.Prefix]*policy.NetworkSet
	bits [2][]int // lengths that there are, longest first, of IPv4 and IPv6
}

// NewSetNames makes the names of some sets. prev, if not nil, is returned if it
// was made from the same.
func NewSetNames(sets []*policy.NetworkSet, prev *SetNames) *SetNames {
	if prev != nil && slices.Equal(prev.sets, sets) {
		return prev
	}
	n := &SetNames{sets: sets, nets: map[netip.Prefix]*policy.NetworkSet{}}
	for _, set := range sets {
		for _, net := range set.Nets {
			net = net.Masked()
			if other := n.nets[net]; other == nil || before(set.Key, other.Key) {
				n.nets[net] = set
			}
			if i := family(net.Addr()); !slices.Contains(n.bits[i], net.Bits()) {
				n.bits[i] = append(n.bits[i], net.Bits())
			}
		}
	}
	for i := range n.bits {
		slices.Sort(n.bits[i])
		slices.Reverse(n.bits[i])
	}
	return n
}

// before orders sets that hold the same net: a namespaced one is more specific
// than a global one, then by name.
func before(a, b policy.Key) bool {
	if (a.Namespace == "") != (b.Namespace == "") {
		return a.Namespace != ""
	}
	if a.Namespace != b.Namespace {
		return a.Namespace < b.Namespace
	}
	return a.Name < b.Name
}

func family(addr netip.Addr) int {
	if addr.Is6() {
		return 1
	}
	return 0
}

// Find is the set with the smallest net that holds the address, nil if none
// does.
func (n *SetNames) Find(addr netip.Addr) *policy.NetworkSet {
	set, _ := n.find(addr)
	return set
}

// Net is the smallest net of a set that holds the address, the zero Prefix if
// there is none. Addresses with the same Net are in the same sets.
func (n *SetNames) Net(addr netip.Addr) netip.Prefix {
	_, net := n.find(addr)
	return net
}

func (n *SetNames) find(addr netip.Addr) (*policy.NetworkSet, netip.Prefix) {
	if n == nil || !addr.IsValid() {
		return nil, netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	for _, bits := range n.bits[family(addr)] {
		if net, err := addr.Prefix(bits); err == nil {
			if set := n.nets[net]; set != nil {
				return set, net
			}
		}
	}
	return nil, netip.Prefix{}
}

// Network is the peer that has an address which is neither a pod's nor a
// node's.
func (n *SetNames) Network(addr netip.Addr) Peer {
	if set := n.Find(addr); set != nil {
		return Peer{Kind: PeerNetworkSet, Workload: policy.Workload{Namespace: set.Namespace, Name: set.Name}, Addr: addr}
	}
	return Peer{Kind: PeerNetwork, Addr: addr}
}

// Rename names p by these sets, if it is an address outside; what was named by
// sets that there were then is named anew.
func (n *SetNames) Rename(p Peer) Peer {
	if p.Kind != PeerNetwork && p.Kind != PeerNetworkSet || !p.Addr.IsValid() {
		return p
	}
	return n.Network(p.Addr)
}
