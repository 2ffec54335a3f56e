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
	// interfaces, and of no others. 1 to 14 bytes.
	InterfacePrefix string
	Node            string
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
	return c.InterfacePrefix == o.InterfacePrefix && c.Node == o.Node && c.DenyGroup == o.DenyGroup &&
		c.LogGroup == o.LogGroup && c.LooseTCP == o.LooseTCP && c.AllowTunnels == o.AllowTunnels &&
		slices.Equal(c.LocalCIDRs, o.LocalCIDRs) && slices.Equal(c.Nodes, o.Nodes)
}

// clone keeps a Config from changes that the caller makes to its lists later.
func (c *Config) clone() *Config {
	n := *c
	n.LocalCIDRs, n.Nodes = slices.Clone(c.LocalCIDRs), slices.Clone(c.Nodes)
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
	if n := len(in.InterfacePrefix); n == 0 || n > 14 {
		return nil, fmt.Errorf("ruleset: interface prefix %q: want 1 to 14 bytes", in.InterfacePrefix)
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
		if other, ok := seen[l.Interface]; ok {
			return nil, fmt.Errorf("ruleset: interface %q belongs to both %s and %s", l.Interface, other, l.Endpoint.ID())
		}
		seen[l.Interface] = l.Endpoint.ID()
		out = append(out, &local{ep: l.Endpoint, iface: l.Interface, addrs: owned(in.Model, l.Endpoint)})
	}
	out = slices.DeleteFunc(out, func(l *local) bool { return !l.addrs[0].IsValid() && !l.addrs[1].IsValid() })
	slices.SortFunc(out, func(a, b *local) int {
		return cmp.Or(compareEndpoints(a.ep, b.ep), strings.Compare(a.iface, b.iface))
	})
	return out, nil
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
