package cmd

import (
	"context"
	"slices"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Whose pending verdicts flows are shown with; "" are those of the agents that
// reported the flows.
const (
	pendingPresent  = "present"  // netpol's, by the policies that there are
	pendingRecorded = "recorded" // of the time at which the flows were seen
	pendingCalico   = "calico"   // Calico's own
)

// pendingOf is whose pending verdicts are shown of flows of a source. Those that
// were seen elsewhere are judged by the policies that there are, as report
// judges them; Calico's have Calico's own.
func (o *FlowsOptions) pendingOf(w *world, source flow.Source) string {
	switch {
	case flow.IsCalicos(source):
		return pendingCalico
	case !o.Source.Given():
		return ""
	case w.store == cluster.Nothing():
		return pendingRecorded
	}
	return pendingPresent
}

// gather reads the flows, and says whose pending verdicts they have.
func (o *FlowsOptions) gather(ctx context.Context, filter flow.Filter) (ev *evidence, whose string, err error) {
	o.Source.partial = true
	asked := filter.Pending
	if o.Source.Given() {
		filter.Pending = 0 // of which verdict it is asked is known then
	}
	if ev, err = gather(ctx, o.Factory, &o.Source, filter); err != nil {
		return nil, "", err
	}
	whose = o.pendingOf(ev.world, ev.source)
	untold := 0
	if whose == pendingPresent {
		ev.flows, untold = judgePending(ev.model, ev.flows, asked)
	} else if asked != 0 {
		ev.flows = slices.DeleteFunc(ev.flows, func(f flow.Flow) bool { return f.Pending.Action != asked })
	}
	if untold > 0 {
		o.Factory.IO.ErrPrinter().Printf("note: of %s an end is gone, or has an address that is not known and decides: the pending verdict is of the time at which it was seen\n", plural(untold, "flow"))
	}
	return ev, whose, nil
}

// judgePending gives flows the pending verdict of the policies of the present,
// picks those that have the one that was asked for, and says of how many that
// can't be told, as an end of them is gone or has no known address, which decides:
// they keep theirs.
func judgePending(m *tier.Model, flows []flow.Flow, asked policy.Action) (out []flow.Flow, untold int) {
	rp := replay.New(m)
	for i := range flows {
		f := &flows[i]
		if by, ok := rp.Pending(f); ok {
			f.Pending, f.PendingTrace = by, nil
		} else if o := rp.Seen(f); rp.Gone(o) != "" || len(rp.Cases(o)) > 1 {
			untold++
		}
	}
	out = flow.Joined(flows)
	return slices.DeleteFunc(out, func(f flow.Flow) bool { return asked != 0 && f.Pending.Action != asked }), untold
}

// notePending says whose the pending verdicts are, where they matter.
func (o *FlowsOptions) notePending(whose string, flows []flow.Flow) {
	if o.Pending == "" && (o.By != "" || !slices.ContainsFunc(flows, func(f flow.Flow) bool { return f.Pending.Action != f.Enforced.Action })) {
		return
	}
	p := o.Factory.IO.ErrPrinter()
	switch whose {
	case pendingRecorded:
		p.Printf("note: pending verdicts are of the time at which the flows were seen; with --dir DIR they are of the policies there\n")
	case pendingCalico:
		p.Printf("note: pending verdicts are Calico's own; %s judges by netpol's\n", o.Factory.Command("netpol report"))
	}
}

// pendingAsTheyCome is judgePending of one flow after the other; it says whether
// the flow has the verdict that was asked for.
func (o *FlowsOptions) pendingAsTheyCome(w *world, source flow.Source, asked policy.Action) func(*flow.Flow) bool {
	var rp *replay.Replay
	if o.pendingOf(w, source) == pendingPresent {
		rp = replay.New(tier.New(w.snap, nil))
	}
	return func(f *flow.Flow) bool {
		if rp != nil {
			if by, ok := rp.Pending(f); ok {
				f.Pending, f.PendingTrace = by, nil
			}
		}
		return asked == 0 || f.Pending.Action == asked
	}
}
