package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// selectsNothing finds selectors of policies and of rules' peers that match
// nothing. Without any pods only selectors of namespaces can be judged.
func (r *run) selectsNothing() {
	for _, p := range r.policies {
		r.subjectNothing(p)
	}
	if !r.hasPods() {
		return
	}
	r.strayNamespaces()
	r.eachRule(func(p *policy.Policy, _ policy.Direction, rule *policy.Rule, field string) {
		if rule.HTTP != nil {
			return
		}
		for _, s := range sides(rule, field) {
			r.peerNothing(p, s)
		}
	})
}

// hasPods says whether there are endpoints beside the stranger.
func (r *run) hasPods() bool {
	return len(r.snap.Endpoints) > 1 || len(r.snap.Endpoints) == 1 && r.stranger == nil
}

func (r *run) subjectNothing(p *policy.Policy) {
	f := policy.Fault{Code: "selects-nothing", Fix: "correct it, or remove the policy"}
	switch s := p.NamespaceSelector; {
	case p.DoNotTrack || p.PreDNAT || r.selects(p):
		return
	case s != nil && r.noNamespace(s):
		f.Field, f.Value = "spec.namespaceSelector", s.String()
		f.Reason = "no namespace has such labels" + r.lookedAt()
	case !r.hasPods() || p.Selector.All() && p.ServiceAccountSelector == nil || r.mayBeElsewhere(p, p.Selector, p.NamespaceSelector) || r.hostsMatch(p):
		return
	case p.Selector.All():
		f.Field, f.Value = "spec.serviceAccountSelector", p.ServiceAccountSelector.String()
		f.Reason = "the policy selects no pods" + r.lookedAt()
	default:
		f.Field, f.Value = "spec.selector", p.Selector.String()
		f.Reason = "the policy selects no pods" + in(p.Namespace) + r.lookedAt()
	}
	r.warn(p, f)
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + namespace
}

// hostsMatch says whether a policy selects host endpoints (S14).
func (r *run) hostsMatch(p *policy.Policy) bool {
	return p.Namespace == "" && p.NamespaceSelector == nil && p.ServiceAccountSelector == nil &&
		slices.ContainsFunc(r.snap.HostEndpoints, func(h *policy.HostEndpoint) bool { return p.Selector.Matches(h.Labels) })
}

func (r *run) peerNothing(p *policy.Policy, s side) {
	// Services have a lint of their own, and a bare notSelector asks for nobody.
	if !hasWho(s.Entity) || s.Service != nil || s.Selector.All() && s.NamespaceSelector == nil && s.ServiceAccounts == nil {
		return
	}
	who := r.model.Whom(p, s.Entity)
	if !who.None() {
		return
	}
	f := policy.Fault{Code: "selects-nothing", Fix: "correct it, or remove the rule"}
	switch ns := s.NamespaceSelector; {
	case ns != nil && ns.Global():
		f.Field, f.Value = s.field+".namespaceSelector", ns.String()
		f.Reason = "no global network set and no host endpoint matches" + r.lookedAt()
	case ns != nil && r.noNamespace(ns):
		f.Field, f.Value = s.field+".namespaceSelector", ns.String()
		f.Reason = "no namespace has such labels" + r.lookedAt()
	case r.mayBeElsewhere(p, s.Selector, ns):
		return
	case s.Selector != nil && !s.Selector.All():
		f.Field, f.Value = s.field+".selector", s.Selector.String()
		what := "no pod and no network set"
		if kubernetes(p) || s.ServiceAccounts != nil {
			what = "no pod"
		}
		f.Reason = what + r.within(p, ns) + " matches" + r.lookedAt()
	case s.ServiceAccounts != nil && s.ServiceAccounts.Selector != nil:
		f.Field, f.Value = s.field+".serviceAccounts.selector", s.ServiceAccounts.Selector.String()
		f.Reason = "no pod" + r.within(p, ns) + " runs as such a service account" + r.lookedAt()
	default:
		return // nothing to misspell: there just is no pod there
	}
	r.warn(p, f)
}

// within says in which namespaces an entity looks (S16).
func (r *run) within(p *policy.Policy, ns *selector.Selector) string {
	switch {
	case ns != nil && !ns.All():
		return " of these namespaces"
	case ns == nil:
		return in(p.Namespace)
	}
	return ""
}

// lookedAt tells what was searched, so that a reader sees what may be missing.
func (r *run) lookedAt() string {
	pods := len(r.snap.Endpoints)
	if r.stranger != nil {
		pods--
	}
	namespaces := 0
	for _, ns := range r.snap.Namespaces {
		if ns.Origin.Line > 0 || len(r.read(ns.Name)) > 0 {
			namespaces++
		}
	}
	parts := []string{number(pods, "pod"), number(namespaces, "namespace")}
	if n := len(r.snap.NetworkSets); n > 0 {
		parts = append(parts, number(n, "network set"))
	}
	if n := len(r.snap.HostEndpoints); n > 0 {
		parts = append(parts, number(n, "host endpoint"))
	}
	return " (looked at " + strings.Join(parts, ", ") + ")"
}

func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
