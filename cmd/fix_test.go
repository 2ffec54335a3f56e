package cmd

import (
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/tier"
)

// The loop of the workshop: what the default-deny would block is fixed, and
// nothing is left to block.
func TestFixMakesTheReportEmpty(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	b.must(1, "report", "default-deny", "--ns", "vote", "--exit-code=blocked")
	out, errs := b.must(0, "fix", "default-deny", "--ns", "vote")
	contains(t, out, "--- /dev/null", "+++ StagedNetworkPolicy vote/redis", "+      selector: app in {'vote', 'worker'}")
	contains(t, errs, "proof: 0 of 9 blocked flows would be blocked with the edits",
		"not seen but allowed: vote/result → kube-system/coredns tcp/53")
	out, _ = b.must(0, "fix", "--ns", "vote", "--stage", "--yes")
	contains(t, out, "StagedNetworkPolicy vote/redis staged")
	b.must(0, "report", "--ns", "vote", "--exit-code=blocked")
	_, errs = b.must(0, "fix", "--exit-code")
	contains(t, errs, "nothing to fix")
}

// Only what somebody says yes to is fixed.
func TestFixAsksForEachFlow(t *testing.T) {
	resources, faults := policy.Decode("world.yaml", []byte(`
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, image: c}]}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {selector: app == 'db', types: [Ingress]}
`))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	snap, _ := policy.NewSnapshot(1, resources, nil)
	req := recommend.FixRequest{Model: tier.New(snap, nil), Staged: true}
	for _, port := range []uint16{5432, 9187} {
		fl := flow.Flow{Connections: 5, FirstSeen: testNow, LastSeen: testNow}
		fl.Source = flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindPod, Namespace: "shop", Name: "web"}}
		fl.Destination = flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindPod, Namespace: "shop", Name: "db"}}
		fl.Protocol, fl.Port, fl.Direction = policy.TCP, port, policy.Ingress
		fl.Enforced = policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
		fl.Pending = fl.Enforced
		req.Flows = append(req.Flows, fl)
	}
	for _, tt := range []struct {
		answers string
		want    int // flows that are fixed; -1: nothing is done
	}{
		{"y\ny\n", 2}, {"y\nn\n", 1}, {"\nYes\n", 1}, {"n\nwhat\n", 0}, {"y\n", -1},
	} {
		var asked strings.Builder
		opts := &FixOptions{EditOptions: EditOptions{IO: &cli.Streams{In: strings.NewReader(tt.answers), Err: &asked, ErrTerminal: true}}}
		res, err := opts.choose(req, recommend.Fix(req))
		if err != nil {
			if tt.want >= 0 {
				t.Errorf("%q: %v", tt.answers, err)
			}
			continue
		}
		fixed := 0
		for _, g := range res.Groups {
			if g.State == recommend.FixDone {
				fixed++
			}
		}
		if fixed != tt.want {
			t.Errorf("%q: %d fixed, want %d", tt.answers, fixed, tt.want)
		}
		contains(t, asked.String(), "shop/web → shop/db tcp/5432", "Allow it? [y/N]")
	}
}

// Flows whose text is the same, as their workloads differ in their kind alone, are
// asked about one by one.
func TestFixTellsWorkloadsOfOneNameApart(t *testing.T) {
	pod := func(kind policy.Kind, name string) flow.Peer {
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: kind, Namespace: "shop", Name: name}}
	}
	resources, faults := policy.Decode("world.yaml", []byte(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web-set}}, template: {metadata: {labels: {app: web-set}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, image: c}]}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {selector: app == 'db', types: [Ingress]}
`))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	snap, _ := policy.NewSnapshot(1, resources, nil)
	req := recommend.FixRequest{Model: tier.New(snap, nil), Staged: true}
	for _, kind := range []policy.Kind{policy.KindDeployment, policy.KindStatefulSet} {
		fl := flow.Flow{Connections: 5, FirstSeen: testNow, LastSeen: testNow}
		fl.Source, fl.Destination = pod(kind, "web"), pod(policy.KindPod, "db")
		fl.Protocol, fl.Port, fl.Direction = policy.TCP, 5432, policy.Ingress
		fl.Enforced = policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
		fl.Pending = fl.Enforced
		req.Flows = append(req.Flows, fl)
	}
	opts := &FixOptions{EditOptions: EditOptions{IO: &cli.Streams{In: strings.NewReader("y\nn\n"), Err: &strings.Builder{}, ErrTerminal: true}}}
	res, err := opts.choose(req, recommend.Fix(req))
	if err != nil {
		t.Fatal(err)
	}
	states := map[recommend.FixState]int{}
	for _, g := range res.Groups {
		states[g.State]++
	}
	if states[recommend.FixDone] != 1 || states[recommend.FixLeft] != 1 {
		t.Errorf("of two flows, one was said yes to: %v", states)
	}
}

// Where nothing is staged that is the reason, not that it would block nothing.
func TestFixSaysThatNothingIsStaged(t *testing.T) {
	b := newBench(t).sawVote()
	_, errs := b.must(0, "fix")
	contains(t, errs, "nothing to fix: nothing is staged")
}
