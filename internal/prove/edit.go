package prove

import (
	"slices"

	"pgregory.net/rapid"
)

// Edited draws a world that is w after a few changes such as users and
// clusters make. w itself stays as it is.
func Edited(w *World) *rapid.Generator[*World] {
	return rapid.Custom(func(t *rapid.T) *World {
		g := gen{t}
		out := &World{
			Namespaces: slices.Clone(w.Namespaces), Pods: slices.Clone(w.Pods),
			Accounts: slices.Clone(w.Accounts), Services: slices.Clone(w.Services),
			Sets: slices.Clone(w.Sets), HostEndpoints: slices.Clone(w.HostEndpoints),
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
	switch pick(g, []string{"pod", "pods", "policy", "policies", "namespace", "tier", "peers"}) {
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
	case "peers":
		g.editPeers(w)
	}
}

// editPeers draws one of the things anew that rules name beside pods.
func (g gen) editPeers(w *World) {
	switch pick(g, []string{"sets", "services", "accounts", "hosts"}) {
	case "sets":
		w.Sets = changed(g, w.Sets, g.set(w), (*Set).id)
	case "services":
		w.Services = changed(g, w.Services, g.service(w), (*Service).id)
	case "accounts":
		w.Accounts = changed(g, w.Accounts, g.account(w), (*Account).id)
	case "hosts":
		w.HostEndpoints = changed(g, w.HostEndpoints, g.hostEndpoint(w), (*HostEndpoint).id)
	}
}

// changed is a list with one thing added, put in the place of its namesake, or
// one thing less.
func changed[E any](g gen, list []E, next E, id func(E) string) []E {
	list = slices.DeleteFunc(slices.Clone(list), func(e E) bool { return id(e) == id(next) })
	if len(list) > 0 && g.eighths(2) {
		i := g.between(0, len(list)-1)
		return slices.Delete(list, i, i+1)
	}
	return append(list, next)
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
	switch pick(g, []string{"labels", "account", "start", "address", "ports", "terminate"}) {
	case "labels":
		p.Labels = g.labels(podKeys)
	case "account":
		p.ServiceAccount = pick(g, accountNames)
	case "start":
		p.Finished = !p.Finished && !p.HostNetwork
	case "ports":
		p.Containers = g.containers()
	case "terminate":
		p.Terminating = !p.Terminating
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
	if old.Kube == nil && old.Cluster == nil && old.StagedAction != "Delete" && g.eighths(3) {
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
