//go:build linux

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
)

// applyDir applies the manifests of a directory of the repository.
func applyDir(t *testing.T, c *e2e.Cluster, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("manifests %s: %v, %v", pattern, files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c.Apply(t, string(text))
	}
}

// testInstall: the agent comes to nodes with running pods, and no connection
// breaks.
func testInstall(t *testing.T, g *gap) {
	g.during(t, func() {
		applyDir(t, g.c, "deploy/crds/*.yaml")
		applyDir(t, g.c, "deploy/netpol.yaml")
		g.c.Apply(t, JOBS)
		g.c.Kubectl(t, "--namespace=netpol-system", "rollout", "status", "daemonset/netpol-agent", "--timeout=120s")
		g.c.Kubectl(t, "--namespace=netpol-system", "rollout", "status", "deployment/netpol-flows", "--timeout=120s")
	})
	g.checkHeld(t)
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

func testAgentUpgraded(t *testing.T, g *gap) {
	g.during(t, func() {
		g.c.Kubectl(t, "--namespace=netpol-system", "rollout", "restart", "daemonset/netpol-agent")
		g.awaitAgents(t)
	})
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

const JOBS = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: x}
rules: [{apiGroups: [batch], resources: [jobs,cronjobs], verbs: [get,list,watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: x}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: x}
subjects: [{kind: ServiceAccount, name: netpol-agent, namespace: netpol-system}]
`
