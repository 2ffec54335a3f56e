package cmd

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/install/crd"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

const rollbackPolicies = `
apiVersion: v1
kind: Namespace
metadata: {name: denied}
---
apiVersion: v1
kind: Namespace
metadata: {name: netpol-system}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: redis, namespace: denied}
spec: {order: 20, selector: app == 'redis', types: [Ingress], ingress: [{action: Allow}]}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: redis, namespace: denied}
spec: {stagedAction: Set, order: 10, selector: app == 'redis', types: [Ingress]}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: denied-all}
spec: {stagedAction: Set, namespaceSelector: kubernetes.io/metadata.name == 'denied', types: [Ingress]}
`

// What is taken back for what it refuses leaves an Event on the policy and the
// reason in its history: who did it, how many were refused, and which flows.
func TestClusterRollbackOnDenyIsAudited(t *testing.T) {
	p := plane.Get(t)
	for _, u := range crd.CRDs() {
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		p.Apply(t, string(text))
	}
	p.Apply(t, strings.Split(rollbackPolicies, "---")...)
	store, err := kube.OpenStore(t.Context(), &kube.Conn{Config: p.Admin()}, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events := p.Dynamic(t).Resource(schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"})
	for name, tc := range map[string]struct {
		policy, namespace string
		key               policy.Key
		eventIn           string
	}{
		"it had rules before":      {"redis", "denied", policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "denied", Name: "redis"}, "denied"},
		"there was none before it": {"denied-all", "", policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "denied-all"}, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			opts, text := guarded(t, nil, false, nil)
			opts.Store = func() (cluster.Store, error) { return store, nil }
			opts.Nodes = func(context.Context) (agentpb.NodesClient, error) {
				return nil, &cli.Error{What: "no agent", Err: cli.ErrNotInstalled}
			}
			opts.Author = func() stage.Author { return stage.Author{Time: time.Now(), User: "mia", Command: "netpol enforce"} }
			opts.ForceConflicts = true
			opts.Names, opts.Namespace = []string{tc.policy}, tc.namespace
			by := policy.Hit{Tier: "default", Policy: tc.key, Rule: policy.EndOfTier, Action: policy.Deny}
			source := &usualSource{
				before: []flow.Flow{seenFlow("vote", 10, allowedHit)},
				since:  []flow.Flow{ofPods(seenFlow("vote", 4, by), "vote-1", "vote-2")},
			}
			opts.Confirm.Rollback = rollback{Denied: 3, Open: func(context.Context) (flow.Source, error) { return source, nil }}
			if err := enforceRun(t.Context(), opts); cli.Code(err) != cli.ExitNo || !strings.Contains(err.Error(), "4 connections of 2 pods") {
				t.Fatalf("got %v and %s", err, text)
			}
			audited(t, store, tc.key)
			list, err := events.Namespace(tc.eventIn).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=netpol"})
			if err != nil || len(list.Items) != 1 {
				t.Fatalf("%d events, %v; it says %s", len(list.Items), err, text)
			}
			e := list.Items[0].Object
			about, _, _ := unstructured.NestedString(e, "regarding", "name")
			uid, _, _ := unstructured.NestedString(e, "regarding", "uid")
			note, _ := e["note"].(string)
			if about != tc.policy || uid == "" || e["type"] != "Warning" || e["reason"] != "RolledBackOnDeny" ||
				!strings.Contains(note, "taken back by mia before its time: it refused 4 connections of 2 pods that were usual: vote/vote → vote/redis TCP/6379, 4 connections") {
				t.Errorf("event %v", e)
			}
		})
	}
}

// audited looks into a policy's history.
func audited(t *testing.T, store cluster.Store, key policy.Key) {
	t.Helper()
	var revisions []stage.Revision
	if u, err := store.Get(t.Context(), key); err == nil {
		revisions = stage.Past(stage.HistoryOf(u), u)
	} else {
		archive, _ := archivesOf(store)
		all, err := archive.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		revisions = all.Get(key)
	}
	if len(revisions) == 0 {
		t.Fatal("no history")
	}
	r := revisions[len(revisions)-1]
	if r.User != "mia" || r.Reverted == nil || r.Reverted.Reason != stage.RevertDenied || r.Reverted.Denied == nil {
		t.Fatalf("the last revision is %+v", r)
	}
	if d := r.Reverted.Denied; d.Connections != 4 || d.Pods != 2 || len(d.Flows) != 1 || d.Flows[0].From != "vote/vote" || d.Flows[0].Port != 6379 {
		t.Errorf("denied %+v", d)
	}
}
