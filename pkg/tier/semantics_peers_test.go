package tier_test

import "testing"

// sets are network sets and a host endpoint beside people. One set holds an
// address of red/web.
const sets = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partners, labels: {kind: partner}}
spec: {nets: [192.0.2.0/24, "2001:db8::/64"]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: bad, labels: {kind: bad}}
spec: {nets: [192.0.2.128/25]}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: office, namespace: blue, labels: {kind: office}}
spec: {nets: [198.51.100.0/24, 10.0.0.1/32]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: gate, labels: {kind: gate}}
spec: {node: node, expectedIPs: [203.0.113.5]}
`

// ends are: a partner, one that is bad too, the office, the gate, red/web
// (whose address the office holds) and somebody else.
var ends = []string{"192.0.2.7", "192.0.2.200", "198.51.100.3", "203.0.113.5", "red/web", "8.8.8.8"}

func TestS18_NetworkSets(t *testing.T) {
	for source, want := range map[string][6]bool{
		"{selector: kind == 'partner'}":                                  {true, true, false, false, false, false},
		"{selector: kind == 'partner', notSelector: kind == 'bad'}":      {true, true, false, false, false, false}, // one of its sets matches
		"{selector: has(kind), notSelector: kind == 'partner'}":          {false, true, true, true, true, false},
		"{selector: kind == 'office' || kind == 'gate'}":                 {false, false, true, true, true, false},
		"{namespaceSelector: global()}":                                  {true, true, false, true, false, false},
		"{namespaceSelector: global(), selector: kind == 'bad'}":         {false, true, false, false, false, false},
		"{namespaceSelector: all()}":                                     {false, false, true, false, true, false},
		"{namespaceSelector: team == 'blue'}":                            {false, false, true, false, true, false},
		"{namespaceSelector: team == 'red'}":                             {false, false, false, false, true, false},
		"{selector: projectcalico.org/name == 'office'}":                 {false, false, true, false, true, false},
		"{selector: projectcalico.org/namespace == 'blue'}":              {false, false, true, false, true, false},
		"{notSelector: kind == 'partner'}":                               {false, false, true, true, true, true}, // S17: all others
		"{notSelector: kind == 'office'}":                                {true, true, false, true, false, true},
		"{selector: kind == 'partner', notNets: [192.0.2.128/25]}":       {true, false, false, false, false, false},
		"{selector: kind == 'partner', nets: [192.0.2.200/32]}":          {false, true, false, false, false, false},
		"{serviceAccounts: {names: [robot]}}":                            {false, false, false, false, true, false},
		"{selector: has(kind), serviceAccounts: {selector: '!has(no)'}}": {false, false, false, false, false, false}, // red/web itself has no kind
	} {
		check(t, scenario{name: source, resources: []string{sets, global("p", "{selector: app == 'db', ingress: [{action: Allow, source: "+source+"}]}")},
			want: peersOf("red/db", ends, want[:])})
	}
}

func TestS18_NetworkSetsInANetworkPolicy(t *testing.T) {
	for source, want := range map[string][3]bool{ // partner, office (of blue), red/web
		"{selector: has(kind)}":                                 {false, true, true},
		"{selector: has(kind), namespaceSelector: global()}":    {true, false, false},
		"{selector: has(kind), namespaceSelector: all()}":       {false, true, true},
		"{notSelector: has(kind)}":                              {false, false, false}, // S17: known ones of blue only
		"{notSelector: kind == 'x'}":                            {false, true, true},
		"{nets: [198.51.100.0/24]}":                             {false, true, false},
		"{selector: kind == 'office', nets: [198.51.100.0/30]}": {false, true, false},
	} {
		answers := map[string]string{}
		for i, s := range []string{"192.0.2.7", "198.51.100.3", "red/web"} {
			answers["in "+s+" > blue/plain tcp/1"] = "Deny default/blue.p:end"
			if want[i] {
				answers["in "+s+" > blue/plain tcp/1"] = "Allow default/blue.p:0"
			}
		}
		check(t, scenario{name: source, resources: []string{sets, namespaced("blue", "p", "{selector: '!has(app)', ingress: [{action: Allow, source: "+source+"}]}")}, want: answers})
	}
}

func TestS18_BothFamilies(t *testing.T) {
	check(t, scenario{resources: []string{sets, global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {selector: kind == 'partner'}}]}")}, want: map[string]string{
		"in 2001:db8::7 > red/db/6 tcp/1": allowed, "in 2001:db8:1::7 > red/db/6 tcp/1": refused,
	}})
}

// shop is a pod with named ports behind Services.
const shop = `
apiVersion: v1
kind: Pod
metadata: {name: shop, namespace: blue, labels: {app: shop}}
spec:
  containers:
  - {name: a, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}
  - {name: b, ports: [{name: http, containerPort: 8081}, {containerPort: 9000}]}
  initContainers:
  - {name: side, restartPolicy: Always, ports: [{name: metrics, containerPort: 9100}]}
  - {name: once, ports: [{name: early, containerPort: 9200}]}
