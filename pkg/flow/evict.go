package flow

import (
	"cmp"
	"slices"
)

// sweep rolls buckets up and forgets flows that have none left. It runs about
// once a minute of observed time.
func (a *Aggregator) sweep(now int64) {
	a.swept = now
	oldest := now - int64(a.limits.Keep)
	a.journal.rolled(now-int64(coarse), oldest)
	for _, s := range a.byKey {
		a.journal.rolls(s, now-int64(coarse))
		s.roll(now-int64(coarse), oldest)
		if s.untold != nil {
			s.untold.roll(now-int64(coarse), oldest)
		}
		if len(s.fine) == 0 && len(s.coarse) == 0 && s.live == 0 {
			a.drop(s)
		}
	}
	for _, w := range a.windows {
		w.forget(oldest)
	}
	a.forgetStaged(oldest)
	a.missing = slices.DeleteFunc(a.missing, func(m missing) bool { return m.hour+int64(coarse) <= oldest })
}

// evict drops one flow in sixteen to make room: those of addresses outside the
// cluster before those between workloads, since anybody may knock from outside
// and must not push out what the workloads need; then those without open
// connections; then those that were seen longest ago.
func (a *Aggregator) evict() {
	all := make([]*series, 0, len(a.byKey))
	for _, s := range a.byKey {
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y *series) int {
		return cmp.Or(
			cmp.Compare(keepRank(x), keepRank(y)),
			cmp.Compare(x.last, y.last),
			cmp.Compare(x.id, y.id),
		)
	})
	for _, s := range all[:max(len(all)/16, 1)] {
		a.drop(s)
		a.missingAt(s.last).evicted++
	}
}

func keepRank(s *series) int {
	rank := 0
	if s.live > 0 {
		rank = 1
	}
	if s.key.Source.Kind != PeerNetwork && s.key.Destination.Kind != PeerNetwork {
		rank += 2
	}
	return rank
}
