package prove

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Criteria are all things that the worlds must use so that they matter.
var Criteria = slices.Concat(kindCriteria, ruleCriteria, portCriteria, entityCriteria, kubeCriteria)

var kindCriteria = []Criterion{
	{"NetworkPolicy", ofKind(policy.KindNetworkPolicy)},
	{"GlobalNetworkPolicy", ofKind(policy.KindGlobalNetworkPolicy)},
	{"StagedNetworkPolicy", ofKind(policy.KindStagedNetworkPolicy)},
	{"StagedGlobalNetworkPolicy", ofKind(policy.KindStagedGlobalNetworkPolicy)},
	{"StagedKubernetesNetworkPolicy", ofKind(policy.KindStagedKubernetesNetworkPolicy)},
	{"Kubernetes NetworkPolicy", ofKind(policy.KindKubernetesNetworkPolicy)},
	{"ClusterNetworkPolicy in Admin", withoutPolicies(func(p *Policy) bool { return p.Cluster != nil && p.Cluster.Tier == "Admin" })},
	{"ClusterNetworkPolicy in Baseline", withoutPolicies(func(p *Policy) bool { return p.Cluster != nil && p.Cluster.Tier == "Baseline" })},
	{"stagedAction Set", withoutStaged("", "Set")},
	{"stagedAction Delete", withoutStaged("Delete")},
	{"stagedAction Learn", withoutStaged("Learn")},
	{"stagedAction Ignore", inPolicies(func(p *Policy) { // what it would be without: a policy that counts
		if p.StagedAction == "Ignore" {
			p.StagedAction = ""
		}
	})},
	{"stagedAction Delete of a Kubernetes NetworkPolicy", withoutPolicies(func(p *Policy) bool { return p.Kube != nil && p.StagedAction == "Delete" })},
	{"namespaces", func(w *World) {
		for i, ns := range w.Namespaces {
			w.Namespaces[i] = &Namespace{Name: ns.Name}
		}
	}},
	{"a policy's selector", inPolicies(func(p *Policy) { p.Selector = nil })},
	{"a policy's namespaceSelector", inPolicies(func(p *Policy) { p.NamespaceSelector = nil })},
	{"serviceAccountSelector", inPolicies(func(p *Policy) { p.ServiceAccountSelector = nil })},
	{"doNotTrack", inPolicies(func(p *Policy) { p.DoNotTrack = false })},
	{"preDNAT", inPolicies(func(p *Policy) { p.PreDNAT = false })},
	{"tiers", func(w *World) { w.Tiers = nil }},
	{"defaultAction", func(w *World) {
		for i, t := range w.Tiers {
			w.Tiers[i] = &Tier{Name: t.Name, Order: t.Order}
		}
	}},
	{"a policy in a missing tier", withoutPolicies(func(p *Policy) bool { return slices.Contains(missingTiers, p.Tier) })},
}

func withoutStaged(actions ...string) func(*World) {
	return withoutPolicies(func(p *Policy) bool { return p.Kind.Staged() && slices.Contains(actions, p.StagedAction) })
}

func withoutAction(a policy.Action) func(*World) {
	return withoutRules(func(r *Rule) bool { return r.Action == a })
}

func inNumber(protocols ...int) func(*World) {
	return inRules(func(r *Rule) {
		if r.Protocol != nil && slices.Contains(protocols, r.Protocol.number()) {
			r.Protocol = nil
		}
	})
}

var ruleCriteria = []Criterion{
	{"Allow", withoutAction(policy.Allow)},
	{"Deny", withoutAction(policy.Deny)},
	{"Pass", withoutAction(policy.Pass)},
	{"Log", withoutAction(policy.Log)},
	{"ipVersion", inRules(func(r *Rule) { r.IPVersion = 0 })},
	{"protocol TCP", inNumber(6)},
	{"protocol UDP", inNumber(17)},
	{"protocol SCTP", inNumber(132)},
	{"protocol ICMP", inNumber(1)},
	{"protocol ICMPv6", inNumber(58)},
	{"protocol UDPLite", inNumber(136)},
	{"protocol 47", inNumber(47)},
	{"notProtocol", inRules(func(r *Rule) { r.NotProtocol = nil })},
	{"icmp type", inRules(func(r *Rule) { r.ICMP = nil })},
	{"icmp code", inRules(func(r *Rule) { r.ICMP = r.ICMP.anyCode() })},
	{"notICMP type", inRules(func(r *Rule) { r.NotICMP = nil })},
	{"notICMP code", inRules(func(r *Rule) { r.NotICMP = r.NotICMP.anyCode() })},
	{"http", inRules(func(r *Rule) { r.HTTP = false })},
}

func (i *ICMP) anyCode() *ICMP {
	if i == nil {
		return nil
	}
	return &ICMP{Type: i.Type, Code: -1}
}

var portCriteria = []Criterion{
	{"destination.ports, numbers", inDestinations(func(e *Entity) { e.Ports = unnumbered(e.Ports) })},
	{"destination.ports, names", inDestinations(func(e *Entity) { e.Ports = unnamed(e.Ports) })},
	{"destination.notPorts, numbers", inDestinations(func(e *Entity) { e.NotPorts = unnumbered(e.NotPorts) })},
	{"destination.notPorts, names", inDestinations(func(e *Entity) { e.NotPorts = unnamed(e.NotPorts) })},
	{"source.ports, numbers", inSources(func(e *Entity) { e.Ports = unnumbered(e.Ports) })},
	{"source.ports, names", inSources(func(e *Entity) { e.Ports = unnamed(e.Ports) })},
	{"source.notPorts, numbers", inSources(func(e *Entity) { e.NotPorts = unnumbered(e.NotPorts) })},
	{"source.notPorts, names", inSources(func(e *Entity) { e.NotPorts = unnamed(e.NotPorts) })},
	{"a container's port", withoutPorts(RoleMain)},
	{"a sidecar's port", withoutPorts(RoleSidecar)},
	{"an init container's port", func(w *World) { // what it would be as one that stays
		for i, p := range w.Pods {
			next := *p
			next.Containers = slices.Clone(p.Containers)
			for j := range next.Containers {
				if next.Containers[j].Role == RoleInit {
					next.Containers[j].Role = RoleMain
				}
			}
			w.Pods[i] = &next
		}
	}},
}
