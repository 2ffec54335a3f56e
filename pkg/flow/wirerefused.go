package flow

import (
	"time"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// RefusedToWire are refused pods as flows.proto has them.
func RefusedToWire(list []RefusedPod) []*flowpb.RefusedPod {
	var out []*flowpb.RefusedPod
	for _, p := range list {
		out = append(out, &flowpb.RefusedPod{Name: p.Name, LastNanos: p.Last.UnixNano()})
	}
	return out
}

// RefusedFromWire reads refused pods.
func RefusedFromWire(list []*flowpb.RefusedPod) []RefusedPod {
	var out []RefusedPod
	for _, p := range list[:min(len(list), MaxRefused)] {
		out = append(out, RefusedPod{p.GetName(), time.Unix(0, p.GetLastNanos()).UTC()})
	}
	return out
}
