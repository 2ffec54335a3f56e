package tier

import (
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// entity is who a policy speaks of: the endpoints that it selects, or those on
// one side of a rule (S14, S16, S17, S19, S20), with the addresses of network
// sets and other things that are not pods (S18). Nets and ports are not part
// of it. Equal entities are kept once.
type entity struct {
	namespace string // "" is any
	sel       *selector.Selector
	notSel    *selector.Selector
	nsSel     *selector.Selector
	// accounts are names of service accounts, sorted; with accountSel or
	// anyAccount only pods match.
	accounts   []string
	accountSel *selector.Selector
	anyAccount bool // serviceAccounts are given, with or without names
	// service is the Service whose backends these are; no other criterion
	// goes with it.
	service policy.ServiceRef
	// external: addresses that no endpoint owns match as well (S17).
	external bool
}

// noEntity is the number of the entity that matches everything.
const noEntity = -1

// subjectOf is whom a policy selects (S14).
func subjectOf(p *policy.Policy) entity {
	return entity{namespace: p.Namespace, sel: p.Selector, nsSel: p.NamespaceSelector,
		accountSel: p.ServiceAccountSelector, anyAccount: p.ServiceAccountSelector != nil}
}

// peerOf is one side of a rule of p; ok is false where the side has no
// criterion on endpoints, so that it matches anything (S16).
func peerOf(p *policy.Policy, e *policy.Entity) (ent entity, ok bool) {
	if e.Service != nil {
		return entity{service: *e.Service}, true
	}
	if e.Selector == nil && e.NotSelector == nil && e.NamespaceSelector == nil && e.ServiceAccounts == nil {
		return entity{}, false
	}
	ent = entity{sel: e.Selector, notSel: e.NotSelector, nsSel: e.NamespaceSelector}
	if a := e.ServiceAccounts; a != nil {
		ent.accounts, ent.accountSel, ent.anyAccount = a.Names, a.Selector, true
	}
	if e.NamespaceSelector == nil {
		ent.namespace = p.Namespace // S16: own namespace; everything for a global policy
	}
	// S17: only a global policy's bare notSelector reaches outside the cluster.
	ent.external = p.Namespace == "" && e.Selector == nil && e.NamespaceSelector == nil && e.ServiceAccounts == nil
	return ent, true
}

// key is equal for entities that match the same endpoints by the same words.
func (e *entity) key() string {
	text := func(s *selector.Selector) string {
		if s == nil {
			return ""
		}
		return s.String()
	}
	k := e.namespace + "\x00" + text(e.sel) + "\x00" + text(e.notSel) + "\x00" + text(e.nsSel)
	if e.external {
		k += "\x00external"
	}
	if e.anyAccount {
		k += "\x00accounts\x00" + strings.Join(e.accounts, "\x00") + "\x00by\x00" + text(e.accountSel)
	}
	if e.service.Name != "" {
		k += "\x00service\x00" + e.service.Namespace + "\x00" + e.service.Name
	}
	return k
}

// matchesPod evaluates the selectors for an endpoint; it is called once per
// identity, never per connection.
func (e *entity) matchesPod(ep *policy.Endpoint, l *labels) bool {
	if e.service.Name != "" {
		svc := l.services[e.service]
		return svc != nil && selects(svc, ep)
	}
	if ep.Namespace == "" {
		// A host endpoint, which no snapshot has among its endpoints unless it is
		// to be judged: it counts as a global network set (S14, S16).
		return e.matchesSet("", ep.Labels, l) != e.external
	}
	if e.namespace != "" && e.namespace != ep.Namespace {
		return false
	}
	if e.nsSel != nil && (e.nsSel.Global() || !e.nsSel.Matches(l.namespaces[ep.Namespace])) {
		return false // S16: global() is network sets and host endpoints, no pods
	}
	if e.sel != nil && !e.sel.Matches(ep.Labels) {
		return false
	}
	if e.notSel != nil && e.notSel.Matches(ep.Labels) {
		return false
	}
	return !e.anyAccount || e.matchesAccount(ep, l)
}

// matchesAccount holds S19: one of the names, and the selector on the labels
// of the account.
func (e *entity) matchesAccount(ep *policy.Endpoint, l *labels) bool {
	name := ep.Labels[policy.LabelServiceAccount]
	if len(e.accounts) > 0 {
		named := false
		for _, a := range e.accounts {
			named = named || a == name
		}
		if !named {
			return false
		}
	}
	return e.accountSel == nil || e.accountSel.Matches(l.account(ep.Namespace, name))
}

// selects says whether a Service's selector picks a pod; one without selector
// picks none.
func selects(svc *policy.Service, ep *policy.Endpoint) bool {
	if len(svc.Selector) == 0 || svc.Namespace != ep.Namespace {
		return false
	}
	for k, v := range svc.Selector {
		if got, ok := ep.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// matchesSet says whether a network set (or a host endpoint, which counts as
// a global one) adds its addresses: to the entity, or, for an external one, to
// what it leaves out.
func (e *entity) matchesSet(namespace string, own selector.Labels, l *labels) bool {
	if e.service.Name != "" || e.anyAccount {
		return false
	}
	if e.external {
		return e.notSel.Matches(own)
	}
	if e.namespace != "" && e.namespace != namespace {
		return false
	}
	switch {
	case e.nsSel == nil:
	case e.nsSel.Global():
		if namespace != "" {
			return false
		}
	case namespace == "" || !e.nsSel.Matches(l.namespaces[namespace]):
		return false
	}
	if e.sel != nil && !e.sel.Matches(own) {
		return false
	}
	return e.notSel == nil || !e.notSel.Matches(own)
}

// column is the set of identities that an entity matches, as bits. Identities
// beyond its end are not in it.
type column []uint64

func (c column) has(id int32) bool {
	w := int(id >> 6)
	return w < len(c) && c[w]>>(uint(id)&63)&1 != 0
}

// plus returns a copy with id in it.
func (c column) plus(id int32) column {
	out := make(column, max(len(c), int(id>>6)+1))
	copy(out, c)
	out[id>>6] |= 1 << (uint(id) & 63)
	return out
}
