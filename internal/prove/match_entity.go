package prove

import (
	"slices"
)

// holder is one thing that an address is to selectors: the pod that owns it,
// or a network set or host endpoint that holds it (S18).
type holder struct {
	pod       *Pod   // nil for the others
	namespace string // empty for global network sets and host endpoints
	labels    map[string]string
}

// holders are all things that one end is.
func (w *World) holders(end End) []holder {
	var out []holder
	if end.Pod != nil {
		out = append(out, podHolder(end.Pod))
	}
	for _, s := range w.Sets {
		if inNets(s.Nets, end.addrs()) { // S18: overlapping sets all match
			out = append(out, holder{namespace: s.Namespace, labels: s.labels()})
		}
	}
	for _, h := range w.HostEndpoints {
		for _, a := range end.addrs() {
			if slices.Contains(h.Addrs, a) {
				out = append(out, holder{labels: h.Labels})
			}
		}
	}
	return out
}

func podHolder(p *Pod) holder { return holder{pod: p, namespace: p.Namespace, labels: p.labels()} }

// labels are the set's own and those that every set has (S15).
func (s *Set) labels() map[string]string {
	out := map[string]string{}
	for k, v := range s.Labels {
		out[k] = v
	}
	out["projectcalico.org/name"] = s.Name
	if s.Namespace != "" {
		out["projectcalico.org/namespace"] = s.Namespace
	}
	return out
}

// matchesEntity says whether everything that the entity says about who the end
// is holds, but for a Service.
func (w *World) matchesEntity(p *Policy, e Entity, end End) bool {
	// Nets match addresses, whoever owns them; S17: notNets negates the match.
	if len(e.Nets) > 0 && !inNets(e.Nets, end.addrs()) {
		return false
	}
	if inNets(e.NotNets, end.addrs()) {
		return false
	}
	if e.knownOnly(p) { // S17: known endpoints only, at least one of which fits
		return slices.ContainsFunc(w.holders(end), func(h holder) bool { return w.selected(p, e, h) })
	}
	// S17: any peer outside the set of notSelector, external included. S16: an
	// entity with nothing matches anything.
	return !slices.ContainsFunc(w.holders(end), func(h holder) bool { return !w.selected(p, e, h) })
}

// knownOnly says whether the entity speaks of known endpoints only: it has a
// positive criterion, or in a NetworkPolicy any selector at all (S16, S17).
func (e Entity) knownOnly(p *Policy) bool {
	positive := e.Selector != nil || e.NamespaceSelector != nil || e.ServiceAccounts != nil
	return positive || e.NotSelector != nil && p.Namespace != ""
}

// selected says whether all selectors of the entity hold for one holder.
func (w *World) selected(p *Policy, e Entity, h holder) bool {
	switch {
	case e.NamespaceSelector != nil && e.NamespaceSelector.Op == OpGlobal:
		if h.namespace != "" { // S16: global network sets and host endpoints
			return false
		}
	case e.NamespaceSelector != nil:
		if h.namespace == "" || !e.NamespaceSelector.Matches(w.namespace(h.namespace).labels()) {
			return false
		}
	case p.Namespace != "" && e.knownOnly(p) && h.namespace != p.Namespace:
		return false // S16: own namespace only
	}
	if e.Selector != nil && !e.Selector.Matches(h.labels) {
		return false
	}
	if e.NotSelector != nil && e.NotSelector.Matches(h.labels) {
		return false
	}
	return e.ServiceAccounts == nil || h.pod != nil && w.runsAs(h.pod, e.ServiceAccounts)
}

// runsAs is S19: names (any of) and selector on the account's labels.
func (w *World) runsAs(p *Pod, m *AccountMatch) bool {
	if len(m.Names) > 0 && !slices.Contains(m.Names, p.ServiceAccount) {
		return false
	}
	return m.Selector == nil || m.Selector.Matches(w.account(p.Namespace, p.ServiceAccount))
}
