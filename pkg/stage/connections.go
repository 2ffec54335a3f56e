package stage

import (
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Connection is one that a promotion is judged by.
type Connection struct {
	// What it is, in words.
	What string
	// judge says why a scope refuses it, by policy.Direction; nothing if it
	// does not.
	judge func(tier.Scope) replay.Verdict
}

// Allowed says whether both ends allow it (S10).
func (c Connection) Allowed(scope tier.Scope) bool { return c.judge(scope).Allowed() }

// Seen are the connections that flows stand for now.
func Seen(m *tier.Model, flows []flow.Flow) []Connection {
	rp := replay.New(m)
	observed := rp.Observed(flows)
	var out []Connection
	for i := range observed {
		o := &observed[i]
		if rp.Gone(o) != "" {
			continue
		}
		what := fmt.Sprintf("%s → %s %s", o.Source, o.Destination, flow.PortText(o.Protocol, o.Port))
		for _, c := range rp.Any(o) {
			out = append(out, Connection{what, func(s tier.Scope) replay.Verdict { return rp.Judge(s, o, c) }})
		}
	}
	return out
}

// connection is one that is made up. What comes from a pod's own host is allowed
// (S12): fromHost says that it does.
func connection(m *tier.Model, what string, c tier.Conn, fromHost bool) Connection {
	return Connection{what, func(scope tier.Scope) replay.Verdict {
		var v replay.Verdict
		if c.Source.Endpoint != nil {
			if j := m.Judge(scope, policy.Egress, c.Source, c.Destination, c.Protocol, c.Port); j.Action != policy.Allow {
				v.Denied[policy.Egress] = &j.By
			}
		}
		if c.Destination.Endpoint != nil && !fromHost {
			if j := m.Judge(scope, policy.Ingress, c.Destination, c.Source, c.Protocol, c.Port); j.Action != policy.Allow {
				v.Denied[policy.Ingress] = &j.By
			}
		}
		return v
	}}
}

// oneOfEach is one endpoint of each identity, those that have addresses before
// those that do not.
func oneOfEach(m *tier.Model, eps []*policy.Endpoint) []*policy.Endpoint {
	at := map[int]int{}
	var out []*policy.Endpoint
	for _, ep := range eps {
		id := m.Identity(ep)
		i, seen := at[id]
		switch {
		case !seen:
			at[id] = len(out)
			out = append(out, ep)
		case len(out[i].Addrs) == 0 && len(ep.Addrs) > 0:
			out[i] = ep
		}
	}
	return slices.Clip(out)
}
