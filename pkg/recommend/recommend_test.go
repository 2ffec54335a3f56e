package recommend

import (
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile("testdata/"+name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func TestGoldenVote(t *testing.T) {
	res := Recommend(voteWorld().request(voteTargets...))
	var docs []string
	for _, p := range res.Policies {
		docs = append(docs, p.YAML())
	}
	golden(t, "vote.yaml", strings.Join(docs, "---\n"))
	if p := res.Proof; p.Observed != 9 || p.Allowed != 9 || len(p.Blocked) != 0 {
		t.Errorf("proof: %d observed, %d allowed, blocked %v; want 9, 9, none", p.Observed, p.Allowed, p.Blocked)
	}
	// DNS over TCP is the only thing that is wider than what was seen (S33).
	for _, p := range res.Proof.NotObserved {
		if p.Protocol != policy.TCP || p.Port != 53 || p.Destination.Name != "coredns" {
			t.Errorf("not observed but allowed: %v", p)
		}
	}
	if len(res.Proof.NotObserved) != 3 {
		t.Errorf("not observed: %v, want DNS over TCP of three workloads", res.Proof.NotObserved)
	}
	if len(res.Skipped)+len(res.Covered)+len(res.Unseen) != 0 {
		t.Errorf("skipped %v, covered %v, unseen %v; want none", res.Skipped, res.Covered, res.Unseen)
	}
}

func TestS12_OwnHostNeedsNoRule(t *testing.T) {
	w := &world{}
	w.namespace("vote")
	w.pod("vote", "db", app("db"), 5432)
	w.saw("n1", "vote/db", policy.TCP, 5432, "")
	res := Recommend(w.request("vote/db"))
	if len(res.Policies) != 0 || len(res.Covered) != 1 {
		t.Errorf("policies %v, covered %v; want none, and db has what it needs", res.Policies, res.Covered)
	}
}

// Of a manifest there is one endpoint for all replicas: that they talk to each
// other is no pod's talk to itself (S32).
func TestS32_ReplicasOfAManifestTalkToEachOther(t *testing.T) {
	w := &world{}
	w.namespace("shop")
	kafka := w.pod("shop", "kafka", app("kafka"), 9093)
	kafka.Name, kafka.Node, kafka.Addrs = "kafka", "", nil
	w.saw("shop/kafka", "shop/kafka", policy.TCP, 9093, "")
	res := Recommend(w.request("shop/kafka"))
	want := "TCP 9093 app == 'kafka'"
	for d, rules := range find(t, res, "kafka").Rules {
		if got := summaries(rules); strings.Join(got, "; ") != want {
			t.Errorf("%s: %q, want %q", policy.Direction(d), got, want)
		}
	}
	if res.Proof.Observed != 1 || res.Proof.Allowed != 1 {
		t.Errorf("got %+v", res.Proof)
	}
}

func TestS33_DNSHasUDPAndTCP(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.saw("vote/worker", "169.254.20.10", policy.UDP, 53, "")
	w.saw("vote/worker", "kube-system/coredns", policy.UDP, 53, "kube-system/kube-dns")
	w.saw("vote/worker", "198.51.100.53", policy.UDP, 53, "") // somebody else's
	got := summaries(find(t, Recommend(w.request("vote/worker")), "worker").Rules[policy.Egress])
	want := []string{
		"TCP 53 ns kubernetes.io/metadata.name == 'kube-system' k8s-app == 'kube-dns'",
		"UDP 53 ns kubernetes.io/metadata.name == 'kube-system' k8s-app == 'kube-dns'",
		"TCP 53 169.254.20.10/32",
		"UDP 53 169.254.20.10/32 198.51.100.53/32",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A rule for the protocol that was not seen says so, whichever that is.
func TestS33_DNSOverTheOtherProtocolIsExplained(t *testing.T) {
	for proto, want := range map[policy.Protocol]string{
		policy.UDP: "long answers come over TCP",
		policy.TCP: "questions go over UDP first",
	} {
		w := voteWorld()
		w.flows = nil
		w.saw("vote/worker", "kube-system/coredns", proto, 53, "kube-system/kube-dns")
		p := find(t, Recommend(w.request("vote/worker")), "worker")
		if text := p.YAML(); strings.Count(text, "  # ("+want+")\n  - action: Allow\n") != 1 || strings.Count(text, "# (") != 1 {
			t.Errorf("%s alone was seen:\n%s", proto, text)
		}
		if text := p.Explain(); strings.Count(text, "seen over the other protocol of DNS; "+want) != 1 {
			t.Errorf("%s alone was seen:\n%s", proto, text)
		}
	}
}

func TestS33_NodeLocalDNSIsRecommendedAsTheService(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	local := netip.MustParseAddr("169.254.20.10")
	dns := *w.snap.Service("kube-system", "kube-dns")
	dns.Local = []netip.Addr{local}
	dns.Backends = []policy.Backend{{Addr: local, Ports: []policy.ContainerPort{{Protocol: policy.TCP, Port: 53}, {Protocol: policy.UDP, Port: 53}}}}
	for i, s := range w.snap.Services {
		if s.Name == dns.Name {
			w.snap.Services[i] = &dns
		}
	}
	w.saw("vote/worker", "169.254.20.10", policy.UDP, 53, "kube-system/kube-dns")
	res := Recommend(w.request("vote/worker"))
	rules := find(t, res, "worker").Rules[policy.Egress]
	if len(rules) != 1 || rules[0].serviceName() != "kube-system/kube-dns" || rules[0].Protocol != 0 || len(rules[0].Nets) > 0 {
		t.Fatalf("rules %+v, want the Service alone", rules)
	}
	if b := res.Proof.Breaks; len(b) > 0 {
		t.Errorf("the rule does not allow what was seen: %v", b)
	}
}

func TestRulesAreMergedButNeverWider(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.saw("vote/worker", "vote/db", policy.TCP, 5432, "")
	w.saw("vote/result", "vote/db", policy.TCP, 5432, "")
	w.saw("vote/vote", "vote/db", policy.TCP, 5432, "")
	w.saw("vote/vote", "vote/db", policy.TCP, 9187, "") // vote's metrics port is its own rule
	w.saw("wordpress/wordpress", "vote/db", policy.TCP, 5432, "")
	for _, addr := range []string{"198.51.100.2", "198.51.100.3", "198.51.100.5", "2001:db8::1"} {
		w.saw(addr, "vote/db", policy.TCP, 5432, "")
	}
	got := summaries(find(t, Recommend(w.request("vote/db")), "db").Rules[policy.Ingress])
	want := []string{
		"TCP 5432 app in {'result', 'worker'}",
		"TCP 5432,9187 app == 'vote'",
		"TCP 5432 ns kubernetes.io/metadata.name == 'wordpress' app == 'wordpress'",
		"TCP 5432 198.51.100.2/31 198.51.100.5/32",
		"TCP 5432 2001:db8::1/128",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// dbByHand is the workshop's policy: tier platform, ingress from worker and
// result only.
func dbByHand(w *world) *policy.Policy {
	w.snap.Tiers = []*policy.Tier{{Name: "platform", Order: 100, DefaultAction: policy.Deny}}
	p := &policy.Policy{
		Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"},
		Tier: "platform", Order: policy.Unordered, Selector: selector.MustParse("app == 'db'"),
	}
	p.Types[policy.Ingress] = true
	p.Rules[policy.Ingress] = []policy.Rule{{
		Action: policy.Allow, Protocol: policy.TCP,
		Source:      policy.Entity{Selector: selector.MustParse("app == 'worker' || app == 'result'")},
		Destination: policy.Entity{Ports: []policy.PortRange{{Min: 5432, Max: 5432}}},
	}}
	return p
}

func TestExistingPolicyGetsOnlyWhatIsMissing(t *testing.T) {
	w := voteWorld()
	w.policies(dbByHand(w))
	if res := Recommend(w.request("vote/db")); len(res.Policies) != 0 || len(res.Covered) != 1 {
		t.Errorf("policies %v, covered %v; want db to be covered", res.Policies, res.Covered)
	}
	w.saw("vote/db", "kube-system/coredns", policy.UDP, 53, "kube-system/kube-dns")
	res := Recommend(w.request("vote/db"))
	p := find(t, res, "db-recommended") // db is somebody else's
	if p.Types != [2]bool{policy.Egress: true} || len(p.Rules[policy.Ingress]) != 0 || len(p.Rules[policy.Egress]) != 2 || p.Tier != "default" {
		t.Errorf("got %s, want DNS egress only", p.YAML())
	}
	if res.Proof.Allowed != 3 || res.Proof.Observed != 3 {
		t.Errorf("proof %+v", res.Proof)
	}
}

func TestLaterTierDoesNotHelpAnEarlierOne(t *testing.T) {
	// redis is allowed by a rule of tier default; a policy for it in an earlier
	// tier ends that tier in deny, so the rule has to be there too.
	w := voteWorld()
	w.policies(dbByHand(w)) // brings tier platform
	allow := &policy.Policy{
		Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "all-to-redis"},
		Tier: "default", Order: policy.Unordered, Selector: selector.MustParse("app == 'redis'"),
	}
	allow.Types[policy.Ingress] = true
	allow.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Allow}}
	w.policies(allow)
	req := w.request("vote/redis")
	if res := Recommend(req); len(res.Policies) != 0 {
		t.Errorf("tier default: got %v, want none", res.Policies)
	}
	req.Tier = "platform"
	res := Recommend(req)
	if got := summaries(find(t, res, "redis").Rules[policy.Ingress]); len(got) != 1 || got[0] != "TCP 6379 app in {'vote', 'worker'}" {
		t.Errorf("tier platform: got %q", got)
	}
	if res.Proof.Allowed != 2 {
		t.Errorf("proof %+v", res.Proof)
	}
}

func TestDeniedFlowsAreNotRecommended(t *testing.T) {
	w := voteWorld()
	w.policies(dbByHand(w))
	w.flows = nil
	w.saw("wordpress/wordpress", "vote/db", policy.TCP, 5432, "")
	req := w.request("vote/db")
	res := Recommend(req)
	if len(res.Policies) != 0 || len(res.Skipped) != 1 || !strings.Contains(res.Skipped[0].Reason, "--include-denied") {
		t.Errorf("policies %v, skipped %v", res.Policies, res.Skipped)
	}
	// Asked for, it is written; that tier platform refuses it before is said.
	req.IncludeDenied = true
	res = Recommend(req)
	if len(res.Policies) != 1 || len(res.Proof.Blocked) != 1 || res.Proof.Blocked[0].By.Policy.Name != "db" {
		t.Errorf("policies %v, proof %+v", res.Policies, res.Proof)
	}
}

func TestOwnPolicyIsExtended(t *testing.T) {
	w := voteWorld()
	first := find(t, Recommend(w.request("vote/redis")), "redis")
	w.policies(first.Model())
	w.saw("vote/result", "vote/redis", policy.TCP, 6379, "")
	req := w.request("vote/redis")
	req.IncludeDenied = true // the first recommendation closed redis
	req.Mine = func(k policy.Key) bool { return k == first.Key }

	p := find(t, Recommend(req), "redis")
	if p.Key != first.Key || p.Base == nil {
		t.Fatalf("got %v extending %v, want %v extended", p.Key, p.Base, first.Key)
	}
	stored := first.newObject()
	obj, err := p.Object(stored)
	if err != nil {
		t.Fatal(err)
	}
	spec := obj.Object["spec"].(map[string]any)
	if rules := spec["ingress"].([]any); len(rules) != 2 {
		t.Errorf("ingress has %d rules, want the old one and the new one: %v", len(rules), rules)
	}
	if len(stored.Object["spec"].(map[string]any)["ingress"].([]any)) != 1 {
		t.Error("what is stored was changed")
	}

	req.Mine = nil
	if p := find(t, Recommend(req), "redis-recommended"); p.Base != nil {
		t.Error("somebody else's policy was extended")
	}

	req.Staged = true
	req.Mine = func(k policy.Key) bool { return k == first.Key }
	p = find(t, Recommend(req), "redis")
	if p.Kind != policy.KindStagedNetworkPolicy || p.Base == nil || p.Base.Key != first.Key {
		t.Errorf("staged: got %v extending %v", p.Key, p.Base)
	}
	if obj, err = p.Object(stored); err != nil || obj.GetKind() != "StagedNetworkPolicy" {
		t.Errorf("staged: got %v, %v", obj, err)
	}
	if got := len(p.Model().Rules[policy.Ingress]); got != 2 {
		t.Errorf("staged: it replaces the enforced one (S27), so it needs both rules; got %d", got)
	}
}

func TestEnforcingDropsOurStagedOne(t *testing.T) {
	w := voteWorld()
	req := w.request("vote/redis")
	req.Staged = true
	staged := find(t, Recommend(req), "redis")
	w.policies(staged.Model())
	req = w.request("vote/redis")
	req.Mine = func(k policy.Key) bool { return k == staged.Key }
	if p := find(t, Recommend(req), "redis"); p.Kind != policy.KindNetworkPolicy || p.Drop != staged.Key || p.Base != nil {
		t.Errorf("got %v dropping %v", p.Key, p.Drop)
	}
	req.Staged = true
	if res := Recommend(req); len(res.Policies) != 0 || len(res.Covered) != 1 {
		t.Errorf("staging twice: got %v", res.Policies)
	}
}

func TestWhatNoRuleCanSayIsSkipped(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.saw("vote/old", "vote/db", policy.TCP, 5432, "")
	w.pod("vote", "bare", nil)
	w.saw("vote/bare", "vote/redis", policy.TCP, 6379, "")
	w.saw("vote/db", "n1", policy.TCP, 9100, "")
	res := Recommend(w.request("vote/db", "vote/redis", "vote/bare"))
	if len(res.Policies) != 0 {
		t.Errorf("got %v", res.Policies)
	}
	var got []string
	for _, s := range res.Skipped {
		got = append(got, s.Reason)
	}
	want := []string{
		"its pods share no label that a selector could pick them by; give them one",
		"the host's address is not known",
		"vote/old has no pods any more, so no selector picks it",
		"vote/bare has no label that a selector could pick it by; give its pods one",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestS34_WhatAnotherNodeForwardsIsNoNet(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.saw("n1", "vote/vote", policy.TCP, 80, "") // its own host: needs no rule
	w.saw("n2", "vote/vote", policy.TCP, 80, "")
	w.flows[1].Source.Addr = netip.MustParseAddr("192.0.2.2")
	res := Recommend(w.request("vote/vote"))
	if len(res.Policies) != 0 {
		t.Errorf("got %v, want none", res.Policies)
	}
	if len(res.Skipped) != 1 || !strings.Contains(res.Skipped[0].Reason, "node n2 forwards") {
		t.Errorf("skipped %v, want what n2 forwards", res.Skipped)
	}
}

func TestProofTellsWhatEnforcingWouldBreak(t *testing.T) {
	// db's flow from a pod without labels can't be written down; the policy for
	// what can be closes db, and the other flow with it.
	w := voteWorld()
	w.flows = nil
	w.pod("vote", "bare", nil)
	w.saw("vote/worker", "vote/db", policy.TCP, 5432, "")
	w.saw("vote/bare", "vote/db", policy.TCP, 5432, "")
	res := Recommend(w.request("vote/db"))
	if b := res.Proof.Breaks; len(b) != 1 || b[0].Flow.Source.Workload.Name != "bare" || b[0].By.Policy.Name != "db" {
		t.Errorf("breaks %+v, want bare → db", b)
	}
}

func TestUnknownAddressIsNeverAnywhere(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.saw("192.0.2.1", "vote/vote", policy.TCP, 80, "")
	w.flows[0].Source.Addr = netip.Addr{}
	res := Recommend(w.request("vote/vote"))
	if len(res.Policies) != 0 || len(res.Skipped) != 1 {
		t.Errorf("policies %v, skipped %v", res.Policies, res.Skipped)
	}
}

func TestUnseenWorkloads(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	if res := Recommend(w.request("vote/db")); len(res.Unseen) != 1 || len(res.Policies) != 0 {
		t.Errorf("got %+v", res)
	}
}

func TestWorkloadKindMayBeUnknown(t *testing.T) {
	// Goldmane does not tell the kind of a workload.
	w := voteWorld()
	for i := range w.flows {
		w.flows[i].Source.Workload.Kind, w.flows[i].Destination.Workload.Kind = "", ""
	}
	res := Recommend(w.request(voteTargets...))
	if len(res.Policies) != 5 || res.Proof.Allowed != 9 || len(res.Proof.NotObserved) != 3 {
		t.Errorf("%d policies, proof %+v", len(res.Policies), res.Proof)
	}
}

func TestAggregate(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"10.0.0.1/32", "10.0.0.1/32"},
		{"10.0.0.1/32 10.0.0.2/32", "10.0.0.1/32 10.0.0.2/32"}, // neighbours, but no net
		{"10.0.0.3/32 10.0.0.2/32", "10.0.0.2/31"},
		{"10.0.0.0/32 10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 10.0.0.3/32", "10.0.0.0/30"},
		{"0.0.0.0/32 255.255.255.255/32", "0.0.0.0/32 255.255.255.255/32"},
		{"2001:db8::/128 2001:db8::1/128", "2001:db8::/127"},
	} {
		var nets []netip.Prefix
		for _, s := range strings.Fields(c.in) {
			nets = append(nets, netip.MustParsePrefix(s))
		}
		var got []string
		for _, n := range aggregate(nets) {
			got = append(got, n.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", c.in, got, c.want)
		}
	}
}

func TestPickPrefersStableUsualLabels(t *testing.T) {
	for _, c := range []struct {
		name   string
		own    selector.Labels
		others []selector.Labels
		want   string
	}{
		{"one is enough", selector.Labels{"app": "db", "role": "x"}, nil, "app == 'db'"},
		{"the usual one that tells apart", selector.Labels{"app": "shop", "component": "db", "zone": "z"},
			[]selector.Labels{{"app": "shop", "component": "web", "zone": "z"}}, "component == 'db'"},
		{"two together", selector.Labels{"app": "shop", "component": "db"},
			[]selector.Labels{{"app": "shop", "component": "web"}, {"app": "blog", "component": "db"}},
			"app == 'shop' && component == 'db'"},
		{"never by what changes", selector.Labels{"app": "db", "pod-template-hash": "1", "helm.sh/chart": "c-1"},
			[]selector.Labels{{"app": "db2"}}, "app == 'db'"},
		{"never by a version alone", selector.Labels{"app": "web", "version": "v2"},
			[]selector.Labels{{"app": "web", "version": "v1"}}, "app == 'web' && version == 'v2'"},
		{"unless there is nothing else", selector.Labels{"version": "v2"},
			[]selector.Labels{{"version": "v1"}}, "version == 'v2'"},
		{"by what it lacks", selector.Labels{"app": "db"},
			[]selector.Labels{{"app": "db", "canary": "yes"}}, "app == 'db' && !has(canary)"},
	} {
		w := &world{}
		w.namespace("ns")
		w.pod("ns", "own", c.own)
		for i, o := range c.others {
			w.pod("ns", "other-"+string(rune('a'+i)), o)
		}
		res := Recommend(w.request("ns/own"))
		if len(res.Skipped) > 0 {
			t.Errorf("%s: skipped %v", c.name, res.Skipped)
		}
		w.saw("ns/own", "198.51.100.1", policy.TCP, 443, "")
		if got := quoted(find(t, Recommend(w.request("ns/own")), "own").Selector); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestWorkloadsThatLabelsCannotTellApartShareAPolicy(t *testing.T) {
	w := &world{}
	w.namespace("ns")
	w.pod("ns", "a", app("x"))
	w.pod("ns", "b", app("x"))
	w.saw("ns/a", "198.51.100.1", policy.TCP, 443, "")
	w.saw("ns/b", "198.51.100.2", policy.TCP, 8443, "")
	res := Recommend(w.request("ns/b"))
	p := find(t, res, "a")
	if len(p.Workloads) != 2 || len(p.Rules[policy.Egress]) != 2 || res.Proof.Allowed != 2 {
		t.Errorf("got %s", p.YAML())
	}
}

func TestNamesAreUniqueForKindsThatShareAName(t *testing.T) {
	w := &world{}
	w.namespace("ns")
	w.pod("ns", "x", app("x"))
	w.pod("ns", "x", app("y")).Workload.Kind = policy.KindStatefulSet
	w.saw("ns/x", "198.51.100.1", policy.TCP, 443, "")
	f := w.flows[0]
	f.Source.Workload.Kind = policy.KindStatefulSet
	w.flows = append(w.flows, f)
	req := w.request("ns/x")
	req.Targets = append(req.Targets, f.Source.Workload)
	res := Recommend(req)
	find(t, res, "x")
	find(t, res, "x-recommended")
}

func TestModelAndScopeAgree(t *testing.T) {
	// What is staged counts for a staged recommendation only.
	w := voteWorld()
	staged := find(t, Recommend(w.request("vote/redis")), "redis").Model()
	staged.Kind, staged.StagedAction = policy.KindStagedNetworkPolicy, policy.StagedSet
	w.policies(staged)
	req := w.request("vote/redis")
	if res := Recommend(req); len(res.Policies) != 1 || res.Policies[0].Name != "redis-recommended" {
		t.Errorf("enforced: got %v, want another policy beside the staged one", res.Policies)
	}
	req.Staged = true
	if res := Recommend(req); len(res.Policies) != 0 {
		t.Errorf("staged: got %v, want none", res.Policies)
	}
}

// ICMP is allowed by its type, whatever the code; protocols without ports as a
// whole.
func TestS22_ICMPAndProtocolsWithoutPorts(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.saw("vote/worker", "vote/db", policy.ICMP, policy.ICMPPort(8, 0), "")
	w.saw("vote/result", "vote/db", policy.ICMP, policy.ICMPPort(8, 0), "")
	w.saw("vote/result", "vote/db", policy.ICMP, policy.ICMPPort(13, 2), "")
	w.saw("vote/vote", "vote/db", policy.ICMP, 0, "") // from a source that does not tell the type
	w.saw("vote/vote", "vote/db", 47, 0, "")
	w.saw("2001:db8::1", "vote/db", policy.ICMPv6, policy.ICMPPort(128, 0), "")
	res := Recommend(w.request("vote/db"))
	p := find(t, res, "db")
	want := []string{
		"ICMP type 8 app in {'result', 'vote', 'worker'}",
		"ICMP type 13 app == 'result'",
		"47  app == 'vote'",
		"ICMPv6 type 128 2001:db8::1/128",
	}
	if d := cmp.Diff(want, summaries(p.Rules[policy.Ingress])); d != "" {
		t.Error(d)
	}
	if res.Proof.Allowed != 6 || len(res.Proof.Blocked)+len(res.Skipped) > 0 {
		t.Errorf("proof %+v, skipped %v", res.Proof, res.Skipped)
	}
	for _, text := range []string{"    protocol: ICMP\n    icmp:\n      type: 8\n    source:\n", "    protocol: 47\n    source:\n"} {
		if !strings.Contains(p.YAML(), text) {
			t.Errorf("%q is missing in\n%s", text, p.YAML())
		}
	}
	object, err := p.Object(nil)
	if err != nil {
		t.Fatal(err)
	}
	icmp, ok, err := unstructured.NestedInt64(object.Object["spec"].(map[string]any)["ingress"].([]any)[0].(map[string]any), "icmp", "type")
	if icmp != 8 || !ok || err != nil {
		t.Errorf("%v, %v, %v in %v", icmp, ok, err, object.Object)
	}
}

// S18: an address that a network set holds is written as the set, by its name;
// what else the set holds is told.
func TestS18_NetworkSetIsThePeer(t *testing.T) {
	office := &policy.NetworkSet{
		Key:    policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "office"},
		Labels: selector.Labels{"projectcalico.org/name": "office"},
		Nets:   []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	}
	own := &policy.NetworkSet{
		Key:    policy.Key{Kind: policy.KindNetworkSet, Namespace: "vote", Name: "partner"},
		Labels: selector.Labels{"projectcalico.org/name": "partner", "projectcalico.org/namespace": "vote"},
		Nets:   []netip.Prefix{netip.MustParsePrefix("203.0.113.0/25")},
	}
	world := func(sets ...*policy.NetworkSet) *world {
		w := voteWorld()
		w.flows = nil
		w.snap.NetworkSets = sets
		w.saw("198.51.100.2", "vote/vote", policy.TCP, 80, "")
		w.saw("198.51.100.9", "vote/vote", policy.TCP, 80, "")
		w.saw("203.0.113.7", "vote/vote", policy.TCP, 80, "")
		return w
	}
	res := Recommend(world(office, own).request("vote/vote"))
	p := find(t, res, "vote")
	want := []string{
		"TCP 80 projectcalico.org/name == 'partner'",
		"TCP 80 ns global() projectcalico.org/name == 'office'",
	}
	if d := cmp.Diff(want, summaries(p.Rules[policy.Ingress])); d != "" {
		t.Error(d)
	}
	if res.Proof.Allowed != 3 {
		t.Errorf("proof %+v", res.Proof)
	}
	if len(res.Proof.Wider) != 2 || res.Proof.Wider[1].Set != office.Key || res.Proof.Wider[1].Seen != 2 {
		t.Errorf("wider: %+v, want both sets, two addresses seen of office", res.Proof.Wider)
	}
	if !strings.Contains(p.YAML(), "# from office (198.51.100.2)\n") {
		t.Errorf("the set is not named in\n%s", p.YAML())
	}

	// A set that is nearly the internet, and exactness: the addresses.
	everyone := *office
	everyone.Nets = []netip.Prefix{netip.MustParsePrefix("128.0.0.0/1")}
	for name, req := range map[string]Request{"wide": world(&everyone).request("vote/vote"), "exact": world(office, own).request("vote/vote")} {
		req.Exact = name == "exact"
		got := summaries(find(t, Recommend(req), "vote").Rules[policy.Ingress])
		if len(got) != 1 || got[0] != "TCP 80 198.51.100.2/32 198.51.100.9/32 203.0.113.7/32" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// What is extended keeps every criterion of whom it selects.
func TestExtendingKeepsTheServiceAccountSelector(t *testing.T) {
	base := &policy.Policy{
		Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}, Tier: "default", Order: 7,
		Selector: selector.MustParse("app == 'db'"), ServiceAccountSelector: selector.MustParse("role == 'db'"),
	}
	p := &Policy{Key: base.Key, Tier: "default", Types: [2]bool{true, true}, Base: base}
	if m := p.Model(); m.ServiceAccountSelector != base.ServiceAccountSelector || m.Order != 7 || m.Types != p.Types || base.Types == p.Types {
		t.Errorf("got %+v", m)
	}
}
