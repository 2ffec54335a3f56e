package replay

import (
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Seen is one flow as it was observed, without others of the same ends.
func (r *Replay) Seen(f *flow.Flow) *flow.Observed {
	return &flow.Observed{
		Source: r.Named(f.Source), Destination: r.Named(f.Destination), Protocol: f.Protocol, Port: f.Port,
		FirstSeen: f.FirstSeen, LastSeen: f.LastSeen,
	}
}

// Pending is what would decide at the end that reported f if all staged policies
// were enforced. Where the pods that it may have been are not judged alike, it is
// why one of them is refused. ok is false where that can't be told: an end is
// gone, no policy was asked (S31), or an address decides that is not known.
func (r *Replay) Pending(f *flow.Flow) (by policy.Hit, ok bool) {
	if f.Enforced.Rule == policy.Closed {
		return by, false
	}
	o := r.Seen(f)
	for i, c := range r.Cases(o) {
		hit, told := r.pending(f.Direction, o, c.Pairs)
		if !told || i > 0 && hit.Action != by.Action {
			return policy.Hit{}, false
		}
		if i == 0 {
			by = hit
		}
	}
	return by, true
}

// pending is Pending of one case.
func (r *Replay) pending(dir policy.Direction, o *flow.Observed, pairs []tier.Conn) (by policy.Hit, ok bool) {
	for _, c := range pairs {
		local, peer := c.Source, c.Destination
		if dir == policy.Ingress {
			local, peer = c.Destination, c.Source
		}
		if local.Endpoint == nil {
			continue
		}
		if dir == policy.Ingress && ownHost(o.Source, local.Endpoint) {
			return policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}, true // S12
		}
		j := r.model.Judge(tier.Pending(), dir, local, peer, c.Protocol, c.Port)
		if !ok || j.Action != policy.Allow && by.Action == policy.Allow {
			by, ok = j.By, true
		}
	}
	return by, ok
}
