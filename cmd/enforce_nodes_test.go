package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// stagedPair are staged policies of two kinds, which agents watch apart: each is
// a step of its own.
const stagedPair = `apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: pair-db, namespace: vote}
spec: {stagedAction: Set, selector: app == 'db', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [5432]}}]}
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: pair-redis, namespace: vote}
spec: {stagedAction: Set, podSelector: {matchLabels: {app: redis}}, policyTypes: [Ingress], ingress: [{ports: [{port: 6379, protocol: TCP}]}]}
`

// nodeLate is a node that has not got what was written, and why.
func nodeLate(name, why string) *agentpb.NodeReply {
	return &agentpb.NodeReply{Node: name, Connected: true, Problem: why}
}

func (b *clusterBench) pair() (enforced, staged []string) {
	b.t.Helper()
	d, err := cluster.OpenDir(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	keys, err := d.Keys(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, k := range keys {
		switch {
		case !strings.HasPrefix(k.Name, "pair-"):
		case k.Kind.Staged():
			staged = append(staged, k.Name)
		default:
			enforced = append(enforced, k.Name)
		}
	}
	slices.Sort(enforced)
	slices.Sort(staged)
	return enforced, staged
}

// Several policies are enforced in steps. What comes next is written only when
// every agent has what came before; the staged policies go last, so that the same
// command goes on after any of these.
func TestEnforceWithAgents(t *testing.T) {
	all := func() []*agentpb.NodeReply {
		return []*agentpb.NodeReply{{Of: 3}, nodeDone("n1", true), nodeDone("n2", true), nodeDone("n3", true)}
	}
	but := func(last *agentpb.NodeReply) []*agentpb.NodeReply {
		return []*agentpb.NodeReply{{Of: 3}, nodeDone("n1", true), nodeDone("n2", true), last}
	}
	refused := nodeLate("n3", "the kernel refused the rules: no buffer space available")
	away := &agentpb.NodeReply{Node: "n3", Problem: "the node's agent has no line to the flows server"}
	const both, none = "pair-db pair-redis", ""
	for name, tc := range map[string]struct {
		flags            []string
		turns            [][]*agentpb.NodeReply
		code             int
		stderr           string
		enforced, staged string
		asked            int
	}{
		"every agent has it": {nil, [][]*agentpb.NodeReply{all(), all()}, 0, "enforced on 3/3 nodes", both, none, 2},
		"an agent is late with the first": {nil, [][]*agentpb.NodeReply{but(away)}, 2,
			"enforced on 2/3 nodes after 30s\n  n3: the node's agent has no line to the flows server", "pair-", both, 1},
		"the kernel of one in three refuses the first": {nil, [][]*agentpb.NodeReply{but(refused)}, 2,
			"n3: the kernel refused the rules: no buffer space available", "pair-", both, 1},
		"one in three does not enforce": {nil, [][]*agentpb.NodeReply{but(nodeDone("n3", false))}, 2,
			"programmed on 3/3 nodes, but these do not enforce\n  n3", "pair-", both, 1},
		"an agent is late with the last, not asked to wait": {nil, [][]*agentpb.NodeReply{all(), but(away)}, 0,
			"note: it is written; enforced on 2/3 nodes after 5s: n3: the node's agent has no line", both, none, 2},
		"an agent is late with the last": {[]string{"--wait", "--timeout", "2s"}, [][]*agentpb.NodeReply{all(), but(away)}, 2,
			"enforced on 2/3 nodes after 2s", both, both, 2},
		"not to wait": {[]string{"--wait=false"}, nil, 0, "", both, none, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{turns: tc.turns}, noFlows: true}
			b.write("pair.yaml", stagedPair)
			_, stderr, code := b.run(append([]string{"enforce", "pair-db", "pair-redis", "--ns", "vote", "--force"}, tc.flags...)...)
			if code != tc.code || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit code %d, stderr %q", code, stderr)
			}
			enforced, staged := b.pair()
			if got := strings.Join(enforced, " "); got != tc.enforced && !(tc.enforced == "pair-" && len(enforced) == 1) {
				t.Errorf("enforced: %q", got)
			}
			if got := strings.Join(staged, " "); got != tc.staged {
				t.Errorf("staged: %q", got)
			}
			if len(b.nodes.questions) != tc.asked {
				t.Errorf("asked %d times: %v", len(b.nodes.questions), b.nodes.questions)
			}
			if tc.code == 0 {
				return
			}
			// The agent is there again: the same command goes on and ends it.
			b.nodes.await = all()
			if _, stderr, code := b.run("enforce", "pair-db", "pair-redis", "--ns", "vote", "--force"); code != 0 {
				t.Errorf("again: exit code %d, stderr %q", code, stderr)
			}
			if enforced, staged := b.pair(); strings.Join(enforced, " ") != both || len(staged) > 0 {
				t.Errorf("again: enforced %q, staged %q", enforced, staged)
			}
		})
	}
}

// A trial that not every agent has yet is a trial all the same: the agent counts
// from when it sees it, and who is told of the late one can still confirm.
func TestTrialWithALateAgent(t *testing.T) {
	late := []*agentpb.NodeReply{{Of: 2}, nodeDone("n1", true), nodeLate("n2", "its resources are older")}
	b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{await: late}, noFlows: true}
	b.write("pair.yaml", stagedPair)
	_, stderr, code := b.run("enforce", "pair-db", "--ns", "vote", "--force", "--confirm-within", "5m")
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	contains(t, stderr, "note: it is written; enforced on 1/2 nodes after 5s: n2: its resources are older",
		"comes back in 5m0s unless you keep this: netpol confirm pair-db --ns vote")
	if enforced, staged := b.pair(); len(enforced) != 1 || len(staged) != 2 {
		t.Errorf("enforced %q, staged %q: a trial leaves the staged one", enforced, staged)
	}
	stdout, _, _ := b.run("confirm", "--list")
	contains(t, stdout, "pair-db")
	if _, stderr, code := b.run("confirm", "pair-db", "--ns", "vote"); code != 0 {
		t.Errorf("confirm: exit code %d, %s", code, stderr)
	}
	if enforced, staged := b.pair(); len(enforced) != 1 || strings.Join(staged, " ") != "pair-redis" {
		t.Errorf("confirmed: enforced %q, staged %q", enforced, staged)
	}
}
