//go:build linux

package enforce

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/tier"
)

// homelessAfter is how long a pod of this node may have an address and no
// interface before that is a fault: its network is being made, or unmade.
const homelessAfter = 5 * time.Second

// localEndpoints are this node's pods that have an interface. A pod without a
// route is not reachable yet; its address stays closed (S31).
func (a *Agent) localEndpoints(m *tier.Model) (local []ruleset.Local, problems []string) {
	p := a.places.Load()
	taken := map[string]string{}
	homeless := map[string]time.Time{}
	before := a.homeless.Load()
	var uplinks []string
	if n := a.nodes.Load(); n != nil {
		uplinks = p.uplinks(n.self)
	}
	for _, ep := range m.Snapshot().Endpoints {
		if ep.Node != a.opts.Node {
			continue
		}
		name := p.interfaceOf(ep, m.Owner, uplinks)
		other, known := taken[name]
		switch {
		case name == "" && len(ep.Addrs) > 0 && !ep.Terminating && m.Owner(ep.Addrs[0]) == ep:
			homeless[ep.ID()] = a.opts.Now()
			if before != nil {
				if since, ok := (*before)[ep.ID()]; ok {
					homeless[ep.ID()] = since
				}
			}
		case name == "":
		case known && !p.isBridge(name):
			problems = append(problems, fmt.Sprintf("interface %s leads to both %s and %s: %s stays closed", name, other, ep.ID(), ep.ID()))
		default:
			taken[name] = ep.ID()
			local = append(local, ruleset.Local{Endpoint: ep, Interface: name})
		}
	}
	a.homeless.Store(&homeless)
	for _, name := range p.bridged {
		problems = append(problems, fmt.Sprintf("interface %s is a port of a bridge: its traffic does not pass the forward hook, so it is not enforced", name))
	}
	if a.strange() {
		problems = append(problems, fmt.Sprintf("the cluster has no node %q: its pods are not found; name the node with --node", a.opts.Node))
	}
	return local, append(problems, a.judgeBridges(taken)...)
}

// strange says that the cluster does not know this node: the agent was told
// another name than the cluster has for it.
func (a *Agent) strange() bool {
	n := a.nodes.Load()
	return a.finder().byKind() && n != nil && n.self == nil
}

// judgeBridges says what is wrong with bridges that lead to pods.
func (a *Agent) judgeBridges(taken map[string]string) (problems []string) {
	p := a.places.Load()
	deaf := ""
	for _, name := range slices.Sorted(maps.Keys(taken)) {
		switch {
		case !p.isBridge(name):
		case p.deaf:
			deaf = name
			problems = append(problems, fmt.Sprintf("pods are behind bridge %s, and net.bridge.bridge-nf-call-iptables or -ip6tables is not 1: what pods say to each other there does not pass the forward hook, so it is not enforced", name))
		default:
			problems = append(problems, fmt.Sprintf("warning: pods behind bridge %s are told apart by their addresses alone: one that forges another's passes for it", name))
		}
	}
	a.deafBridge.Store(deaf != "")
	return problems
}

// unreached are the pods of this node that run behind no interface that the
// agent takes for a pod's: what they send may pass unjudged, for instance
// because the agent was told another prefix than the node's CNI uses.
func (a *Agent) unreached() []string {
	list := a.homeless.Load()
	if list == nil {
		return nil
	}
	var out []string
	for _, id := range slices.Sorted(maps.Keys(*list)) {
		if a.opts.Now().Sub((*list)[id]) > homelessAfter {
			out = append(out, fmt.Sprintf("pod %s runs on this node, but no route leads to it through an interface %s: it is not enforced", id, a.finder().what()))
		}
	}
	return out
}
