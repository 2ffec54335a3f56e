package tier_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// TestCuts_WhereAVerdictMayChange: every port and protocol at which the answer
// changes is a cut, also behind a tier that only some connections pass.
func TestCuts_WhereAVerdictMayChange(t *testing.T) {
	for name, c := range map[string]struct {
		resources []string
		protocols []policy.Protocol // that must be there
		ports     map[policy.Protocol][]uint16
	}{
		"a rule with ports": {
			resources: []string{global("p", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, '90:99']}}]}")},
			protocols: []policy.Protocol{policy.TCP}, ports: map[policy.Protocol][]uint16{policy.TCP: {0, 80, 81, 90, 100}},
		},
		"the last port": {
			resources: []string{global("p", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: ['65000:65535']}}]}")},
			protocols: []policy.Protocol{policy.TCP}, ports: map[policy.Protocol][]uint16{policy.TCP: {0, 65000}},
		},
		"a conditional Pass before the Deny end of its tier": {
			resources: []string{newTier("t", "{order: 1}"), global("p", "{tier: t, ingress: [{action: Pass, protocol: UDP}]}"),
				global("q", "{ingress: [{action: Allow, protocol: UDP, destination: {ports: [53]}}]}")},
			protocols: []policy.Protocol{policy.UDP}, ports: map[policy.Protocol][]uint16{policy.UDP: {0, 53, 54}},
		},
		"a conditional Pass before an unconditional rule": {
			resources: []string{newTier("t", "{order: 1}"), global("p", "{tier: t, ingress: [{action: Pass, protocol: UDP}, {action: Allow}]}"),
				global("q", "{ingress: [{action: Deny, protocol: UDP, destination: {ports: [53]}}]}")},
			protocols: []policy.Protocol{policy.UDP}, ports: map[policy.Protocol][]uint16{policy.UDP: {0, 53, 54}},
		},
		"nothing behind a rule that decides everything": {
			resources: []string{global("p", "{order: 1, ingress: [{action: Allow}]}"), global("q", "{order: 2, ingress: [{action: Deny, protocol: TCP}]}")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := modelOf(t, c.resources...)
			cuts := m.Cuts(tier.Enforced(), policy.Ingress, end(t, m, "red/db"), end(t, m, "red/web"))
			for _, proto := range c.protocols {
				if !slices.Contains(cuts.Protocols, proto) {
					t.Errorf("protocols %v lack %s", cuts.Protocols, proto)
				}
			}
			if len(c.protocols) == 0 && len(cuts.Protocols) > 0 {
				t.Errorf("protocols %v, want none", cuts.Protocols)
			}
			if !maps.EqualFunc(cuts.Ports, c.ports, slices.Equal) {
				t.Errorf("ports %v, want %v", cuts.Ports, c.ports)
			}
		})
	}
}
