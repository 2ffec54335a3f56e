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
func Impact(m *tier.Model, flows []flow.Flow, scope tier.Scope) *Report {
	rp := replay.New(m)
	r := &Report{Items: []Item{}, WouldAllow: []Item{}, Gone: []Item{}}
	observed := rp.Observed(flows)
	for i := range observed {
		o := &observed[i]
		r.Summary.Flows.Observed++
		r.Summary.Connections.Observed += o.Connections
		item := newItem(o)
		if rp.Gone(o.Source) || rp.Gone(o.Destination) {
			item.Reason = goneReason(rp, o)
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
		}
	}
	return r
}

type effect uint8

const (
	noChange effect = iota
	willBlock
	willAllow
)

// judge compares the verdicts on every pair of pods that the flow stands for.
// One pair that would be blocked makes the whole flow blocked: which of the
// pods connected is not recorded.
func judge(rp *replay.Replay, o *flow.Observed, scope tier.Scope, item *Item) effect {
	pairs := rp.Pairs(o)
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
		item.blame(by)
		item.countPairs(blocked, len(pairs))
		return willBlock
	case allowed > 0:
		item.blame(before)
		item.countPairs(allowed, len(pairs))
		return willAllow
	}
	return noChange
}

// blame names what refuses the connection, the source's egress first, as a
// packet would meet it; what refuses it at the other end too is named beside.
func (i *Item) blame(v replay.Verdict) {
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		hit := v.Denied[d]
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

func goneReason(rp *replay.Replay, o *flow.Observed) string {
	if rp.Gone(o.Source) {
		return o.Source.String() + " has no pods any more"
	}
	return o.Destination.String() + " has no pods any more"
}
