package lint_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/lint"
	"github.com/netpol-project/netpol/pkg/policy"
)

// FuzzCheck: whatever is decoded, also what has errors and what is made of it
// then, the lints look at it without falling over, and every finding is whole.
func FuzzCheck(f *testing.F) {
	for _, docs := range []string{
		shop + netpol("p", "selector: app == 'web'", "ingress: [{action: Allow, protocol: TCP, source: {notSelector: app == 'x', nets: [10.0.0.0/8]}, destination: {ports: [http, 80]}}, {action: Pass}]"),
		shop + global("p", "order: 1", "namespaceSelector: team == 'shop'", "egress: [{action: Log}, {action: Deny, protocol: ICMP, icmp: {type: 8}}]") + global("q", "order: 1", "egress: [{action: Allow}]"),
		shop + kube("p", "podSelector: {}", "policyTypes: [Egress]", "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {podSelector: {}}], ports: [{port: 53, protocol: UDP}, {port: sql}]}]"),
		shop + staged(netpol("p", "stagedAction: Delete")) + netpol("q", "tier: gone", "ingress: [{action: Allow, source: {serviceAccounts: {names: [a]}}}, {action: Allow, source: {services: {name: s}}}]"),
		tierDoc("a", "order: 1") + netpol("a.p", "tier: a", "types: [Ingress]", "egress: [{action: Alow, protocol: TCP}]"),
	} {
		f.Add([]byte(docs))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return
		}
		resources, faults := policy.Decode("f.yaml", data)
		snap, _ := policy.NewSnapshot(1, resources, nil)
		broken := map[policy.Key]bool{}
		for _, fault := range faults.Errors() {
			broken[fault.Key] = true
		}
		for _, isBroken := range []func(policy.Key) bool{
			func(k policy.Key) bool { return broken[k] },
			func(policy.Key) bool { return false },
		} {
			found := lint.Check(snap, isBroken)
			for _, fault := range lint.NewPlaces(func(string) ([]byte, error) { return data, nil }).Locate(found) {
				if !fault.Warning || fault.Code == "" || fault.Reason == "" || fault.Key.Kind == "" {
					t.Errorf("not a whole warning: %+v", fault)
				}
			}
		}
	})
}
