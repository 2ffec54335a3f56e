package lint_test

import (
	"strings"
	"testing"
)

func TestSelectsNothingPolicy(t *testing.T) {
	yes := []string{"p spec.selector"}
	check(t, "selects-nothing", []testCase{
		{"no such pod", shop + netpol("p", "selector: app == 'wbe'"), yes},
		{"a pod", shop + netpol("p", "selector: app == 'web'"), nil},
		{"everything", shop + netpol("p", "types: [Ingress]"), nil},
		{"no pods at all", netpol("p", "selector: app == 'wbe'"), nil},
		{"a pod of another namespace", shop + pod("other", "x", "x") + netpol("p", "selector: app == 'x'"), yes},
		{"global", shop + global("p", "selector: app == 'wbe'"), yes},
		{"global, in a namespace", shop + global("p", "selector: app == 'web'", "namespaceSelector: team == 'shop'"), nil},
		{"no such namespace", shop + global("p", "namespaceSelector: team == 'shp'"), []string{"p spec.namespaceSelector"}},
		{"namespaces of which only the name is known", shop + pod("other", "x", "x") + global("p", "namespaceSelector: team == 'shp'"), nil},
		{"their names are known", shop + pod("other", "x", "x") + global("p", "namespaceSelector: projectcalico.org/name == 'shp'"), []string{"p spec.namespaceSelector"}},
		{"the cluster's own namespace", shop + global("p", "namespaceSelector: kubernetes.io/metadata.name == 'kube-system'"), nil},
		{"the cluster's DNS", shop + global("p", "selector: k8s-app == 'kube-dns'"), nil},
		{"host endpoints", shop + "---\napiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: h, labels: {role: node}}\nspec: {node: n, interfaceName: eth0}\n" + global("p", "selector: role == 'node'"), nil},
		{"service accounts", shop + netpol("p", "serviceAccountSelector: a == 'b'"), []string{"p spec.serviceAccountSelector"}},
		{"kubernetes", shop + kube("p", "podSelector: {matchLabels: {app: wbe}}"), []string{"p spec.podSelector"}},
		{"a misspelt namespace", shop + strings.ReplaceAll(netpol("p", "selector: app == 'web'"), "namespace: shop", "namespace: shpo"), []string{"p metadata.namespace"}},
		{"a namespace whose pods are elsewhere", shop + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: else}\n" +
			strings.ReplaceAll(netpol("p", "selector: app == 'web'"), "namespace: shop", "namespace: else"), nil},
		{"staged", shop + staged(netpol("p", "selector: app == 'wbe'")), yes},
		{"a staged deletion selects nobody", shop + netpol("p", "selector: app == 'web'") + staged(netpol("p", "stagedAction: Delete")), nil},
	})
}

func TestSelectsNothingRule(t *testing.T) {
	from := func(entity string) string { return netpol("p", "ingress: [{action: Allow, source: {"+entity+"}}]") }
	at := func(field string) []string { return []string{"p spec.ingress[0].source." + field} }
	set := "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: s, labels: {role: office}}\nspec: {nets: [192.0.2.0/24]}\n"
	check(t, "selects-nothing", []testCase{
		{"no such pod", shop + from("selector: app == 'wbe'"), at("selector")},
		{"a pod", shop + from("selector: app == 'web'"), nil},
		{"no pods at all", from("selector: app == 'wbe'"), nil},
		{"S16: own namespace only", shop + pod("other", "x", "x") + from("selector: app == 'x'"), at("selector")},
		{"S16: other namespaces", shop + pod("other", "x", "x") + from("selector: app == 'x', namespaceSelector: all()"), nil},
		{"no such namespace", shop + from("selector: app == 'x', namespaceSelector: team == 'shp'"), at("namespaceSelector")},
		{"no pod of that namespace was read", shop + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: else, labels: {team: else}}\n" + from("selector: app == 'x', namespaceSelector: team == 'else'"), nil},
		{"no such pod in that namespace", shop + pod("other", "x", "x") + from("selector: app == 'y', namespaceSelector: projectcalico.org/name == 'other'"), at("selector")},
		{"the cluster's DNS", shop + from("selector: k8s-app == 'kube-dns', namespaceSelector: projectcalico.org/name == 'kube-system'"), nil},
		{"something else of kube-system", shop + from("selector: app == 'metrics', namespaceSelector: projectcalico.org/name == 'kube-system'"), nil},
		{"S17: a bare notSelector", shop + from("notSelector: app == 'wbe'"), nil},
		{"S18: a network set", shop + set + from("selector: role == 'office', namespaceSelector: global()"), nil},
		{"S18: no such set", shop + set + from("selector: role == 'offize', namespaceSelector: global()"), at("namespaceSelector")},
		{"S18: a global set is not of the namespace", shop + set + from("selector: role == 'office'"), at("selector")},
		{"S19: accounts by selector", shop + from("serviceAccounts: {selector: a == 'b'}"), at("serviceAccounts.selector")},
		{"S3: rules that never act", shop + netpol("p", "types: [Egress]", "ingress: [{action: Allow, source: {selector: app == 'wbe'}}]"), nil},
		{"kubernetes, told once", shop + kube("p", "podSelector: {}", "ingress: [{}, {from: [{podSelector: {}}, {podSelector: {matchLabels: {app: wbe}}}], ports: [{port: 1}, {port: 1, protocol: UDP}, {port: 2}]}]"),
			[]string{"p spec.ingress[1].from[1].podSelector"}},
		{"both sides", shop + netpol("p", "ingress: [{action: Allow, destination: {selector: app == 'wbe'}}]"), []string{"p spec.ingress[0].destination.selector"}},
	})
}

