package cmd

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
)

// knownPeers refuses names that nothing has and that no flow was seen of: an
// empty answer would look like silence. What is gone still has its flows.
func (o *FlowsOptions) knownPeers(s *policy.Snapshot) error {
	names := peerNames(s)
	for _, end := range [][2]string{{"from", o.From}, {"to", o.To}} {
		if _, err := netip.ParsePrefix(end[1]); err == nil {
			return cli.Usage("--"+end[0]+"-ip "+end[1], "--%s %s: that is a network, and no name or address", end[0], end[1])
		}
	}
	for _, name := range []string{o.From, o.To, o.Ends.either.workload, o.Ends.from.workload, o.Ends.to.workload} {
		if _, err := netip.ParseAddr(name); name == "" || err == nil || slices.Contains(names, name) {
			continue
		}
		return cli.Unknown("workload, network set, node or address", name, names, listPods(o.Source.isFile()))
	}
	return nil
}

// peerNames lists what flows have as ends: in full and by the name alone.
func peerNames(s *policy.Snapshot) []string {
	var out []string
	add := func(namespace, name string) {
		if namespace != "" {
			out = append(out, namespace+"/"+name)
		}
		out = append(out, name)
	}
	for _, ep := range s.Endpoints {
		add(ep.Workload.Namespace, ep.Workload.Name)
		out = append(out, ep.Node)
	}
	for _, set := range s.NetworkSets {
		add(set.Namespace, set.Name)
	}
	for _, n := range s.Nodes {
		add("", n.Name)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(n string) bool { return strings.Trim(n, "/") == "" })
}
