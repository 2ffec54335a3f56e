package prove

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestS20_Services(t *testing.T) {
	checkRules(t, []ruleCase{
		{global, out, `destination: {services: {name: web, namespace: b}}`, []asked{
			{"a/web", "b/web", tcp(80), true}, {"fd00::1", "fd00::3", tcp(80), true}, {"a/web", "b/web", udp(5353), true},
			{"a/web", "b/web", tcp(81), false},   // the second port of the name: Kubernetes takes the first
			{"a/web", "b/web", tcp(1), false},    // the Service's own port is translated
			{"a/web", "b/web", udp(80), false},   // address, protocol and port together
			{"a/web", "b/web", tcp(5353), false}, // likewise
			{"b/web", "a/web", tcp(80), false},   // another namespace's pod
			{"a/web", "b/web", icmp(0, 80), false}}},
		{own, out, `destination: {services: {name: out}}`, []asked{ // its own namespace's
			{"a/web", "203.0.113.9", tcp(8443), true}, // not ready, and that is ignored
			{"a/web", "203.0.113.9", tcp(443), false}, {"a/web", "a/db", tcp(8443), true}, {"a/web", "203.0.113.8", tcp(8443), false},
			{"fd00::1", "fd00::2", tcp(8443), false}}}, // the slice is of IPv4
		{own, out, `destination: {services: {name: web}}`, []asked{{"a/db", "b/web", tcp(80), false}, {"a/db", "a/web", tcp(8080), false}}}, // there is no a/web
		{global, in, `source: {services: {name: web, namespace: b}}`, []asked{
			{"b/web", "a/db", tcp(7), true}, {"b/web", "a/db", Wire{Protocol: 99}, true}, {"a/web", "a/db", tcp(80), false}, {"203.0.113.9", "a/db", tcp(80), false}}},
		{own, in, `protocol: TCP, source: {services: {name: out}, ports: [1000]}`, []asked{
			{"203.0.113.9", "a/web", tcpFrom(1000, 1), true}, {"203.0.113.9", "a/web", tcpFrom(1001, 1), false}, {"a/db", "a/web", tcpFrom(1000, 1), true}}},
	})
}

func TestS21_NamedPorts(t *testing.T) {
	checkRules(t, []ruleCase{
		{global, in, `protocol: TCP, destination: {ports: [http]}`, []asked{
			{"203.0.113.1", "a/web", tcp(8080), true}, {"203.0.113.1", "a/db", tcp(9090), true}, {"203.0.113.1", "b/web", tcp(80), true}, {"203.0.113.1", "b/web", tcp(81), true},
			{"203.0.113.1", "a/db", tcp(8080), false}, {"203.0.113.1", "b/web", tcp(82), false}, {"2001:db9::1", "fd00::1", tcp(8080), true}}},
		{global, in, `protocol: UDP, destination: {ports: [http]}`, []asked{{"203.0.113.1", "a/web", udp(8080), false}}},
		{global, in, `protocol: UDP, destination: {ports: [dns]}`, []asked{{"203.0.113.1", "a/web", udp(53), true}, {"203.0.113.1", "a/web", tcp(53), false}}},
		{global, in, `protocol: TCP, destination: {ports: [old]}`, []asked{{"203.0.113.1", "a/db", tcp(7), false}}}, // an init container's
		{global, in, `protocol: TCP, destination: {ports: [http, 22]}`, []asked{{"203.0.113.1", "a/web", tcp(22), true}, {"203.0.113.1", "a/web", tcp(8080), true}, {"203.0.113.1", "a/web", tcp(23), false}}},
		{global, in, `protocol: TCP, destination: {notPorts: [http]}`, []asked{
			{"203.0.113.1", "a/web", tcp(8080), false}, {"203.0.113.1", "a/web", tcp(9090), true}, {"203.0.113.1", "a/db", tcp(8080), true}, {"203.0.113.1", "b/web", tcp(81), false}}},
		{global, in, `protocol: TCP, destination: {ports: [http], notPorts: ["80:80"]}`, []asked{
			{"203.0.113.1", "b/web", tcp(80), false}, {"203.0.113.1", "b/web", tcp(81), true}}},
		{global, out, `protocol: TCP, destination: {ports: [http]}`, []asked{
			{"a/web", "b/web", tcp(80), true}, {"a/web", "b/web", tcp(8080), false}, {"a/web", "203.0.113.1", tcp(80), false}, {"b/web", "a/db", tcp(9090), true}}},
		{own, out, `protocol: TCP, destination: {selector: "has(app)", ports: [http]}`, []asked{
			{"a/web", "b/web", tcp(80), false}, {"a/web", "a/db", tcp(9090), true}, {"a/web", "a/db", tcp(8080), false}}},
		// The entity matches db's address by b's set only: that has no ports.
		{global, out, `protocol: TCP, destination: {selector: "zone == 'far'", ports: [http, 99]}`, []asked{
			{"a/web", "a/db", tcp(9090), false}, {"a/web", "a/db", tcp(99), true}}},
		{global, out, `protocol: TCP, destination: {selector: "zone == 'far'", notPorts: [http]}`, []asked{{"a/web", "a/db", tcp(9090), true}}},
		{global, out, `protocol: TCP, destination: {nets: [10.0.0.3/32], ports: [http]}`, []asked{
			{"a/web", "b/web", tcp(80), true}, {"a/db", "a/web", tcp(8080), false}, {"fd00::1", "fd00::3", tcp(80), false}}},
	})
}

