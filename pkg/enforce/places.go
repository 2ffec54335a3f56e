//go:build linux

package enforce

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// places is what the node's routing says: behind which interface a pod's
// address is, and which addresses are the node's own. It is not changed once
// it is handed out.
type places struct {
	// interfaces has the host's interface for every address with a route of
	// its own (/32, /128) through an interface that may be a pod's.
	interfaces map[netip.Addr]string
	own        map[netip.Addr]bool
	// bridged are interfaces by a pod's name that are ports of a bridge: their
	// traffic does not pass our hooks as theirs.
	bridged []string

	// What follows is known only where interfaces are told by kind.

	// node are the interfaces of a pod's kind through which there are networks
	// or gateways, and bridges that lead to more than pods, sorted: the node's
	// own, but for those that lead to a pod of this node.
	node []string
	// holders are the interfaces that have an address, in the kernel's order.
	holders map[netip.Addr][]holder
	// bridges are the networks behind bridges whose ports are all of a pod's
	// kind, the smallest first.
	bridges []bridgeNet
	// deaf says that bridged packets pass no hooks, of one family or both.
	deaf bool
}

// bridgeNet is a network that is reached through a bridge.
type bridgeNet struct {
	net  netip.Prefix
	name string
}

// holder is an interface that has an address.
type holder struct {
	name string
	// pods: they may be behind an interface of its kind; routed: so are
	// networks or gateways (of a bridge, gateways); single: it has a route of
	// its own to an address.
	pods, routed, single bool
}

// reach are those of the holders of an address of the Node that the node may be
// reached through. CNIs give all pods' interfaces one address, which may be that:
// of several holders those with a route to a single address are pods'.
func reach(holders []holder) (out []holder) {
	for _, h := range holders {
		if h.pods && (len(holders) == 1 || !h.single) {
			out = append(out, h)
		}
	}
	return out
}

func (p *places) equal(o *places) bool {
	return o != nil && maps.Equal(p.interfaces, o.interfaces) && maps.Equal(p.own, o.own) &&
		slices.Equal(p.bridged, o.bridged) && slices.Equal(p.node, o.node) &&
		maps.EqualFunc(p.holders, o.holders, slices.Equal[[]holder]) && slices.Equal(p.bridges, o.bridges) && p.deaf == o.deaf
}

// interfaceOf is the interface behind which a pod is, or empty. Of two pods
// that claim an address, one is behind its interface (S35). What the node is
// reached through is no pod's.
func (p *places) interfaceOf(ep *policy.Endpoint, owner func(netip.Addr) *policy.Endpoint, uplinks []string) string {
	for _, addr := range ep.Addrs {
		if name := p.behind(addr); name != "" && owner(addr) == ep && !slices.Contains(uplinks, name) {
			return name
		}
	}
	return ""
}

// behind is the interface through which an address is reached, if that may be
// a pod's.
func (p *places) behind(addr netip.Addr) string {
	if name, ok := p.interfaces[addr]; ok {
		return name
	}
	for _, b := range p.bridges {
		if b.net.Contains(addr) {
			return b.name
		}
	}
	return ""
}

// leading are the interfaces with a route of its own to an address of the
// networks of this node's pods: a pod is there, known or not.
func (p *places) leading(cidrs []netip.Prefix) map[string]bool {
	out := map[string]bool{}
	for addr, name := range p.interfaces {
		if slices.ContainsFunc(cidrs, func(c netip.Prefix) bool { return c.Contains(addr) }) {
			out[name] = true
		}
	}
	return out
}

// isBridge says whether an interface is a bridge that many pods may be behind.
func (p *places) isBridge(name string) bool {
	return slices.ContainsFunc(p.bridges, func(b bridgeNet) bool { return b.name == name })
}

// uplinks are the interfaces of a pod's kind and bridges through which the node
// is reached: they have an address of the Node, and networks or gateways.
func (p *places) uplinks(node *policy.Node) (out []string) {
	if node == nil {
		return nil
	}
	for _, a := range node.Addrs {
		for _, h := range reach(p.holders[a]) {
			if h.routed {
				out = append(out, h.name)
			}
		}
	}
	return out
}

// nodeInterfaces are the interfaces of a pod's kind and bridges that are the
// node's own: by their routes, or since they have an address of the node. One
// that leads to a pod of this node is that pod's, whatever else is routed
// through it: pods may be gateways, too.
func (p *places) nodeInterfaces(node *policy.Node, leads map[string]bool) []string {
	list := p.uplinks(node)
	for _, name := range p.node {
		if !leads[name] {
			list = append(list, name)
		}
	}
	if node != nil {
		for _, a := range node.Addrs {
			for _, h := range reach(p.holders[a]) {
				if !p.isBridge(h.name) && !leads[h.name] {
					list = append(list, h.name)
				}
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// finder tells pods' interfaces: those whose names begin with its prefix, or
// where that is empty those of a pod's kind that are not the node's.
type finder struct{ prefix string }

func (f finder) byKind() bool { return f.prefix == "" }

// podKinds are the kinds of devices that join a pod to its node.
var podKinds = [...]string{"netkit", "veth"}

func isPodKind(kind string) bool { return slices.Contains(podKinds[:], kind) }

// what names the interfaces, for people.
func (f finder) what() string {
	if f.byKind() {
		return "of its own (a veth that is not the node's) or a bridge of pods"
	}
	return f.prefix + "*"
}

func (f finder) named(name string) bool { return !f.byKind() && strings.HasPrefix(name, f.prefix) }
