package ruleset

import (
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// goldens are the worlds whose rulesets are in testdata, a small one for each
// criterion that a rule can have.
func goldens() map[string]*world {
	return map[string]*world{
		"empty": newWorld(), "votes": votes(), "odd": odd(),
		"icmp": icmpWorld(), "source-ports": sourcePortWorld(), "named-ports": namedPortWorld(),
		"services": serviceWorld(), "network-sets": networkSetWorld(), "accounts": accountWorld(),
		"logs": logWorld(), "negations": negationWorld(),
	}
}

// smallWorld is a/x, which policies select, and two peers elsewhere.
func smallWorld() *world {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2 fd00::2", "app=x")
	w.remote("a/y", "10.0.1.3 fd00:0:0:1::3", "app=y")
	w.remote("a/z", "10.0.1.4 fd00:0:0:1::4", "app=z")
	return w
}

func icmp(r policy.Rule, typ uint8, code int) policy.Rule {
	r.ICMP = &policy.ICMPMatch{Type: typ, Code: code}
	return r
}

func notICMP(r policy.Rule, typ uint8, code int) policy.Rule {
	r.NotICMP = &policy.ICMPMatch{Type: typ, Code: code}
	return r
}

// icmpWorld: from y pings, from z all but redirects to hosts, from nets
// unreachable ports only, from all packets that are too big.
func icmpWorld() *world {
	w := smallWorld()
	fromNet := policy.Rule{Action: policy.Allow, Protocol: policy.ICMP, Source: policy.Entity{Nets: nets("192.0.2.0/24")}}
	w.policy("a", "icmp", "app == 'x'", policy.Ingress,
		icmp(from(policy.Allow, "app == 'y'", policy.ICMP), 8, policy.AnyCode),
		icmp(from(policy.Allow, "app == 'y'", policy.ICMPv6), 128, 0),
		notICMP(from(policy.Allow, "app == 'z'", policy.ICMP), 5, 1),
		icmp(fromNet, 3, 3),
		icmp(from(policy.Allow, "", policy.ICMPv6), 2, policy.AnyCode))
	return w
}

func fromPorts(r policy.Rule, ports ...policy.PortRange) policy.Rule {
	r.Source.Ports = ports
	return r
}

// sourcePortWorld: DNS answers only from port 53, and NTP between servers; y
// may come from no port that takes no privilege.
func sourcePortWorld() *world {
	w := smallWorld()
	r := from(policy.Deny, "app == 'y'", policy.TCP)
	r.Source.NotPorts = []policy.PortRange{{Min: 0, Max: 1023}}
	w.policy("a", "sources", "app == 'x'", policy.Ingress,
		fromPorts(from(policy.Allow, "", policy.UDP), single(53)),
		r, from(policy.Allow, "app == 'y'", policy.TCP, single(514)))
	return w
}

// namedPortWorld: x's own port by name, and its peers' ports by name, which
// are not the same number everywhere.
func namedPortWorld() *world {
	w := smallWorld()
	w.find("a/x").Ports = []policy.ContainerPort{{Name: "http", Protocol: policy.TCP, Port: 8080}, {Name: "http", Protocol: policy.TCP, Port: 8081}}
	w.find("a/y").Ports = []policy.ContainerPort{{Name: "dns", Protocol: policy.UDP, Port: 5353}}
	w.find("a/z").Ports = []policy.ContainerPort{{Name: "dns", Protocol: policy.UDP, Port: 53}}
	in := from(policy.Allow, "", policy.TCP)
	in.Destination.NamedPorts = []string{"http"}
	out := toward(policy.Allow, "all()", policy.UDP, single(123))
	out.Destination.NamedPorts = []string{"dns"}
	w.policy("a", "in", "app == 'x'", policy.Ingress, in)
	w.policy("a", "out", "app == 'x'", policy.Egress, out)
	return w
}

// serviceWorld: x may use the Service, with a backend that is no pod, and the
// Service's pods may use x.
func serviceWorld() *world {
	w := smallWorld()
	w.snap.Services = []*policy.Service{{
		Namespace: "a", Name: "web", Selector: map[string]string{"app": "y"},
		Ports: []policy.ServicePort{{Protocol: policy.TCP, Port: 80, TargetPort: 8080}, {Protocol: policy.UDP, Port: 53, TargetPort: 5353}},
		Backends: []policy.Backend{{Addr: netip.MustParseAddr("192.0.2.9"),
			Ports: []policy.ContainerPort{{Protocol: policy.TCP, Port: 8080}}}},
	}}
	web := policy.Entity{Service: &policy.ServiceRef{Namespace: "a", Name: "web"}}
	w.policy("a", "in", "app == 'x'", policy.Ingress, policy.Rule{Action: policy.Allow, Protocol: policy.TCP, Source: web})
	w.policy("a", "out", "app == 'x'", policy.Egress, policy.Rule{Action: policy.Allow, Destination: web})
	return w
}

// networkSetWorld: one set of each kind, which overlap, and a host endpoint.
func networkSetWorld() *world {
	w := smallWorld()
	set := func(ns, name, kind string, list ...string) *policy.NetworkSet {
		s := &policy.NetworkSet{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Namespace: ns, Name: name},
			Labels: labelMap([]string{"projectcalico.org/name=" + name, "kind=" + kind}), Nets: nets(list...)}
		if ns != "" {
			s.Kind, s.Labels["projectcalico.org/namespace"] = policy.KindNetworkSet, ns
		}
		return s
	}
	w.snap.NetworkSets = []*policy.NetworkSet{
		set("", "partners", "friend", "198.51.100.0/24", "2001:db8::/32"),
		set("a", "blocked", "foe", "198.51.100.128/25", "203.0.113.7/32"),
	}
	w.snap.HostEndpoints = []*policy.HostEndpoint{{Name: "node1", Labels: labelMap([]string{"kind=friend"}), Addrs: []netip.Addr{netip.MustParseAddr("10.1.0.1")}}}
	friends := from(policy.Allow, "kind == 'friend'", policy.TCP, single(443))
	friends.Source.NamespaceSelector = selector.MustParse("global()")
	w.policy("a", "sets", "app == 'x'", policy.Ingress, from(policy.Deny, "kind == 'foe'", 0), friends)
	return w
}

