package tier

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/netpol-project/netpol/pkg/policy"
)

// view is the model under one Scope: the policies that count, in order, and
// for every identity the ones that select it.
type view struct {
	policies []*compiled // in the order they are asked, over all tiers
	rank     map[string]int
	tiers    []*policy.Tier
	// walks by direction and identity, made when first asked for.
	walks [2][]atomic.Pointer[walk]
}

// walk is what judges one identity in one direction: the tiers that have a
// policy for it, each with these policies in order.
type walk struct {
	groups []group
	key    string // digest of all of it
	size   int    // how many steps the longest trace has
	// local says that some rule has criteria on the endpoint's own side.
	local bool
	// nets says that some rule has criteria on addresses.
	nets bool
	// sourcePorts says that some rule has criteria on the source's port.
	sourcePorts bool
	// reach is a digest of what the rules' entities match by address; empty if
	// nothing. It is part of the key.
	reach string
}

type group struct {
	tier     *policy.Tier
	policies []*compiled
	last     policy.Key // the last of the policies: it names the end of the tier
}

// view returns the model under a scope, made when first asked for.
func (m *Model) view(scope Scope) *view {
	if scope.mode == scopeEnforced {
		if v := m.enforced.Load(); v != nil {
			return v
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.views[scope]; ok {
		return v
	}
	v := m.takeOver(scope)
	if v == nil {
		v = m.newView(scope)
	}
	m.views[scope] = v
	if scope.mode == scopeEnforced {
		m.enforced.Store(v)
	}
	return v
}

func (m *Model) newView(scope Scope) *view {
	v := &view{tiers: m.tiers, rank: make(map[string]int, len(m.tiers))}
	for i, t := range m.tiers {
		v.rank[t.Name] = i
	}
	v.policies = inScope(m.policies, scope)
	slices.SortFunc(v.policies, v.compare)
	for d := range v.walks {
		v.walks[d] = make([]atomic.Pointer[walk], len(m.ids.reps))
	}
	return v
}

func (v *view) compare(a, b *compiled) int {
	if d := v.rank[a.Tier] - v.rank[b.Tier]; d != 0 {
		return d
	}
	return ComparePolicies(a.Policy, b.Policy)
}

// inScope picks the policies that count (S26-S28). In every scope but the
// enforced one a staged policy stands in for the enforced one of its kind,
// namespace and name (Set, Learn), takes it away (Delete), or is absent
// (Ignore).
func inScope(all []*compiled, scope Scope) []*compiled {
	replaced := map[policy.Key]bool{}
	var out []*compiled
	for _, c := range all {
		if !c.Kind.Staged() || !scope.promotes(c.Key) || c.StagedAction == policy.StagedIgnore {
			continue
		}
		enforced := c.Key
		enforced.Kind = c.Kind.Enforced()
		replaced[enforced] = true
		if c.StagedAction != policy.StagedDelete {
			out = append(out, c)
		}
	}
	for _, c := range all {
		if !c.Kind.Staged() && !replaced[c.Key] {
			out = append(out, c)
		}
	}
	// Those are for host endpoints, which are not judged here (S30).
	return slices.DeleteFunc(out, func(c *compiled) bool { return c.DoNotTrack || c.PreDNAT })
}

// promotes says whether a staged policy counts as enforced.
func (s Scope) promotes(staged policy.Key) bool {
	switch s.mode {
	case scopePending:
		return true
	case scopeOnly:
		return s.only == staged
	case scopeSome:
		return strings.Contains(s.some, "\n"+scopeName(staged)+"\n")
	}
	return false
}

// noWalk is the walk of an endpoint that the model does not know: nothing
// selects it.
var noWalk = &walk{}

// walk returns what judges an identity in a direction.
func (m *Model) walk(v *view, dir policy.Direction, id int32) *walk {
	if id < 0 {
		return noWalk
	}
	slot := &v.walks[dir][id]
	if w := slot.Load(); w != nil {
		return w
	}
	w := &walk{}
	var reaches []int32
	for _, c := range v.policies {
		if !c.Types[dir] || !m.columns[c.subject].has(id) {
			continue
		}
		t := v.tiers[v.rank[c.Tier]]
		if n := len(w.groups); n == 0 || w.groups[n-1].tier != t {
			w.groups = append(w.groups, group{tier: t})
		}
		g := &w.groups[len(w.groups)-1]
		g.policies = append(g.policies, c)
		g.last = c.Key
		for i := range c.rules[dir] {
			r := &c.rules[dir][i]
			for _, e := range [...]int32{r.peer, r.local} {
				if e != noEntity && m.reaches[e] != nil {
					reaches = append(reaches, e)
					w.nets = w.nets || m.reaches[e].wide()
				}
			}
			w.look(r, dir)
		}
	}
	for i := range w.groups {
		w.size++
		for _, c := range w.groups[i].policies {
			w.size += max(1, len(c.rules[dir]))
		}
	}
	if len(w.groups) > 0 {
		w.reach = m.digestReaches(reaches)
		w.key = digestOf(w.groups) + w.reach
	}
	slot.Store(w)
	return w
}

// look notes what a rule looks at.
func (w *walk) look(r *rule, dir policy.Direction) {
	w.nets = w.nets || r.nets != nil || r.ipVersion != 0
	w.local = w.local || r.local != noEntity || r.nets != nil && len(r.nets.local)+len(r.nets.notLocal) > 0
	if by := r.by; by != nil {
		own := by.local(dir)
		w.local = w.local || len(own[0])+len(own[1]) > 0
		w.sourcePorts = w.sourcePorts || by.onSource()
	}
}

// digestReaches hashes what entities match by address, in order, and which
// entities these are: the same addresses may go over from the peers of one rule
// to those of another, and one Service may get the name of another.
func (m *Model) digestReaches(entities []int32) string {
	if len(entities) == 0 {
		return ""
	}
	h := sha256.New()
	for _, e := range entities {
		key := m.entities[e].key()
		h.Write(binary.AppendUvarint(nil, uint64(len(key))))
		h.Write([]byte(key))
		h.Write(m.reaches[e].digest[:])
	}
	return string(h.Sum(nil)[:16])
}
