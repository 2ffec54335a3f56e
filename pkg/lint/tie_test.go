package lint_test

import (
	"strings"
	"testing"
)

func TestTie(t *testing.T) {
	allow := netpol("a", "order: 1", "ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'db'}}]")
	yes := []string{"b spec.order"}
	check(t, "tie", []testCase{
		{"S2: the name decides", shop + allow + netpol("b", "order: 1", "ingress: [{action: Deny}]"), yes},
		{"no order", shop + netpol("a", "ingress: [{action: Allow}]") + netpol("b", "ingress: [{action: Deny}]"), yes},
		{"other orders", shop + allow + netpol("b", "order: 2", "ingress: [{action: Deny}]"), nil},
		{"both allow", shop + allow + netpol("b", "order: 1", "ingress: [{action: Allow}]"), nil},
		{"nothing in common", shop + allow + netpol("b", "order: 1", "ingress: [{action: Deny, protocol: UDP}]"), nil},
		{"ports apart", shop + netpol("a", "ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]") +
			netpol("b", "ingress: [{action: Deny, protocol: TCP, destination: {ports: [81]}}]"), nil},
		{"peers apart", shop + allow + netpol("b", "order: 1", "ingress: [{action: Deny, source: {selector: app == 'web'}}]"), nil},
		{"other pods", shop + netpol("a", "selector: app == 'web'", "ingress: [{action: Allow}]") + netpol("b", "selector: app == 'db'", "ingress: [{action: Deny}]"), nil},
		{"other directions", shop + netpol("a", "ingress: [{action: Allow}]") + netpol("b", "egress: [{action: Deny}]"), nil},
		{"alike", shop + netpol("a", "ingress: [{action: Deny, protocol: UDP}, {action: Allow}]") + netpol("b", "ingress: [{action: Deny, protocol: UDP}, {action: Allow}]"), nil},
		{"pass and allow", shop + allow + netpol("b", "order: 1", "ingress: [{action: Pass}]"), yes},
		{"log does not decide", shop + allow + netpol("b", "order: 1", "ingress: [{action: Log}]"), nil},
		{"by address", shop + netpol("a", "ingress: [{action: Allow, source: {nets: [198.51.100.0/24]}}]") + netpol("b", "ingress: [{action: Deny, source: {nets: [198.51.100.128/25]}}]"), yes},
		{"another tier", shop + tierDoc("t", "order: 1") + allow + netpol("t.b", "tier: t", "order: 1", "ingress: [{action: Deny}]"), nil},
		{"no pods to judge by", allow + netpol("b", "order: 1", "ingress: [{action: Deny}]"), nil},
		{"two staged ones", shop + staged(allow) + staged(netpol("b", "order: 1", "ingress: [{action: Deny}]")), yes},
		{"S27: it replaces the other", shop + netpol("a", "order: 1", "ingress: [{action: Deny}]") + staged(allow), nil},
		{"beside a policy of Kubernetes", shop + kube("b", "podSelector: {}", "ingress: [{}]") + netpol("a", "order: 1000", "ingress: [{action: Deny}]"), []string{"a spec.order"}},
	})
}

// TestTieTellsWhat: the finding names a connection about which the order
// decides.
func TestTieTellsWhat(t *testing.T) {
	for _, f := range find(t, shop+netpol("a", "order: 1", "egress: [{action: Allow, protocol: TCP, destination: {selector: app == 'db', ports: [5432]}}]")+
		netpol("b", "order: 1", "selector: app == 'web'", "egress: [{action: Deny}]")) {
		if f.Code == "tie" {
			if want := "NetworkPolicy a has the same order, so their names decide about TCP/5432 from shop/web to shop/db"; !strings.Contains(f.Reason, want) {
				t.Errorf("got %s", f.Reason)
			}
			return
		}
	}
	t.Error("nothing found")
}