status: {phase: Running, podIP: 10.0.0.9, podIPs: [{ip: 10.0.0.9}, {ip: "fd00::9"}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: blue}
spec:
  selector: {app: shop}
  clusterIP: 10.96.0.9
  ports: [{name: web, port: 80, targetPort: http}, {name: raw, port: 81, targetPort: 9000}, {name: dns, port: 53, protocol: UDP, targetPort: dns}]
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: blue}
spec: {clusterIP: 10.96.0.10, ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: away-1, namespace: blue, labels: {kubernetes.io/service-name: away}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.80]}]
ports: [{port: 8443, protocol: TCP}]
`

func TestS21_NamedPorts(t *testing.T) {
	in := func(r string) []string {
		return []string{shop, global("p", "{selector: has(app), ingress: [{action: Allow, "+r+"}]}")}
	}
	check(t,
		scenario{name: "of the endpoint itself", resources: in("protocol: TCP, destination: {ports: [http]}"), want: map[string]string{
			"in red/web > blue/shop tcp/8080": allowed, "in red/web > blue/shop tcp/8081": allowed, "in red/web > blue/shop/6 tcp/8080": allowed,
			"in red/web > blue/shop tcp/9000": refused, "in red/web > blue/shop udp/8080": refused, "in red/web > red/db tcp/8080": refused,
		}},
		scenario{name: "with its protocol", resources: in("protocol: TCP, destination: {ports: [dns]}"), want: map[string]string{
			"in red/web > blue/shop tcp/53": refused, "in red/web > blue/shop udp/53": refused,
		}},
		scenario{name: "native sidecars, no init containers", resources: in("protocol: TCP, destination: {ports: [metrics, early]}"), want: map[string]string{
			"in red/web > blue/shop tcp/9100": allowed, "in red/web > blue/shop tcp/9200": refused,
		}},
		scenario{name: "beside numbers", resources: in("protocol: TCP, destination: {ports: [metrics, '80:90']}"), want: map[string]string{
			"in red/web > blue/shop tcp/9100": allowed, "in red/web > blue/shop tcp/85": allowed, "in red/web > red/db tcp/85": allowed, "in red/web > red/db tcp/9100": refused,
		}},
		scenario{name: "negated", resources: in("protocol: TCP, destination: {notPorts: [http, 22]}"), want: map[string]string{
			"in red/web > blue/shop tcp/8080": refused, "in red/web > blue/shop tcp/22": refused, "in red/web > blue/shop tcp/80": allowed,
			"in red/web > red/db tcp/8080": allowed, "in red/web > red/db tcp/22": refused,
		}},
	)
	out := func(r string) []string {
		return []string{shop, global("p", "{selector: app == 'db', egress: [{action: Allow, "+r+"}]}")}
	}
	check(t,
		scenario{name: "of the peer", resources: out("protocol: TCP, destination: {selector: app == 'shop', ports: [http]}"), want: map[string]string{
			"out red/db > blue/shop tcp/8080": allowed, "out red/db > blue/shop tcp/80": refused, "out red/db > 192.0.2.7 tcp/8080": refused,
		}},
		scenario{name: "of any peer", resources: out("protocol: TCP, destination: {ports: [http]}"), want: map[string]string{
			"out red/db > blue/shop tcp/8080": allowed, "out red/db > red/web tcp/8080": refused, "out red/db > 192.0.2.7 tcp/8080": refused,
		}},
		scenario{name: "of another peer", resources: out("protocol: TCP, destination: {selector: app == 'web', ports: [http]}"), want: map[string]string{
			"out red/db > blue/shop tcp/8080": refused,
		}},
		scenario{name: "of the source", resources: []string{shop, global("p", "{selector: app == 'db', ingress: [{action: Allow, protocol: UDP, source: {ports: [dns]}}]}")}, want: map[string]string{
			"in blue/shop@53 > red/db udp/9": allowed, "in blue/shop@54 > red/db udp/9": refused, "in red/web@53 > red/db udp/9": refused,
		}},
	)
}

func TestS20_Services(t *testing.T) {
	out := func(svc string) []string {
		return []string{shop, namespaced("red", "p", "{selector: app == 'db', egress: [{action: Allow, destination: {services: "+svc+"}}]}")}
	}
	yes, no := "Allow default/red.p:0", "Deny default/red.p:end"
	check(t,
		scenario{name: "address and ports of the endpoints", resources: out("{name: shop, namespace: blue}"), want: map[string]string{
			"out red/db > blue/shop tcp/8080": yes, "out red/db > blue/shop tcp/8081": no, "out red/db > blue/shop tcp/9000": yes, "out red/db > blue/shop udp/53": yes,
			"out red/db > blue/shop/6 tcp/9000": yes,
			"out red/db > blue/shop tcp/80":     no, "out red/db > blue/shop udp/9000": no, "out red/db > blue/web tcp/8080": no, "out red/db > 10.96.0.9 tcp/80": no,
		}},
		scenario{name: "endpoints that are no pods", resources: out("{name: away, namespace: blue}"), want: map[string]string{
			"out red/db > 192.0.2.80 tcp/8443": yes, "out red/db > 192.0.2.80 tcp/443": no, "out red/db > 192.0.2.81 tcp/8443": no,
		}},
		scenario{name: "the policy's own namespace", resources: out("{name: shop}"), want: map[string]string{"out red/db > blue/shop tcp/8080": no}},
		scenario{name: "one that does not exist", resources: out("{name: nothing, namespace: blue}"), want: map[string]string{"out red/db > blue/shop tcp/8080": no}},
		scenario{name: "source: addresses only", resources: []string{shop, global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {services: {name: shop, namespace: blue}}}]}")},
			want: map[string]string{"in blue/shop > red/db tcp/1": allowed, "in blue/shop > red/db icmp/8:0": allowed, "in red/web > red/db tcp/1": refused}},
		scenario{name: "source that is no pod", resources: []string{shop, global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {services: {name: away, namespace: blue}}}]}")},
			want: map[string]string{"in 192.0.2.80 > red/db tcp/1": allowed, "in 192.0.2.81 > red/db tcp/1": refused}},
	)
}

func TestS33_NodeLocalDNSCountsAsTheDNSService(t *testing.T) {
	const cluster = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP, targetPort: 5353}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec:
  template:
    spec: {hostNetwork: true, containers: [{name: node-cache, args: [-localip, "169.254.20.10,10.96.0.10"]}]}
`
	check(t, scenario{resources: []string{cluster, global("p", "{egress: [{action: Allow, destination: {services: {name: kube-dns, namespace: kube-system}}}]}")}, want: map[string]string{
		"out red/db > 169.254.20.10 udp/53": allowed, "out red/db > 10.96.0.10 udp/53": allowed,
		"out red/db > 169.254.20.10 udp/54": refused, "out red/db > 169.254.20.10 tcp/53": refused, "out red/db > 169.254.20.11 udp/53": refused,
	}})
}

