package prove

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Criterion is one thing that a world can say, with a way to take it out of a
// copy of the world: where the verdict is another without it, it decided.
type Criterion struct {
	Name   string
	remove func(w *World)
}

// Without is the world as if nobody had ever used the criterion.
func (w *World) Without(c Criterion) *World {
	out := &World{
		Namespaces: slices.Clone(w.Namespaces), Accounts: slices.Clone(w.Accounts), Pods: slices.Clone(w.Pods),
		Services: slices.Clone(w.Services), Sets: slices.Clone(w.Sets), HostEndpoints: slices.Clone(w.HostEndpoints),
		Tiers: slices.Clone(w.Tiers),
	}
	for _, p := range w.Policies {
		out.Policies = append(out.Policies, p.copy())
	}
	c.remove(out)
	return out
}

// copy is a policy whose rules can be changed without changing p's.
func (p *Policy) copy() *Policy {
	out := *p
	out.Ingress, out.Egress = slices.Clone(p.Ingress), slices.Clone(p.Egress)
	if p.Kube != nil {
		kube := *p.Kube
		kube.Ingress, kube.Egress = slices.Clone(kube.Ingress), slices.Clone(kube.Egress)
		out.Kube = &kube
	}
	if p.Cluster != nil {
		cluster := *p.Cluster
		cluster.Ingress, cluster.Egress = slices.Clone(cluster.Ingress), slices.Clone(cluster.Egress)
		out.Cluster = &cluster
	}
	return &out
}

// inPolicies, inRules and the others make a removal of a change to one part.
func inPolicies(f func(*Policy)) func(*World) {
	return func(w *World) {
		for _, p := range w.Policies {
			f(p)
		}
	}
}

func inRules(f func(*Rule)) func(*World) {
	return inPolicies(func(p *Policy) {
		for _, rules := range [][]Rule{p.Ingress, p.Egress} {
			for i := range rules {
				f(&rules[i])
			}
		}
	})
}

func inSources(f func(*Entity)) func(*World) { return inRules(func(r *Rule) { f(&r.Source) }) }
func inDestinations(f func(*Entity)) func(*World) {
	return inRules(func(r *Rule) { f(&r.Destination) })
}

func inEntities(f func(*Entity)) func(*World) {
	return inRules(func(r *Rule) { f(&r.Source); f(&r.Destination) })
}

// withoutRules takes out the rules of which f is true, withoutPolicies the
// policies.
func withoutRules(f func(*Rule) bool) func(*World) {
	return inPolicies(func(p *Policy) {
		drop := func(r Rule) bool { return f(&r) }
		p.Ingress, p.Egress = slices.DeleteFunc(p.Ingress, drop), slices.DeleteFunc(p.Egress, drop)
	})
}

func withoutPolicies(f func(*Policy) bool) func(*World) {
	return func(w *World) { w.Policies = slices.DeleteFunc(w.Policies, f) }
}

func ofKind(kind policy.Kind) func(*World) {
	return withoutPolicies(func(p *Policy) bool { return p.Kind == kind })
}

// unnamed is a list of ports without those of which f is true.
func unnamed(ports []Port) []Port {
	return slices.DeleteFunc(slices.Clone(ports), func(p Port) bool { return p.Name != "" })
}

func unnumbered(ports []Port) []Port {
	return slices.DeleteFunc(slices.Clone(ports), func(p Port) bool { return p.Name == "" })
}

// withoutPorts takes the containers of a role out of all pods.
func withoutPorts(role Role) func(*World) {
	return func(w *World) {
		for i, p := range w.Pods {
			next := *p
			next.Containers = slices.DeleteFunc(slices.Clone(p.Containers), func(c Container) bool { return c.Role == role })
			w.Pods[i] = &next
		}
	}
}
