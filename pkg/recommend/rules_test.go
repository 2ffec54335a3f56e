package recommend

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// The API server is written as its Service, whatever node it is on, and a kubelet
// as the node's address.
func TestClusterServicesAreRecognised(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	node := netip.MustParseAddr("192.0.2.20")
	w.snap.Nodes = []*policy.Node{{Name: "cp", Addrs: []netip.Addr{node}}}
	w.snap.Services = append([]*policy.Service{{
		Namespace: "default", Name: "kubernetes", Addrs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
		Ports:    []policy.ServicePort{{Protocol: policy.TCP, Port: 443, TargetPort: 6443}},
		Backends: []policy.Backend{{Addr: node, Ports: []policy.ContainerPort{{Protocol: policy.TCP, Port: 6443}}}},
	}}, w.snap.Services...)
	w.saw("vote/worker", "cp", policy.TCP, 6443, "default/kubernetes")
	w.saw("vote/worker", "cp", policy.TCP, 10250, "")
	w.saw("vote/worker", "169.254.169.254", policy.TCP, 80, "")
	res := Recommend(w.request("vote/worker"))
	var got []string
	for _, r := range find(t, res, "worker").Rules[policy.Egress] {
		got = append(got, r.Purpose+": "+r.text(policy.Egress))
	}
	want := []string{
		"cloud metadata: TCP 80 to 169.254.169.254/32",
		"kubelet: TCP 10250 to 192.0.2.20/32",
		"Kubernetes API: what it serves to Service default/kubernetes",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if res.Proof.Allowed != 3 || len(res.Proof.Breaks) > 0 {
		t.Errorf("proof %+v, skipped %v", res.Proof, res.Skipped)
	}
	// The node forwards from itself what may be a webhook's call (S34).
	w.flows = nil
	w.saw("cp", "vote/worker", policy.TCP, 8443, "")
	if got := reasons(Recommend(w.request("vote/worker")), SkipNoRule); len(got) != 1 || !strings.Contains(got[0], "runs the API server") {
		t.Errorf("got %v", got)
	}
}

func TestServicesWhereAskedFor(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.snap.Services = append(w.snap.Services, &policy.Service{Namespace: "vote", Name: "db", Selector: map[string]string{"app": "db"},
		Ports: []policy.ServicePort{{Protocol: policy.TCP, Port: 5432, TargetPort: 5432}}})
	w.saw("vote/worker", "vote/db", policy.TCP, 5432, "vote/db")
	w.saw("vote/worker", "vote/redis", policy.TCP, 6379, "")     // no Service was used
	w.saw("vote/worker", "vote/db", policy.TCP, 9187, "vote/db") // not a port of the Service's
	req := w.request("vote/worker")
	req.Services = true
	res := Recommend(req)
	want := []string{"TCP 6379 app == 'redis'", "TCP 9187 app == 'db'", "0 "}
	rules := find(t, res, "worker").Rules[policy.Egress]
	if d := cmp.Diff(want, summaries(rules)); d != "" || rules[2].serviceName() != "vote/db" {
		t.Errorf("%s, Service %q", d, rules[len(rules)-1].serviceName())
	}
	if res.Proof.Allowed != 3 {
		t.Errorf("proof %+v", res.Proof)
	}
}

// A port keeps its name where every pod that the rule is about has that name for
// it, and no other port of that name.
func TestS21_NamedPortsStayNamed(t *testing.T) {
	w := &world{}
	w.namespace("ns")
	name := func(ep *policy.Endpoint, names ...string) {
		for i, n := range names {
			ep.Ports[i].Name = n
		}
	}
	name(w.pod("ns", "web", app("web"), 8080, 9090), "http", "metrics")
	name(w.pod("ns", "web", app("web"), 8080, 9091), "http", "metrics") // mid-rollout
	name(w.pod("ns", "api", app("api"), 8080), "http")
	w.pod("ns", "old", app("old"), 8080)
	w.pod("ns", "client", app("client"))
	w.saw("ns/client", "ns/web", policy.TCP, 8080, "")
	w.saw("ns/client", "ns/web", policy.TCP, 9090, "")
	w.saw("ns/client", "ns/api", policy.TCP, 8080, "")
	res := Recommend(w.request("ns/client", "ns/web", "ns/api"))
	text := func(p string, d policy.Direction) (out []string) {
		for _, r := range find(t, res, p).Rules[d] {
			out = append(out, r.text(d))
		}
		return out
	}
	if d := cmp.Diff([]string{"TCP 9090, http (8080) from app == 'client'"}, text("web", policy.Ingress)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"TCP http (8080) to app == 'api'", "TCP 9090, http (8080) to app == 'web'"}, text("client", policy.Egress)); d != "" {
		t.Error(d)
	}
	if res.Proof.Allowed != 3 || len(res.Proof.NotObserved) > 0 {
		t.Errorf("proof %+v", res.Proof)
	}
	// One pod without the name, and the rule for all of them has the number.
	w.saw("ns/client", "ns/old", policy.TCP, 8080, "")
	res = Recommend(w.request("ns/client"))
	if d := cmp.Diff([]string{"TCP 8080 to app in {'api', 'old'}", "TCP 9090, http (8080) to app == 'web'"}, text("client", policy.Egress)); d != "" {
		t.Error(d)
	}
	req := w.request("ns/client")
	req.Numbers = true
	res = Recommend(req)
	if got := text("client", policy.Egress); strings.Contains(strings.Join(got, " "), "http") {
		t.Errorf("asked for numbers: %q", got)
	}
}

