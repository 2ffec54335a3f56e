package policy_test

import (
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Every bound of the API: what just fits is taken, one more is refused.
func TestBounds_OneMoreIsRefused(t *testing.T) {
	rules := func(n int) string { return "[" + repeat("{action: Deny}", n) + "]" }
	for name, c := range map[string]struct {
		most int
		spec func(n int) string
	}{
		"ingress rules": {1024, func(n int) string { return "ingress: " + rules(n) }},
		"egress rules":  {1024, func(n int) string { return "egress: " + rules(n) }},
		"selector": {1024, func(n int) string {
			return "selector: " + strings.Repeat("a", 500) + " == '" + strings.Repeat("b", n-506) + "'"
		}},
		"rule selector": {1024, func(n int) string {
			return "ingress: [{action: Deny, source: {notSelector: \"a in {'" + strings.Repeat("b", n-9) + "'}\"}}]"
		}},
		"nets": {256, func(n int) string {
			return "ingress: [{action: Deny, source: {nets: [" + repeat("10.0.0.0/8", n) + "]}}]"
		}},
		"notNets": {256, func(n int) string {
			return "egress: [{action: Deny, destination: {notNets: [" + repeat("10.0.0.0/8", n) + "]}}]"
		}},
		"ports": {50, func(n int) string {
			return "ingress: [{action: Deny, protocol: TCP, destination: {ports: [" + repeat("1:2", n) + "]}}]"
		}},
		"notPorts": {50, func(n int) string {
			return "egress: [{action: Deny, protocol: UDP, destination: {notPorts: [" + repeat("1", n) + "]}}]"
		}},
	} {
		for n, ok := range map[int]bool{c.most: true, c.most + 1: false} {
			_, faults := policy.Decode("f.yaml", []byte(v3("NetworkPolicy", c.spec(n))))
			if ok != (len(faults) == 0) {
				t.Errorf("%s, %d: %v", name, n, faults)
			}
		}
	}
	for n, ok := range map[int]bool{253: true, 254: false} {
		doc := "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: " + strings.Repeat("a", n) + "}\n"
		if _, faults := policy.Decode("f.yaml", []byte(doc)); ok != (len(faults) == 0) {
			t.Errorf("a name of %d: %v", n, faults)
		}
	}
}

// What contradicts itself is refused, with the way out where there is one.
func TestBounds_ContradictionsAreRefused(t *testing.T) {
	for spec, words := range map[string]string{
		"selector: global()": "global()", "namespaceSelector: global()": "global()",
		"ingress: [{action: Deny, source: {selector: global()}}]":                                "global()",
		"ingress: [{action: Deny, source: {notSelector: global()}}]":                             "global()",
		"ingress: [{action: Deny, source: {namespaceSelector: global() || has(a)}}]":             "global()",
		"ingress: [{action: Deny, destination: {services: {name: a}}}]":                          "for egress rules",
		"egress: [{action: Deny, source: {services: {name: a}}}]":                                "for ingress rules",
		"ingress: [{action: Deny, source: {nets: [10.0.0.1/24]}}]":                               "write 10.0.0.0/24",
		"ingress: [{action: Deny, source: {notNets: ['fd00::1/64']}}]":                           "write fd00::/64",
		"ingress: [{action: Deny, source: {nets: [10.0.0.0/8, 'fd00::/8']}}]":                    "all IPv4 or all IPv6",
		"ingress: [{action: Deny, source: {nets: [10.0.0.0/8]}, destination: {nets: ['::/0']}}]": "all IPv4 or all IPv6",
		"ingress: [{action: Deny, source: {notNets: [0.0.0.0/0]}}]":                              "nothing is outside",
		"ingress: [{action: Deny, source: {notNets: ['::/0']}}]":                                 "nothing is outside",
		"types: [Egress, Egress]": "twice",
	} {
		_, faults := policy.Decode("f.yaml", []byte(v3("GlobalNetworkPolicy", spec)))
		if len(faults) != 1 || !strings.Contains(faults.Error(), words) || !strings.Contains(faults.Error(), "f.yaml:5:") {
			t.Errorf("%s: want a fault about %q in line 5, got %v", spec, words, faults)
		}
	}
	for spec, n := range map[string]int{"stagedAction: Delete": 0, "stagedAction: Delete\nselector: all()": 1, "stagedAction: Delete\ningress: [{action: Deny}]": 1} {
		if _, faults := policy.Decode("f.yaml", []byte(v3("StagedNetworkPolicy", spec))); len(faults) != n {
			t.Errorf("%s: %v", spec, faults)
		}
	}
}
