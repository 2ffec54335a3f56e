package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/rights"
)

// editor may write policies, in no tier.
const editor = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: editor}
rules:
- {apiGroups: ['*'], resources: ['*'], verbs: [get, list, watch]}
- {apiGroups: [projectcalico.org], resources: [networkpolicies], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: editor}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: editor}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: mia}]
`

// Rights are those that the API server says, and a write that lacks one in a
// tier says which command tells what to ask for.
func TestClusterRights(t *testing.T) {
	plane := installed(t)
	plane.Apply(t, editor)
	ctx := context.Background()
	mia := &kube.Conn{Config: plane.User(t, "mia"), Namespace: "vote"}
	if user, err := mia.User(ctx); err != nil || user.Name != "mia" {
		t.Errorf("%v %v", user, err)
	}
	const group = "projectcalico.org"
	asked := []rights.Right{
		{Verb: "create", Group: group, Resource: "networkpolicies", Namespace: "vote"},
		{Verb: "delete", Group: group, Resource: "networkpolicies", Namespace: "vote"},
		{Verb: "get", Group: group, Resource: "tiers", Name: "default"},
		{Verb: "create", Group: group, Resource: "tier.networkpolicies", Namespace: "vote", Name: "default.*"},
	}
	got, err := mia.Allowed(ctx, asked)
	if diff := cmp.Diff([]bool{true, false, true, false}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	kubetest.Eventually(t, "a write says what to ask for", func() bool {
		_, err := open(t, mia.Config, kube.Options{Warn: func(string) {}}).Change(ctx, []cluster.Change{{Object: object(t, np("vote", "db", 80))}}, false)
		var failure *cluster.Failure
		return errors.As(err, &failure) && strings.HasPrefix(failure.Try, "netpol auth can-i ") &&
			strings.HasSuffix(failure.Try, " networkpolicies --tier default -n vote") &&
			strings.Contains(strings.Join(failure.Where, " "), ` on tier.networkpolicies "default.*"`)
	})

	plane.StopAPIServer()
	var failure *cluster.Failure
	if _, err := mia.Allowed(ctx, asked[:1]); !errors.As(err, &failure) || !strings.Contains(failure.What, "can't be reached") {
		t.Errorf("%v", err)
	}
}
