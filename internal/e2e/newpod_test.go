//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
)

// latePods is a pod that is forbidden to the clients and one that may reach
// open, on the same node.
const latePods = `
apiVersion: v1
kind: Pod
metadata: {name: late-shut, namespace: gap, labels: {app: late-shut}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 1
  containers:
  - name: server
    image: IMAGE
    imagePullPolicy: Never
    args: [serve, -http=8080]
---
apiVersion: v1
kind: Pod
metadata: {name: late-client, namespace: gap, labels: {app: late}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 1
  containers:
  - name: client
    image: IMAGE
    imagePullPolicy: Never
    args: [poll, -every=10ms, -timeout=200ms, "OPEN"]
    resources: {requests: {cpu: 200m}}
`

// testNewPod: the clients try the addresses that the node's next pods will get
// before they exist and while they start: a new pod is closed until its policy
// is there, and never open. How long a new pod waits for what it may do is
// measured.
func testNewPod(t *testing.T, g *gap) {
	node := g.shut[0].node
	targets := nextAddresses(t, g, node)
	knock := []string{"poll", "-every=5ms", "-timeout=200ms"}
	for _, address := range targets {
		knock = append(knock, netip.AddrPortFrom(address, 8080).String())
	}
	manifest := strings.NewReplacer("selector: {matchLabels: {app: NAME}}", "selector: {matchLabels: {knock: yes-}}",
		"labels: {app: NAME}", "labels: {app: client, knock: yes-}").Replace(gapClient)
	g.c.Apply(t, strings.NewReplacer("yes-", `"1"`, "NAME", "knock", "IMAGE", e2e.ToolsImage, "ARGS", jsonOf(t, knock)).Replace(manifest))
	g.c.Kubectl(t, "--namespace=gap", "rollout", "status", "daemonset/knock", "--timeout=120s")
	// One of them is that of the node's own knocking pod now.
	begin := time.Now()
	open := g.openPod(t, node)
	g.c.Apply(t, strings.NewReplacer("NODE", node, "IMAGE", e2e.ToolsImage, "OPEN", netip.AddrPortFrom(open, 8080).String()).Replace(latePods))
	g.c.Kubectl(t, "--namespace=gap", "wait", "--for=condition=Ready", "pod/late-shut", "pod/late-client", "--timeout=60s")
	time.Sleep(3 * time.Second)

	late := podsOf(t, g.c, "gap", "app=late-shut")[0]
	tried := 0
	for _, p := range podsOf(t, g.c, "gap", "knock=1") {
		for _, a := range g.attempts(t, p, begin) {
			for _, address := range late.addresses {
				if a.Target != net.JoinHostPort(address, "8080") {
					continue
				}
				tried++
				if a.Good > 0 {
					t.Errorf("%s reached the new pod %s %d times", p.name, a.Target, a.Good)
				}
			}
		}
	}
	if tried == 0 {
		t.Errorf("nobody tried %v, only %v", late.addresses, targets)
	}
	t.Logf("the new pod's addresses were tried %d times", tried)
	refused, window := g.window(t, "late-client")
	t.Logf("a new pod's first %d connections were refused, within %s", refused, window)
	g.c.Kubectl(t, "--namespace=gap", "delete", "pod/late-shut", "pod/late-client", "daemonset/knock", "--wait")
	passOver(t, g, node, targets)
}

// nextAddresses are those that host-local will give to the next pods of a node.
func nextAddresses(t *testing.T, g *gap, name string) (all []netip.Addr) {
	t.Helper()
	node, err := g.c.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, last := range []string{"last_reserved_ip.0", "last_reserved_ip.1"} {
		out, err := node.Run("cat", "/var/lib/cni/networks/pods/"+last)
		if err != nil {
			t.Fatal(err)
		}
		address, err := netip.ParseAddr(strings.TrimSpace(out))
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			address = address.Next()
			all = append(all, address)
		}
	}
	return all
}

// passOver has host-local go on after addresses that were tried: a pod that gets
// one of them later would have to answer for what was seen of it before.
func passOver(t *testing.T, g *gap, name string, tried []netip.Addr) {
	t.Helper()
	node, err := g.c.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	half := len(tried) / 2 // of each family, in order
	for i, last := range []netip.Addr{tried[half-1], tried[len(tried)-1]} {
		path := fmt.Sprintf("/var/lib/cni/networks/pods/last_reserved_ip.%d", i)
		if _, err := node.Run("sh", "-c", "printf %s "+last.String()+" > "+path); err != nil {
			t.Fatal(err)
		}
	}
}

func (g *gap) openPod(t *testing.T, node string) netip.Addr {
	t.Helper()
	for _, p := range podsOf(t, g.c, "gap", "app=open") {
		if p.node != node {
			return netip.MustParseAddr(p.addresses[0])
		}
	}
	t.Fatal("no other node has a pod of open")
	return netip.Addr{}
}

// window is how many of a client's first attempts failed one after the other, and
// for how long; then it must have succeeded.
func (g *gap) window(t *testing.T, name string) (refused int, within time.Duration) {
	t.Helper()
	var failed []time.Time
	good := 0
	for line := range strings.Lines(g.c.Kubectl(t, "--namespace=gap", "logs", name)) {
		var a attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(fmt.Errorf("%q: %w", line, err))
		}
		good += a.Good
		if a.Error != "" {
			failed = append(failed, a.Time)
		}
	}
	if good == 0 {
		t.Errorf("%s never reached what it may reach", name)
	}
	slices.SortFunc(failed, time.Time.Compare)
	for i, at := range failed {
		if i > 0 && at.Sub(failed[i-1]) > 100*time.Millisecond { // attempts between them went well
			break
		}
		refused, within = i+1, at.Sub(failed[0])
	}
	return refused, within
}