// TestSelectsNothingSaysWhatItLookedAt: a reader sees if something was left out.
func TestSelectsNothingSaysWhatItLookedAt(t *testing.T) {
	for _, f := range find(t, shop+netpol("p", "selector: app == 'wbe'")) {
		if f.Code == "selects-nothing" && (!strings.Contains(f.Reason, "(looked at 2 pods, 1 namespace)") || f.Value != "app == 'wbe'") {
			t.Errorf("got %q %q", f.Reason, f.Value)
		}
	}
}

func TestNamedThings(t *testing.T) {
	svc := "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {selector: {app: db}, ports: [{port: 5432}]}\n"
	to := func(service string) string {
		return netpol("p", "egress: [{action: Allow, destination: {services: {"+service+"}}}]")
	}
	check(t, "no-such-service", []testCase{
		{"S20: misspelt", shop + svc + to("name: dbb"), []string{"p spec.egress[0].destination.services.name"}},
		{"it exists", shop + svc + to("name: db, namespace: shop"), nil},
		{"nothing of that namespace was read", shop + svc + to("name: api, namespace: else"), nil},
		{"without pods", to("name: dbb"), nil},
	})
	account := func(names string) string {
		return netpol("p", "ingress: [{action: Allow, source: {serviceAccounts: {names: ["+names+"]}}}]")
	}
	runs := pod("shop", "api", "api", "spec: {serviceAccountName: api}")
	check(t, "no-such-account", []testCase{
		{"S19: misspelt", shop + runs + account("api, apy"), []string{"p spec.ingress[0].source.serviceAccounts.names[1]"}},
		{"it exists", shop + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot, namespace: shop}\n" + account("robot, default"), nil},
		{"without pods", account("apy"), nil},
	})
	ports := func(list string) string {
		return netpol("p", "selector: app == 'web'", "ingress: [{action: Allow, protocol: TCP, destination: {ports: ["+list+"]}}]")
	}
	check(t, "no-such-port", []testCase{
		{"S21: misspelt", shop + ports("http, htpp"), []string{"p spec.ingress[0].destination.ports[1]"}},
		{"S21: declared by others only", shop + ports("sql"), []string{"p spec.ingress[0].destination.ports[0]"}},
		{"S21: another protocol", shop + netpol("p", "ingress: [{action: Allow, protocol: UDP, destination: {ports: [http]}}]"), []string{"p spec.ingress[0].destination.ports[0]"}},
		{"numbers", shop + ports("81"), nil},
		{"of the peer", shop + netpol("p", "egress: [{action: Allow, protocol: TCP, destination: {selector: app == 'db', ports: [sql]}}]"), nil},
		{"of any peer", shop + netpol("p", "egress: [{action: Allow, protocol: TCP, destination: {ports: [sql, sqll]}}]"), []string{"p spec.egress[0].destination.ports[1]"}},
		{"without pods", ports("htpp"), nil},
		{"kubernetes", shop + kube("p", "podSelector: {}", "ingress: [{ports: [{port: htpp}]}]"), []string{"p spec.ingress[0].ports"}},
	})
}
