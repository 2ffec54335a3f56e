package recommend

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// stagedPolicy is a staged policy of namespace vote for the pods with an app label.
func stagedPolicy(name, tierName, picks string, ingress ...policy.Rule) *policy.Policy {
	return &policy.Policy{
		Key:  policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "vote", Name: name},
		Tier: tierName, Order: policy.Unordered, Types: [2]bool{policy.Ingress: true},
		Rules: [2][]policy.Rule{policy.Ingress: ingress}, Selector: selector.Eq("app", picks), StagedAction: policy.StagedSet,
	}
}

func allowFrom(name string, ports ...uint16) policy.Rule {
	return policy.Rule{
		Action: policy.Allow, Protocol: policy.TCP,
		Source: policy.Entity{Selector: selector.Eq("app", name)}, Destination: policy.Entity{Ports: ranges(ports)},
	}
}

func denyAll() policy.Rule { return policy.Rule{Action: policy.Deny} }

// fixWorld has three workloads and what web and vote need of db.
func fixWorld(policies ...*policy.Policy) *world {
	w := &world{}
	w.namespace("vote")
	w.pod("vote", "db", app("db"))
	w.pod("vote", "vote", app("vote"))
	w.pod("vote", "web", app("web"))
	w.snap.Tiers = []*policy.Tier{{Name: "platform", Order: 100, DefaultAction: policy.Deny}}
	w.policies(policies...)
	return w
}

func (w *world) fix(staged bool) *FixResult {
	return Fix(FixRequest{Model: tier.New(&w.snap, nil), Flows: w.flows, Staged: staged, Select: Select{IncludeSuspicious: true}})
}

// made is what a fix does, in words.
func made(res *FixResult) []string {
	out := []string{}
	for _, g := range res.Groups {
		for _, e := range res.Edits {
			out = append(out, e.For(g.Flow)...)
		}
		if g.State != FixDone {
			out = append(out, string(g.State))
		}
	}
	return out
}

func TestFixMakesTheSmallestEdit(t *testing.T) {
	tests := []struct {
		rule string
		with []*policy.Policy
		saw  []string // FROM of tcp flows to vote/db
		port uint16
		want []string
	}{
		{"a port where the peer is the same", []*policy.Policy{stagedPolicy("db", "default", "db", allowFrom("web", 5432))}, []string{"web"}, 9187,
			[]string{"a port more in Ingress rule 0 of StagedNetworkPolicy vote/db"}},
		{"a peer where the port is the same", []*policy.Policy{stagedPolicy("db", "default", "db", allowFrom("web", 5432))}, []string{"vote"}, 5432,
			[]string{"a peer more in Ingress rule 0 of StagedNetworkPolicy vote/db"}},
		{"else a rule", []*policy.Policy{stagedPolicy("db", "default", "db", allowFrom("web", 5432))}, []string{"vote"}, 9187,
			[]string{"an Ingress rule more in StagedNetworkPolicy vote/db"}},
		{"a policy without rules is there to refuse", []*policy.Policy{stagedPolicy("deny", "default", "db")}, []string{"vote"}, 5432,
			[]string{"Ingress in the new StagedNetworkPolicy vote/db"}},
		{"in the tier that refuses", []*policy.Policy{
			stagedPolicy("early", "platform", "db", allowFrom("web", 1)), stagedPolicy("late", "default", "db", allowFrom("vote", 5432))}, []string{"vote"}, 5432,
			[]string{"an Ingress rule more in StagedNetworkPolicy vote/early"}},
		{"a Deny is for a person", []*policy.Policy{stagedPolicy("db", "platform", "db", denyAll())}, []string{"vote"}, 5432, []string{"decision"}},
		{"a rule of ports by exclusion is left as it is", []*policy.Policy{stagedPolicy("db", "default", "db", policy.Rule{
			Action: policy.Allow, Protocol: policy.TCP, Source: policy.Entity{Selector: selector.Eq("app", "web")},
			Destination: policy.Entity{NotPorts: ranges([]uint16{9187})}})}, []string{"web"}, 9187,
			[]string{"an Ingress rule more in StagedNetworkPolicy vote/db"}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			w := fixWorld(tt.with...)
			for _, from := range tt.saw {
				w.saw("vote/"+from, "vote/db", policy.TCP, tt.port, "")
			}
			res := w.fix(true)
			if got := made(res); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if n := len(res.Proof.NotObserved) + len(res.Proof.Breaks) + len(res.Proof.Opened); n > 0 {
				t.Errorf("more than was seen: %+v", res.Proof)
			}
		})
	}
}

