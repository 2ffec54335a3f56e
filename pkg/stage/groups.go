package stage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// GroupBy is what the flows of a report are put together by.
type GroupBy string

// The ways to group.
const (
	ByWorkload  GroupBy = "workload"  // who connects to whom
	ByNamespace GroupBy = "namespace" // the same of namespaces; what is in none is outside, or a node
	ByPolicy    GroupBy = "policy"    // what refuses
	ByPort      GroupBy = "port"
)

// GroupBys are all of them, the default first.
func GroupBys() []GroupBy { return []GroupBy{ByWorkload, ByNamespace, ByPolicy, ByPort} }

// Group is what flows of a report have in common, and their totals. From and To,
// or Policy, or Port is set, by what is grouped by. Its JSON is a contract.
type Group struct {
	From   string      `json:"from,omitempty"`
	To     string      `json:"to,omitempty"`
	Policy *PolicyName `json:"policy,omitempty"`
	Port   string      `json:"port,omitempty"`
	// Ports of the flows, sorted.
	Ports []string `json:"ports"`
	// Flows and Connections count what would be blocked and what would be
	// allowed.
	Flows       Change    `json:"flows"`
	Connections Change    `json:"connections"`
	Live        int64     `json:"live"` // open ones that would be blocked
	FirstSeen   time.Time `json:"firstSeen"`
	LastSeen    time.Time `json:"lastSeen"`
	// Trend is how many connections that would be blocked began in each of the
	// windows of the report's trend.
	Trend []int64 `json:"trend,omitempty"`
}

// PolicyName is a policy and its tier.
type PolicyName struct {
	Tier      string `json:"tier"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is tier: kind namespace/name.
func (p PolicyName) String() string {
	key := policy.Key{Kind: policy.Kind(p.Kind), Namespace: p.Namespace, Name: p.Name}
	return p.Tier + ": " + key.String()
}

// Change counts what would change its verdict.
type Change struct {
	WouldBlock int64 `json:"wouldBlock"`
	WouldAllow int64 `json:"wouldAllow"`
}

// Groups puts the flows of a report together that would be blocked or allowed,
// sorted by their names. By policy, it is the one that refuses the flow (of one
// that would be allowed, now): a flow that another refuses at its other end too
// is in the groups of both, so there sums may be more than the report's.
func (r *Report) Groups(by GroupBy) []Group {
	at := map[string]*Group{}
	add := func(i *Item, blocked bool) {
		for _, g := range groupsOf(i, by) {
			name := g.name()
			if at[name] == nil {
				g.FirstSeen, g.LastSeen, g.Ports = i.FirstSeen, i.LastSeen, []string{}
				at[name] = &g
			}
			at[name].add(i, blocked)
		}
	}
	for i := range r.Items {
		add(&r.Items[i], true)
	}
	for i := range r.WouldAllow {
		add(&r.WouldAllow[i], false)
	}
	out := make([]Group, 0, len(at))
	for _, g := range at {
		slices.Sort(g.Ports)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int { return cmp.Compare(a.name(), b.name()) })
	return out
}

// groupsOf are the groups that a flow is in, still empty.
func groupsOf(i *Item, by GroupBy) []Group {
	switch by {
	case ByNamespace:
		return []Group{{From: namespaceOf(i.Source), To: namespaceOf(i.Destination)}}
	case ByPort:
		return []Group{{Port: i.Port.Text()}}
	case ByPolicy:
		var out []Group
		for _, b := range i.refusers() {
			g := Group{Policy: &PolicyName{b.Tier, b.Kind, b.Namespace, b.Name}}
			if !slices.ContainsFunc(out, func(o Group) bool { return *o.Policy == *g.Policy }) {
				out = append(out, g)
			}
		}
		return out
	}
	return []Group{{From: i.Source.String(), To: i.Destination.String()}}
}

// refusers are what refuses a flow, at both ends.
func (i *Item) refusers() []By {
	var out []By
	if i.BlockedBy != nil {
		out = append(out, *i.BlockedBy)
	}
	if i.AlsoBlockedBy != nil {
		out = append(out, i.AlsoBlockedBy.By)
	}
	return out
}

// namespaceOf is where an end belongs: its namespace, or that it has none.
func namespaceOf(p Peer) string {
	switch {
	case p.Kind == string(flow.PeerHost):
		return "(nodes)"
	case p.Kind == string(flow.PeerNetwork), p.Kind == string(flow.PeerNetworkSet):
		return "(outside)"
	}
	return p.Namespace
}

func (g *Group) name() string {
	if g.Policy != nil {
		return g.Policy.String()
	}
	return strings.Join([]string{g.From, g.To, g.Port}, "\x00")
}

func (g *Group) add(i *Item, blocked bool) {
	if blocked {
		g.Flows.WouldBlock++
		g.Connections.WouldBlock += i.Connections
		g.Live += i.Live
		g.Trend = sumTrend(g.Trend, i.Trend)
	} else {
		g.Flows.WouldAllow++
		g.Connections.WouldAllow += i.Connections
	}
	if port := i.Port.Text(); !slices.Contains(g.Ports, port) {
		g.Ports = append(g.Ports, port)
	}
	if i.FirstSeen.Before(g.FirstSeen) {
		g.FirstSeen = i.FirstSeen
	}
	if i.LastSeen.After(g.LastSeen) {
		g.LastSeen = i.LastSeen
	}
}

// sumTrend adds the counts of the same windows.
func sumTrend(a, b []int64) []int64 {
	if len(a) == 0 {
		return slices.Clone(b)
	}
	for i := range b {
		a[i] += b[i]
	}
	return a
}

// ParseGroupBy reads what a user wants to group by.
func ParseGroupBy(s string) (GroupBy, error) {
	if by := GroupBy(s); slices.Contains(GroupBys(), by) {
		return by, nil
	}
	return "", fmt.Errorf("%q: expected workload, namespace, policy or port", s)
}
