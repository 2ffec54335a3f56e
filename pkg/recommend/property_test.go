package recommend

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// randomWorld is some workloads in two namespaces, some of them with two pods,
// labels that may or may not tell them apart, and flows between them and
// addresses outside.
func randomWorld(t *rapid.T) (*world, []string) {
	w := &world{}
	w.namespace("a", "b")
	var names []string
	value := rapid.SampledFrom([]string{"x", "y", "z"})
	for _, ns := range []string{"a", "b"} {
		for i := range rapid.IntRange(1, 4).Draw(t, "workloads") {
			name := string(rune('p' + i))
			labels := selector.Labels{"app": value.Draw(t, "app")}
			if rapid.Bool().Draw(t, "has role") {
				labels["role"] = value.Draw(t, "role")
			}
			for range rapid.IntRange(1, 2).Draw(t, "pods") {
				w.pod(ns, name, labels, 80)
			}
			names = append(names, ns+"/"+name)
		}
	}
	ends := append([]string{"192.0.2.2", "192.0.2.3", "192.0.2.9", "2001:db8::1"}, names...)
	for range rapid.IntRange(1, 20).Draw(t, "flows") {
		from := rapid.SampledFrom(ends).Draw(t, "from")
		to := rapid.SampledFrom(ends).Draw(t, "to")
		proto := rapid.SampledFrom([]policy.Protocol{policy.TCP, policy.UDP, policy.ICMP}).Draw(t, "protocol")
		var port uint16
		if proto.HasPorts() {
			port = rapid.SampledFrom([]uint16{80, 81, 82, 443}).Draw(t, "port")
		}
		if proto.HasTypes() {
			port = policy.ICMPPort(rapid.SampledFrom([]uint8{8, 13}).Draw(t, "type"), 0)
		}
		if peer(from).Addr.IsValid() != peer(to).Addr.IsValid() || !peer(from).Addr.IsValid() {
			w.saw(from, to, proto, port, "")
		}
	}
	return w, names
}

func TestPropertyEveryObservedFlowIsAllowedAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, names := randomWorld(t)
		res := Recommend(w.request(names...))
		if len(res.Skipped) > 0 {
			t.Fatalf("skipped %+v", res.Skipped)
		}
		if res.Proof.Allowed != res.Proof.Observed || len(res.Proof.Blocked) > 0 {
			t.Fatalf("proof: %+v", res.Proof)
		}
		exact := true
		for _, p := range res.Policies {
			exact = exact && len(p.Workloads) == 1
		}
		// Not by the proof: by the evaluator, here.
		s := w.snap
		for _, p := range res.Policies {
			s.Policies = append(s.Policies, p.Model())
		}
		for _, ns := range []string{"a", "b"} {
			s.Policies = append(s.Policies, &policy.Policy{
				Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "deny-all"},
				Tier: "default", Order: policy.Unordered, Types: [2]bool{true, true},
			})
		}
		observed := map[Pair]bool{}
		for _, f := range w.flows {
			observed[Pair{f.Source.Workload, f.Destination.Workload, f.Protocol, f.Port}] = true
		}
		m := tier.New(&s, nil)
		for _, src := range s.Endpoints {
			for _, dst := range s.Endpoints {
				if src == dst {
					continue
				}
				for _, p := range []port{
					{policy.TCP, 80}, {policy.TCP, 81}, {policy.TCP, 82}, {policy.TCP, 443}, {policy.UDP, 80},
					{policy.UDP, 81}, {policy.UDP, 82}, {policy.UDP, 443}, {policy.ICMP, policy.ICMPPort(8, 0)}, {policy.ICMP, policy.ICMPPort(13, 0)},
				} {
					want := observed[Pair{src.Workload, dst.Workload, p.protocol, p.number}]
					r := m.Evaluate(tier.Enforced(), tier.Conn{
						Source: tier.Peer{Endpoint: src}, Destination: tier.Peer{Endpoint: dst},
						Protocol: p.protocol, Port: p.number,
					})
					for _, v := range []*tier.Verdict{r.Egress, r.Ingress} {
						if got := v.Action == policy.Allow; want && !got || exact && got != want {
							t.Fatalf("%s → %s %s/%d: allowed %v, observed %v", src.ID(), dst.ID(), p.protocol, p.number, got, want)
						}
					}
				}
			}
		}
	})
}

func TestPropertyRecommendationIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, names := randomWorld(t)
		first := Recommend(w.request(names...))
		// The order of the evidence makes no difference.
		for i, j := 0, len(w.flows)-1; i < j; i, j = i+1, j-1 {
			w.flows[i], w.flows[j] = w.flows[j], w.flows[i]
		}
		second := Recommend(w.request(names...))
		if len(first.Policies) != len(second.Policies) {
			t.Fatalf("%d policies, then %d", len(first.Policies), len(second.Policies))
		}
		for i := range first.Policies {
			if a, b := first.Policies[i].YAML(), second.Policies[i].YAML(); a != b {
				t.Fatalf("first:\n%s\nthen:\n%s", a, b)
			}
		}
		// Once they are in force, nothing is missing.
		for _, p := range first.Policies {
			w.policies(p.Model())
		}
		if again := Recommend(w.request(names...)); len(again.Policies) != 0 {
			t.Fatalf("recommended again:\n%s", again.Policies[0].YAML())
		}
	})
}

func TestPropertyYAMLIsTheObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, names := randomWorld(t)
		req := w.request(names...)
		req.Staged = rapid.Bool().Draw(t, "staged")
		req.Tier = rapid.SampledFrom([]string{"default", "on", "1e3"}).Draw(t, "tier")
		for _, p := range Recommend(req).Policies {
			want, err := p.Object(nil)
			if err != nil {
				t.Fatal(err)
			}
			var parsed map[string]any
			if err := yaml.Unmarshal([]byte(p.YAML()), &parsed); err != nil {
				t.Fatal(err)
			}
			data, err := want.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			var got unstructured.Unstructured
			if err := got.UnmarshalJSON(data); err != nil {
				t.Fatal(err)
			}
			asJSON, err := yaml.Marshal(got.Object)
			if err != nil {
				t.Fatal(err)
			}
			var object map[string]any
			if err := yaml.Unmarshal(asJSON, &object); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(parsed, object) {
				t.Fatalf("YAML:\n%s\nobject:\n%s", p.YAML(), asJSON)
			}
		}
	})
}
