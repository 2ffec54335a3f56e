package install

import (
	"net/netip"

	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// around is a cluster with the flows server, an application, and Prometheus.
const around = `
apiVersion: v1
kind: Pod
metadata: {name: netpol-flows-1, namespace: netpol-system, labels: {app.kubernetes.io/name: netpol-flows}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: shop}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.2}, {ip: "fd00::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: neighbour, namespace: netpol-system}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.3}, {ip: "fd00::3"}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: monitoring, labels: {netpol.dev/metrics: "true"}}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus, namespace: monitoring}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.4}, {ip: "fd00::4"}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
ports: [{name: https, port: 6443, protocol: TCP}]
`

// What guards the flows server is judged as every other policy is.
func TestWhoReachesTheFlowsServer(t *testing.T) {
	resources, faults := policy.Decode("around.yaml", []byte(around))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	for _, u := range objects(t, nil) {
		if u.GetKind() != "NetworkPolicy" && u.GetKind() != "Namespace" {
			continue
		}
		text, err := Encode([]*unstructured.Unstructured{u})
		if err != nil {
			t.Fatal(err)
		}
		more, faults := policy.Decode(u.GetName(), text)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		resources = append(resources, more...)
	}
	snap, faults := policy.NewSnapshot(1, resources, nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	m := tier.New(snap, nil)
	end := func(name string) tier.Peer {
		for _, e := range snap.Endpoints {
			if e.Name == name {
				return tier.Peer{Endpoint: e}
			}
		}
		return tier.Peer{Addr: netip.MustParseAddr(name)}
	}
	const server = "netpol-flows-1"
	for _, c := range []struct {
		from, to string
		port     uint16
		want     bool
	}{
		{"192.0.2.7", server, 7443, true}, // a node
		{"2001:db8::7", server, 7443, true},
		{"192.0.2.7", server, 9470, false},
		{"192.0.2.7", server, 22, false},
		{"app", server, 7443, false},
		{"app", server, 9470, false},
		{"neighbour", server, 7443, false},
		{"prometheus", server, 9470, true},
		{"prometheus", server, 7443, false},
		{server, "192.0.2.1", 6443, true}, // the API server
		{server, "192.0.2.1", 22, false},
		{server, "app", 80, false},
		{server, "198.51.100.1", 443, false},
	} {
		r := m.Evaluate(tier.Enforced(), tier.Conn{Source: end(c.from), Destination: end(c.to), Protocol: policy.TCP, Port: c.port})
		if r.Allowed() != c.want {
			t.Errorf("%s → %s port %d: allowed %v", c.from, c.to, c.port, r.Allowed())
		}
	}
}
