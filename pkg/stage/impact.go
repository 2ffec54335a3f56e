package stage

import (
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Impact is what a scope (one staged policy, or all of them) would do to the
// flows that were observed, judged by the policies, tiers, pods and labels of
// the present.
//
// A flow is who connects to whom by which protocol and port, however many
// connections, ends and Services reported it: vote → redis tcp/6379 is one flow.
// Each flow is in at most one of the lists, so that their lengths and sums are
// the numbers of the summary.
//
// Both ends are judged, whichever reported (S10): a flow would be blocked if
// the enforced policies allow it now and the scope's would not.
//
// Where the address of an end is not known, the flow is judged for every address
// that it may have. If that makes a difference, it is undecided.
func Impact(m *tier.Model, flows []flow.Flow, scope tier.Scope) *Report {
	rp := replay.New(m)
	r := &Report{Items: []Item{}, WouldAllow: []Item{}, Undecided: []Item{}, Gone: []Item{}}
	observed := rp.Observed(flows)
	for i := range observed {
		o := &observed[i]
		r.Summary.Flows.Observed++
		r.Summary.Connections.Observed += o.Connections
		item := newItem(o)
		if item.Reason = rp.Gone(o); item.Reason != "" {
			r.Gone = append(r.Gone, item)
			r.Summary.Flows.Gone++
			r.Summary.Connections.Gone += o.Connections
			continue
		}
		switch judge(rp, o, scope, &item) {
		case willBlock:
			r.Items = append(r.Items, item)
			r.Summary.Flows.WouldBlock++
			r.Summary.Connections.WouldBlock += o.Connections
		case willAllow:
			r.WouldAllow = append(r.WouldAllow, item)
			r.Summary.Flows.WouldAllow++
			r.Summary.Connections.WouldAllow += o.Connections
		case undecided:
			r.AddUndecided(item)
		}
	}
	return r
}

type effect uint8

const (
	noChange effect = iota
	willBlock
	willAllow
	undecided
	isRefused // already, nothing being staged
	isAllowed
)

// judge says what becomes of a flow. It is undecided if that is not the same for
// all addresses that it may have had.
func judge(rp *replay.Replay, o *flow.Observed, scope tier.Scope, item *Item) effect {
	return forAll(rp, o, item, func(pairs []tier.Conn, item *Item) effect { return judgePairs(rp, o, pairs, scope, item) })
}

// forAll asks for each case of a flow, and is what all of them answer.
func forAll(rp *replay.Replay, o *flow.Observed, item *Item, ask func([]tier.Conn, *Item) effect) effect {
	cases := rp.Cases(o)
	first := *item
	answer := ask(cases[0].Pairs, &first)
	doubt := false
	for _, c := range cases[1:] {
		other := *item
		e := ask(c.Pairs, &other)
		if e == answer {
			continue
		}
		if !doubt || e.harms() {
			item.Reason = replay.Doubt(c, e.words(&other), cases[0], answer.words(&first))
		}
		doubt = true
		switch {
		case answer.harms():
			item.MayBeBlockedBy = first.BlockedBy
		case e.harms():
			item.MayBeBlockedBy = other.BlockedBy
		default:
			continue
		}
		return undecided
	}
	if doubt {
		return undecided
	}
	*item = first
	return answer
}

// harms says whether somebody may miss the flow.
func (e effect) harms() bool { return e == willBlock || e == isRefused }

// words is an effect for one of several addresses, and why.
func (e effect) words(item *Item) string {
	switch e {
	case willBlock:
		return "blocked (" + item.Reason + ")"
	case willAllow:
		return "newly allowed (refused now: " + item.Reason + ")"
	case isRefused:
		return "refused (" + item.Reason + ")"
	case isAllowed:
		return "allowed"
	}
	return "unchanged"
}

// judgePairs compares the verdicts on every pair of pods that the flow stands for.
// One pair that would be blocked makes the whole flow blocked: which of the
// pods connected is not recorded.
func judgePairs(rp *replay.Replay, o *flow.Observed, pairs []tier.Conn, scope tier.Scope, item *Item) effect {
	var blocked, allowed int
	var by, before replay.Verdict
	for _, c := range pairs {
		now, then := rp.Judge(tier.Enforced(), o, c), rp.Judge(scope, o, c)
		switch {
		case now.Allowed() && !then.Allowed():
			if blocked == 0 {
				by = then
			}
			blocked++
		case !now.Allowed() && then.Allowed():
			if allowed == 0 {
				before = now
			}
			allowed++
		}
	}
	switch {
	case blocked > 0:
		item.blame(by.Denied)
		item.countPairs(blocked, len(pairs))
		return willBlock
	case allowed > 0:
		item.blame(before.Denied)
		item.countPairs(allowed, len(pairs))
		return willAllow
	}
	return noChange
}

// blame names what refuses the connection, the source's egress first, as a
// packet would meet it; what refuses it at the other end too is named beside.
func (i *Item) blame(denied [2]*policy.Hit) {
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		hit := denied[d]
		if hit == nil {
			continue
		}
		if i.BlockedBy == nil {
			i.Direction = d.String()
			i.BlockedBy = newBy(*hit)
			i.Reason = reason(*hit)
			continue
		}
		i.AlsoBlockedBy = &ByDirection{Direction: d.String(), By: *newBy(*hit)}
	}
}

func (i *Item) countPairs(changed, all int) {
	if changed < all {
		i.PodPairs = &PodPairs{Affected: changed, All: all}
	}
}
