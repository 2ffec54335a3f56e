package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// oneRule decodes a v3 policy with one rule that is right and returns the rule.
func oneRule(t *testing.T, kind string, d policy.Direction, rule string) policy.Rule {
	t.Helper()
	field := [...]string{"ingress", "egress"}[d]
	p := decodeOne[policy.Policy](t, v3(kind, field+":\n- "+rule))
	again, faults := policy.ValidateObject(policy.ToObject(p))
	if len(faults) > 0 || !cmp.Equal(p.Rules, again.(*policy.Policy).Rules, alike) {
		t.Errorf("%s: written and read again: %v\n%s", rule, faults, cmp.Diff(p.Rules, again.(*policy.Policy).Rules, alike))
	}
	return p.Rules[d][0]
}

func TestCriteriaOfRules(t *testing.T) {
	tcp, rng := policy.TCP, func(lo, hi uint16) policy.PortRange { return policy.PortRange{Min: lo, Max: hi} }
	const in, out = policy.Ingress, policy.Egress
	for name, c := range map[string]struct {
		dir  policy.Direction
		rule string
		want policy.Rule
	}{
		"S22 ICMP type":         {in, "{protocol: ICMP, icmp: {type: 8}}", policy.Rule{Protocol: policy.ICMP, ICMP: &policy.ICMPMatch{Type: 8, Code: policy.AnyCode}}},
		"S22 ICMP type, code 0": {in, "{protocol: ICMP, icmp: {type: 0, code: 0}}", policy.Rule{Protocol: policy.ICMP, ICMP: &policy.ICMPMatch{}}},
		"S22 ICMP bounds":       {in, "{protocol: 1, icmp: {type: 254, code: 255}}", policy.Rule{Protocol: policy.ICMP, ICMP: &policy.ICMPMatch{Type: 254, Code: 255}}},
		"S22 notICMP":           {out, "{protocol: ICMPv6, notICMP: {type: 128, code: 1}}", policy.Rule{Protocol: policy.ICMPv6, NotICMP: &policy.ICMPMatch{Type: 128, Code: 1}}},
		"S22 both": {out, "{protocol: ICMP, icmp: {type: 3}, notICMP: {type: 3, code: 4}}", policy.Rule{Protocol: policy.ICMP,
			ICMP: &policy.ICMPMatch{Type: 3, Code: policy.AnyCode}, NotICMP: &policy.ICMPMatch{Type: 3, Code: 4}}},
		"S22 icmp without a type asks for nothing": {in, "{protocol: ICMP, icmp: {}}", policy.Rule{Protocol: policy.ICMP}},
		"S21 source ports": {in, "{protocol: TCP, source: {ports: [80, '1024:65535'], notPorts: [8080]}}", policy.Rule{Protocol: tcp,
			Source: policy.Entity{Ports: []policy.PortRange{rng(80, 80), rng(1024, 65535)}, NotPorts: []policy.PortRange{rng(8080, 8080)}}}},
		"S21 names": {in, "{protocol: TCP, destination: {ports: [http, 80, Web_2.x], notPorts: [admin]}}", policy.Rule{Protocol: tcp,
			Destination: policy.Entity{Ports: []policy.PortRange{rng(80, 80)}, NamedPorts: []string{"http", "Web_2.x"}, NotNamedPorts: []string{"admin"}}}},
		"S21 names of the source": {out, "{protocol: SCTP, source: {ports: [sig], notPorts: [9, adm]}}", policy.Rule{Protocol: policy.SCTP,
			Source: policy.Entity{NamedPorts: []string{"sig"}, NotPorts: []policy.PortRange{rng(9, 9)}, NotNamedPorts: []string{"adm"}}}},
		"S19 names": {in, "{source: {serviceAccounts: {names: [b, a]}}}", policy.Rule{Source: policy.Entity{
			ServiceAccounts: &policy.ServiceAccountMatch{Names: []string{"b", "a"}}}}},
		"S19 selector": {out, "{destination: {serviceAccounts: {selector: 'has(x)'}, selector: has(y)}}", policy.Rule{Destination: policy.Entity{
			Selector: selector.Has("y"), ServiceAccounts: &policy.ServiceAccountMatch{Selector: selector.Has("x")}}}},
		"S19 all accounts": {in, "{source: {serviceAccounts: {selector: all()}}}", policy.Rule{Source: policy.Entity{
			ServiceAccounts: &policy.ServiceAccountMatch{Selector: selector.All()}}}},
		"S20 a service of the own namespace": {out, "{destination: {services: {name: db}}}", policy.Rule{Destination: policy.Entity{
			Service: &policy.ServiceRef{Namespace: "vote", Name: "db"}}}},
		"S20 a service of another": {in, "{protocol: TCP, source: {services: {name: db, namespace: x}, ports: [1]}}", policy.Rule{Protocol: tcp,
			Source: policy.Entity{Service: &policy.ServiceRef{Namespace: "x", Name: "db"}, Ports: []policy.PortRange{rng(1, 1)}}}},
	} {
		c.want.Action = policy.Deny
		got := oneRule(t, "NetworkPolicy", c.dir, "{action: Deny, "+c.rule[1:])
		if diff := cmp.Diff(c.want, got, alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	r := oneRule(t, "GlobalNetworkPolicy", out, "{action: Allow, destination: {services: {name: db, namespace: x}}}")
	if *r.Destination.Service != (policy.ServiceRef{Namespace: "x", Name: "db"}) {
		t.Errorf("%+v", r.Destination.Service)
	}
}

func TestS14_PolicyServiceAccountSelector(t *testing.T) {
	p := decodeOne[policy.Policy](t, v3("NetworkPolicy", "serviceAccountSelector: has(a)"))
	if p.ServiceAccountSelector.String() != "has(a)" || p.Selector != nil {
		t.Errorf("%+v", p)
	}
	p = decodeOne[policy.Policy](t, v3("GlobalNetworkPolicy", "serviceAccountSelector: all()"))
	if p.ServiceAccountSelector == nil {
		t.Error("all() says that the policy is for pods only")
	}
}

// S24: an Allow with HTTP stays one with HTTP, which nothing matches where
// packets are judged, and a warning says so.
func TestS24_HTTP(t *testing.T) {
	const rule = "ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}, http: {methods: [GET, '*'], paths: [{exact: /a}, {prefix: /}]}}]"
	res, faults := policy.Decode("f.yaml", []byte(v3("NetworkPolicy", rule)))
	if faults.Err() != nil || len(faults) != 1 || !faults[0].Warning || !faults[0].Unsupported || faults[0].Code != policy.CodeUnsupported {
		t.Fatalf("%v", faults)
	}
	p := res[0].Value.(*policy.Policy)
	want := &policy.HTTPMatch{Methods: []string{"GET", "*"}, Paths: []policy.HTTPPath{{Exact: "/a"}, {Prefix: "/"}}}
	if diff := cmp.Diff(want, p.Rules[policy.Ingress][0].HTTP); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again, _ := policy.ValidateObject(policy.ToObject(p))
	if diff := cmp.Diff(p.Rules, again.(*policy.Policy).Rules, alike); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestS30_HostEndpointPolicies(t *testing.T) {
	for spec, want := range map[string]struct {
		track, dnat, forward bool
		warnings             int
	}{
		"applyOnForward: true":                    {forward: true},
		"doNotTrack: true\napplyOnForward: true":  {track: true, forward: true, warnings: 1},
		"preDNAT: true\napplyOnForward: true":     {dnat: true, forward: true, warnings: 1},
		"doNotTrack: false\napplyOnForward: null": {},
	} {
		res, faults := policy.Decode("f.yaml", []byte(v3("GlobalNetworkPolicy", spec+"\ningress: [{action: Allow}]")))
		p := res[0].Value.(*policy.Policy)
		if faults.Err() != nil || len(faults.Warnings()) != want.warnings || p.DoNotTrack != want.track || p.PreDNAT != want.dnat || p.ApplyOnForward != want.forward {
			t.Errorf("%q: %v %+v", spec, faults, p)
		}
		again, _ := policy.ValidateObject(policy.ToObject(p))
		if q := again.(*policy.Policy); q.DoNotTrack != want.track || q.PreDNAT != want.dnat || q.ApplyOnForward != want.forward {
			t.Errorf("%q: written and read again: %+v", spec, q)
		}
	}
	for spec, part := range map[string]string{
		"doNotTrack: true": "add applyOnForward",
		"preDNAT: true":    "add applyOnForward",
		"preDNAT: true\ndoNotTrack: true\napplyOnForward: true":                           "not both",
		"preDNAT: true\napplyOnForward: true\negress: [{action: Deny}]":                   "ingress rules only",
		"preDNAT: true\napplyOnForward: true\ntypes: [Egress]":                            "ingress only",
		"preDNAT: true\napplyOnForward: true\ntypes: [Ingress]\negress: [{action: Deny}]": "ingress rules only",
	} {
		_, faults := policy.Decode("f.yaml", []byte(v3("GlobalNetworkPolicy", spec)))
		if errs := faults.Errors(); len(errs) != 1 || !strings.Contains(errs.Error(), part) {
			t.Errorf("%q: %v", spec, faults)
		}
	}
}

func TestS18_NetworkSets(t *testing.T) {
	got := decodeOne[policy.NetworkSet](t, `apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: a, namespace: n, labels: {role: db, projectcalico.org/namespace: forged}}
spec: {nets: [10.1.0.0/16, '2001:db8::/64', 10.0.0.1, 10.1.0.0/16]}
`)
	want := &policy.NetworkSet{
		Key:    policy.Key{Kind: policy.KindNetworkSet, Namespace: "n", Name: "a"},
		Labels: selector.Labels{"role": "db", "projectcalico.org/namespace": "n", "projectcalico.org/name": "a"},
		Nets:   prefixes("10.0.0.1/32", "10.1.0.0/16", "2001:db8::/64"),
		Origin: policy.Origin{File: "f.yaml", Line: 1, Column: 1},
	}
	if diff := cmp.Diff(want, got, alike); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again, faults := policy.ValidateObject(policy.NetworkSetObject(got))
	want.Origin = policy.Origin{}
	if diff := cmp.Diff(want, again, alike); diff != "" || len(faults) > 0 {
		t.Errorf("written and read again: %v (-want +got)\n%s", faults, diff)
	}
	g := decodeOne[policy.NetworkSet](t, "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: g}\n")
	if g.Namespace != "" || g.Labels["projectcalico.org/name"] != "g" || len(g.Labels) != 1 || g.Nets != nil {
		t.Errorf("%+v", g)
	}
}

// What could be read of a faulty set is kept.
func TestS18_FaultyNetworkSet(t *testing.T) {
	res, faults := policy.Decode("f.yaml", []byte("apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: g}\nspec: {nets: [10.0.0.1/24, x, 11.0.0.0/8]}\n"))
	if len(faults) != 2 || faults[0].Code != policy.CodeUnmaskedNet || faults[1].Code != policy.CodeBadNet || !strings.Contains(faults[0].Fix, "10.0.0.0/24") {
		t.Fatalf("%v", faults)
	}
	if diff := cmp.Diff(prefixes("10.0.0.0/24", "11.0.0.0/8"), res[0].Value.(*policy.NetworkSet).Nets, alike); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestS30_HostEndpoint(t *testing.T) {
	const doc = `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h, labels: {a: b}}
spec: {node: n1, interfaceName: eth0, expectedIPs: [192.0.2.1, '2001:db8::1'], profiles: [p], ports: [{name: ssh, protocol: TCP, port: 22}]}
`
	res, faults := policy.Decode("f.yaml", []byte(doc))
	if len(faults) != 1 || !faults[0].Warning || !faults[0].Unsupported {
		t.Fatalf("%v", faults)
	}
	want := &policy.HostEndpoint{Name: "h", Node: "n1", Interface: "eth0", Labels: selector.Labels{"a": "b"},
		Addrs: addrs("192.0.2.1", "2001:db8::1"), Profiles: []string{"p"},
		Ports: []policy.ContainerPort{{Name: "ssh", Protocol: policy.TCP, Port: 22}}, Origin: policy.Origin{File: "f.yaml", Line: 1, Column: 1}}
	if diff := cmp.Diff(want, res[0].Value, alike); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for spec, parts := range map[string][]string{
		"{}":                            {"spec.interfaceName", "spec.node"},
		"{node: n, expectedIPs: [x]}":   {"IP address"},
		"{node: n, interfaceName: a/b}": {"interface's name"},
		"{node: n, interfaceName: '*', ports: [{name: '1', protocol: TCP, port: 1}]}": {"name of a port"},
		"{node: n, interfaceName: '*', ports: [{}]}":                                  {"has no name", "has no protocol", "has no port"},
		"{node: n, interfaceNam: '*'}":                                                {"spec.interfaceName", "did you mean interfaceName?"},
	} {
		_, faults := policy.Decode("f.yaml", []byte("apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: h}\nspec: "+spec+"\n"))
		errs := faults.Errors()
		if len(errs) != len(parts) {
			t.Errorf("%s: %v", spec, faults)
		}
		for _, part := range parts {
			if !strings.Contains(errs.Error(), part) {
				t.Errorf("%s: %q is not in:\n%v", spec, part, errs)
			}
		}
	}
}

func TestS19_ServiceAccount(t *testing.T) {
	got := decodeOne[policy.ServiceAccount](t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: n, labels: {x: y}}\n")
	want := &policy.ServiceAccount{Namespace: "n", Name: "a", Labels: selector.Labels{"x": "y", "projectcalico.org/name": "a"},
		Origin: policy.Origin{File: "f.yaml", Line: 1, Column: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
