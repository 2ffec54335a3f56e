package recommend

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Bounds that the API sets on one rule and one policy.
const (
	maxSelector = 1024
	maxNets     = 256
	maxPorts    = 50
	maxRules    = 1024
)

// Rule is one Allow rule. The peer is picked by selectors, by nets or by a
// Service, never by none.
type Rule struct {
	Protocol policy.Protocol // 0 with a Service, which has its own
	// Ports and NamedPorts are alternatives to each other; both are empty for
	// protocols without ports and with a Service.
	Ports      []policy.PortRange
	NamedPorts []NamedPort
	ICMP       *policy.ICMPMatch // of ICMP and ICMPv6
	// Selector picks pods of the policy's own namespace, or of those that
	// NamespaceSelector picks; with Set it picks that network set.
	Selector          *selector.Selector
	NamespaceSelector *selector.Selector
	// Namespaces are the names that NamespaceSelector picks, sorted; empty where
	// there is no NamespaceSelector, and with a global network set.
	Namespaces []string
	// Sets are the network sets that Selector and NamespaceSelector pick by their
	// names; none where they pick pods.
	Sets    []policy.Key
	Nets    []netip.Prefix
	Service *policy.ServiceRef // egress only
	// Purpose is what the traffic is to a cluster ("cluster DNS", "API server"),
	// empty where nothing is known.
	Purpose string
	// Admits are workloads that the peer's selector picks now and that none of
	// the evidence is of, sorted.
	Admits []policy.Workload
	// Evidence are the flows that it is written for.
	Evidence []*flow.Observed

	there bool // the policy that is extended has it
}

// NamedPort is a port by its name, and the number that it has at every pod that
// the rule is about.
type NamedPort struct {
	Name string
	Port uint16
}

// rulesFor merges the needs of one direction into the fewest rules that allow
// nothing else: peers share a rule if they need the same protocol and ports and
// can be named together.
func rulesFor(write *Write, dir policy.Direction, t *target, labels *labeler, res *Result) []Rule {
	f := &finder{labeler: labels, write: write, dir: dir, t: t}
	w := writer{finder: f, bounds: write.bounded()}
	ones := f.ones(res)
	groups := map[groupKey][]*one{}
	for _, k := range slices.SortedFunc(maps.Keys(ones), compareKeys) {
		o := ones[k]
		if write.Exact {
			for _, left := range o.inexact(t) {
				res.Skipped = append(res.Skipped, Skipped{Flow: left, Kind: SkipNoRule,
					Reason: "labels can't tell its workloads from others, and only what was seen is to be allowed"})
			}
		}
		g := groupKey{o.class, o.what}
		groups[g] = append(groups[g], o)
	}
	var drafts []*draft
	for _, members := range groups {
		for _, b := range cover(members) {
			drafts = append(drafts, w.drafts(b)...)
		}
	}
	drafts = joinNamespaces(drafts)
	rules := make([]Rule, 0, len(drafts))
	for _, d := range drafts {
		rules = append(rules, w.finish(d)...)
	}
	res.Skipped = append(res.Skipped, w.left...)
	slices.SortFunc(rules, compareRules)
	return atMost(rules, res)
}

// ones are the peers by key.
func (f *finder) ones(res *Result) map[oneKey]*one {
	ones := map[oneKey]*one{}
	for i := range f.t.needs[f.dir] {
		n := &f.t.needs[f.dir][i]
		for _, proto := range f.protocols(n) {
			o, reason := f.find(n, proto)
			if reason != "" {
				res.Skipped = append(res.Skipped, Skipped{Flow: n.flow, Kind: SkipNoRule, Reason: reason})
				break
			}
			key := o.key()
			if ones[key] == nil {
				ones[key] = o
			}
			ones[key].add(f, n)
		}
	}
	return ones
}

// groupKey is what peers share that may be merged.
type groupKey struct {
	class class
	what  what
}

// atMost keeps the API's bound on the rules of a direction.
func atMost(rules []Rule, res *Result) []Rule {
	if len(rules) <= maxRules {
		return rules
	}
	for _, r := range rules[maxRules:] {
		for _, o := range r.Evidence {
			res.Skipped = append(res.Skipped, Skipped{Flow: o, Kind: SkipNoRule,
				Reason: "a policy has at most " + strconv.Itoa(maxRules) + " rules a direction"})
		}
	}
	return rules[:maxRules]
}

// ranges are ports as ranges, three and more in a row as one. The ports are
// sorted.
func ranges(ports []uint16) []policy.PortRange {
	var out []policy.PortRange
	for _, p := range ports {
		if n := len(out); n > 0 && int(out[n-1].Max)+1 == int(p) {
			out[n-1].Max = p
			continue
		}
		out = append(out, policy.PortRange{Min: p, Max: p})
	}
	var split []policy.PortRange
	for _, r := range out {
		if r.Max-r.Min == 1 {
			split = append(split, policy.PortRange{Min: r.Min, Max: r.Min}, policy.PortRange{Min: r.Max, Max: r.Max})
			continue
		}
		split = append(split, r)
	}
	return split
}

func portsText(ports []policy.PortRange) string {
	out := make([]string, len(ports))
	for i, p := range ports {
		out[i] = p.String()
	}
	return strings.Join(out, ",")
}
