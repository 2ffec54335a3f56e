//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
	"github.com/netpol-project/netpol/internal/kubetest"
)

const (
	nodeConflist = "/etc/cni/net.d/10-pods.conflist"
	nodePlugin   = "/opt/cni/bin/netpol"
)

// conflists are the nodes' network configurations.
func conflists(t *testing.T, c *e2e.Cluster) (all []string) {
	t.Helper()
	for _, n := range c.Nodes {
		text, err := n.Run("cat", nodeConflist)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// withoutPlugin: every node's network is what it was, and the program is gone.
func withoutPlugin(t *testing.T, c *e2e.Cluster, before []string) {
	t.Helper()
	for i, now := range conflists(t, c) {
		if now != before[i] {
			t.Errorf("%s has\n%s\nwant\n%s", c.Nodes[i].Name, now, before[i])
		}
		if out, err := c.Nodes[i].Run("sh", "-c", "ls -A /etc/cni/net.d; ls "+nodePlugin+" 2>/dev/null || true"); err != nil || strings.TrimSpace(out) != "10-pods.conflist" {
			t.Errorf("%s has besides: %s%v", c.Nodes[i].Name, out, err)
		}
	}
}

// pluginIn says whether a network configuration ends with the plugin.
func pluginIn(text string) bool {
	var list struct{ Plugins []struct{ Type string } }
	n := 0
	if json.Unmarshal([]byte(text), &list) == nil {
		n = len(list.Plugins)
	}
	return n > 1 && list.Plugins[n-1].Type == "netpol"
}

// testCNI: with the plugin a new pod's very first packets are judged: none is
// lost, and none that is forbidden gets through.
func testCNI(t *testing.T, c *e2e.Cluster) {
	before := conflists(t, c)
	netpol(t, c, 0, "install", "--cni", "--wait")
	for i, text := range conflists(t, c) {
		if !pluginIn(text) {
			t.Errorf("%s: the plugin is not there after the installation:\n%s", c.Nodes[i].Name, text)
		}
	}
	servers := startServers(t, c)
	t.Run("first packets are judged", func(t *testing.T) {
		for i := range 3 {
			newClients(t, c, fmt.Sprintf("early-%d", i), servers)
		}
	})
	t.Run("no pod starts without an answer of its agent", func(t *testing.T) { testAgentStopped(t, c, servers) })
	t.Run("who writes the list anew is followed", func(t *testing.T) {
		for i, n := range c.Nodes {
			write := n.Command("sh", "-c", "cat >"+nodeConflist)
			write.Stdin = strings.NewReader(before[i])
			if out, err := write.CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
		}
		kubetest.Eventually(t, "the plugin is in all lists again", func() bool {
			for _, text := range conflists(t, c) {
				if !pluginIn(text) {
					return false
				}
			}
			return true
		})
		newClients(t, c, "rewritten", servers)
	})
	t.Run("agents without it take it off", func(t *testing.T) {
		netpol(t, c, 0, "install", "--wait")
		withoutPlugin(t, c, before)
		netpol(t, c, 0, "install", "--cni", "--wait")
		newClients(t, c, "back", servers)
	})
	t.Run("what a node forwards is the node", func(t *testing.T) { testForwarded(t, c) })
	c.Kubectl(t, "delete", "namespace", "start", "forwarded", "--wait")
	t.Run("uninstalling leaves the nodes as they were", func(t *testing.T) {
		testUninstall(t, c)
		withoutPlugin(t, c, before)
		c.Apply(t, strings.ReplaceAll(startAfter, "IMAGE", e2e.ToolsImage))
		c.Kubectl(t, "--namespace=default", "rollout", "status", "daemonset/after", "--timeout=60s")
	})
}

const startAfter = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: after, namespace: default}
spec:
  selector: {matchLabels: {app: after}}
  template:
    metadata: {labels: {app: after}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: server, image: IMAGE, imagePullPolicy: Never, args: [serve, -http=8080]}]
`

// startPolicies: clients may reach open, whose rule asks nothing of the source, and
// near, whose rule asks who it is; nothing else is allowed in the namespace.
const startPolicies = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: open, namespace: start}
spec:
  selector: app == 'open'
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [8080]}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: near, namespace: start}
spec:
  selector: app == 'near'
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [8080]}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: client, namespace: start}
spec:
  selector: app == 'client'
  types: [Egress]
  egress: [{action: Allow, protocol: TCP, destination: {selector: "app in {'open', 'near', 'shut'}", ports: [8080]}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default-deny, namespace: start}
spec: {order: 2000, types: [Ingress, Egress]}
`

// servers are what clients try: which server an address is of, and on which node.
type servers map[string]struct{ app, node string }

