//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
)

// Namespace gap has, on every node, a server that the clients may reach (open),
// one that they may not (shut), and a client that tries both without pause, by
// both families, on its own node and on others.

// attempt is a line of what tools poll and tools hold print.
type attempt struct {
	Time          time.Time
	Target, Error string
	Good          int
}

// gap is the traffic of namespace gap.
type gap struct {
	c       *e2e.Cluster
	clients []pod
	open    map[string]bool // targets that must be reached: all until closed
	shut    []pod
	closed  bool // the policies are in force
}

const gapServers = `
apiVersion: v1
kind: Namespace
metadata: {name: gap}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME, namespace: gap}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: server
        image: IMAGE
        imagePullPolicy: Never
        args: [serve, -http=8080, -echo=7000]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 3}
        livenessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 3}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: gap}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: NAME}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: echo, port: 7, targetPort: 7000}
`

const gapClient = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME, namespace: gap}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: client
        image: IMAGE
        imagePullPolicy: Never
        args: ARGS
        resources: {requests: {cpu: 200m}} # who measures must not starve
`

// startGap starts the servers, one held connection a client and node, and the
// clients.
func startGap(t *testing.T, c *e2e.Cluster) *gap {
	t.Helper()
	g := &gap{c: c, open: map[string]bool{}}
	for _, name := range []string{"open", "shut"} {
		c.Apply(t, strings.NewReplacer("NAME", name, "IMAGE", e2e.ToolsImage).Replace(gapServers))
	}
	for _, name := range []string{"open", "shut"} {
		c.Kubectl(t, "--namespace=gap", "rollout", "status", "daemonset/"+name, "--timeout=120s")
	}
	args := []string{"poll", "-every=200ms"}
	for _, address := range serviceAddresses(t, c, "gap", "open") {
		args = append(args, net.JoinHostPort(address, "80"))
	}
	for _, p := range podsOf(t, c, "gap", "app=open") {
		for _, address := range p.addresses {
			args = append(args, net.JoinHostPort(address, "8080"))
		}
	}
	for _, target := range args[2:] {
		g.open[target] = true
	}
	g.shut = podsOf(t, c, "gap", "app=shut")
	for _, p := range g.shut {
		for _, address := range p.addresses {
			args = append(args, net.JoinHostPort(address, "8080"))
		}
	}
	hold := []string{"hold", net.JoinHostPort(serviceAddresses(t, c, "gap", "open")[0], "7")}
	for name, args := range map[string][]string{"client": args, "held": hold} {
		c.Apply(t, strings.NewReplacer("NAME", name, "IMAGE", e2e.ToolsImage, "ARGS", jsonOf(t, args)).Replace(gapClient))
	}
	for _, name := range []string{"client", "held"} {
		c.Kubectl(t, "--namespace=gap", "rollout", "status", "daemonset/"+name, "--timeout=120s")
	}
	g.clients = podsOf(t, c, "gap", "app=client")
	return g
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gapPolicies: clients may reach open, and nothing else is allowed in the
// namespace. What denies comes last, or live connections would be cut.
const gapPolicies = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: open, namespace: gap}
spec:
  tier: default
  order: 100
  selector: app == 'open'
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: "app in {'client', 'held', 'late'}"}, destination: {ports: [8080, 7000]}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: client, namespace: gap}
spec:
  tier: default
  order: 100
  selector: "app in {'client', 'held', 'late'}"
  types: [Egress]
  egress:
  - {action: Allow, protocol: TCP, destination: {selector: "app in {'open', 'shut', 'late-shut'}", ports: [8080, 7000]}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default-deny, namespace: gap}
spec: {tier: default, order: 2000, types: [Ingress, Egress]}
`

// during runs what and fails the test for every lost allowed attempt and every
// successful forbidden one from its begin to some time after its end. What
// reaches the forbidden servers is counted where it would arrive, besides.
func (g *gap) during(t *testing.T, what func()) {
	t.Helper()
	for _, p := range g.shut {
		if g.closed {
			g.watch(t, p)
		}
	}
	begin := time.Now()
	what()
	end := time.Now()
	time.Sleep(4500 * time.Millisecond) // until attempts that are under way have their line
	for _, p := range g.shut {
		if !g.closed {
			break
		}
		if n := g.watched(t, p); n != 0 {
			t.Errorf("%d forbidden packets arrived at %s on %s", n, p.name, p.node)
		}
	}
	good := 0
	for _, client := range g.clients {
		good += g.judge(t, client, begin, end)
	}
	seconds := end.Sub(begin).Seconds()
	want := seconds * float64(len(g.clients)*len(g.open)) // one a second and pair is far below what they try
	if float64(good) < want {
		t.Errorf("only %d allowed attempts went well in %.1f s, want at least %.0f", good, seconds, want)
	}
	t.Logf("%d allowed attempts went well in %.1f s", good, seconds)
}

