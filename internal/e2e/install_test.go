//go:build linux

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/kubetest"
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
	pids, restarts := g.agentProcesses(t)
	g.during(t, func() {
		for _, pid := range pids {
			kill(t, pid)
		}
		g.awaitRestarted(t, restarts)
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
	pids, restarts := g.agentProcesses(t)
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
		g.awaitRestarted(t, restarts)
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

// agentProcesses are the agents' processes, and how often they were restarted.
func (g *gap) agentProcesses(t *testing.T) (pids []string, restarts int) {
	t.Helper()
	for _, name := range agents(t, g.c) {
		pid, err := g.c.PID("netpol-system", name)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	restarts, _ = g.agentStates(t)
	return pids, restarts
}

// agentStates are how often agents were restarted, and how many are ready.
func (g *gap) agentStates(t *testing.T) (restarts, ready int) {
	t.Helper()
	out := g.c.Kubectl(t, "--namespace=netpol-system", "get", "pods", "--selector=app.kubernetes.io/name=netpol-agent",
		"--output=jsonpath={range .items[*]}{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}{\"\\n\"}{end}")
	for line := range strings.Lines(out) {
		var n int
		var is bool
		if _, err := fmt.Sscan(line, &n, &is); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		restarts += n
		if is {
			ready++
		}
	}
	return restarts, ready
}

// awaitRestarted waits until every agent was restarted once more and is ready.
func (g *gap) awaitRestarted(t *testing.T, before int) {
	t.Helper()
	kubetest.Eventually(t, "all agents are restarted and ready", func() bool {
		restarts, ready := g.agentStates(t)
		return restarts >= before+len(g.c.Nodes) && ready == len(g.c.Nodes)
	})
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
