package replay

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Verdict is what a model says of one pair of ends: why it refuses, by
// policy.Direction; nil where that end allows or is not a pod.
type Verdict struct{ Denied [2]*policy.Hit }

// Allowed says whether both ends allow (S10).
func (v Verdict) Allowed() bool {
	return v.Denied[policy.Egress] == nil && v.Denied[policy.Ingress] == nil
}

// Judge is the verdict on one of the pairs of o. What comes from a pod's own
// host is always allowed (S12).
func (r *Replay) Judge(scope tier.Scope, o *flow.Observed, c tier.Conn) Verdict {
	var v Verdict
	if src := c.Source.Endpoint; src != nil {
		if j := r.model.Judge(scope, policy.Egress, c.Source, c.Destination, c.Protocol, c.Port); j.Action != policy.Allow {
			v.Denied[policy.Egress] = &j.By
		}
	}
	if dst := c.Destination.Endpoint; dst != nil && !ownHost(o.Source, dst) {
		if j := r.model.Judge(scope, policy.Ingress, c.Destination, c.Source, c.Protocol, c.Port); j.Action != policy.Allow {
			v.Denied[policy.Ingress] = &j.By
		}
	}
	return v
}

// FromOwnHost says whether o comes from a host that runs pods which it goes to.
func (r *Replay) FromOwnHost(o *flow.Observed) bool {
	return slices.ContainsFunc(r.Endpoints(o.Destination.Workload), func(ep *policy.Endpoint) bool { return ownHost(o.Source, ep) })
}

// ownHost says whether p is the host that ep runs on. A host whose name is not
// known is taken for it, since only a pod's own host reports as one.
func ownHost(p flow.Peer, ep *policy.Endpoint) bool {
	return p.Kind == flow.PeerHost && (p.Workload.Name == "" || ep.Node == "" || p.Workload.Name == ep.Node)
}
