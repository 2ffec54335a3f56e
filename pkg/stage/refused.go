package stage

import (
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Refused are the flows that nobody refused when they were seen and that the
// enforced policies refuse, whether or not the scope is promoted: of flows that
// were seen under other policies, what those of a directory would block without
// anything being staged; and those of which that can't be said, since an address
// is not known. None of them is in another list of Impact.
func Refused(m *tier.Model, flows []flow.Flow, scope tier.Scope) (refused, unsure []Item) {
	rp := replay.New(m)
	refused = []Item{}
	observed := rp.Observed(flows)
	for i := range observed {
		o := &observed[i]
		if o.Denied > 0 || rp.Gone(o) != "" {
			continue
		}
		item := newItem(o)
		if judge(rp, o, scope, &item) != noChange {
			continue
		}
		switch forAll(rp, o, &item, func(pairs []tier.Conn, item *Item) effect { return judgeNow(rp, o, pairs, item) }) {
		case isRefused:
			refused = append(refused, item)
		case undecided:
			unsure = append(unsure, item)
		}
	}
	return refused, unsure
}

// judgeNow says whether the enforced policies refuse a pair of pods that the flow
// stands for.
func judgeNow(rp *replay.Replay, o *flow.Observed, pairs []tier.Conn, item *Item) effect {
	refused := 0
	var by [2]*policy.Hit
	for _, c := range pairs {
		now := rp.Judge(tier.Enforced(), o, c)
		if now.Allowed() {
			continue
		}
		if refused == 0 {
			by = now.Denied
		}
		refused++
	}
	if refused == 0 {
		return isAllowed
	}
	item.blame(by)
	item.countPairs(refused, len(pairs))
	return isRefused
}
