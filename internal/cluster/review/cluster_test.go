package review_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster/review"
	"github.com/netpol-project/netpol/internal/flowserver"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/flow"
)

var cluster kubetest.Shared

func TestMain(m *testing.M) { os.Exit(cluster.Around(m).Run()) }

// manifest is the namespace, what the flows server needs, and users of
// different rights.
const manifest = `
apiVersion: v1
kind: Namespace
metadata: {name: netpol-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: vote}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: netpol-flows}
rules:
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: netpol-flows}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: netpol-flows}
subjects: [{kind: ServiceAccount, name: netpol-flows, namespace: netpol-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: netpol-flows, namespace: netpol-system}
rules:
- {apiGroups: [""], resources: [configmaps, secrets], verbs: [create]}
- {apiGroups: [""], resources: [configmaps, secrets], resourceNames: [netpol-flows-ca], verbs: [get, update]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: netpol-flows, namespace: netpol-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: netpol-flows}
subjects: [{kind: ServiceAccount, name: netpol-flows, namespace: netpol-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: netpol-flows-reader}
rules: [{apiGroups: [netpol.dev], resources: [flows], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: voter, namespace: vote}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: netpol-flows-reader}
subjects: [{kind: ServiceAccount, name: voter, namespace: vote}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: netpol-flows-reader, namespace: netpol-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: netpol-flows-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: netpol-flows-reader}
subjects: [{kind: ServiceAccount, name: netpol-flows-reader, namespace: netpol-system}]
`

func setUp(t *testing.T) (*kubetest.ControlPlane, *review.Client) {
	plane := cluster.Get(t)
	plane.Apply(t, manifest)
	c, err := review.New(plane.ServiceAccount(t, relay.Namespace, relay.Service), relay.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return plane, c
}

func TestClusterReviewsTokensAndRights(t *testing.T) {
	plane, c := setUp(t)
	ours := plane.ServiceAccountToken(t, relay.Namespace, relay.Agents, relay.Audience)
	theirs := plane.ServiceAccountToken(t, "vote", "voter")
	for _, tc := range []struct {
		name, token, audience, want string
	}{
		{"for the flows server", ours, relay.Audience, "system:serviceaccount:netpol-system:netpol-agent"},
		{"for the flows server, taken for the API server's", ours, "", ""},
		{"for the API server", theirs, "", "system:serviceaccount:vote:voter"},
		{"for the API server, taken for ours", theirs, relay.Audience, ""},
		{"no token", "nonsense", "", ""},
	} {
		u, ok, err := c.Token(t.Context(), tc.token, tc.audience)
		if err != nil || u.Name != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: %q, %v, %v", tc.name, u.Name, ok, err)
		}
	}
	voter, _, err := c.Token(t.Context(), theirs, "")
	if err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]bool{"vote": true, "netpol-system": false, "": false} {
		may, err := c.Access(t.Context(), voter, flowserver.Access{Verb: "list", Group: "netpol.dev", Resource: "flows", Namespace: namespace})
		if err != nil || may != want {
			t.Errorf("in %q: %v, %v", namespace, may, err)
		}
	}
}

// TestClusterMakesOneAuthority: servers that start at once agree on one, and a
// restart keeps it.
func TestClusterMakesOneAuthority(t *testing.T) {
	plane, c := setUp(t)
	run := func(ctx context.Context) <-chan error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		web, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		done := make(chan error, 1)
		agents := review.NewAgents(c, log)
		go agents.Run(ctx)
		go func() {
			done <- flowserver.Run(ctx, flowserver.Options{
				Listen: l, HTTP: web, Namespace: relay.Namespace, Agents: relay.Agents,
				Vault: c, Reviewer: c, Expected: agents, Pods: agents, Limits: flow.DefaultLimits(), Log: log,
			})
		}()
		return done
	}
	reader, err := review.New(plane.Admin(), relay.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for round := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		ends := []<-chan error{run(ctx), run(ctx), run(ctx)}
		kubetest.Eventually(t, "the CA is published", func() bool {
			got, err := reader.Authority(ctx)
			if err != nil {
				return false
			}
			if round == 0 {
				first = got
			}
			return string(got) == string(first)
		})
		time.Sleep(300 * time.Millisecond) // the slower ones
		if got, err := reader.Authority(ctx); err != nil || round == 1 && string(got) != string(first) {
			t.Errorf("round %d: another authority, %v", round, err)
		} else {
			first = got
		}
		cancel()
		for _, end := range ends {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
	}
}

func TestClusterKnowsTheAgentsNodes(t *testing.T) {
	plane, c := setUp(t)
	agents := review.NewAgents(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go agents.Run(ctx)
	pod := func(name, node, owner string) string {
		return `
apiVersion: v1
kind: Pod
metadata:
  name: ` + name + `
  namespace: netpol-system
  ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: ` + owner + `, uid: 7f1c54a2-0000-0000-0000-000000000000, controller: true}]
spec:
  ` + node + `
  containers: [{name: a, image: a}]
`
	}
	const meant = `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [n2]}]}]}}}`
	plane.Apply(t, pod("agent-1", "nodeName: n1", "netpol-agent"))
	kubetest.Eventually(t, "n1", func() bool { n, ok := agents.Nodes(); return ok && len(n) == 1 && n[0] == "n1" })
	plane.Apply(t, pod("agent-2", meant, "netpol-agent"), pod("other", "nodeName: n3", "other"))
	kubetest.Eventually(t, "n1 and n2", func() bool { n, _ := agents.Nodes(); return len(n) == 2 && n[1] == "n2" })
	if _, ok := agents.NodeOf("agent-1", "wrong"); ok {
		t.Error("a pod of another UID")
	}
}

// TestClusterReaderToken: who has a client certificate alone gets a token if
// they may, and a refusal that names the right if not.
func TestClusterReaderToken(t *testing.T) {
	plane, c := setUp(t)
	if token, err := review.Bearer(t.Context(), plane.Admin()); err != nil || token != "" {
		t.Errorf("a client certificate is no token: %q, %v", token, err)
	}
	account := plane.ServiceAccount(t, "vote", "voter")
	if token, err := review.Bearer(t.Context(), account); err != nil || token == "" {
		t.Errorf("no token of a connection that has one: %v", err)
	}
	admin, err := review.New(plane.Admin(), relay.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	token, expires, err := admin.ReaderToken(t.Context())
	if err != nil || time.Until(expires) < 30*time.Minute {
		t.Fatal(err, expires)
	}
	u, ok, err := c.Token(t.Context(), token, relay.Audience)
	if err != nil || !ok || u.Name != "system:serviceaccount:netpol-system:netpol-flows-reader" {
		t.Error(u.Name, ok, err)
	}
	all, err := c.Access(t.Context(), u, flowserver.Access{Verb: "list", Group: "netpol.dev", Resource: "flows"})
	if err != nil || !all {
		t.Error("the reader does not see all", err)
	}
	poor, err := review.New(plane.User(t, "poor"), relay.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = poor.ReaderToken(t.Context()); err == nil {
		t.Error("anybody gets a token")
	}
}
