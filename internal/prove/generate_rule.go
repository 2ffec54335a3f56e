package prove

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

var (
	policySubjectKeys     = append([]string{"projectcalico.org/namespace", "projectcalico.org/serviceaccount", "projectcalico.org/orchestrator"}, podKeys...)
	namespaceSelectorKeys = append([]string{"kubernetes.io/metadata.name", "projectcalico.org/name"}, namespaceKeys...)
	selectorValues        = append([]string{"k8s", "default", "robot", "c", "a-b"}, labelValues...)
	selectorParts         = []string{"a", "b", "ab", "k", "8s", "t", "de", ""}

	nets4 = prefixes("10.0.0.0/24", "10.0.0.0/30", "10.0.0.4/30", "10.0.0.1/32", "192.0.2.0/24", "192.0.2.128/25", "192.0.2.7/32", "10.0.0.0/8")
	nets6 = prefixes("fd00::/64", "fd00::/126", "fd00::4/126", "fd00::1/128", "2001:db8::/32", "2001:db8::1/128", "fd00::/8")
	any4  = netip.MustParsePrefix("0.0.0.0/0")
	any6  = netip.MustParsePrefix("::/0")

	// Outside holds addresses that no pod has: outside the cluster, in its
	// nets but nobody's, and in no net that rules use.
	Outside = addresses("192.0.2.7", "192.0.2.200", "198.51.100.1", "10.0.0.3", "10.0.0.200",
		"2001:db8::1", "2001:db8:1::1", "2001:db9::1", "fd00::3", "fd00::ff")

	rulePorts = []int{1, 53, 80, 81, 443, 8080, 65535}
	ranges    = []PortRange{{80, 90}, {1, 1024}, {443, 8080}, {8000, 65535}, {81, 81}}
	// Ports holds the edges of all ranges that rules use, and neighbours.
	Ports = []int{80, 0, 1, 2, 52, 53, 54, 79, 81, 82, 90, 91, 442, 443, 444, 1024, 1025, 7999, 8000, 8080, 8081, 65534, 65535}
	// Protocols holds every protocol that rules name, and one that none does;
	// those with ports more than once.
	Protocols = []int{6, 17, 6, 17, 132, 6, 1, 58, 136, 47, 99}
)

func (g gen) rules() []Rule {
	var out []Rule
	for range g.between(0, 4) {
		out = append(out, g.rule())
	}
	return out
}

// rule draws one rule within the bounds of the API: nets of one family that
// agrees with ipVersion, ports only beside a protocol that has them.
func (g gen) rule() Rule {
	r := Rule{Action: pick(g, []policy.Action{policy.Allow, policy.Deny, policy.Log, policy.Pass, policy.Allow})}
	nets, anyNet, family := nets4, any4, 4
	if g.eighths(3) {
		nets, anyNet, family = nets6, any6, 6
	}
	if g.eighths(1) {
		r.IPVersion = family
	}
	r.Source, r.Destination = g.entity(nets, anyNet), g.entity(nets, anyNet)
	if g.eighths(4) {
		g.protocol(&r)
	}
	return r
}

func (g gen) protocol(r *Rule) {
	named := pick(g, []*Protocol{
		{Name: "TCP"}, {Name: "UDP"}, {Name: "SCTP"}, {Number: 6}, {Number: 17}, {Number: 132},
		{Name: "UDPLite"}, {Number: 47}, {Name: "ICMP"}, {Name: "ICMPv6"},
	})
	if r.IPVersion != 0 && (named.Name == "ICMP" || named.Name == "ICMPv6") {
		return // which of the two goes with which version is not our subject
	}
	if g.eighths(2) {
		r.NotProtocol = named
		return
	}
	r.Protocol = named
	if !slices.Contains([]int{6, 17, 132}, named.number()) {
		return
	}
	if g.eighths(4) {
		r.Destination.Ports = g.ports()
	}
	if g.eighths(2) {
		r.Destination.NotPorts = g.ports()
	}
}

func (g gen) ports() []PortRange {
	var out []PortRange
	for range g.between(1, 3) {
		port := pick(g, rulePorts)
		next := PortRange{port, port}
		if g.eighths(4) {
			next = pick(g, ranges)
		}
		out = append(out, next)
	}
	return out
}

// entity draws one side of a rule; half of the sides are empty.
func (g gen) entity(nets []netip.Prefix, anyNet netip.Prefix) Entity {
	var e Entity
	if g.eighths(4) {
		return e
	}
	if g.eighths(2) {
		e.Nets = g.some(append([]netip.Prefix{anyNet}, nets...))
	}
	if g.eighths(1) {
		e.NotNets = g.some(nets)
	}
	if g.eighths(3) {
		e.Selector = g.expr(policySubjectKeys, 2)
	}
	if g.eighths(2) {
		e.NotSelector = g.expr(policySubjectKeys, 2)
	}
	if g.eighths(2) {
		e.NamespaceSelector = g.expr(namespaceSelectorKeys, 2)
		if g.eighths(1) {
			e.NamespaceSelector = &Expr{Op: OpGlobal}
		}
	}
	return e
}

// some draws one to three different values.
func (g gen) some(from []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for range g.between(1, 3) {
		if next := pick(g, from); !slices.Contains(out, next) {
			out = append(out, next)
		}
	}
	return out
}

// expr draws a selector of at most depth levels below the first.
func (g gen) expr(keys []string, depth int) *Expr {
	e := &Expr{Key: pick(g, keys)}
	ops := []Op{OpEqual, OpAll, OpHas, OpNotEqual, OpIn, OpNotIn, OpContains, OpStartsWith, OpEndsWith}
	if depth > 0 {
		ops = append(ops, OpNot, OpAnd, OpOr, OpNot, OpAnd, OpOr)
	}
	e.Op = pick(g, ops)
	e.Joined, e.Tight, e.Single, e.Wrapped = g.eighths(2), g.eighths(2), g.eighths(4), g.eighths(1)
	switch e.Op {
	case OpAll:
		e.Key = ""
	case OpNot:
		e.Key, e.Kids = "", []*Expr{g.expr(keys, depth-1)}
	case OpAnd, OpOr:
		e.Key = ""
		for range g.between(2, 3) {
			e.Kids = append(e.Kids, g.expr(keys, depth-1))
		}
	case OpIn, OpNotIn:
		for range g.between(1, 3) {
			e.Values = append(e.Values, pick(g, selectorValues))
		}
	case OpHas:
	case OpContains, OpStartsWith, OpEndsWith:
		e.Values = []string{pick(g, selectorParts)}
	default:
		e.Values = []string{pick(g, selectorValues)}
	}
	return e
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func addresses(texts ...string) []netip.Addr {
	out := make([]netip.Addr, len(texts))
	for i, s := range texts {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}
