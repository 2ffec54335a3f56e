//go:build linux

package enforce

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/policy"
)

// finder tells the interfaces of this node's pods.
func (a *Agent) finder() finder { return finder{prefix: a.opts.InterfacePrefix} }

// rulesetConfig is what the compiler needs to know beside the model; local
// are the pods that it is for.
func (a *Agent) rulesetConfig(snap *policy.Snapshot, local []ruleset.Local) ruleset.Config {
	nodes, p := a.nodes.Load(), a.places.Load()
	c := ruleset.Config{
		Nodes: nodes.others, AllowTunnels: a.opts.AllowPodTunnels,
		InterfacePrefix: a.opts.InterfacePrefix, Node: a.opts.Node,
		LocalCIDRs: a.cidrs.of(a.opts.PodCIDRs, nodes.self, snap),
		DenyGroup:  DenyGroup, LogGroup: LogGroup, LooseTCP: a.loose.Load(),
	}
	if !a.finder().byKind() {
		return c
	}
	leads := p.leading(c.LocalCIDRs)
	for i := range local {
		name := local[i].Interface
		leads[name] = true
		if p.isBridge(name) && !slices.Contains(c.Bridges, name) {
			c.Bridges = append(c.Bridges, name)
		}
	}
	slices.Sort(c.Bridges)
	c.ByKind, c.NodeInterfaces = true, p.nodeInterfaces(nodes.self, leads)
	return c
}

// podCIDRs are the networks of this node's pods, as the Node object has them.
// Only one goroutine uses it.
type podCIDRs struct {
	node      *policy.Node
	endpoints []*policy.Endpoint
	list      []netip.Prefix
}

// of are the networks that were given, or else those of the Node object. A
// CNI with an address management of its own does not keep to those: one with a
// pod of another node in it says nothing about this node's pods, and is left
// out.
func (c *podCIDRs) of(given []netip.Prefix, node *policy.Node, snap *policy.Snapshot) []netip.Prefix {
	switch {
	case len(given) > 0:
		return given
	case node == nil || len(node.PodCIDRs) == 0:
		return nil
	case c.node == node && sameList(c.endpoints, snap.Endpoints):
		return c.list
	}
	list := slices.Clone(node.PodCIDRs)
	for _, ep := range snap.Endpoints {
		if ep.Node == node.Name || ep.Node == "" {
			continue
		}
		for _, addr := range ep.Addrs {
			list = slices.DeleteFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
		}
	}
	*c = podCIDRs{node, snap.Endpoints, list}
	return list
}

// sameList says whether two slices are one.
func sameList[T any](a, b []*T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