// Policies of Kubernetes know no network sets, and a set can't pass for a pod:
// who may write one must not widen what a cluster's policy accepts of pods.
func TestS15_ANetworkSetIsNoPod(t *testing.T) {
	forged := v3("NetworkSet", "name: forged, namespace: red, labels: {projectcalico.org/orchestrator: k8s, app: web}", "{nets: [0.0.0.0/0]}")
	host := v3("HostEndpoint", "name: forged, labels: {projectcalico.org/orchestrator: k8s}", "{node: node, expectedIPs: [192.0.2.1]}")
	cluster := `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: admin}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - {action: Accept, from: [{namespaces: {}}]}
`
	check(t, scenario{name: "ClusterNetworkPolicy", resources: []string{forged, host, cluster},
		want: map[string]string{"in 192.0.2.1 > red/db tcp/80": "Allow", "in red/web > red/db tcp/80": "Allow kube-admin/admin:0"}})
	check(t, scenario{name: "Kubernetes", resources: []string{forged, host, kubernetes("red", "pods", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")},
		want: map[string]string{"in 192.0.2.1 > red/db tcp/80": "Deny default/red.pods:end"}})
	check(t, scenario{name: "Calico", resources: []string{forged, global("pods", "{selector: all(), types: [Ingress], ingress: [{action: Allow, source: {selector: projectcalico.org/orchestrator == 'k8s'}}]}")},
		want: map[string]string{"in 192.0.2.1 > red/db tcp/80": "Deny default/pods:end"}})
}