// A policy that selects others too would let in more than is needed.
func TestFixExtendsNoPolicyOfOthers(t *testing.T) {
	p := stagedPolicy("all", "default", "db", allowFrom("web", 5432))
	p.Selector = selector.All()
	w := fixWorld(p)
	w.saw("vote/vote", "vote/db", policy.TCP, 5432, "")
	if got := made(w.fix(true)); len(got) != 1 || got[0] != "Ingress in the new StagedNetworkPolicy vote/db" {
		t.Errorf("got %q", got)
	}
}

// S27: what is staged replaces the enforced policy of its name, so an edit of the
// enforced one is staged as a whole copy of it.
func TestS27_FixStagesACopyOfAnEnforcedPolicy(t *testing.T) {
	enforced := stagedPolicy("db", "default", "db", allowFrom("web", 5432))
	enforced.Kind, enforced.StagedAction = policy.KindNetworkPolicy, ""
	open := stagedPolicy("open", "default", "db", policy.Rule{Action: policy.Allow})
	open.Kind, open.StagedAction = policy.KindNetworkPolicy, ""
	closing := stagedPolicy("open", "default", "db")
	closing.StagedAction = policy.StagedDelete
	w := fixWorld(enforced, open, closing)
	w.saw("vote/vote", "vote/db", policy.TCP, 5432, "")
	base := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": "NetworkPolicy", "metadata": map[string]any{"name": "db", "namespace": "vote"},
		"spec": map[string]any{"selector": "app == 'db'", "ingress": []any{map[string]any{
			"action": "Allow", "protocol": "TCP", "source": map[string]any{"selector": "app == 'web'"},
			"destination": map[string]any{"ports": []any{int64(5432)}},
		}}},
	}}
	for _, staged := range []bool{true, false} {
		res := w.fix(staged)
		if len(res.Edits) != 1 || res.Proof.Remaining != 0 {
			t.Fatalf("edits %+v, proof %+v", res.Edits, res.Proof)
		}
		u, err := res.Edits[0].Object(base)
		if err != nil {
			t.Fatal(err)
		}
		want := "NetworkPolicy"
		if staged {
			want = "StagedNetworkPolicy"
		}
		rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "ingress")
		got, _, _ := unstructured.NestedString(rules[0].(map[string]any), "source", "selector")
		if u.GetKind() != want || len(rules) != 1 || got != "app == 'web' || app == 'vote'" {
			t.Errorf("staged %v: got %v", staged, u.Object)
		}
		if _, given, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "types"); given {
			t.Errorf("types were added though they follow from the rules: %v", u.Object)
		}
	}
}

// S8: a new enforced policy closes what it does not allow. That is told.
func TestS8_FixTellsWhatANewPolicyWouldBlock(t *testing.T) {
	w := fixWorld(stagedPolicy("deny", "default", "db"))
	w.saw("vote/vote", "vote/db", policy.TCP, 5432, "")
	w.saw("vote/web", "vote/db", policy.TCP, 5432, "")
	res := Fix(FixRequest{Model: tier.New(&w.snap, nil), Flows: w.flows,
		Want: func(o *flow.Observed) bool { return o.Source.Workload.Name == "vote" }})
	if len(res.Proof.Breaks) != 1 || FlowText(res.Proof.Breaks[0].Flow) != "vote/web → vote/db tcp/5432" {
		t.Errorf("breaks %+v, want web's flow", res.Proof.Breaks)
	}
	if res.Proof.Remaining != 1 || res.Groups[1].State != FixLeft {
		t.Errorf("proof %+v, group %+v", res.Proof, res.Groups[1])
	}
}

