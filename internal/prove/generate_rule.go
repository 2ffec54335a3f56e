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

	rulePorts     = []int{80, 53, 443, 8080, 1, 81, 65535}
	declaredPorts = []int{80, 8080, 53}
	ranges        = []Port{{Min: 80, Max: 90}, {Min: 1, Max: 1024}, {Min: 443, Max: 8080}, {Min: 8000, Max: 65535}, {Min: 81, Max: 81}}
	// sourcePorts are those that connections come from, 0 for not known; rules
	// name some of them.
	sourcePorts     = []int{0, 80, 49152, 443, 1024, 8080, 0, 60000}
	ruleSourcePorts = []Port{{Min: 80, Max: 80}, {Min: 1, Max: 1024}, {Min: 49152, Max: 65535}, {Min: 443, Max: 49151}, {Min: 8080, Max: 8080}}
	// Ports holds the edges of all ranges that rules use, and neighbours.
	Ports = []int{80, 0, 1, 2, 52, 53, 54, 79, 81, 82, 90, 91, 442, 443, 444, 1024, 1025, 7999, 8000, 8080, 8081, 65534, 65535}
	// Protocols holds every protocol that rules name, and some that none does;
	// those that rules can say more of more than once.
	Protocols = []int{6, 17, 6, 17, 132, 6, 1, 58, 136, 47, 99, 1, 58, 1, 58}

	serviceNames = []string{"s", "s-a", "db"}
	icmpCodes    = []int{0, 1, 0, 255}
)

// typesOf are the types of ICMP or ICMPv6 that rules and connections use.
func typesOf(proto int) []int {
	if proto == int(policy.ICMP) {
		return []int{8, 8, 13, 8, 3, 254}
	}
	return []int{128, 128, 139, 128, 3, 0}
}

func (g gen) rules(w *World, p *Policy, dir policy.Direction) []Rule {
	var out []Rule
	for range g.between(0, 4) {
		out = append(out, g.rule(w, p, dir))
	}
	return out
}

// rule draws one rule within the bounds of the API: nets of one family that
// agrees with ipVersion, ports only beside a protocol that has them.
func (g gen) rule(w *World, p *Policy, dir policy.Direction) Rule {
	r := Rule{Action: pick(g, []policy.Action{policy.Allow, policy.Deny, policy.Log, policy.Pass, policy.Allow})}
	nets, anyNet, family := nets4, any4, 4
	if g.eighths(3) {
		nets, anyNet, family = nets6, any6, 6
	}
	if g.eighths(1) {
		r.IPVersion = family
	}
	r.Source, r.Destination = g.entity(nets, anyNet), g.entity(nets, anyNet)
	if g.eighths(2) {
		peer := &r.Source
		if dir == policy.Egress {
			peer = &r.Destination
		}
		*peer = Entity{Service: g.serviceRef(w, p)}
		if g.eighths(5) {
			return r
		}
	}
	if g.eighths(5) {
		g.protocol(&r, family, dir)
	}
	return r
}

// serviceRef names a Service that there is, in most cases.
func (g gen) serviceRef(w *World, p *Policy) *ServiceRef {
	if len(w.Services) == 0 || g.eighths(1) {
		return &ServiceRef{Namespace: pick(g, w.Namespaces).Name, Name: pick(g, serviceNames)}
	}
	s := pick(g, w.Services)
	if s.Namespace == p.Namespace && g.eighths(4) {
		return &ServiceRef{Name: s.Name}
	}
	return &ServiceRef{Namespace: s.Namespace, Name: s.Name}
}