// startServers starts them on every node.
func startServers(t *testing.T, c *e2e.Cluster) servers {
	t.Helper()
	out := servers{}
	for _, app := range []string{"open", "near", "shut"} {
		c.Apply(t, strings.NewReplacer("name: gap", "name: start", "namespace: gap", "namespace: start", "NAME", app, "IMAGE", e2e.ToolsImage).Replace(gapServers))
		c.Kubectl(t, "--namespace=start", "rollout", "status", "daemonset/"+app, "--timeout=120s")
		for _, p := range podsOf(t, c, "start", "app="+app) {
			for _, a := range p.addresses {
				out[net.JoinHostPort(a, "8080")] = struct{ app, node string }{app, p.node}
			}
		}
	}
	c.Apply(t, startPolicies)
	netpol(t, c, 0, "status")
	return out
}

// newClients starts a client on every node and reads what it met from its first
// moment on. A SYN that is lost is sent again after 1 s, so an attempt that may
// take less has failed then.
func newClients(t *testing.T, c *e2e.Cluster, name string, servers servers) {
	t.Helper()
	applyClients(t, c, name, servers)
	c.Kubectl(t, "--namespace=start", "rollout", "status", "daemonset/"+name, "--timeout=120s")
	judgeClients(t, c, name, servers)
}

func applyClients(t *testing.T, c *e2e.Cluster, name string, servers servers) {
	t.Helper()
	args := append([]string{"poll", "-every=100ms", "-timeout=900ms"}, slices.Sorted(maps.Keys(servers))...)
	text := strings.NewReplacer("namespace: gap", "namespace: start", "{app: NAME}", "{app: client, run: "+name+"}", "NAME", name,
		"IMAGE", e2e.ToolsImage, "ARGS", jsonOf(t, args), "cpu: 200m", "cpu: 20m").Replace(gapClient)
	c.Apply(t, text)
}

// judgeClients: what the pod's own node decides is right from the first packet on.
// Another node that must know who the pod is learns of its address from the API
// server, after its start: how long that took is told.
func judgeClients(t *testing.T, c *e2e.Cluster, name string, servers servers) {
	t.Helper()
	time.Sleep(3 * time.Second) // until the first attempts have their line
	pods := podsOf(t, c, "start", "run="+name)
	for _, p := range pods {
		good := map[string]int{}
		var first, late time.Time
		for line := range strings.Lines(c.Kubectl(t, "--namespace=start", "logs", p.name)) {
			var a attempt
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if first.IsZero() || a.Time.Before(first) {
				first = a.Time
			}
			to := servers[a.Target]
			switch {
			case to.app == "shut" && a.Good > 0:
				t.Errorf("%s on %s reached %s, which is forbidden", p.name, p.node, a.Target)
			case to.app == "shut" || a.Error == "":
				good[a.Target] += a.Good
			case to.app == "near" && to.node != p.node:
				late = a.Time
			default:
				t.Errorf("%s on %s: to %s %s on %s: %s", p.name, p.node, to.app, a.Target, to.node, a.Error)
			}
		}
		for target, to := range servers {
			if to.app != "shut" && good[target] == 0 {
				t.Errorf("%s on %s never reached %s %s", p.name, p.node, to.app, target)
			}
		}
		if !late.IsZero() {
			t.Logf("%s: other nodes knew it after %s at the latest", p.name, late.Sub(first).Round(10*time.Millisecond)+100*time.Millisecond)
		}
	}
	if len(pods) != len(c.Nodes) {
		t.Errorf("clients %v, want one on each node", pods)
	}
	c.Kubectl(t, "--namespace=start", "delete", "daemonset/"+name, "--wait")
}

// testAgentStopped: while agents answer nothing, pods wait; then they start.
func testAgentStopped(t *testing.T, c *e2e.Cluster, servers servers) {
	var pids []string
	for _, name := range agents(t, c) {
		pid, err := c.PID("netpol-system", name)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	signal := func(name string) {
		for _, pid := range pids {
			if _, err := c.Nodes[0].Run("kill", "-"+name, pid); err != nil {
				t.Error(err)
			}
		}
	}
	signal("STOP")
	applyClients(t, c, "waiting", servers)
	time.Sleep(6 * time.Second)
	out := c.Kubectl(t, "--namespace=start", "get", "pods", "--selector=run=waiting", "--output=jsonpath={.items[*].status.phase}")
	signal("CONT")
	if strings.Contains(out, "Running") || !strings.Contains(out, "Pending") {
		t.Errorf("while no agent answers pods are %s", out)
	}
	c.Kubectl(t, "--namespace=start", "rollout", "status", "daemonset/waiting", "--timeout=120s")
	judgeClients(t, c, "waiting", servers)
}
