package prove

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Edited draws a world that is w after a few changes such as users and
// clusters make. w itself stays as it is.
func Edited(w *World) *rapid.Generator[*World] {
	return rapid.Custom(func(t *rapid.T) *World {
		g := gen{t}
		out := &World{
			Namespaces: slices.Clone(w.Namespaces), Pods: slices.Clone(w.Pods),
			Tiers: slices.Clone(w.Tiers), Policies: slices.Clone(w.Policies),
		}
		for range g.between(1, 3) {
			g.edit(out)
		}
		return out
	})
}

// edit makes one change. What it changes it replaces by a copy.
func (g gen) edit(w *World) {
	switch pick(g, []string{"pod", "pods", "policy", "policies", "namespace", "tier"}) {
	case "pod":
		g.editPod(w)
	case "pods":
		g.editPods(w)
	case "policy":
		g.editPolicy(w)
	case "policies":
		if len(w.Policies) > 0 && g.eighths(4) {
			i := g.between(0, len(w.Policies)-1)
			w.Policies = slices.Delete(w.Policies, i, i+1)
			return
		}
		w.add(g.policy(w))
	case "namespace":
		i := g.between(0, len(w.Namespaces)-1)
		w.Namespaces[i] = &Namespace{Name: w.Namespaces[i].Name, Labels: g.labels(namespaceKeys)}
	case "tier":
		g.editTier(w)
	}
}

// editPods adds a pod, removes one, or lets one take the address of another
// that goes.
func (g gen) editPods(w *World) {
	next := g.pod(w)
	if len(w.Pods) > 1 && g.eighths(5) {
		i := g.between(0, len(w.Pods)-1)
		gone := w.Pods[i]
		w.Pods = slices.Delete(w.Pods, i, i+1)
		if g.eighths(4) {
			return
		}
		next.Addrs = gone.Addrs
	}
	w.Pods = append(w.Pods, next)
}

func (g gen) editPod(w *World) {
	if len(w.Pods) == 0 {
		return
	}
	i := g.between(0, len(w.Pods)-1)
	p := *w.Pods[i]
	switch pick(g, []string{"labels", "account", "start", "address"}) {
	case "labels":
		p.Labels = g.labels(podKeys)
	case "account":
		p.ServiceAccount = pick(g, accountNames)
	case "start":
		p.Finished = !p.Finished && !p.HostNetwork
	case "address":
		p.Addrs = g.podAddrs(p.number())
	}
	w.Pods[i] = &p
}

// editPolicy changes what a policy says, not what it is called: all of it, or
// only its place.
func (g gen) editPolicy(w *World) {
	if len(w.Policies) == 0 {
		return
	}
	i := g.between(0, len(w.Policies)-1)
	old := w.Policies[i]
	if old.Kube == nil && old.StagedAction != "Delete" && g.eighths(3) {
		p := *old
		p.Tier, p.Order = g.tierOf(w), g.order()
		w.Policies[i] = &p
		return
	}
	p := g.policyOf(w, old.Kind)
	p.Namespace, p.Name = old.Namespace, old.Name
	w.Policies[i] = p
}

func (g gen) editTier(w *World) {
	if len(w.Tiers) == 0 || g.eighths(2) {
		for _, name := range tierNames {
			if !slices.ContainsFunc(w.Tiers, func(t *Tier) bool { return t.Name == name }) {
				w.Tiers = append(w.Tiers, g.tier(name))
				return
			}
		}
	}
	i := g.between(0, len(w.Tiers)-1)
	switch {
	case w.Tiers[i].Name == "default" || g.eighths(3):
		w.Tiers = slices.Delete(w.Tiers, i, i+1) // its policies now miss it (S13)
	default:
		w.Tiers[i] = g.tier(w.Tiers[i].Name)
	}
}

// policyOf draws a policy of one kind.
func (g gen) policyOf(w *World, kind policy.Kind) *Policy {
	p := &Policy{Kind: kind, Name: pick(g, policyNames)}
	global := p.Kind.Enforced() == policy.KindGlobalNetworkPolicy
	if !global {
		p.Namespace = pick(g, w.Namespaces).Name
	}
	if p.Kind == policy.KindKubernetesNetworkPolicy {
		p.Kube = g.kube()
		return p
	}
	if p.Kind.Staged() {
		p.StagedAction = pick(g, []string{"", "Set", "Delete", "Learn", "Ignore"})
	}
	if p.StagedAction == "Delete" {
		return p // its spec must be empty
	}
	p.Tier, p.Order, p.Types = g.tierOf(w), g.order(), g.types()
	if g.eighths(4) {
		p.Selector = g.expr(policySubjectKeys, 2)
	}
	if global && g.eighths(4) {
		p.NamespaceSelector = g.expr(namespaceSelectorKeys, 2)
	}
	p.Ingress, p.Egress = g.rules(), g.rules()
	return p
}