// protocol adds what a rule says of the protocol. ICMP goes with the family of
// the rule's nets.
func (g gen) protocol(r *Rule, family int, dir policy.Direction) {
	icmp := &Protocol{Name: "ICMP"}
	if family == 6 {
		icmp = pick(g, []*Protocol{{Name: "ICMPv6"}, {Number: 58}})
	}
	named := pick(g, []*Protocol{
		{Name: "TCP"}, {Name: "UDP"}, {Name: "TCP"}, {Name: "SCTP"}, {Number: 6}, {Number: 17}, {Number: 132},
		{Name: "UDPLite"}, {Number: 47}, icmp, icmp, icmp, icmp, icmp,
	})
	if g.eighths(1) {
		r.NotProtocol = named
		return
	}
	r.Protocol = named
	if g.eighths(1) && r.NotProtocol == nil { // both: both must hold
		r.NotProtocol = pick(g, []*Protocol{{Name: "UDP"}, {Number: 6}})
	}
	switch named.number() {
	case 1, 58:
		if g.eighths(4) {
			r.ICMP = g.icmp(named.number())
		}
		if r.ICMP == nil && g.eighths(5) || g.eighths(2) {
			r.NotICMP = g.icmp(named.number())
		}
	case 6, 17, 132:
		g.rulePorts(r)
		if dir == policy.Ingress && named.Name == "TCP" && r.NotProtocol == nil && r.Action == policy.Allow {
			r.HTTP = g.eighths(2)
		}
	}
}

func (g gen) icmp(proto int) *ICMP {
	i := &ICMP{Type: pick(g, typesOf(proto)), Code: -1}
	if g.eighths(5) {
		i.Code = pick(g, icmpCodes)
	}
	return i
}

func (g gen) rulePorts(r *Rule) {
	if r.Destination.Service == nil {
		if g.eighths(4) {
			r.Destination.Ports = g.ports()
		}
		if len(r.Destination.Ports) == 0 && g.eighths(3) || g.eighths(1) {
			r.Destination.NotPorts = g.ports()
		}
	}
	if g.eighths(2) {
		r.Source.Ports = g.sourcePorts()
	}
	if len(r.Source.Ports) == 0 && g.eighths(3) || g.eighths(1) {
		r.Source.NotPorts = g.sourcePorts()
	}
}

func (g gen) ports() []Port {
	var out []Port
	for range g.between(1, 3) {
		port := pick(g, rulePorts)
		next := Port{Min: port, Max: port}
		switch {
		case g.eighths(2):
			next = pick(g, ranges)
		case g.eighths(5):
			next = Port{Name: pick(g, portNamePool)}
		}
		out = append(out, next)
	}
	return out
}

func (g gen) sourcePorts() []Port {
	var out []Port
	for range g.between(1, 2) {
		next := pick(g, ruleSourcePorts)
		if g.eighths(4) {
			next = Port{Name: pick(g, portNamePool)}
		}
		out = append(out, next)
	}
	return out
}

// entity draws one side of a rule. Half of the sides are empty and most others
// have one criterion: where there are more, few connections get to the last.
func (g gen) entity(nets []netip.Prefix, anyNet netip.Prefix) Entity {
	var e Entity
	if g.eighths(4) {
		return e
	}
	g.criterion(&e, nets, anyNet)
	for g.eighths(2) {
		g.criterion(&e, nets, anyNet)
	}
	return e
}

func (g gen) criterion(e *Entity, nets []netip.Prefix, anyNet netip.Prefix) {
	switch pick(g, []string{"selector", "nets", "notSelector", "namespaces", "accounts", "scope", "notNets"}) {
	case "nets":
		e.Nets = g.some(append([]netip.Prefix{anyNet}, nets...))
	case "notNets":
		e.NotNets = g.some(nets)
	case "selector":
		e.Selector = g.expr(policySubjectKeys, 2)
	case "notSelector":
		e.NotSelector = g.expr(policySubjectKeys, 2)
	case "namespaces":
		e.NamespaceSelector = g.expr(namespaceSelectorKeys, 2)
	case "scope":
		e.NamespaceSelector = &Expr{Op: pick(g, []Op{OpGlobal, OpGlobal, OpAll})}
	case "accounts":
		e.ServiceAccounts = g.accountMatch()
	}
}

func (g gen) accountMatch() *AccountMatch {
	m := &AccountMatch{}
	if g.eighths(5) {
		m.Names = append(m.Names, pick(g, accountNames))
		if g.eighths(1) {
			m.Names = append(m.Names, "nobody")
		}
	}
	if len(m.Names) == 0 || g.eighths(3) {
		m.Selector = g.expr(accountKeys, 1)
	}
	return m
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
