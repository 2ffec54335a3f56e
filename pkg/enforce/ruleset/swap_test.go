package ruleset

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Rules look at what matches their peers, so it makes a difference to which
// rule of a policy the same addresses belong.
func TestS18_ANetworkSetGoesOverToAnotherRule(t *testing.T) {
	w := smallWorld()
	partner := &policy.NetworkSet{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "partner"},
		Labels: selector.Labels{"kind": "friend"}, Nets: nets("198.51.100.0/24")}
	w.snap.NetworkSets = []*policy.NetworkSet{partner}
	w.policy("", "sets", "app == 'x'", policy.Ingress,
		from(policy.Allow, "kind == 'friend'", policy.TCP), from(policy.Deny, "kind == 'foe'", 0))
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	p := w.packet("198.51.100.9", "a/x", policy.TCP, 80)
	if Trace(c.Ruleset, p).Verdict != Accept {
		t.Fatal("a friend is refused")
	}
	foe := *partner
	foe.Labels = selector.Labels{"kind": "foe"}
	w.snap.NetworkSets = []*policy.NetworkSet{&foe}
	c = mustCompile(t, w.input(in.Model), c)
	if Trace(c.Ruleset, p).Verdict == Accept {
		t.Error("a foe is allowed")
	}
}

func TestS20_AServiceGetsAnotherName(t *testing.T) {
	w := smallWorld()
	svc := &policy.Service{Namespace: "a", Name: "open", Selector: map[string]string{"app": "y"},
		Ports: []policy.ServicePort{{Protocol: policy.TCP, Port: 80, TargetPort: 80}}}
	w.snap.Services = []*policy.Service{svc}
	rule := func(a policy.Action, name string) policy.Rule {
		return policy.Rule{Action: a, Destination: policy.Entity{Service: &policy.ServiceRef{Namespace: "a", Name: name}}}
	}
	w.policy("a", "services", "app == 'x'", policy.Egress, rule(policy.Deny, "shut"), rule(policy.Allow, "open"))
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	p := w.packet("a/x", "a/y", policy.TCP, 80)
	if Trace(c.Ruleset, p).Verdict != Accept {
		t.Fatal("the Service is refused")
	}
	shut := *svc
	shut.Name = "shut"
	w.snap.Services = []*policy.Service{&shut}
	c = mustCompile(t, w.input(in.Model), c)
	if Trace(c.Ruleset, p).Verdict == Accept {
		t.Error("a Service that is denied by its new name is allowed")
	}
}
