package probe

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/pkg/policy"
)

// What a cluster's resources say is what a lab would say of them: pods that
// have an address and stay, and Services with the pods' own ports behind.
func TestPodsAndServicesOfASnapshot(t *testing.T) {
	resources, faults := policy.Decode("", []byte(`
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: vote, labels: {app: db}}
spec: {nodeName: a, containers: [{name: main, ports: [{name: sql, containerPort: 5432}]}]}
status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: vote, labels: {app: db}}
spec: {containers: [{name: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-2, namespace: vote, labels: {app: db}, deletionTimestamp: "2026-01-01T00:00:00Z"}
spec: {containers: [{name: main}]}
status: {podIP: 10.0.0.3}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: vote}
spec: {clusterIP: 10.96.0.1, selector: {app: db}, ports: [{name: sql, port: 15432, targetPort: sql}]}
`))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s, _ := policy.NewSnapshot(1, resources, nil)
	pods := Pods(s)
	if len(pods) != 1 || pods[0].Name != "db-0" || len(pods[0].Addrs) != 2 ||
		!cmp.Equal(pods[0].Ports, []plan.Port{{Name: "sql", Protocol: "TCP", Port: 5432}}) {
		t.Errorf("pods: %+v", pods)
	}
	want := []plan.ServicePort{{Name: "sql", Protocol: "TCP", Port: 15432, Endpoints: []netip.AddrPort{
		netip.MustParseAddrPort("10.0.0.1:5432"), netip.MustParseAddrPort("[fd00::1]:5432"),
	}}}
	got := Services(s)
	if len(got) != 1 || !cmp.Equal(got[0].Ports, want, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
		t.Errorf("services: %+v", got)
	}
}
