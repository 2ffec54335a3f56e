package rights_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/rights"
)

func lines(needs []rights.Need) string {
	var out []string
	for _, n := range needs {
		var alternatives []string
		for _, r := range n {
			alternatives = append(alternatives, r.String())
		}
		out = append(out, strings.Join(alternatives, " | "))
	}
	return strings.Join(out, "\n")
}

// What each verb takes.
func TestNeeds(t *testing.T) {
	for _, c := range []struct {
		action rights.Action
		want   string
	}{
		{rights.Action{Verb: "list", Kind: policy.KindNetworkPolicy, Namespace: "vote"}, "list networkpolicies in namespace vote"},
		{rights.Action{Verb: "create", Kind: policy.KindNetworkPolicy, Namespace: "vote"}, `get networkpolicies in namespace vote
create networkpolicies in namespace vote
patch networkpolicies in namespace vote
get tiers "default"
create tier.networkpolicies "default.*" in namespace vote`},
		{rights.Action{Verb: "update", Kind: policy.KindGlobalNetworkPolicy, Tier: "security", Name: "deny"}, `get globalnetworkpolicies "deny"
patch globalnetworkpolicies "deny"
get tiers "security"
update tier.globalnetworkpolicies "security.deny" | update tier.globalnetworkpolicies "security.*"`},
		{rights.Action{Verb: "delete", Kind: policy.KindGlobalNetworkPolicy, Tier: "security", Name: "security.deny"}, `get globalnetworkpolicies "security.deny"
delete globalnetworkpolicies "security.deny"
get tiers "security"
delete tier.globalnetworkpolicies "security.deny" | delete tier.globalnetworkpolicies "security.*"`},
		{rights.Action{Verb: "stage", Kind: policy.KindNetworkPolicy, Namespace: "vote", Tier: "platform"}, `get stagednetworkpolicies in namespace vote
create stagednetworkpolicies in namespace vote
patch stagednetworkpolicies in namespace vote
get tiers "platform"
create tier.stagednetworkpolicies "platform.*" in namespace vote
update tier.stagednetworkpolicies "platform.*" in namespace vote`},
		{rights.Action{Verb: "unstage", Kind: policy.KindStagedGlobalNetworkPolicy, Tier: "a"}, `get stagedglobalnetworkpolicies
delete stagedglobalnetworkpolicies
get tiers "a"
delete tier.stagedglobalnetworkpolicies "a.*"`},
		{rights.Action{Verb: "enforce", Kind: policy.KindStagedNetworkPolicy, Tier: "a"}, `get networkpolicies
create networkpolicies
patch networkpolicies
get stagednetworkpolicies
delete stagednetworkpolicies
get tiers "a"
create tier.networkpolicies "a.*"
update tier.networkpolicies "a.*"
delete tier.stagednetworkpolicies "a.*"`},
		{rights.Action{Verb: "move", Kind: policy.KindNetworkPolicy, Namespace: "vote", Tier: "a", From: "b"}, `get networkpolicies in namespace vote
patch networkpolicies in namespace vote
get tiers "a"
update tier.networkpolicies "a.*" in namespace vote
get tiers "b"
update tier.networkpolicies "b.*" in namespace vote`},
		{rights.Action{Verb: "move", Kind: policy.KindNetworkPolicy, Namespace: "vote", Tier: "a", From: "b", Anew: true}, `get networkpolicies in namespace vote
create networkpolicies in namespace vote
patch networkpolicies in namespace vote
delete networkpolicies in namespace vote
get tiers "a"
create tier.networkpolicies "a.*" in namespace vote
update tier.networkpolicies "a.*" in namespace vote
get tiers "b"
delete tier.networkpolicies "b.*" in namespace vote`},
		{rights.Action{Verb: "move", Kind: policy.KindNetworkPolicy, Tier: "a", From: "b", Name: "db", Anew: true, Stored: prefixed}, `get networkpolicies "a.db"
get networkpolicies "b.db"
create networkpolicies
patch networkpolicies "a.db"
delete networkpolicies "b.db"
get tiers "a"
create tier.networkpolicies "a.db" | create tier.networkpolicies "a.*"
update tier.networkpolicies "a.db" | update tier.networkpolicies "a.*"
get tiers "b"
delete tier.networkpolicies "b.db" | delete tier.networkpolicies "b.*"`},
		{rights.Action{Verb: "unstage", Kind: policy.KindStagedNetworkPolicy, Tier: "a", Name: "db", Stored: prefixed}, `get stagednetworkpolicies "a.db"
delete stagednetworkpolicies "a.db"
get tiers "a"
delete tier.stagednetworkpolicies "a.db" | delete tier.stagednetworkpolicies "a.*"`},
		// Kubernetes' own policies have no tier, nor have their staged ones.
		{rights.Action{Verb: "stage", Kind: policy.KindKubernetesNetworkPolicy, Namespace: "vote"}, `get stagedkubernetesnetworkpolicies in namespace vote
create stagedkubernetesnetworkpolicies in namespace vote
patch stagedkubernetesnetworkpolicies in namespace vote`},
		{rights.Action{Verb: "enforce", Kind: policy.KindKubernetesNetworkPolicy, Namespace: "vote"}, `get networkpolicies.networking.k8s.io in namespace vote
create networkpolicies.networking.k8s.io in namespace vote
patch networkpolicies.networking.k8s.io in namespace vote
get stagedkubernetesnetworkpolicies in namespace vote
delete stagedkubernetesnetworkpolicies in namespace vote`},
		{rights.Action{Verb: "unenforce", Kind: policy.KindNetworkPolicy, Namespace: "vote", Tier: "a"}, `get networkpolicies in namespace vote
delete networkpolicies in namespace vote
get stagednetworkpolicies in namespace vote
create stagednetworkpolicies in namespace vote
patch stagednetworkpolicies in namespace vote
get tiers "a"
delete tier.networkpolicies "a.*" in namespace vote
create tier.stagednetworkpolicies "a.*" in namespace vote
update tier.stagednetworkpolicies "a.*" in namespace vote`},
		{rights.Action{Verb: "rollback", Kind: policy.KindGlobalNetworkPolicy, Tier: "a", Name: "deny"}, `get globalnetworkpolicies "deny"
create globalnetworkpolicies
patch globalnetworkpolicies "deny"
get tiers "a"
create tier.globalnetworkpolicies "a.deny" | create tier.globalnetworkpolicies "a.*"
update tier.globalnetworkpolicies "a.deny" | update tier.globalnetworkpolicies "a.*"`},
		{rights.Action{Verb: "rollback", Kind: policy.KindClusterNetworkPolicy}, `get clusternetworkpolicies.policy.networking.k8s.io
create clusternetworkpolicies.policy.networking.k8s.io
patch clusternetworkpolicies.policy.networking.k8s.io`},
		{rights.Action{Verb: "delete", Kind: policy.KindTier, Name: "a"}, "get tiers \"a\"\ndelete tiers \"a\""},
	} {
		needs, err := c.action.Needs()
		if err != nil {
			t.Errorf("%+v: %v", c.action, err)
		}
		if diff := cmp.Diff(c.want, lines(needs)); diff != "" {
			t.Errorf("%+v: (-want +got)\n%s", c.action, diff)
		}
	}
	for _, a := range []rights.Action{
		{Verb: "stage", Kind: policy.KindTier}, {Verb: "move", Kind: policy.KindNetworkSet}, {Verb: "enforce", Kind: policy.KindClusterNetworkPolicy},
		{Verb: "paint", Kind: policy.KindNetworkPolicy}, {Verb: "get", Kind: policy.KindPod},
	} {
		if needs, err := a.Needs(); err == nil {
			t.Errorf("%+v: %v", a, needs)
		}
	}
}

