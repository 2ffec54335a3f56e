package flow

import (
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// goldmaneWindow is the width in seconds of the windows that Goldmane counts in.
const goldmaneWindow = 15

// fromServer reads a flow of a server's answer, which may be Goldmane: that does
// not tell times to the nanosecond.
func fromServer(w *flowpb.Flow) Flow {
	f := FromWire(w)
	if w.GetFirstSeenNanos() != 0 || w.GetLastSeenNanos() != 0 {
		return f
	}
	f.EnforcedTrace = stepsFromWire(w.GetKey().GetPolicies().GetEnforcedPolicies())
	f.PendingTrace = stepsFromWire(w.GetKey().GetPolicies().GetPendingPolicies())
	f.Settle()
	return f
}

// Settle makes a flow as Calico tells it one of ours.
//
// Calico adds up the live connections of each window, those that ended in it
// included, so an open connection counts again in every window. What is known
// for sure is that there were as many as began or ended, or else one. What was
// refused is never open.
//
// Where nothing is staged there may be no pending trace.
func (f *Flow) Settle() {
	if len(f.PendingTrace) == 0 {
		f.Pending = f.Enforced
	}
	if f.Enforced.Action == policy.Deny {
		f.Completed, f.Live = 0, 0
		return
	}
	f.Live = max(f.Connections, f.Completed, min(f.Live, 1)) - f.Completed
}

func stepsFromWire(trace []*flowpb.PolicyHit) []Step {
	var out []Step
	for _, w := range trace {
		out = append(out, Step{Hit: oneHitFromWire(w), Index: int(w.GetPolicyIndex())})
	}
	return out
}
