package prove

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// judged says whether the policies of a manifest deny a/web, a/db and b/web an
// ingress: with policies that have no rules, whether they select them.
func judged(t *testing.T, manifest string, want map[string]bool) {
	t.Helper()
	for pod, denied := range want {
		if got := judge(t, manifest, in, "203.0.113.1", pod, tcp(80)); (got == policy.Deny) != denied {
			t.Errorf("%s\n%s: %s, want denied %v", manifest, pod, got, denied)
		}
	}
}

func TestS14_WhoIsSelected(t *testing.T) {
	np := "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: "
	gnp := "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: "
	for manifest, want := range map[string]map[string]bool{
		np + `{}`:                         {"a/web": true, "a/db": true, "b/web": false},
		np + `{selector: "app == 'web'"}`: {"a/web": true, "a/db": false, "b/web": false},
		np + `{serviceAccountSelector: "role == 'ui'"}`: {"a/web": true, "a/db": false, "b/web": false},
		np + `{serviceAccountSelector: "!has(role)"}`:   {"a/web": false, "a/db": true},
		gnp + `{}`: {"a/web": true, "a/db": true, "b/web": true},
		gnp + `{serviceAccountSelector: "has(role)"}`:                           {"a/web": true, "a/db": false, "b/web": true},
		gnp + `{namespaceSelector: "has(team)", selector: "app == 'web'"}`:      {"a/web": true, "a/db": false, "b/web": false},
		gnp + `{namespaceSelector: "projectcalico.org/name == 'b'"}`:            {"a/web": false, "b/web": true},
		gnp + `{selector: "projectcalico.org/serviceaccount == 'front'"}`:       {"a/web": true, "a/db": false, "b/web": true},
		gnp + `{doNotTrack: true, applyOnForward: true}`:                        {"a/web": false, "b/web": false},
		gnp + `{preDNAT: true, applyOnForward: true, types: [Ingress]}`:         {"a/web": false, "b/web": false},
		gnp + `{applyOnForward: true}`:                                          {"a/web": true},
		gnp + `{ingress: [{action: Log}, {action: Pass}]}`:                      {"a/web": false},
		gnp + `{ingress: [{action: Log}]}`:                                      {"a/web": true},
		gnp + `{egress: [{action: Deny}]}`:                                      {"a/web": false},
		gnp + `{types: [Ingress], egress: [{action: Allow}]}`:                   {"a/web": true},
		gnp + `{selector: "projectcalico.org/orchestrator == 'k8s'"}`:           {"a/web": true},
		gnp + `{selector: "!has(projectcalico.org/orchestrator)"}`:              {"a/web": false},
		gnp + `{namespaceSelector: "kubernetes.io/metadata.name in {'a','c'}"}`: {"a/db": true, "b/web": false},
	} {
		judged(t, manifest, want)
	}
}

func TestS4_ClusterNetworkPolicy(t *testing.T) {
	cnp := func(tier, rest string) string {
		return "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: " + tier + "}\nspec: {tier: " +
			map[string]string{"admin": "Admin", "baseline": "Baseline"}[tier] + ", priority: 5, subject: {namespaces: {}}, " + rest + "}\n"
	}
	allowAll := "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: a}\nspec: {podSelector: {}, ingress: [{}], egress: [{}]}\n"
	denyAll := "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: a}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n"
	fromRed := "from: [{namespaces: {matchLabels: {team: red}}}]"
	for _, c := range []struct {
		manifest string
		dir      policy.Direction
		asked
	}{
		{cnp("admin", "ingress: [{action: Deny, "+fromRed+"}]") + allowAll, in, asked{"a/web", "a/db", tcp(80), false}},
		{cnp("admin", "ingress: [{action: Deny, "+fromRed+"}]") + allowAll, in, asked{"b/web", "a/db", tcp(80), true}},
		{cnp("admin", "ingress: [{action: Accept, "+fromRed+"}]") + denyAll, in, asked{"a/web", "a/db", tcp(80), true}},
		{cnp("admin", "ingress: [{action: Accept, "+fromRed+"}]") + denyAll, in, asked{"192.0.2.200", "a/db", tcp(80), false}}, // a's set is no pod of a
		{cnp("admin", "ingress: [{action: Pass, "+fromRed+"}, {action: Deny, from: [{namespaces: {}}]}]") + denyAll, in, asked{"a/web", "b/web", tcp(80), true}},
		{cnp("admin", "ingress: [{action: Pass, "+fromRed+"}, {action: Deny, from: [{namespaces: {}}]}]"), in, asked{"b/web", "a/web", tcp(80), false}},
		{cnp("baseline", "ingress: [{action: Deny, from: [{namespaces: {}}]}]") + allowAll, in, asked{"b/web", "a/web", tcp(80), true}},
		{cnp("baseline", "ingress: [{action: Deny, from: [{namespaces: {}}]}]"), in, asked{"b/web", "a/web", tcp(80), false}},
		{cnp("baseline", "ingress: [{action: Deny, from: [{namespaces: {}}]}]"), in, asked{"203.0.113.1", "a/web", tcp(80), true}}, // nobody's address
		{cnp("admin", "egress: [{action: Deny, to: [{networks: [10.0.0.0/30, 'fd00::/126']}]}]"), out, asked{"b/web", "a/web", tcp(80), false}},
		{cnp("admin", "egress: [{action: Deny, to: [{networks: [10.0.0.0/30, 'fd00::/126']}]}]"), out, asked{"fd00::3", "fd00::2", tcp(80), false}},
		{cnp("admin", "egress: [{action: Deny, to: [{networks: [10.0.0.0/30]}]}]"), out, asked{"fd00::3", "fd00::2", tcp(80), true}},
		{cnp("admin", "egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: dns}]}]"), out, asked{"b/web", "a/web", udp(53), false}},
		{cnp("admin", "egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: dns}]}]"), out, asked{"b/web", "a/web", tcp(53), false}},
		{cnp("admin", "egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: dns}]}]"), out, asked{"b/web", "a/db", tcp(53), true}},
		{cnp("admin", "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: http}]}]"), in, asked{"b/web", "a/db", tcp(9090), false}},
		{cnp("admin", "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 5, end: 7}}}}, {udp: {destinationPort: {number: 9}}}]}]"), in, asked{"b/web", "a/db", tcp(7), false}},
		{cnp("admin", "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 5, end: 7}}}}, {udp: {destinationPort: {number: 9}}}]}]"), in, asked{"b/web", "a/db", udp(9), false}},
		{cnp("admin", "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 5, end: 7}}}}, {udp: {destinationPort: {number: 9}}}]}]"), in, asked{"b/web", "a/db", udp(7), true}},
		{cnp("admin", "ingress: [{action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}]") + denyAll, in, asked{"b/web", "a/db", tcp(1), true}},
		{cnp("admin", "ingress: [{action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}]") + denyAll, in, asked{"a/db", "a/web", tcp(1), false}},
	} {
		if got := judge(t, c.manifest, c.dir, c.from, c.to, c.wire); (got == policy.Allow) != c.matches {
			t.Errorf("%s\n%+v: %s", c.manifest, c.asked, got)
		}
	}
}
