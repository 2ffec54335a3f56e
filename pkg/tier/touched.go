package tier

import "github.com/netpol-project/netpol/pkg/policy"

// Touched tells a caller that has compiled local's verdicts from an older
// model which peers it has to judge again: every peer whose verdict may differ
// matches peer. all says that any peer may differ, also addresses that no
// endpoint owns. Both models must be of one Epoch. It does not look at
// endpoints that came, went or changed labels: their identity tells that.
func (m *Model) Touched(old *Model, scope Scope, dir policy.Direction, local *policy.Endpoint) (peer func(identity int) bool, all bool) {
	id, oldID := m.ids.of(local), old.ids.of(local)
	if id < 0 || id != oldID || m.epoch != old.epoch || !m.labels.sameNames(&old.labels) {
		return nil, true
	}
	now, before := m.walk(m.view(scope), dir, id), old.walk(old.view(scope), dir, id)
	if now == before {
		return func(int) bool { return false }, false
	}
	gone, come, same := difference(before, now)
	if !same || now.local || before.local || now.reach != before.reach {
		return nil, true
	}
	var peers []column
	for _, c := range append(gone, come...) {
		for i := range c.rules[dir] {
			r := &c.rules[dir][i]
			if r.peer == noEntity || m.entities[r.peer].external || m.reaches[r.peer].wide() {
				return nil, true
			}
			peers = append(peers, m.columns[r.peer])
		}
	}
	return func(identity int) bool {
		for _, col := range peers {
			if identity >= 0 && col.has(int32(identity)) {
				return true
			}
		}
		return false
	}, false
}

// difference lists the policies that one walk has and the other has not. same
// is false where more than that differs: the tiers, what ends a tier, or the
// order of policies that both have.
func difference(before, now *walk) (gone, come []*compiled, same bool) {
	if len(before.groups) != len(now.groups) {
		return nil, nil, false
	}
	for i := range now.groups {
		b, n := &before.groups[i], &now.groups[i]
		if b.tier.Name != n.tier.Name || b.tier.DefaultAction != n.tier.DefaultAction ||
			b.last != n.last {
			return nil, nil, false
		}
		bs, ns := b.policies, n.policies
		for len(bs) > 0 && len(ns) > 0 && bs[0] == ns[0] {
			bs, ns = bs[1:], ns[1:]
		}
		for len(bs) > 0 && len(ns) > 0 && bs[len(bs)-1] == ns[len(ns)-1] {
			bs, ns = bs[:len(bs)-1], ns[:len(ns)-1]
		}
		gone, come = append(gone, bs...), append(come, ns...)
	}
	return gone, come, true
}