// judge reads a client's lines of a time and returns how many allowed attempts
// went well.
func (g *gap) judge(t *testing.T, client pod, begin, end time.Time) (good int) {
	t.Helper()
	lost, leaked := map[string]int{}, map[string]int{}
	for _, a := range g.attempts(t, client, begin) {
		if a.Time.Before(begin) || a.Time.After(end) {
			continue
		}
		allowed := g.open[a.Target] || !g.closed
		switch {
		case allowed && a.Error != "":
			lost[fmt.Sprintf("to %s %s after the begin: %s", a.Target, a.Time.Sub(begin).Round(100*time.Millisecond), a.Error)]++
		case allowed:
			good += a.Good
		case a.Good > 0:
			leaked[a.Target] += a.Good
		}
	}
	if len(lost) > 0 {
		t.Errorf("%s on %s lost allowed connections: %v", client.name, client.node, lost)
	}
	if len(leaked) > 0 {
		t.Errorf("%s on %s made forbidden connections: %v", client.name, client.node, leaked)
	}
	return good
}

func (g *gap) attempts(t *testing.T, p pod, since time.Time) (all []attempt) {
	t.Helper()
	out := g.c.Kubectl(t, "--namespace=gap", "logs", p.name, "--since-time="+since.UTC().Format(time.RFC3339))
	for line := range strings.Lines(out) {
		var a attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Errorf("%s printed %q", p.name, line)
			continue
		}
		all = append(all, a)
	}
	return all
}

// checkHeld fails the test if a held connection broke, ever.
func (g *gap) checkHeld(t *testing.T) {
	t.Helper()
	for _, p := range podsOf(t, g.c, "gap", "app=held") {
		lines := g.attempts(t, p, time.Now().Add(-time.Hour))
		if len(lines) == 0 || time.Since(lines[len(lines)-1].Time) > 3*time.Second {
			t.Errorf("the connection of %s on %s is silent", p.name, p.node)
		}
		for _, a := range lines {
			if a.Error != "" {
				t.Errorf("the connection of %s on %s broke: %s", p.name, p.node, a.Error)
			}
		}
	}
	g.checkRestarts(t)
}

// checkRestarts fails the test if kubelet's probes failed: servers would have
// been restarted or not be ready.
func (g *gap) checkRestarts(t *testing.T) {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				ContainerStatuses []struct {
					RestartCount int
					Ready        bool
				}
			}
		}
	}
	read(t, g.c, &list, "--namespace=gap", "get", "pods")
	for _, item := range list.Items {
		for _, s := range item.Status.ContainerStatuses {
			if s.RestartCount != 0 || !s.Ready {
				t.Errorf("%s: %d restarts, ready %t", item.Metadata.Name, s.RestartCount, s.Ready)
			}
		}
	}
}

// watch counts, in a pod's network namespace, what the clients send to it.
func (g *gap) watch(t *testing.T, p pod) {
	t.Helper()
	var four, six []string
	for _, client := range g.clients {
		four, six = append(four, client.addresses[0]), append(six, client.addresses[1])
	}
	g.nft(t, p, fmt.Sprintf(`table inet watch
delete table inet watch
table inet watch {
  counter forbidden {}
  chain input {
    type filter hook prerouting priority -400; policy accept;
    tcp dport 8080 ip saddr { %s } counter name forbidden
    tcp dport 8080 ip6 saddr { %s } counter name forbidden
  }
}`, strings.Join(four, ", "), strings.Join(six, ", ")))
}

// watched is how many packets watch has counted.
func (g *gap) watched(t *testing.T, p pod) (packets int) {
	t.Helper()
	out := g.nft(t, p, "list counter inet watch forbidden")
	_, rest, ok := strings.Cut(out, "packets ")
	if _, err := fmt.Sscan(rest, &packets); !ok || err != nil {
		t.Fatalf("counter: %v in %q", err, out)
	}
	return packets
}

func (g *gap) nft(t *testing.T, p pod, script string) string {
	t.Helper()
	out, err := g.c.NFT("gap", p.name, script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
