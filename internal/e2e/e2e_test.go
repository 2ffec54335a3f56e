//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Sandbox(m.Run)) }

// TestE2E is one cluster; its parts build on each other.
func TestE2E(t *testing.T) {
	c := e2e.Up(t)
	part := func(name string, test func(*testing.T)) {
		if !t.Run(name, test) {
			t.Fatal("the other parts build on this one")
		}
	}
	part("pods reach each other across nodes", func(t *testing.T) { testReach(t, c) })
	g := startGap(t, c)
	part("the first install breaks no connection", func(t *testing.T) { testInstall(t, g) })
	part("default-deny spares what is allowed and kubelet's probes", func(t *testing.T) { testDefaultDeny(t, g) })
	part("a report lists the connections that would be cut", func(t *testing.T) { testLive(t, g) })
	part("a new pod is never open", func(t *testing.T) { testNewPod(t, g) })
	part("no gap when agents are killed", func(t *testing.T) { testAgentKilled(t, g) })
	part("no gap when agents are upgraded", func(t *testing.T) { testAgentUpgraded(t, g) })
	part("no gap without an API server", func(t *testing.T) { testOutage(t, g) })
	c.Kubectl(t, "delete", "namespace", "gap", "reach", "--wait")
	part("the workshop", func(t *testing.T) { testWorkshop(t, c) })
	part("uninstalling leaves nothing", func(t *testing.T) { testUninstall(t, c) })
	part("with the CNI plugin a new pod waits for its policies", func(t *testing.T) { testCNI(t, c) })
}

const reach = `
apiVersion: v1
kind: Namespace
metadata: {name: reach}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: reach, namespace: reach}
spec:
  selector: {matchLabels: {app: reach}}
  template:
    metadata: {labels: {app: reach}}
    spec:
      containers:
      - name: server
        image: ` + e2e.ToolsImage + `
        imagePullPolicy: Never
        args: [serve, -http=8080, -udp=8081]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: reach, namespace: reach}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: reach}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: each, namespace: reach}
spec:
  clusterIP: None
  ipFamilyPolicy: RequireDualStack
  selector: {app: reach}
`

// testReach: without policies everything reaches everything.
func testReach(t *testing.T, c *e2e.Cluster) {
	c.Apply(t, reach)
	c.Kubectl(t, "--namespace=reach", "rollout", "status", "daemonset/reach", "--timeout=120s")
	pods := podsOf(t, c, "reach", "app=reach")
	if len(pods) != len(c.Nodes) {
		t.Fatalf("want a pod on each of %d nodes, got %v", len(c.Nodes), pods)
	}
	service := serviceAddresses(t, c, "reach", "reach")
	for _, from := range pods {
		dial, udp := []string{"dial"}, []string{"dial", "-udp"}
		for _, to := range pods {
			for _, address := range to.addresses {
				dial = append(dial, net.JoinHostPort(address, "8080"))
				udp = append(udp, net.JoinHostPort(address, "8081"))
			}
		}
		for _, address := range service {
			dial = append(dial, net.JoinHostPort(address, "80"))
		}
		dial = append(dial, "reach:80", "reach.reach.svc.cluster.local:80", "each:8080")
		for _, command := range [][]string{dial, udp} {
			out, err := c.Exec("reach", from.name, append([]string{"/tools"}, command...)...)
			if err != nil {
				t.Errorf("from %s on %s: %v", from.name, from.node, err)
			}
			if got := strings.Count(out, "\n"); got == 0 {
				t.Errorf("from %s: no answers", from.name)
			}
		}
	}
}

// pod is what tests need to know of a pod.
type pod struct {
	name, node string
	addresses  []string // IPv4, IPv6
}

func podsOf(t *testing.T, c *e2e.Cluster, namespace, selector string) (pods []pod) {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ NodeName string }
			Status   struct{ PodIPs []struct{ IP string } }
		}
	}
	read(t, c, &list, "--namespace="+namespace, "get", "pods", "--selector="+selector)
	for _, item := range list.Items {
		p := pod{name: item.Metadata.Name, node: item.Spec.NodeName}
		for _, ip := range item.Status.PodIPs {
			p.addresses = append(p.addresses, ip.IP)
		}
		if len(p.addresses) != 2 {
			t.Errorf("pod %s: want an address of each family, got %v", p.name, p.addresses)
		}
		pods = append(pods, p)
	}
	return pods
}

func serviceAddresses(t *testing.T, c *e2e.Cluster, namespace, name string) []string {
	t.Helper()
	var service struct {
		Spec struct {
			ClusterIPs []string `json:"clusterIPs"`
		}
	}
	read(t, c, &service, "--namespace="+namespace, "get", "service", name)
	if len(service.Spec.ClusterIPs) != 2 {
		t.Fatalf("service %s: want an address of each family, got %v", name, service.Spec.ClusterIPs)
	}
	return service.Spec.ClusterIPs
}

// read is kubectl get into a struct.
func read(t *testing.T, c *e2e.Cluster, into any, args ...string) {
	t.Helper()
	out := c.Kubectl(t, append(args, "--output=json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatal(fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err))
	}
}
