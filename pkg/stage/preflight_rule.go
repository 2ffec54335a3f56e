package stage

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// fixOf says which rule would allow a connection at an end that refuses it, and
// where it has to be: an Allow in the tier that refuses is enough, in front of
// the rule that refuses if there is one (S5).
func fixOf(d policy.Direction, by *By, workload, rule string) string {
	out := strings.ToLower(d.String()) + " of " + workload
	if by.Tier != "" && by.Tier != "default" {
		out += ", in tier " + by.Tier
	}
	if by.Rule >= 0 {
		key := policy.Key{Kind: policy.Kind(by.Kind), Namespace: by.Namespace, Name: by.Name}
		out += fmt.Sprintf(", before rule %d of %s", by.Rule, key)
	}
	return out + ": " + rule
}

// between are the rules for a connection between two pods, by direction.
func between(src, dst *policy.Endpoint, proto policy.Protocol, port uint16) (rule [2]string) {
	rule[policy.Egress] = fmt.Sprintf("{action: Allow, protocol: %s, destination: {%s, ports: [%d]}}", proto, entityOf(dst), port)
	rule[policy.Ingress] = fmt.Sprintf("{action: Allow, protocol: %s, source: {%s}, destination: {ports: [%d]}}", proto, entityOf(src), port)
	return rule
}

// fixSeen is what would allow a flow that was seen: the rules for both ends
// where they are as plain as that, else the command that finds them.
func (c *preflight) fixSeen(it *Item) string {
	proto, ok := flow.ParseProtocol(it.Protocol)
	if !ok || !proto.HasPorts() || it.BlockedBy == nil {
		return "netpol fix"
	}
	if it.Source.String() == unknownAddress || it.Destination.String() == unknownAddress {
		return ""
	}
	var rule [2]string
	switch src, dst := c.podOf(it.Source), c.podOf(it.Destination); {
	case src != nil && dst != nil:
		rule = between(src, dst, proto, it.Port.Port)
	case src != nil && it.Destination.Kind == string(flow.PeerNetwork):
		rule[policy.Egress] = fmt.Sprintf("{action: Allow, protocol: %s, destination: {nets: [%s], ports: [%d]}}", proto, netOf(it.Destination), it.Port.Port)
	case dst != nil && it.Source.Kind == string(flow.PeerNetwork):
		rule[policy.Ingress] = fmt.Sprintf("{action: Allow, protocol: %s, source: {nets: [%s]}, destination: {ports: [%d]}}", proto, netOf(it.Source), it.Port.Port)
	default:
		return "netpol fix"
	}
	fix := ""
	blocked := []ByDirection{{it.Direction, *it.BlockedBy}}
	if it.AlsoBlockedBy != nil {
		blocked = append(blocked, *it.AlsoBlockedBy)
	}
	for i := range blocked {
		d, end := policy.Egress, it.Source
		if blocked[i].Direction == policy.Ingress.String() {
			d, end = policy.Ingress, it.Destination
		}
		fix = joinFixes(fix, fixOf(d, &blocked[i].By, end.String(), rule[d]))
	}
	return fix
}

// podOf is a pod of a workload that took part in a flow; nil if it has none.
func (c *preflight) podOf(p Peer) *policy.Endpoint {
	for _, ep := range c.snap.EndpointsIn(p.Namespace) {
		if p.Namespace != "" && ep.Workload.Name == p.Workload && (p.Kind == "" || string(ep.Workload.Kind) == p.Kind) {
			return ep
		}
	}
	return nil
}

func netOf(p Peer) netip.Prefix {
	a, _ := netip.ParseAddr(p.Address) // the peer of a flow has an address
	return netip.PrefixFrom(a, a.BitLen())
}

// entityOf picks a pod's workload in a rule, by a label that people name
// workloads by, else by its namespace alone.
func entityOf(ep *policy.Endpoint) string {
	out := fmt.Sprintf("namespaceSelector: \"projectcalico.org/name == '%s'\"", ep.Namespace)
	for _, name := range [...]string{"app.kubernetes.io/name", "app", "k8s-app"} {
		if v := ep.Labels[name]; v != "" {
			return fmt.Sprintf("%s, selector: \"%s == '%s'\"", out, name, v)
		}
	}
	return out
}
