//go:build linux

package enforce_test

import (
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// liveAt is how many connections are open, as the destination's end tells.
func liveAt(a *agent) (live int64) {
	a.t.Helper()
	for _, f := range a.list(flow.Filter{IncludeProbes: true}) {
		if f.Direction == policy.Ingress {
			live += f.Live
		}
	}
	return live
}

// liveDenied is how many of them a change has forbidden.
func liveDenied(a *agent) (live int64) {
	a.t.Helper()
	for _, f := range a.list(flow.Filter{Action: policy.Deny}) {
		if f.Direction == policy.Ingress {
			live += f.Live
		}
	}
	return live
}

// deniedPackets is how many packets the policies refused.
func deniedPackets(a *agent) (packets uint64) {
	a.t.Helper()
	for _, f := range a.list(flow.Filter{Action: policy.Deny}) {
		packets += uint64(f.PacketsIn + f.PacketsOut)
	}
	return packets
}

// counted sums up the connections of a source to a destination, at the end
// that dir names.
func counted(a *agent, from, to *pod, dir policy.Direction, filter flow.Filter) (out flow.Flow) {
	a.t.Helper()
	for _, f := range a.list(filter) {
		if f.Direction == dir && f.Source.Workload.Name == from.name && f.Destination.Workload.Name == to.name {
			out.Connections += f.Connections
			out.Completed += f.Completed
			out.Live += f.Live
			out.PacketsIn += f.PacketsIn
			out.PacketsOut += f.PacketsOut
		}
	}
	return out
}

// liveFrom is how many connections of a pod are open, as its own end tells.
func liveFrom(a *agent, from *pod) (live int64) {
	a.t.Helper()
	for _, f := range a.list(flow.Filter{IncludeProbes: true}) {
		if f.Direction == policy.Egress && f.Source.Workload.Name == from.name {
			live += f.Live
		}
	}
	return live
}
