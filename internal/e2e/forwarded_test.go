//go:build linux

package e2e_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// forwarded is a server on one node, and a port of every node that leads to it.
const forwarded = `
apiVersion: v1
kind: Namespace
metadata: {name: forwarded}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: forwarded, labels: {app: server}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 1
  containers:
  - name: server
    image: IMAGE
    imagePullPolicy: Never
    args: [serve, -http=8080]
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: forwarded}
spec:
  type: NodePort
  externalTrafficPolicy: Cluster
  selector: {app: server}
  ports: [{name: http, port: 80, targetPort: 8080, nodePort: 31080}]
`

// testForwarded (S34): what a client outside sends to a port of one node and that
// sends on to a pod of another comes from an address of the first. It is shown
// as that node, and no rule of nets is made of it.
func testForwarded(t *testing.T, c *e2e.Cluster) {
	at, via := c.Nodes[0], c.Nodes[1]
	c.Apply(t, strings.NewReplacer("NODE", at.Name, "IMAGE", e2e.ToolsImage).Replace(forwarded))
	c.Kubectl(t, "--namespace=forwarded", "wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
	address := net.JoinHostPort(via.IPv4.String(), "31080")
	kubetest.Eventually(t, address+" answers", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	var seen []string
	kubetest.Eventually(t, "the flow is seen", func() bool {
		var answer struct {
			Items []struct {
				Source, Destination struct{ Kind, Namespace, Workload, Address string }
				Port                int
			}
		}
		netpolJSON(t, c, &answer, "flows", "--ns=forwarded")
		seen = nil
		for _, i := range answer.Items {
			if i.Destination.Workload == "server" && i.Port == 8080 && i.Source.Workload != at.Name { // but for kubelet's probes
				seen = append(seen, i.Source.Kind+" "+i.Source.Workload)
			}
		}
		slices.Sort(seen)
		seen = slices.Compact(seen)
		return len(seen) > 0
	})
	if !slices.Equal(seen, []string{"Host " + via.Name}) {
		t.Errorf("the flow's source is %q, want the node %s", seen, via.Name)
	}
	out, errs, code := tryNetpol(t, c, "recommend", "--ns=forwarded", "--output=json")
	if code == 2 || strings.Contains(out, "nets") && strings.Contains(out, via.IPv4.String()+"/") {
		t.Errorf("recommend: exit code %d\n%s%s", code, out, errs)
	}
	if !strings.Contains(out+errs, "node "+via.Name+" forwards") {
		t.Errorf("recommend does not say what it left out:\n%s%s", out, errs)
	}
}
