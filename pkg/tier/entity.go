package tier

import (
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// entity is a set of endpoints that a policy speaks of: the ones that it
// selects, or the endpoints on one side of a rule (S14, S16, S17). Nets and
// ports are not part of it. Equal entities are kept once.
type entity struct {
	namespace string // "" is any
	sel       *selector.Selector
	notSel    *selector.Selector
	nsSel     *selector.Selector
	// external: addresses that no endpoint owns match as well (S17).
	external bool
}

// noEntity is the number of the entity that matches everything.
const noEntity = -1

// subjectOf is whom a policy selects (S14).
func subjectOf(p *policy.Policy) entity {
	return entity{namespace: p.Namespace, sel: p.Selector, nsSel: p.NamespaceSelector}
}

// peerOf is one side of a rule of p; ok is false where the side has no
// criterion on endpoints, so that it matches anything (S16).
func peerOf(p *policy.Policy, e *policy.Entity) (ent entity, ok bool) {
	if e.Selector == nil && e.NotSelector == nil && e.NamespaceSelector == nil {
		return entity{}, false
	}
	ent = entity{sel: e.Selector, notSel: e.NotSelector, nsSel: e.NamespaceSelector}
	if e.NamespaceSelector == nil {
		ent.namespace = p.Namespace // S16: own namespace; everything for a global policy
	}
	// S17: only a global policy's bare notSelector reaches outside the cluster.
	ent.external = p.Namespace == "" && e.Selector == nil && e.NamespaceSelector == nil
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
	return k
}

// matches evaluates the selectors; it is called once per identity, never per
// connection.
func (e *entity) matches(namespace string, nsLabels, labels selector.Labels) bool {
	if e.namespace != "" && e.namespace != namespace {
		return false
	}
	if e.nsSel != nil && (e.nsSel.Global() || !e.nsSel.Matches(nsLabels)) {
		return false // S16: global() is network sets and host endpoints, no pods
	}
	if e.sel != nil && !e.sel.Matches(labels) {
		return false
	}
	return e.notSel == nil || !e.notSel.Matches(labels)
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