// prefixed is how Calico to 3.31 has names.
func prefixed(_ policy.Kind, name, tier string) string { return tier + "." + name }

// What an action goes on without: the history of deleted policies, and taking a
// bridge away.
func TestWants(t *testing.T) {
	const read, write = `get configmaps "netpol-history" in namespace netpol-system`, `patch configmaps "netpol-history" in namespace netpol-system`
	for _, c := range []struct {
		action rights.Action
		want   []string
	}{
		{rights.Action{Verb: "enforce", Kind: policy.KindStagedNetworkPolicy, Namespace: "vote", Tier: "a", Name: "db"},
			[]string{read, write, "delete networkpolicies in namespace vote", `delete tier.networkpolicies "a.*" in namespace vote`}},
		{rights.Action{Verb: "enforce", Kind: policy.KindKubernetesNetworkPolicy, Namespace: "vote"},
			[]string{read, write, "delete networkpolicies in namespace vote", `delete tier.networkpolicies "default.*" in namespace vote`}},
		{rights.Action{Verb: "unenforce", Kind: policy.KindNetworkPolicy}, []string{read, write}},
		{rights.Action{Verb: "rollback", Kind: policy.KindGlobalNetworkPolicy}, []string{read}},
		{rights.Action{Verb: "delete", Kind: policy.KindGlobalNetworkPolicy}, []string{read, write}},
		{rights.Action{Verb: "delete", Kind: policy.KindStagedNetworkPolicy}, nil},
		{rights.Action{Verb: "delete", Kind: policy.KindTier}, nil},
		{rights.Action{Verb: "stage", Kind: policy.KindNetworkPolicy}, nil},
		{rights.Action{Verb: "list", Kind: policy.KindNetworkPolicy}, nil},
	} {
		var got []string
		for _, w := range c.action.Wants() {
			got = append(got, w.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v: (-want +got)\n%s", c.action, diff)
		}
	}
}

// One role a place, one rule a resource and name, and the user as RBAC names it.
func TestGrant(t *testing.T) {
	a := rights.Action{Verb: "create", Kind: policy.KindNetworkPolicy, Namespace: "vote", Tier: "a"}
	needs, _ := a.Needs()
	got := rights.Grant(a, rights.User{Name: "system:serviceaccount:ci:deployer"}, rights.Rights(needs))
	want := []map[string]any{
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "netpol-create-networkpolicies-a"},
			"rules": []any{map[string]any{"apiGroups": []any{"projectcalico.org"}, "resources": []any{"tiers"}, "resourceNames": []any{"a"}, "verbs": []any{"get"}}}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "netpol-create-networkpolicies-a:system:serviceaccount:ci:deployer"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "netpol-create-networkpolicies-a"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": "ci", "name": "deployer"}}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"name": "netpol-create-networkpolicies-a", "namespace": "vote"},
			"rules": []any{
				map[string]any{"apiGroups": []any{"projectcalico.org"}, "resources": []any{"networkpolicies"}, "verbs": []any{"create", "get", "patch"}},
				map[string]any{"apiGroups": []any{"projectcalico.org"}, "resources": []any{"tier.networkpolicies"}, "resourceNames": []any{"a.*"}, "verbs": []any{"create"}},
			}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": "netpol-create-networkpolicies-a:system:serviceaccount:ci:deployer", "namespace": "vote"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "netpol-create-networkpolicies-a"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": "ci", "name": "deployer"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := rights.Grant(a, rights.User{Name: "mia"}, nil); got != nil {
		t.Errorf("nothing is missing: %v", got)
	}
}
