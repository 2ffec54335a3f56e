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

	// node are the node's own interfaces among those of a pod's kind and
	// bridges, sorted; holders those of a pod's kind by the addresses that they have.
	node    []string
	holders map[netip.Addr]string
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

func (p *places) equal(o *places) bool {
	return o != nil && maps.Equal(p.interfaces, o.interfaces) && maps.Equal(p.own, o.own) &&
		slices.Equal(p.bridged, o.bridged) && slices.Equal(p.node, o.node) && maps.Equal(p.holders, o.holders) &&
		slices.Equal(p.bridges, o.bridges) && p.deaf == o.deaf
}

// interfaceOf is the interface behind which a pod is, or empty. Of two pods
// that claim an address, one is behind its interface (S35).
func (p *places) interfaceOf(ep *policy.Endpoint, owner func(netip.Addr) *policy.Endpoint) string {
	for _, addr := range ep.Addrs {
		if name := p.behind(addr); name != "" && owner(addr) == ep {
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

// isBridge says whether an interface is a bridge that many pods may be behind.
func (p *places) isBridge(name string) bool {
	return slices.ContainsFunc(p.bridges, func(b bridgeNet) bool { return b.name == name })
}

// nodeInterfaces are the interfaces of a pod's kind that are the node's own:
// by their routes, or since they have an address of the node.
func (p *places) nodeInterfaces(node *policy.Node) []string {
	list := p.node
	if node == nil {
		return list
	}
	for _, a := range node.Addrs {
		if name, ok := p.holders[a]; ok && !slices.Contains(list, name) {
			list = append(slices.Clip(list), name)
		}
	}
	return slices.Sorted(slices.Values(list))
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
		return "of its own (a veth without networks or gateways behind it) or a bridge of pods"
	}
	return f.prefix + "*"
}

func (f finder) named(name string) bool { return !f.byKind() && strings.HasPrefix(name, f.prefix) }
