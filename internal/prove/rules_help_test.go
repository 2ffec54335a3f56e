package prove

import (
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// stage is what most rule tests play on: two namespaces with pods that run as
// accounts and declare ports, sets that overlap, a host and services. Pods:
//
//	a/web   10.0.0.1 fd00::1  app=web, account front (role=ui); http TCP 8080, dns UDP 53 and TCP 53
//	a/db    10.0.0.2 fd00::2  app=db, account default; sidecar: http TCP 9090; init container: old TCP 7
//	b/web   10.0.0.3 fd00::3  app=web, account front (role=api); http TCP 80 and 81
const stage = `
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: red}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: b}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: front, namespace: a, labels: {role: ui}}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: front, namespace: b, labels: {role: api}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: a, labels: {app: web}}
spec:
  serviceAccountName: front
  containers:
  - {name: c, image: i, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}
  - {name: d, image: i, ports: [{name: dns, containerPort: 53}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: a, labels: {app: db}}
spec:
  initContainers:
  - {name: s, image: i, restartPolicy: Always, ports: [{name: http, containerPort: 9090}]}
  - {name: o, image: i, ports: [{name: old, containerPort: 7}]}
  containers: [{name: c, image: i}]
status: {phase: Running, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: b, labels: {app: web}}
spec:
  serviceAccountName: front
  containers:
  - {name: c, image: i, ports: [{name: http, containerPort: 80}]}
  - {name: d, image: i, ports: [{name: http, containerPort: 81}]}
status: {phase: Running, podIP: 10.0.0.3, podIPs: [{ip: 10.0.0.3}, {ip: "fd00::3"}]}
---
{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: n, namespace: a, labels: {zone: near}}, spec: {nets: [192.0.2.0/24, "2001:db8::/32"]}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: n, namespace: b, labels: {zone: far}}, spec: {nets: [192.0.2.0/25, 10.0.0.2/32]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: g, labels: {zone: wide}}, spec: {nets: [198.51.100.0/24, 10.0.0.3/32]}}
---
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h, labels: {zone: host}}, spec: {node: n, interfaceName: eth0, expectedIPs: [10.255.0.1, "fd00:ffff::1"]}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: b}
spec: {selector: {app: web}, ports: [{port: 1, targetPort: http}, {name: u, port: 2, protocol: UDP, targetPort: 5353}]}
---
{apiVersion: v1, kind: Service, metadata: {name: out, namespace: a}, spec: {ports: [{port: 443}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: out-1, namespace: a, labels: {kubernetes.io/service-name: out}}
addressType: IPv4
endpoints: [{addresses: [203.0.113.9], conditions: {ready: false}}, {addresses: [10.0.0.2]}]
ports: [{port: 8443, protocol: TCP}]
`

// judge is the verdict of one end's policies on a connection: of from's in
// egress, of to's in ingress. Ends are ns/pod (with its IPv4 address), an
// address (its pod's, if one has it), or an address and a source port.
func judge(t *testing.T, manifests string, dir policy.Direction, from, to string, v Wire) policy.Action {
	t.Helper()
	resources, faults := policy.Decode("stage.yaml", []byte(stage+"---\n"+manifests))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	snap, faults := policy.NewSnapshot(1, resources, nil)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	m := tier.New(snap, nil)
	end := func(name string) tier.Peer {
		if a, err := netip.ParseAddr(name); err == nil {
			return m.Peer(a)
		}
		for _, ep := range snap.Endpoints {
			if ep.ID() == name {
				return tier.Peer{Endpoint: ep, Addr: ep.Addrs[0]}
			}
		}
		t.Fatalf("no end %q", name)
		return tier.Peer{}
	}
	source, destination := end(from), end(to)
	source.Port = uint16(v.SourcePort)
	local, peer := destination, source
	if dir == policy.Egress {
		local, peer = source, destination
	}
	return m.Judge(tier.Enforced(), dir, local, peer, policy.Protocol(v.Protocol), uint16(v.Port)).Action
}

// asked is one connection and what the rule under test must do with it.
type asked struct {
	from, to string
	wire     Wire
	matches  bool
}

// allowedBy tries one rule without action in a policy that denies the rest:
// what it matches is allowed. Policies are global or in namespace a, and judge
// all pods that they can.
func allowedBy(t *testing.T, global bool, dir policy.Direction, rule string, cases []asked) {
	t.Helper()
	head := "kind: NetworkPolicy\nmetadata: {name: p, namespace: a}\n"
	if global {
		head = "kind: GlobalNetworkPolicy\nmetadata: {name: p}\n"
	}
	side := "ingress"
	if dir == policy.Egress {
		side = "egress"
	}
	manifest := "apiVersion: projectcalico.org/v3\n" + head + "spec: {types: [" + dir.String() + "], " + side + ": [{action: Allow, " + rule + "}]}\n"
	for _, c := range cases {
		want := policy.Deny
		if c.matches {
			want = policy.Allow
		}
		if got := judge(t, manifest, dir, c.from, c.to, c.wire); got != want {
			t.Errorf("%s {%s}, %s to %s with %+v: %s, want %s", dir, rule, c.from, c.to, c.wire, got, want)
		}
	}
}

// Connections that tests are about.
func tcp(port int) Wire { return Wire{Protocol: 6, Port: port} }
func udp(port int) Wire { return Wire{Protocol: 17, Port: port} }

func tcpFrom(source, port int) Wire { return Wire{Protocol: 6, Port: port, SourcePort: source} }

func icmp(typ, code int) Wire  { return Wire{Protocol: 1, Port: typ<<8 | code} }
func icmp6(typ, code int) Wire { return Wire{Protocol: 58, Port: typ<<8 | code} }
