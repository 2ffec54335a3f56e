package lint_test

import (
	"strings"
	"testing"
)

func TestDNSForgotten(t *testing.T) {
	toDB := "{action: Allow, protocol: TCP, destination: {selector: app == 'db', ports: [5432]}}"
	web := func(rules ...string) string {
		return netpol("p", "selector: app == 'web'", "types: [Egress]", "egress: ["+strings.Join(rules, ", ")+"]")
	}
	kubeDNS := pod("kube-system", "coredns", "dns", "spec: {containers: [{name: c, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]}") +
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: kube-dns, namespace: kube-system}\nspec: {selector: {app: dns}, ports: [{name: dns, port: 53, protocol: UDP}]}\n"
	yes := []string{"p spec.egress"}
	check(t, "dns-forgotten", []testCase{
		{"the cluster's DNS is elsewhere", shop + web(toDB), yes},
		{"it is here", shop + kubeDNS + web(toDB), yes},
		{"allowed by label", shop + web(toDB, "{action: Allow, protocol: UDP, destination: {selector: k8s-app == 'kube-dns', namespaceSelector: all(), ports: [53]}}"), nil},
		{"allowed by namespace", shop + web(toDB, "{action: Allow, protocol: UDP, destination: {namespaceSelector: projectcalico.org/name == 'kube-system', ports: [53]}}"), nil},
		{"allowed to anyone", shop + kubeDNS + web(toDB, "{action: Allow, protocol: UDP, destination: {ports: [53]}}"), nil},
		{"TCP alone will do", shop + web(toDB, "{action: Allow, protocol: TCP, destination: {ports: [53]}}"), nil},
		{"to an address that may be it", shop + web(toDB, "{action: Allow, protocol: UDP, destination: {nets: [10.96.0.0/16], ports: [53]}}"), nil},
		{"to a network set", shop + "---\napiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: dns, namespace: shop, labels: {role: dns}}\nspec: {nets: [10.0.0.53/32]}\n" +
			web(toDB, "{action: Allow, protocol: UDP, destination: {selector: role == 'dns', ports: [53]}}"), nil},
		{"another policy allows it", shop + web(toDB) + netpol("q", "egress: [{action: Allow, protocol: UDP, destination: {ports: [53]}}]"), nil},
		{"another tier allows it", shop + tierDoc("t", "order: 1") + netpol("t.q", "tier: t", "egress: [{action: Allow, protocol: UDP, destination: {ports: [53]}}, {action: Pass}]") + web(toDB), nil},
		{"allowed to a server that was not read", shop + web(toDB, "{action: Allow, protocol: UDP, destination: {namespaceSelector: projectcalico.org/name == 'openshift-dns', ports: [5353]}}"), nil},
		{"allowed to a server by its port's name", shop + web(toDB, "{action: Allow, protocol: UDP, destination: {selector: app == 'dns', ports: [dns]}}"), nil},
		{"other pods of its namespace were read", shop + pod("kube-system", "metrics", "metrics") + web("{action: Allow, protocol: UDP, destination: {selector: k8s-app == 'kube-dns', namespaceSelector: all()}}"), nil},
		{"all is denied: that is meant", shop + web(), nil},
		{"addresses need no names", shop + web("{action: Allow, protocol: TCP, destination: {nets: [10.0.0.0/8]}}"), nil},
		{"pings need no names", shop + web("{action: Allow, protocol: ICMP}"), nil},
		{"denied for all that is left", shop + web(toDB, "{action: Deny}"), yes},
		{"denied with purpose", shop + web("{action: Deny, protocol: UDP, destination: {ports: [53]}}", "{action: Deny, protocol: TCP, destination: {ports: [53]}}", toDB), nil},
		{"the DNS itself", shop + kubeDNS + global("p", "selector: app == 'dns'", "types: [Egress]", "egress: [{action: Allow, protocol: TCP, destination: {selector: app == 'web', ports: [80]}}]"), nil},
		{"staged", shop + staged(web(toDB)), yes},
		{"staged, with an enforced one that allows it", shop + staged(web(toDB)) + netpol("q", "egress: [{action: Allow, protocol: UDP, destination: {ports: [53]}}]"), nil},
		{"kubernetes", shop + kube("p", "podSelector: {}", "policyTypes: [Egress]", "egress: [{to: [{podSelector: {}}], ports: [{port: 5432}]}]"), yes},
		{"ingress only", shop + netpol("p", "ingress: [{action: Allow, protocol: TCP}]"), nil},
		{"no pods to judge by", web(toDB), nil},
	})
}
