package tier

import (
	"slices"
	"sync/atomic"

	"github.com/netpol-project/netpol/pkg/policy"
)

// takeOver makes the view from the previous model's, where only policies that
// this scope does not treat specially have changed; nil if that can't be done.
func (m *Model) takeOver(scope Scope) *view {
	if m.prev == nil || !m.sameTiers {
		return nil
	}
	m.prev.mu.Lock()
	old := m.prev.views[scope]
	m.prev.mu.Unlock()
	if old == nil {
		return nil
	}
	var gone, come []*compiled
	for _, list := range []struct {
		from []*compiled
		to   *[]*compiled
	}{{m.removedPolicies, &gone}, {m.addedPolicies, &come}} {
		for _, c := range list.from {
			if c.Kind.Staged() && scope.promotes(c.Key) {
				return nil // it may replace or uncover another policy
			}
			if !c.Kind.Staged() && !c.DoNotTrack && !c.PreDNAT {
				*list.to = append(*list.to, c)
			}
		}
	}
	if scope.mode != scopeEnforced && len(gone)+len(come) > 0 {
		return nil // a staged policy may stand in for one of them
	}
	v := &view{tiers: m.tiers, rank: old.rank}
	v.policies = v.replace(old.policies, gone, come)
	m.takeOverWalks(v, old, gone, come)
	return v
}

// replace returns the ordered list without gone and with come in its place.
func (v *view) replace(list, gone, come []*compiled) []*compiled {
	if len(gone)+len(come) == 0 {
		return list
	}
	dead := make(map[*compiled]bool, len(gone))
	for _, c := range gone {
		dead[c] = true
	}
	out := make([]*compiled, 0, len(list)+len(come))
	for _, c := range list {
		if !dead[c] {
			out = append(out, c)
		}
	}
	if len(come) > 16 {
		out = append(out, come...)
		slices.SortFunc(out, v.compare)
		return out
	}
	for _, c := range come {
		i, _ := slices.BinarySearchFunc(out, c, v.compare)
		out = slices.Insert(out, i, c)
	}
	return out
}

// takeOverWalks keeps the walks of identities that no changed policy selects.
func (m *Model) takeOverWalks(v, old *view, gone, come []*compiled) {
	for d := range v.walks {
		v.walks[d] = make([]atomic.Pointer[walk], len(m.ids.reps))
		if !m.sameEntities {
			continue // selections may have changed everywhere
		}
		for i := range old.walks[d] {
			w := old.walks[d][i].Load()
			if w == nil || m.selectsAny(gone, policy.Direction(d), int32(i)) || m.selectsAny(come, policy.Direction(d), int32(i)) {
				continue
			}
			v.walks[d][i].Store(w)
		}
	}
}

// selectsAny says whether one of the policies judges the identity. An entity
// keeps its number from model to model, so this holds for removed ones too.
func (m *Model) selectsAny(list []*compiled, dir policy.Direction, id int32) bool {
	for _, c := range list {
		if c.Types[dir] && m.columns[c.subject].has(id) {
			return true
		}
	}
	return false
}
