package policy_test

import "strings"

// Documents that only the API server's tests need: one for every fault of kinds
// that the other tests do not go through in whole documents.
func moreWrongDocuments() []wrong {
	var out []wrong
	for _, spec := range []string{
		"doNotTrack: true", "preDNAT: true", "preDNAT: true\ndoNotTrack: true\napplyOnForward: true",
		"preDNAT: true\napplyOnForward: true\negress: [{action: Deny}]", "preDNAT: true\napplyOnForward: true\ntypes: [Egress]",
		"namespaceSelector: global()", "serviceAccountSelector: global()",
		"egress: [{action: Deny, destination: {serviceAccounts: {selector: global()}}}]",
		"egress: [{action: Allow, destination: {services: {name: x}}}]",
		"egress: [{action: Deny, destination: {notNets: ['::/0']}}]",
		"egress: [{action: Deny, ipVersion: 4, destination: {nets: ['::/0']}}]",
	} {
		out = append(out, wrong{name: spec, doc: v3("GlobalNetworkPolicy", spec)})
	}
	for _, f := range []string{"selector: has(a)", "notSelector: has(a)", "namespaceSelector: has(a)", "serviceAccounts: {names: [a]}", "nets: [10.0.0.0/8]", "notNets: [10.0.0.0/8]", "ports: [1]", "notPorts: [1]"} {
		out = append(out, wrong{name: "services and " + f, doc: v3("NetworkPolicy", "egress: [{action: Deny, protocol: TCP, destination: {services: {name: a}, "+f+"}}]")})
	}
	for _, spec := range []string{
		"ingress: [{action: Deny, source: {services: {name: A_b}}}]",
		"ingress: [{action: Deny, source: {services: {name: " + strings.Repeat("a", 64) + "}}}]",
		"ingress: [{action: Deny, source: {services: {name: a, namespace: a.b}}}]",
		"tier: " + strings.Repeat("a", 254),
		"ingress: [{action: Deny, source: {serviceAccounts: {names: [" + strings.Repeat("a", 254) + "]}}}]",
		"ingress: [{action: Deny, protocol: ICMP, notICMP: {}}]",
		"ingress: [{action: Pass, protocol: TCP, http: {methods: [GET]}}]",
		"ingress: [{action: Allow, notProtocol: TCP, http: {methods: [GET]}}]",
		"ingress: [{action: Deny, protocol: 1, destination: {ports: [80]}}]",
		"ingress: [{action: Deny, protocol: 47, icmp: {type: 1}}]",
		"ingress: [{action: Allow, http: {methods: [get]}}]",
		"ingress: [{action: Allow, http: {paths: [{}]}}]",
		"ingress: [{action: Allow, http: {paths: [{exact: /, prefix: /}]}}]",
		"ingress: [{action: Allow, http: {paths: [{prefix: '/a?b'}]}}]",
		"ingress: [{action: Deny, source: {nets: [10.0.0.1/24]}}]",
		"ingress: [{action: Deny, protocol: TCP, destination: {ports: [0]}}]",
		"ingress: [{action: Deny, protocol: TCP, destination: {ports: ['1:70000']}}]",
	} {
		out = append(out, wrong{name: spec, doc: v3("NetworkPolicy", spec)})
	}
	return append(out, moreWrongPeers()...)
}

func moreWrongPeers() []wrong {
	var out []wrong
	doc := func(kind, meta, spec string) {
		out = append(out, wrong{name: kind + " " + spec, doc: "apiVersion: projectcalico.org/v3\nkind: " + kind + "\nmetadata: {" + meta + "}\nspec: " + spec + "\n"})
	}
	for _, nets := range []string{"[x]", "[10.0.0.1/24]", "[10.0.0.0/8, '2001:db8::1/64']"} {
		doc("NetworkSet", "name: a, namespace: n", "{nets: "+nets+"}")
		doc("GlobalNetworkSet", "name: a", "{nets: "+nets+"}")
	}
	for _, spec := range []string{
		"{}", "{interfaceName: eth0}", "{node: n}", "{node: n, expectedIPs: [x]}", "{node: n, interfaceName: a/b}",
		"{node: n, interfaceName: '*', ports: [{name: '1', protocol: TCP, port: 1}]}", "{node: n, interfaceName: '*', ports: [{}]}",
		"{node: n, interfaceName: '*', ports: [{name: a, protocol: TCPP, port: 1}]}", "{node: n, interfaceName: '*', ports: [{name: a, protocol: TCP, port: 0}]}",
	} {
		doc("HostEndpoint", "name: h", spec)
	}
	for _, name := range []string{"default", "kube-admin", "kube-baseline"} {
		doc("Tier", "name: "+name, "{order: 5}")
		doc("Tier", "name: "+name, "{defaultAction: "+map[bool]string{true: "Pass", false: "Deny"}[name == "default"]+"}")
	}
	doc("StagedKubernetesNetworkPolicy", "name: a", "{stagedAction: Delete, policyTypes: [Egress]}")
	doc("StagedKubernetesNetworkPolicy", "name: a", "{stagedAction: Delete, podSelector: {matchLabels: {a: b}}}")
	doc("StagedKubernetesNetworkPolicy", "name: a", "{podSelector: {matchLabels: {a: -}}}")
	doc("StagedKubernetesNetworkPolicy", "name: a", "{podSelector: {matchLabels: {a/b/c: d}}}")
	doc("StagedKubernetesNetworkPolicy", "name: a", "{podSelector: {matchExpressions: [{operator: Exists}]}}")
	doc("StagedKubernetesNetworkPolicy", "name: a", "{podSelector: {matchExpressions: [{key: a}]}}")
	doc("StagedKubernetesNetworkPolicy", "name: a", "{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}")
	doc("StagedKubernetesNetworkPolicy", "name: a", "{podSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b c]}]}}")
	for _, peer := range []string{"ipBlock: {}", "ipBlock: {cidr: x}", "ipBlock: {cidr: 10.0.0.0/8, except: [y]}", "ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}", "ipBlock: {cidr: '::ffff:10.0.0.0/104'}"} {
		doc("StagedKubernetesNetworkPolicy", "name: a", "{ingress: [{from: [{"+peer+"}]}]}")
	}
	for _, port := range []string{"port: 0", "port: 1, endPort: 70000", "port: 80-90", "port: '80'", "port: '80:90'", "port: '80', endPort: 90", "port: ''", "protocol: TPC", "protocol: tcp", "protocol: '6'", "protocol: ICMP", "protocol: ''"} {
		doc("StagedKubernetesNetworkPolicy", "name: a", "{ingress: [{ports: [{"+port+"}]}]}")
	}
	return out
}