func TestS21_SourcePorts(t *testing.T) {
	checkRules(t, []ruleCase{
		{global, in, `protocol: TCP, source: {ports: [1000, "2000:3000"]}`, []asked{
			{"203.0.113.1", "a/db", tcpFrom(1000, 1), true}, {"203.0.113.1", "a/db", tcpFrom(1, 1000), false}, {"203.0.113.1", "a/db", tcpFrom(2000, 1), true},
			{"203.0.113.1", "a/db", tcpFrom(3000, 1), true}, {"203.0.113.1", "a/db", tcpFrom(3001, 1), false}, {"203.0.113.1", "a/db", Wire{17, 1, 1000}, false}}},
		{global, in, `protocol: TCP, source: {ports: ["49152:65535"]}`, []asked{{"203.0.113.1", "a/db", tcp(1), true}}}, // not known
		{global, in, `protocol: TCP, source: {notPorts: ["49152:65535"]}`, []asked{{"203.0.113.1", "a/db", tcp(1), false}, {"203.0.113.1", "a/db", tcpFrom(49151, 1), true}}},
		{global, in, `protocol: TCP, source: {ports: [http]}`, []asked{
			{"a/web", "a/db", tcpFrom(8080, 1), true}, {"a/web", "a/db", tcpFrom(1, 8080), false}, {"203.0.113.1", "a/db", tcpFrom(8080, 1), false}, {"b/web", "a/db", tcpFrom(81, 1), true}}},
		{global, out, `protocol: TCP, source: {notPorts: [http]}`, []asked{{"a/web", "203.0.113.1", tcpFrom(8080, 1), false}, {"a/web", "203.0.113.1", tcpFrom(80, 1), true}}},
		{global, out, `protocol: SCTP, source: {ports: [5]}, destination: {ports: [6]}`, []asked{
			{"a/web", "203.0.113.1", Wire{132, 6, 5}, true}, {"a/web", "203.0.113.1", Wire{132, 5, 6}, false}}},
	})
}

