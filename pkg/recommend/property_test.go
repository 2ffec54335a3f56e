package recommend

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// TestMain lets NETPOL_PROVE_CASES set how many random worlds each property is
// tried on; rapid's own default is 100.
func TestMain(m *testing.M) {
	flag.Parse()
	set := map[string]string{"rapid.nofailfile": "true"}
	if cases := os.Getenv("NETPOL_PROVE_CASES"); cases != "" {
		set["rapid.checks"] = cases
	}
	for name, value := range set {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintf(os.Stderr, "-%s=%s: %v\n", name, value, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

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
				ep := w.pod(ns, name, labels, 80)
				ep.Ports[0].Name = rapid.SampledFrom([]string{"", "http", "web"}).Draw(t, "port name")
			}
			w.snap.Services = append(w.snap.Services, &policy.Service{Namespace: ns, Name: name, Selector: labels,
				Ports: []policy.ServicePort{{Protocol: policy.TCP, Port: 80, TargetPort: 80}, {Protocol: policy.TCP, Port: 81, TargetPort: 82}}})
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
			service := ""
			if !peer(to).Addr.IsValid() && rapid.Bool().Draw(t, "by service") {
				service = to
			}
			w.saw(from, to, proto, port, service)
		}
	}
	return w, names
}

// triedPorts are those of the random worlds.
var triedPorts = []port{
	{policy.TCP, 80}, {policy.TCP, 81}, {policy.TCP, 82}, {policy.TCP, 443}, {policy.UDP, 80},
	{policy.UDP, 81}, {policy.UDP, 82}, {policy.UDP, 443}, {policy.ICMP, policy.ICMPPort(8, 0)}, {policy.ICMP, policy.ICMPPort(13, 0)},
}

// judged calls each for every pair of different pods and port, with the verdict
// of both ends under the policies and a default-deny.
func (w *world) judged(policies []*Policy, each func(src, dst *policy.Endpoint, p port, r tier.Result)) {
	s := w.snap
	s.Policies = nil
	for _, p := range policies {
		s.Policies = append(s.Policies, p.Model())
	}
	for _, ns := range []string{"a", "b"} {
		s.Policies = append(s.Policies, &policy.Policy{
			Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "deny-all"},
			Tier: "default", Order: policy.Unordered, Types: [2]bool{true, true},
		})
	}
	m := tier.New(&s, nil)
	for _, src := range s.Endpoints {
		for _, dst := range s.Endpoints {
			for _, p := range triedPorts {
				if src != dst {
					each(src, dst, p, m.Evaluate(tier.Enforced(), tier.Conn{
						Source: tier.Peer{Endpoint: src}, Destination: tier.Peer{Endpoint: dst}, Protocol: p.protocol, Port: p.number,
					}))
				}
			}
		}
	}
}

func (w *world) observed() map[Pair]bool {
	out := map[Pair]bool{}
	for _, f := range w.flows {
		out[Pair{f.Source.Workload, f.Destination.Workload, f.Protocol, f.Port}] = true
	}
	return out
}

// However it is written, what was seen is allowed; by the evaluator here, and not
// by the proof alone. Where labels tell all workloads apart, nothing else is.
func TestPropertyEveryObservedFlowIsAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, names := randomWorld(t)
		req := w.request(names...)
		req.IncludeSuspicious = true
		req.Services = rapid.Bool().Draw(t, "services")
		req.Numbers = rapid.Bool().Draw(t, "numbers")
		req.ByNamespace = rapid.Bool().Draw(t, "by namespace")
		res := Recommend(req)
		if len(res.Skipped) > 0 {
			t.Fatalf("skipped %+v", res.Skipped)
		}
		if res.Proof.Allowed != res.Proof.Observed || len(res.Proof.Blocked)+len(res.Proof.Breaks) > 0 {
			t.Fatalf("proof: %+v", res.Proof)
		}
		exact := !req.ByNamespace && !req.Services
		for _, p := range res.Policies {
			exact = exact && len(p.Workloads) == 1
		}
		wanted, extra := w.observed(), map[Pair]bool{}
		w.judged(res.Policies, func(src, dst *policy.Endpoint, p port, r tier.Result) {
			pair := Pair{src.Workload, dst.Workload, p.protocol, p.number}
			for _, v := range []*tier.Verdict{r.Egress, r.Ingress} {
				if got := v.Action == policy.Allow; wanted[pair] && !got || exact && got != wanted[pair] {
					t.Fatalf("%s → %s %s/%d: allowed %v, observed %v", src.ID(), dst.ID(), p.protocol, p.number, got, wanted[pair])
				}
			}
			if r.Allowed() && !wanted[pair] && src.Workload != dst.Workload {
				extra[pair] = true
			}
		})
		// What the proof lists beside is what the evaluator allows beside, of the
		// ports that it tries.
		for _, p := range res.Proof.NotObserved {
			if !extra[p] {
				t.Fatalf("the proof says that %v is allowed, and it is not", p)
			}
		}
		for p := range extra {
			if used(w, p) && !slices.Contains(res.Proof.NotObserved, p) {
				t.Fatalf("%v is allowed, and the proof does not say so", p)
			}
		}
	})
}

// used says whether the proof tries a port: it is declared, or something connected
// to it.
func used(w *world, p Pair) bool {
	return slices.ContainsFunc(w.snap.Endpoints, func(ep *policy.Endpoint) bool {
		return ep.Workload == p.Destination && slices.ContainsFunc(ep.Ports, func(c policy.ContainerPort) bool {
			return c.Protocol == p.Protocol && c.Port == p.Port
		})
	}) || slices.ContainsFunc(w.flows, func(f flow.Flow) bool {
		return f.Destination.Workload == p.Destination && f.Protocol == p.Protocol && f.Port == p.Port
	})
}

// Asked for exactness, nothing is allowed that was not seen, and what is left out
// is what labels can't say.
func TestPropertyExactAllowsNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, names := randomWorld(t)
		req := w.request(names...)
		req.IncludeSuspicious, req.Exact = true, true
		res := Recommend(req)
		left := map[Pair]bool{}
		for _, s := range res.Skipped {
			if !strings.Contains(s.Reason, "labels can't tell") {
				t.Fatalf("left out: %+v", s)
			}
			left[Pair{s.Flow.Source.Workload, s.Flow.Destination.Workload, s.Flow.Protocol, s.Flow.Port}] = true
		}
		wanted := w.observed()
		w.judged(res.Policies, func(src, dst *policy.Endpoint, p port, r tier.Result) {
			pair := Pair{src.Workload, dst.Workload, p.protocol, p.number}
			if got := r.Allowed(); got && !wanted[pair] || !got && wanted[pair] && !left[pair] {
				t.Fatalf("%v: allowed %v, observed %v, left out %v", pair, got, wanted[pair], left[pair])
			}
		})
		if len(res.Proof.NotObserved)+len(res.Proof.Wider) > 0 {
			t.Fatalf("the proof lists %v, %v", res.Proof.NotObserved, res.Proof.Wider)
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
