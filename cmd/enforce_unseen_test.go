package cmd

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Agents that have seen no flow at all yet are no evidence that a default-deny
// cuts nothing, and it is refused, as where no traffic can be looked at. A namespace
// without pods has nothing to close; one flow, wherever, is something that was seen.
func TestEnforceWhereNoFlowWasSeenYet(t *testing.T) {
	const said = "no flow was seen yet: nothing tells whether traffic would be cut"
	deny := func(ns string) string {
		return "apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: deny, namespace: " + ns + "}\nspec: {stagedAction: Set, types: [Ingress]}\n"
	}
	for name, tc := range map[string]struct {
		namespace, policy string
		flags             []string
		saw               bool
		code              int
		says              string
	}{
		"it closes pods":            {"vote", deny("vote"), nil, false, 1, said},
		"it closes pods, by force":  {"vote", deny("vote"), []string{"--force"}, false, 0, "warning: --force: StagedNetworkPolicy vote/deny has no rules"},
		"a dry run says so as well": {"vote", deny("vote"), []string{"--dry-run"}, false, 1, said},
		"a namespace without pods":  {"empty", deny("empty"), nil, false, 0, "warning: no traffic has been seen yet"},
		"something was seen":        {"vote", deny("vote"), nil, true, 0, ""},
		"a policy with rules": {"vote", "apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: deny, namespace: vote}\n" +
			"spec: {stagedAction: Set, ingress: [{action: Allow, source: {selector: app == 'vote'}}]}\n", nil, false, 0, "warning: no traffic has been seen yet"},
		"what every pod needs": {"vote", "apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: deny, namespace: vote}\n" +
			"spec: {stagedAction: Set, types: [Egress], egress: [{action: Allow, protocol: TCP}]}\n", nil, false, 1, "dns: vote/"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &clusterBench{bench: newBench(t), live: true, nodes: &fakeNodes{await: []*agentpb.NodeReply{{Of: 1}, nodeDone("n1", true)}}}
			b.write("empty.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: empty}}\n")
			b.write("deny.yaml", tc.policy)
			if tc.saw {
				b.saw("wordpress/wordpress", "wordpress/mysql", policy.TCP, 3306, "wordpress/mysql")
			}
			_, stderr, code := b.run(append([]string{"enforce", "deny", "--ns", tc.namespace}, tc.flags...)...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, stderr)
			}
			contains(t, stderr, tc.says)
		})
	}
}
