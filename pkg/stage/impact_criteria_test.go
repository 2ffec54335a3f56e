package stage

import (
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// impactOf is the impact of everything staged on a flow, in a world with a
// network set and a Service as well.
func impactOf(p *policy.Policy, f flow.Flow) *Report {
	s := *impactWorld().Snapshot()
	s.Policies = []*policy.Policy{p}
	s.NetworkSets = []*policy.NetworkSet{
		{
			Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "office"}, Labels: selector.Labels{"kind": "office"},
			Nets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		},
		{ // holds a pod of a workload, and not the other
			Key:    policy.Key{Kind: policy.KindNetworkSet, Namespace: "vote", Name: "first"},
			Labels: selector.Labels{"kind": "first"}, Nets: []netip.Prefix{netip.MustParsePrefix("10.0.0.3/32")},
		},
	}
	s.Endpoints = append(append([]*policy.Endpoint{}, s.Endpoints...), impactPod("vote", "vote-2", 7))
	s.Services = []*policy.Service{{
		Namespace: "vote", Name: "redis", Selector: map[string]string{"app": "redis"},
		Ports: []policy.ServicePort{{Protocol: policy.TCP, Port: 6379, TargetPort: 6379}},
	}}
	m := tier.New(&s, nil)
	return Impact(m, []flow.Flow{f}, tier.Pending())
}

func TestImpactOfEveryCriterion(t *testing.T) {
	const staged = policy.KindStagedNetworkPolicy
	ping := impactFlow("vote", "redis", policy.ICMPPort(8, 0), policy.Ingress, 1)
	ping.Protocol = policy.ICMP
	unknown := ping
	unknown.Port = 0 // from a source that does not tell the type
	icmp := func(typ uint8) policy.Rule {
		return policy.Rule{Action: policy.Allow, Protocol: policy.ICMP, ICMP: &policy.ICMPMatch{Type: typ, Code: policy.AnyCode}}
	}
	service := func(name string) policy.Rule {
		return policy.Rule{Action: policy.Allow, Destination: policy.Entity{Service: &policy.ServiceRef{Namespace: "vote", Name: name}}}
	}
	global := policy.Rule{Action: policy.Allow, Source: policy.Entity{
		Selector: selector.MustParse("kind == 'office'"), NamespaceSelector: selector.MustParse("global()"),
	}}
	for _, c := range []struct {
		name   string
		policy *policy.Policy
		flow   flow.Flow
		blocks int64
	}{
		{"S18: the set holds the client", np(staged, "p", "vote", policy.Ingress, global), impactFlow("192.0.2.7", "vote", 80, policy.Ingress, 1), 0},
		{"S18: it does not hold this one", np(staged, "p", "vote", policy.Ingress, global), impactFlow("198.51.100.7", "vote", 80, policy.Ingress, 1), 1},
		{"S18: it holds one of the pods", np(staged, "p", "redis", policy.Ingress, allowFrom("kind == 'first'")), impactFlow("vote", "redis", 6379, policy.Ingress, 1), 1},
		{"S20: the Service leads there", np(staged, "p", "vote", policy.Egress, service("redis")), impactFlow("vote", "redis", 6379, policy.Egress, 1), 0},
		{"S20: but not by this port", np(staged, "p", "vote", policy.Egress, service("redis")), impactFlow("vote", "redis", 6380, policy.Egress, 1), 1},
		{"S20: no such Service", np(staged, "p", "vote", policy.Egress, service("x")), impactFlow("vote", "redis", 6379, policy.Egress, 1), 1},
		{"S22: the type of ICMP", np(staged, "p", "redis", policy.Ingress, icmp(8)), ping, 0},
		{"S22: another type", np(staged, "p", "redis", policy.Ingress, icmp(13)), ping, 1},
		{"S22: a type that is not known is a ping", np(staged, "p", "redis", policy.Ingress, icmp(8)), unknown, 0},
	} {
		r := impactOf(c.policy, c.flow)
		if got := r.Summary.Flows.WouldBlock; got != c.blocks || r.Summary.Flows.Gone > 0 {
			t.Errorf("%s: %d would be blocked, want %d: %+v", c.name, got, c.blocks, r)
		}
		if c.blocks == 1 && len(c.policy.Rules[policy.Ingress]) == 1 && c.policy.Rules[policy.Ingress][0].Source.Selector != nil && c.flow.Source.Kind == flow.PeerWorkload {
			if p := r.Items[0].PodPairs; p == nil || p.Affected != 1 || p.All != 2 {
				t.Errorf("%s: pairs %+v, want 1 of 2", c.name, p)
			}
		}
	}
}

func TestImpactNamesSetsAndICMP(t *testing.T) {
	f := impactFlow("192.0.2.7", "vote", policy.ICMPPort(3, 4), policy.Ingress, 1)
	f.Protocol = policy.ICMP
	r := impactOf(np(policy.KindStagedNetworkPolicy, "p", "vote", policy.Ingress), f)
	if len(r.Items) != 1 {
		t.Fatalf("got %+v", r)
	}
	it := r.Items[0]
	if it.Source.Kind != "NetworkSet" || it.Source.Workload != "office" || it.Source.Address != "192.0.2.7" || it.Source.String() != "office (192.0.2.7)" {
		t.Errorf("the source is %+v", it.Source)
	}
	if it.Protocol != "ICMP" || it.Port.Port != 0 || it.ICMP == nil || *it.ICMP != (flow.ICMP{Type: 3, Code: 4}) || it.Port.Text() != "ICMP/3:4" {
		t.Errorf("it goes to %+v", it.Port)
	}
}