func TestS21_KubernetesPortsByNameAndEnd(t *testing.T) {
	head := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: {podSelector: {}, "
	for _, c := range []struct {
		spec  string
		dir   policy.Direction
		cases []asked
	}{
		{"ingress: [{ports: [{port: http}]}]}", in, []asked{{"203.0.113.1", "a/web", tcp(8080), true}, {"203.0.113.1", "a/db", tcp(8080), false}, {"203.0.113.1", "a/db", tcp(9090), true}, {"203.0.113.1", "a/web", udp(8080), false}}},
		{"ingress: [{ports: [{port: dns, protocol: UDP}]}]}", in, []asked{{"203.0.113.1", "a/web", udp(53), true}, {"203.0.113.1", "a/web", tcp(53), false}}},
		{"egress: [{ports: [{port: http}]}], policyTypes: [Egress]}", out, []asked{{"a/web", "b/web", tcp(81), true}, {"a/web", "203.0.113.1", tcp(80), false}}},
		{"egress: [{to: [{podSelector: {}}], ports: [{port: http}]}], policyTypes: [Egress]}", out, []asked{{"a/web", "b/web", tcp(81), false}, {"a/web", "a/db", tcp(9090), true}}},
		{"egress: [{ports: [{port: 5, endPort: 7, protocol: SCTP}]}], policyTypes: [Egress]}", out, []asked{
			{"a/web", "b/web", Wire{132, 5, 0}, true}, {"a/web", "b/web", Wire{132, 7, 0}, true}, {"a/web", "b/web", Wire{132, 8, 0}, false}, {"a/web", "b/web", Wire{132, 4, 0}, false}, {"a/web", "b/web", tcp(6), false}}},
		{"ingress: [{ports: [{port: 5}, {port: http}]}]}", in, []asked{{"fd00::3", "fd00::1", tcp(5), true}, {"fd00::3", "fd00::1", tcp(8080), true}, {"fd00::3", "fd00::1", tcp(6), false}}},
	} {
		for _, a := range c.cases {
			if got := judge(t, head+c.spec, c.dir, a.from, a.to, a.wire); (got == policy.Allow) != a.matches {
				t.Errorf("%s: %+v: %s", c.spec, a, got)
			}
		}
	}
}

func TestS22_Protocols(t *testing.T) {
	checkRules(t, []ruleCase{
		{global, in, `protocol: UDPLite`, []asked{{"a/web", "a/db", Wire{Protocol: 136, Port: 9}, true}, {"a/web", "a/db", udp(9), false}}},
		{global, in, `protocol: 136`, []asked{{"a/web", "a/db", Wire{Protocol: 136}, true}}},
		{global, in, `protocol: 255`, []asked{{"a/web", "a/db", Wire{Protocol: 255}, true}, {"a/web", "a/db", Wire{Protocol: 254}, false}}},
		{global, in, `protocol: "17"`, []asked{{"a/web", "a/db", udp(9), true}}},
		{global, in, `protocol: ICMP, icmp: {type: 8}`, []asked{{"a/web", "a/db", icmp(8, 0), true}, {"a/web", "a/db", icmp(8, 255), true}, {"a/web", "a/db", icmp(9, 0), false}, {"a/web", "a/db", icmp(7, 255), false}}},
		{global, in, `protocol: ICMP, icmp: {type: 0, code: 0}`, []asked{{"a/web", "a/db", icmp(0, 0), true}, {"a/web", "a/db", icmp(0, 1), false}}},
		{global, in, `protocol: ICMP, icmp: {type: 254, code: 255}`, []asked{{"a/web", "a/db", icmp(254, 255), true}, {"a/web", "a/db", icmp(255, 255), false}}},
		{global, in, `protocol: ICMPv6, icmp: {type: 128}`, []asked{{"fd00::1", "fd00::2", icmp6(128, 0), true}, {"fd00::1", "fd00::2", icmp6(129, 0), false}, {"a/web", "a/db", icmp(128, 0), false}}},
		{global, in, `protocol: ICMP, icmp: {type: 3}, notICMP: {type: 3, code: 4}`, []asked{
			{"a/web", "a/db", icmp(3, 3), true}, {"a/web", "a/db", icmp(3, 4), false}, {"a/web", "a/db", icmp(4, 4), false}}},
		{global, in, `protocol: ICMPv6, notICMP: {type: 128}`, []asked{{"fd00::1", "fd00::2", icmp6(128, 7), false}, {"fd00::1", "fd00::2", icmp6(1, 0), true}}},
		{global, in, `ipVersion: 6`, []asked{{"fd00::1", "fd00::2", tcp(1), true}, {"a/web", "a/db", tcp(1), false}}},
		{global, in, `ipVersion: 4, protocol: ICMP`, []asked{{"a/web", "a/db", icmp(8, 0), true}, {"fd00::1", "fd00::2", icmp6(128, 0), false}}},
	})
}

func TestS23_NetsOfOneFamilyDoNotMatchTheOther(t *testing.T) {
	w := tcp(80)
	checkRules(t, []ruleCase{
		{global, in, `source: {nets: [0.0.0.0/0]}`, []asked{{"203.0.113.1", "a/db", w, true}, {"fd00::1", "fd00::2", w, false}}},
		{global, in, `source: {nets: ["::/0"]}`, []asked{{"203.0.113.1", "a/db", w, false}, {"fd00::1", "fd00::2", w, true}}},
		{global, in, `source: {notNets: ["fd00::/64"]}`, []asked{{"203.0.113.1", "a/db", w, false}, {"fd00::1", "fd00::2", w, false}, {"2001:db8::1", "fd00::2", w, true}}},
		{global, out, `source: {nets: ["fd00::1/128"]}, destination: {notNets: ["2001:db8::/32"]}`, []asked{
			{"fd00::1", "2001:db9::1", w, true}, {"fd00::1", "2001:db8::1", w, false}, {"a/web", "203.0.113.1", w, false}}},
	})
}

func TestS24_HTTPIsNeverWidened(t *testing.T) {
	checkRules(t, []ruleCase{
		{global, in, `protocol: TCP, http: {methods: [GET]}`, []asked{{"a/web", "a/db", tcp(80), false}, {"a/web", "a/db", udp(80), false}}},
		{global, in, `protocol: TCP, destination: {ports: [80]}, http: {paths: [{prefix: /}]}`, []asked{{"a/web", "a/db", tcp(80), false}}},
	})
}