// What labels can't tell apart is let in too, and that is listed.
func TestFixListsWhatElseIsAdmitted(t *testing.T) {
	w := fixWorld(stagedPolicy("deny", "default", "db"))
	w.pod("vote", "twin", app("vote"))
	w.saw("vote/vote", "vote/db", policy.TCP, 5432, "")
	res := w.fix(true)
	if len(res.Proof.NotObserved) != 1 || !strings.HasPrefix(res.Proof.NotObserved[0].Source.String(), "vote/twin") {
		t.Errorf("not observed: %v, want twin", res.Proof.NotObserved)
	}
}

func TestFixOfOnePolicyLeavesOthersOut(t *testing.T) {
	only := stagedPolicy("deny", "default", "db")
	w := fixWorld(only, stagedPolicy("web", "default", "web"))
	w.saw("vote/vote", "vote/db", policy.TCP, 5432, "")
	w.saw("vote/vote", "vote/web", policy.TCP, 80, "")
	res := Fix(FixRequest{Model: tier.New(&w.snap, nil), Flows: w.flows, Staged: true, Only: only.Key})
	if len(res.Groups) != 1 || res.Proof.Remaining != 0 || len(res.Edits) != 1 || res.Edits[0].Name != "db" {
		t.Errorf("groups %+v, edits %+v", res.Groups, res.Edits)
	}
}

// However the world is, the edits make the report empty, block nothing, and a
// second run finds nothing to do.
func TestPropertyFixMakesTheReportEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := randomWorld(t)
		for _, ns := range []string{"a", "b"} {
			p := &policy.Policy{
				Key:  policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: ns, Name: "deny"},
				Tier: "default", Order: policy.Unordered, StagedAction: policy.StagedSet,
				Types: [2]bool{rapid.Bool().Draw(t, "ingress"), rapid.Bool().Draw(t, "egress")},
			}
			some := &policy.Policy{
				Key:  policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: ns, Name: "some"},
				Tier: "default", Order: policy.Unordered, StagedAction: policy.StagedSet, Types: [2]bool{true, true},
				Selector: selector.Eq("app", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "some")),
			}
			for d := range some.Rules {
				r := policy.Rule{Action: policy.Allow, Protocol: policy.TCP, Destination: policy.Entity{Ports: ranges([]uint16{80})}}
				peerOf(&r, policy.Direction(d)).Selector = selector.Eq("app", "x")
				some.Rules[d] = []policy.Rule{r}
			}
			w.policies(p, some)
		}
		staged := rapid.Bool().Draw(t, "staged")
		res := w.fix(staged)
		for _, g := range res.Groups {
			if g.State != FixDone {
				t.Fatalf("%s: %s: %s", FlowText(g.Flow), g.State, g.Reason)
			}
		}
		if res.Proof.Remaining != 0 {
			t.Fatalf("proof %+v", res.Proof)
		}
		if staged && len(res.Proof.Breaks) > 0 {
			t.Fatalf("breaks %+v", res.Proof.Breaks)
		}
		// Not by the proof: by the evaluator, here.
		then := withEdits(&w.snap, res.Edits)
		m := tier.New(then, nil)
		rp := replay.New(m)
		observed := rp.Observed(w.flows)
		for i := range observed {
			for _, c := range rp.Pairs(&observed[i]) {
				if !rp.Judge(tier.Pending(), &observed[i], c).Allowed() {
					t.Fatalf("%s is still blocked", FlowText(&observed[i]))
				}
			}
		}
		if staged {
			w.snap = *then
			if again := w.fix(true); len(again.Edits)+len(again.Groups) > 0 {
				t.Fatalf("a second run: %v", made(again))
			}
		}
	})
}