func TestFewestRules(t *testing.T) {
	w := &world{}
	w.namespace("a", "b", "ns")
	w.pod("ns", "target", app("target"))
	for _, c := range []string{"p", "q", "r", "s"} {
		w.pod("ns", c, app(c))
	}
	for _, ns := range []string{"a", "b"} {
		w.pod(ns, "web", app("web"))
	}
	saw := func(from string, ports ...uint16) {
		for _, p := range ports {
			w.saw(from, "ns/target", policy.TCP, p, "")
		}
	}
	rules := func() []string {
		res := Recommend(w.request("ns/target"))
		w.flows = nil
		if len(res.Proof.NotObserved) > 0 || res.Proof.Allowed != res.Proof.Observed {
			t.Errorf("proof %+v", res.Proof)
		}
		return summaries(find(t, res, "target").Rules[policy.Ingress])
	}
	// Three peers by two ports: by ports it takes two rules.
	saw("ns/p", 80)
	saw("ns/q", 81)
	saw("ns/r", 80, 81)
	saw("ns/s", 90) // has nothing to do with them
	if d := cmp.Diff([]string{"TCP 80 app in {'p', 'r'}", "TCP 81 app in {'q', 'r'}", "TCP 90 app == 's'"}, rules()); d != "" {
		t.Error(d)
	}
	// The same peers in several namespaces.
	saw("a/web", 80, 81, 82)
	saw("b/web", 80, 81, 82)
	if d := cmp.Diff([]string{"TCP 80:82 ns kubernetes.io/metadata.name in {'a', 'b'} app == 'web'"}, rules()); d != "" {
		t.Error(d)
	}
	// Not where they need different things.
	saw("a/web", 80)
	saw("b/web", 81)
	if got := rules(); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

func TestNetsStayWithinTheBound(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	for i := range 40 {
		w.saw(fmt.Sprintf("198.51.%d.%d", 100+i/10, 3*(i%10)), "vote/vote", policy.TCP, 80, "")
	}
	nets := func(b NetBounds) ([]netip.Prefix, *Result) {
		req := w.request("vote/vote")
		req.Nets = b
		res := Recommend(req)
		var out []netip.Prefix
		for _, r := range find(t, res, "vote").Rules[policy.Ingress] {
			out = append(out, r.Nets...)
		}
		return out, res
	}
	got, res := nets(NetBounds{})
	if len(got) != 40 || got[1].Bits() != 32 || len(res.Proof.Wider) != 0 {
		t.Errorf("unless they are many, addresses stay as they are: %v", got)
	}
	got, res = nets(NetBounds{Max: 4})
	if len(got) != 4 || len(res.Skipped) != 0 || res.Proof.Allowed != 40 {
		t.Errorf("four nets of four sites: %v, skipped %v", got, res.Skipped)
	}
	for i, w := range res.Proof.Wider {
		if w.Net.Bits() < 24 || w.Seen != 10 || len(res.Proof.Wider) != 4 {
			t.Errorf("wider %d: %+v", i, w)
		}
	}
	got, res = nets(NetBounds{Max: 3})
	if len(got) != 3 || len(res.Skipped) != 10 || !strings.Contains(res.Skipped[0].Reason, "4 nets would be needed, 3 are allowed") {
		t.Errorf("what does not fit is left: %v, skipped %v", got, res.Skipped)
	}
	if len(res.Proof.Breaks) != 10 {
		t.Errorf("and would break: %v", res.Proof.Breaks)
	}
	if got, _ := nets(NetBounds{Max: 1, Widest4: 16}); len(got) != 1 || got[0].Bits() < 16 || got[0].Bits() > 22 {
		t.Errorf("the narrowest that holds all: %v", got)
	}
}

func TestByNamespace(t *testing.T) {
	w := voteWorld()
	req := w.request(voteTargets...)
	req.ByNamespace = true
	res := Recommend(req)
	if len(res.Policies) != 1 {
		t.Fatalf("got %d policies", len(res.Policies))
	}
	p := find(t, res, "namespace")
	if !p.Selector.All() || len(p.Workloads) != 5 || res.Proof.Allowed != 9 {
		t.Errorf("%s\nproof %+v", p.YAML(), res.Proof)
	}
	// All pods of the namespace may do what one of them did, and that is told.
	if len(res.Proof.NotObserved) == 0 {
		t.Error("the proof lists nothing beside")
	}
	w.policies(p.Model())
	req = w.request(voteTargets...)
	req.ByNamespace = true
	if res := Recommend(req); len(res.Policies) != 0 {
		t.Errorf("asked twice: %s", res.Policies[0].YAML())
	}
	// By workload it is somebody else's, who selects other pods.
	req = w.request(voteTargets...)
	req.Mine = func(policy.Key) bool { return true }
	if res := Recommend(req); len(res.Policies) != 0 || len(res.Covered) != 5 {
		t.Errorf("all is allowed by the namespace's: %v", res.Policies)
	}
}

func TestDirections(t *testing.T) {
	for d, name := range []string{"ingress", "egress"} {
		req := voteWorld().request(voteTargets...)
		req.Directions[d] = true
		res := Recommend(req)
		for _, p := range res.Policies {
			if p.Types[1-d] || len(p.Rules[1-d]) > 0 || !p.Types[d] {
				t.Errorf("%s: %s", name, p.YAML())
			}
		}
		if res.Proof.Allowed != res.Proof.Observed || res.Proof.Observed == 0 || len(res.Proof.Breaks) > 0 {
			t.Errorf("%s: proof %+v", name, res.Proof)
		}
	}
}

// What a policy for one direction leaves open in the other is not its doing.
func TestProofOfOneDirection(t *testing.T) {
	for d, want := range map[policy.Direction]string{policy.Ingress: "[]", policy.Egress: "[{vote/vote kube-system/coredns TCP 53}]"} {
		req := voteWorld().request("vote/vote", "vote/redis")
		req.Directions[d] = true
		if got := fmt.Sprint(Recommend(req).Proof.NotObserved); got != want {
			t.Errorf("%s: not seen but allowed: %s, want %s", d, got, want)
		}
	}
}

// A policy of our name that selects other pods by now is not extended.
func TestAPolicyThatSelectsOthersIsNotExtended(t *testing.T) {
	w := voteWorld()
	old := find(t, Recommend(w.request("vote/redis")), "redis").Model()
	old.Selector = selector.MustParse("app in {'redis', 'db'}") // by hand
	w.policies(old)
	w.saw("vote/result", "vote/redis", policy.TCP, 6379, "")
	req := w.request("vote/redis")
	req.IncludeDenied = true
	req.Mine = func(policy.Key) bool { return true }
	if p := find(t, Recommend(req), "redis-recommended"); p.Base != nil {
		t.Errorf("extends %v", p.Base.Key)
	}
}

// S18: a set of the namespace with the pods' labels is no pod.
func TestS18_SelectorsOfPodsLeaveSetsOut(t *testing.T) {
	w := voteWorld()
	w.snap.NetworkSets = []*policy.NetworkSet{{
		Key:    policy.Key{Kind: policy.KindNetworkSet, Namespace: "vote", Name: "replicas"},
		Labels: selector.Labels{"app": "worker", "projectcalico.org/name": "replicas", "projectcalico.org/namespace": "vote"},
		Nets:   []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
	}}
	got := summaries(find(t, Recommend(w.request("vote/redis")), "redis").Rules[policy.Ingress])
	want := []string{"TCP 6379 app == 'vote' || (app == 'worker' && projectcalico.org/orchestrator == 'k8s')"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEvidenceAndExplanation(t *testing.T) {
	req := voteWorld().request("vote/redis")
	req.Evidence = true
	p := find(t, Recommend(req), "redis")
	for _, want := range []string{
		"    metadata:\n      annotations:\n        netpol.dev/connections: \"6\"\n        netpol.dev/first-seen: \"2026-03-01T12:00:00Z\"\n",
		"        netpol.dev/sample: \"vote/vote → vote/redis tcp/6379\"\n",
	} {
		if !strings.Contains(p.YAML(), want) {
			t.Errorf("%q is missing in\n%s", want, p.YAML())
		}
	}
	object, err := p.Object(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := policy.ValidateObject(object); len(faults) > 0 {
		t.Errorf("%v", faults)
	}
	golden(t, "redis.explain", p.Explain())
}

// A staged policy of ours that somebody edited is put in force as it was edited.
func TestEnforcingKeepsWhatWasEditedWhileStaged(t *testing.T) {
	w := voteWorld()
	req := w.request("vote/redis")
	req.Staged = true
	first := find(t, Recommend(req), "redis")
	stored, err := first.Object(nil)
	if err != nil {
		t.Fatal(err)
	}
	edited := first.Model()
	edited.Rules[policy.Ingress] = append(edited.Rules[policy.Ingress], policy.Rule{Action: policy.Log})
	w.policies(edited)
	req = w.request("vote/redis")
	req.Mine = func(policy.Key) bool { return true }
	p := find(t, Recommend(req), "redis")
	if p.Kind != policy.KindNetworkPolicy || p.Drop != first.Key || p.Base != edited || len(p.Rules[policy.Ingress]) != 0 {
		t.Fatalf("got %v dropping %v, extending %v by %v", p.Key, p.Drop, p.Base, p.Rules)
	}
	object, err := p.Object(stored)
	if err != nil {
		t.Fatal(err)
	}
	if _, staged := object.Object["spec"].(map[string]any)["stagedAction"]; staged || object.GetKind() != "NetworkPolicy" {
		t.Errorf("got %v", object.Object)
	}
	if got := p.Model().Rules[policy.Ingress]; len(got) != 2 || got[1].Action != policy.Log {
		t.Errorf("rules %v", got)
	}
}

// What was staged by other flags says already what is missing: it is put in force as
// it is, with what was seen since.
func TestEnforcingAddsNothingThatWasStagedOtherwise(t *testing.T) {
	w := voteWorld()
	w.snap.Services = append(w.snap.Services, &policy.Service{
		Namespace: "vote", Name: "redis", Selector: map[string]string{"app": "redis"},
		Ports: []policy.ServicePort{{Protocol: policy.TCP, Port: 6379, TargetPort: 6379}},
	})
	req := w.request("vote/vote")
	req.Staged, req.Services = true, true
	staged := find(t, Recommend(req), "vote").Model()
	w.policies(staged)
	for _, want := range []string{"[]", "[TCP 8443 198.51.100.4/32]"} {
		req = w.request("vote/vote")
		req.Mine = func(policy.Key) bool { return true }
		p := find(t, Recommend(req), "vote")
		if got := fmt.Sprint(summaries(p.Rules[policy.Egress])); p.Base != staged || p.Drop != staged.Key || got != want || len(p.Rules[policy.Ingress]) > 0 {
			t.Errorf("extends %v by %s and %v, want %s", p.Base, got, p.Rules[policy.Ingress], want)
		}
		w.saw("vote/vote", "198.51.100.4", policy.TCP, 8443, "") // since
	}
}

// Names that YAML takes for something else are quoted, wherever they stand.
func TestYAMLQuotesNames(t *testing.T) {
	r := Rule{Service: &policy.ServiceRef{Namespace: "2048", Name: "on"}}
	p := Policy{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "2048", Name: "no"}, Tier: "default", Selector: selector.All()}
	p.Types[policy.Egress], p.Rules[policy.Egress] = true, []Rule{r}
	for _, want := range []string{"  name: \"no\"\n  namespace: \"2048\"\n", "        name: \"on\"\n        namespace: \"2048\"\n"} {
		if !strings.Contains(p.YAML(), want) {
			t.Errorf("%q is missing in\n%s", want, p.YAML())
		}
	}
}