// accountWorld: peers by service account's name and by its labels.
func accountWorld() *world {
	w := smallWorld()
	w.find("a/y").Labels[policy.LabelServiceAccount] = "reader"
	w.find("a/z").Labels[policy.LabelServiceAccount] = "writer"
	w.snap.ServiceAccounts = []*policy.ServiceAccount{
		{Namespace: "a", Name: "reader", Labels: selector.Labels{}},
		{Namespace: "a", Name: "writer", Labels: labelMap([]string{"trust=high"})}}
	byName, byLabel := from(policy.Allow, "", policy.TCP, single(80)), from(policy.Allow, "", policy.TCP, single(81))
	byName.Source.ServiceAccounts = &policy.ServiceAccountMatch{Names: []string{"reader", "writer"}}
	byLabel.Source.ServiceAccounts = &policy.ServiceAccountMatch{Selector: parse("trust == 'high'")}
	w.policy("a", "accounts", "app == 'x'", policy.Ingress, byName, byLabel)
	return w
}

// logWorld: Log before Allow, before Deny and before the end of the tier.
func logWorld() *world {
	w := smallWorld()
	w.policy("a", "in", "app == 'x'", policy.Ingress,
		from(policy.Log, "app == 'y'", policy.TCP), from(policy.Log, "", 0),
		from(policy.Allow, "app == 'y'", policy.TCP, single(80)), from(policy.Deny, "app == 'z'", policy.UDP))
	w.policy("a", "out", "app == 'x'", policy.Egress, toward(policy.Log, "", 0))
	return w
}

// negationWorld: every not… that there is.
func negationWorld() *world {
	w := smallWorld()
	w.find("a/x").Ports = []policy.ContainerPort{{Name: "metrics", Protocol: policy.TCP, Port: 9090}}
	notNamed := from(policy.Allow, "app == 'y'", policy.TCP)
	notNamed.Destination.NotNamedPorts = []string{"metrics"}
	notNamed.Destination.NotPorts = []policy.PortRange{{Min: 0, Max: 1023}}
	notNets := policy.Rule{Action: policy.Allow, NotProtocol: policy.TCP, Source: policy.Entity{Nets: nets("192.0.2.0/24"), NotNets: nets("192.0.2.128/25")}}
	notSelected := policy.Rule{Action: policy.Allow, Protocol: policy.SCTP, Source: policy.Entity{NotSelector: parse("app == 'y'")}}
	w.policy("", "negations", "app == 'x'", policy.Ingress, notNamed, notNets, notSelected)
	return w
}

// Goldens are compiled, for tests outside the package.
func Goldens(t testing.TB) map[string]*Compiled {
	out := map[string]*Compiled{}
	for name, w := range goldens() {
		out[name] = w.compile(t)
	}
	return out
}
