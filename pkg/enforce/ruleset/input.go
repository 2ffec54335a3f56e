package ruleset

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Config is what a node's rules need to know beside policies and pods.
type Config struct {
	// InterfacePrefix begins the names of the host's side of all pod
	// interfaces, and of no others. 1 to 14 bytes; empty with ByKind.
	InterfacePrefix string
	// ByKind finds pod interfaces by what they are instead of by their names:
	// the interfaces of Local, and of all veths those that are not NodeInterfaces. So what
	// a CNI makes is closed from its first packet on, before anybody has told
	// of it, and a machine's own interface is never taken for a pod's.
	ByKind bool
	// NodeInterfaces are the node's own among veths and bridges.
	NodeInterfaces []string
	// Bridges are interfaces of Local that lead to many pods: what is behind
	// one is told apart by address only. Only with ByKind.
	Bridges []string
	Node    string
	// LocalCIDRs hold the addresses of this node's pods. What goes there and
	// to no known pod is refused (S31).
	LocalCIDRs []netip.Prefix
	// Nodes are other nodes' addresses: tunnels that a pod makes to them are
	// refused (S31). This node's own are known to the kernel.
	Nodes []netip.Addr
	// AllowTunnels lets pods make tunnels to nodes all the same (S31).
	AllowTunnels bool
	// DenyGroup and LogGroup are the nflog groups of refusals and Log rules.
	DenyGroup, LogGroup uint16
	// LooseTCP lets TCP connections go on that are older than the rules (S11).
	// For a first install only.
	LooseTCP bool
}

func (c *Config) equal(o *Config) bool {
	return c.InterfacePrefix == o.InterfacePrefix && c.ByKind == o.ByKind &&
		slices.Equal(c.NodeInterfaces, o.NodeInterfaces) && slices.Equal(c.Bridges, o.Bridges) &&
		c.Node == o.Node && c.DenyGroup == o.DenyGroup && c.LogGroup == o.LogGroup && c.LooseTCP == o.LooseTCP && c.AllowTunnels == o.AllowTunnels &&
		slices.Equal(c.LocalCIDRs, o.LocalCIDRs) && slices.Equal(c.Nodes, o.Nodes)
}

// clone keeps a Config from changes that the caller makes to its lists later.
func (c *Config) clone() *Config {
	n := *c
	n.LocalCIDRs, n.Nodes = slices.Clone(c.LocalCIDRs), slices.Clone(c.Nodes)
	n.NodeInterfaces, n.Bridges = slices.Clone(c.NodeInterfaces), slices.Clone(c.Bridges)
	return &n
}

// Local is a pod of this node and the host's side of its interface. A pod
// without address yet is left out of the rules, and so closed (S31).
type Local struct {
	Endpoint  *policy.Endpoint
	Interface string
}

// Input is all that a ruleset follows from.
type Input struct {
	Model *tier.Model
	Scope tier.Scope // normally tier.Enforced()
	Local []Local
	Config
}

// check refuses what can't be right and finds the pods' addresses.
func check(in *Input) ([]*local, error) {
	if in.Model == nil {
		return nil, errors.New("ruleset: no model")
	}
	if err := in.checkInterfaces(); err != nil {
		return nil, err
	}
	var out []*local
	seen := map[string]string{}
	for _, l := range in.Local {
		if l.Endpoint == nil {
			return nil, fmt.Errorf("ruleset: interface %q has no pod", l.Interface)
		}
		if len(l.Interface) > 15 || !strings.HasPrefix(l.Interface, in.InterfacePrefix) {
			return nil, fmt.Errorf("ruleset: pod %s: interface %q: want up to 15 bytes beginning with %q",
				l.Endpoint.ID(), l.Interface, in.InterfacePrefix)
		}
		if other, ok := seen[l.Interface]; ok && !in.isBridge(l.Interface) {
			return nil, fmt.Errorf("ruleset: interface %q belongs to both %s and %s", l.Interface, other, l.Endpoint.ID())
		}
		seen[l.Interface] = l.Endpoint.ID()
		out = append(out, &local{ep: l.Endpoint, iface: l.Interface, addrs: owned(in.Model, l.Endpoint), shared: in.isBridge(l.Interface)})
	}
	out = slices.DeleteFunc(out, func(l *local) bool { return !l.addrs[0].IsValid() && !l.addrs[1].IsValid() })
	slices.SortFunc(out, func(a, b *local) int {
		return cmp.Or(compareEndpoints(a.ep, b.ep), strings.Compare(a.iface, b.iface))
	})
	return out, nil
}

// checkInterfaces refuses what can't say which interfaces are pods'.
func (c *Config) checkInterfaces() error {
	n := len(c.InterfacePrefix)
	switch {
	case c.ByKind && n > 0:
		return fmt.Errorf("ruleset: interface prefix %q beside a search by kind", c.InterfacePrefix)
	case c.ByKind:
		for _, name := range slices.Concat(c.NodeInterfaces, c.Bridges) {
			if name == "" || len(name) > 15 {
				return fmt.Errorf("ruleset: interface %q: want 1 to 15 bytes", name)
			}
		}
	case n == 0 || n > 14:
		return fmt.Errorf("ruleset: interface prefix %q: want 1 to 14 bytes", c.InterfacePrefix)
	case len(c.Bridges)+len(c.NodeInterfaces) > 0:
		return errors.New("ruleset: bridges and the node's interfaces are for a search by kind")
	}
	return nil
}

// owned is the endpoint's first address of each family that is its own (S35).
func owned(m *tier.Model, ep *policy.Endpoint) [2]netip.Addr {
	var out [2]netip.Addr
	for _, a := range ep.Addrs {
		a = a.Unmap()
		if o := m.Owner(a); o != nil && o.ID() == ep.ID() && !out[familyOf(a)].IsValid() {
			out[familyOf(a)] = a
		}
	}
	return out
}
