//go:build linux

package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
	"github.com/netpol-project/netpol/internal/install"
)

// testInstall: the agent comes to nodes with running pods, and no connection
// breaks.
func testInstall(t *testing.T, g *gap) {
	g.during(t, func() { netpol(t, g.c, 0, "install", "--wait") })
	g.checkHeld(t)
	netpol(t, g.c, 0, "status")
	if out := netpol(t, g.c, 0, "install", "--wait", "--output=json"); strings.Contains(out, `"created"`) {
		t.Errorf("installing again is not idempotent: %s", out)
	}
}

func testDefaultDeny(t *testing.T, g *gap) {
	g.c.Apply(t, gapPolicies)
	time.Sleep(5 * time.Second) // attempts of before are over
	g.closed = true
	g.during(t, func() { time.Sleep(5 * time.Second) })
	g.checkHeld(t)
}

func testAgentKilled(t *testing.T, g *gap) {
	pods := agents(t, g.c)
	g.during(t, func() {
		for _, name := range pods {
			pid, err := g.c.PID("netpol-system", name)
			if err != nil {
				t.Fatal(err)
			}
			kill(t, pid)
		}
		time.Sleep(time.Second)
		g.awaitAgents(t)
	})
	g.checkHeld(t)
}

// upgraded is the version that agents are upgraded to: the same program.
const upgraded = install.Release + "-upgraded"

func testAgentUpgraded(t *testing.T, g *gap) {
	for _, n := range g.c.Nodes {
		if _, err := n.Run("ctr", "--namespace=k8s.io", "images", "tag", install.Repository+":"+install.Release, install.Repository+":"+upgraded); err != nil {
			t.Fatal(err)
		}
	}
	before := agents(t, g.c)
	g.during(t, func() {
		netpol(t, g.c, 0, "install", "--version="+upgraded, "--wait")
	})
	for _, name := range agents(t, g.c) {
		if slices.Contains(before, name) {
			t.Errorf("agent %s was not replaced", name)
		}
	}
	g.checkHeld(t)
}

// testOutage: without an API server the rules stay, also for an agent that
// starts then.
func testOutage(t *testing.T, g *gap) {
	pods := agents(t, g.c)
	var pids []string
	for _, name := range pods {
		pid, err := g.c.PID("netpol-system", name)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	g.during(t, func() {
		g.c.KillAPIServer()
		time.Sleep(3 * time.Second)
		for _, pid := range pids {
			kill(t, pid)
		}
		time.Sleep(5 * time.Second)
		if err := g.c.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.awaitAgents(t)
	})
	g.checkHeld(t)
}

func agents(t *testing.T, c *e2e.Cluster) []string {
	t.Helper()
	names := strings.Fields(c.Kubectl(t, "--namespace=netpol-system", "get", "pods", "--selector=app.kubernetes.io/name=netpol-agent",
		"--output=jsonpath={.items[*].metadata.name}"))
	if len(names) != len(c.Nodes) {
		t.Fatalf("want an agent on each node, got %v", names)
	}
	return names
}

func (g *gap) awaitAgents(t *testing.T) {
	t.Helper()
	g.c.Kubectl(t, "--namespace=netpol-system", "rollout", "status", "daemonset/netpol-agent", "--timeout=120s")
}

// testUninstall: neither the cluster nor any node's kernel has a trace of it.
func testUninstall(t *testing.T, c *e2e.Cluster) {
	netpol(t, c, 0, "uninstall", "--purge", "--yes", "--wait")
	for _, kind := range []string{"customresourcedefinitions", "clusterroles", "clusterrolebindings", "validatingadmissionpolicies", "namespaces"} {
		for name := range strings.FieldsSeq(c.Kubectl(t, "get", kind, "--output=name")) {
			if strings.Contains(name, "netpol") || strings.Contains(name, "projectcalico") {
				t.Errorf("left: %s", name)
			}
		}
	}
	for _, n := range c.Nodes {
		out, err := n.Run("nft", "list", "tables")
		if err != nil || strings.Contains(out, "netpol") {
			t.Errorf("%s: %v\n%s", n.Name, err, out)
		}
	}
}
