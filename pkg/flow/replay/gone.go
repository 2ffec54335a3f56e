package replay

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Gone is why a flow stands for nothing that there is now, empty if both of its
// ends are there.
func (r *Replay) Gone(o *flow.Observed) string {
	for _, p := range []flow.Peer{o.Source, o.Destination} {
		if p.Kind == flow.PeerWorkload && len(r.Endpoints(p.Workload)) == 0 {
			return p.String() + " has no pods any more"
		}
		if ep := r.later(o, p); ep != nil {
			return fmt.Sprintf("%s was not yet the address of %s, which is younger", p.Addr, ep.ID())
		}
	}
	return ""
}

// later is the pod that has the address of p now and was made after the flow was
// seen last: nothing that it ever did. Whoever had the address then is not known.
func (r *Replay) later(o *flow.Observed, p flow.Peer) *policy.Endpoint {
	if p.Kind != flow.PeerNetwork && p.Kind != flow.PeerNetworkSet || o.LastSeen.IsZero() {
		return nil
	}
	if ep := r.model.Owner(p.Addr); ep != nil && ep.Created > o.LastSeen.UnixNano() {
		return ep
	}
	return nil
}
