//go:build linux

package enforce_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// What the former owner of an address was allowed is nothing to the pod that
// has the address now: its connections are forgotten, and what is said on them
// is judged as a new connection.
func TestS35_NewOwnerInheritsNoConnection(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, old := n.addPod("client"), n.addPod("old")
		n.policy("fresh", `{selector: app == 'fresh', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'other'}}]}`)
		a := n.start(nil)
		links := []*link{n.udp(client, old, 0, serverPort), n.udp(client, old, 1, serverPort)}
		for family, k := range links {
			k.alive(t, fmt.Sprint("before, family ", family))
		}
		awaitLive(a, int64(len(links)))

		// In one step the address is another pod's.
		fresh := *old
		fresh.name = "fresh"
		n.write("pod-old", podManifest(&fresh))
		a.sync()
		for family, k := range links {
			if _, err := k.client.Write([]byte("are you there?")); err != nil {
				t.Fatal(err)
			}
			await(t, fmt.Sprint("the refusal, family ", family), func() bool {
				return counted(a, client, &fresh, policy.Ingress, flow.Filter{Action: policy.Deny}).Connections == int64(family+1)
			})
			silent(t, fmt.Sprint("the new owner, family ", family), k.server)
		}
	})
}

// So it is with a pod that is made anew under the name and with the address of the
// one before, as a StatefulSet's, where connections that a change forbids are kept.
func TestS35_NewPodOfTheSameNameInheritsNoConnection(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, db := n.addPod("client"), n.join("db-0")
		made := func(at, app string) {
			n.write("pod-db-0", strings.Replace(podManifest(db), "labels: {app: db-0}", "creationTimestamp: 2026-03-01T12:00:0"+at+"Z, labels: {app: "+app+"}", 1))
		}
		made("0", "old")
		n.policy("fresh", `{selector: app == 'fresh', types: [Ingress]}`)
		a := n.start(func(o *enforce.Options) { o.KeepEstablished = true })
		links := []*link{n.udp(client, db, 0, serverPort), n.udp(client, db, 1, serverPort)}
		for family, k := range links {
			k.alive(t, fmt.Sprint("before, family ", family))
		}
		awaitLive(a, int64(len(links)))
		made("1", "fresh")
		a.sync()
		for family, k := range links {
			if _, err := k.client.Write([]byte("are you there?")); err != nil {
				t.Fatal(err)
			}
			silent(t, fmt.Sprint("the new pod, family ", family), k.server)
		}
	})
}

// While a pod is being terminated, a new one may have its address already: the
// newest owns it, and the rules go on following the policies.
func TestS35_TwoPodsClaimOneAddress(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, old := n.addPod("client"), n.addPod("old")
		n.listenOnce(old, serverPort)
		fresh := *old
		fresh.name = "fresh"
		n.write("pod-old", strings.Replace(podManifest(old), "labels:", "deletionTimestamp: 2026-03-01T12:00:00Z, labels:", 1))
		n.write("pod-fresh", strings.Replace(podManifest(&fresh), "labels:", "creationTimestamp: 2026-03-01T12:00:01Z, labels:", 1))
		n.policy("old", `{selector: app == 'old', types: [Ingress]}`)
		a := n.start(nil)
		if p := a.status().Problems; len(p) > 0 {
			t.Errorf("problems: %q", p)
		}
		if got := a.try(client, &fresh, 0, serverPort); got != connected {
			t.Errorf("the policy of the one before: %s, want %s", got, connected)
		}
		n.policy("fresh", `{selector: app == 'fresh', types: [Ingress]}`)
		a.sync()
		if got := a.try(client, &fresh, 0, serverPort); got != denied {
			t.Errorf("the policy of the newest: %s, want %s", got, denied)
		}
	})
}

// podManifest is a pod of the node with its name as label app.
func podManifest(p *pod) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s, labels: {app: %s}}
spec: {nodeName: %s}
status: {phase: Running, podIPs: [{ip: %s}, {ip: "%s"}]}
`, p.name, namespace, p.name, nodeName, p.addrs[0], p.addrs[1])
}
