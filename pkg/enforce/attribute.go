//go:build linux

package enforce

import (
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// attributed is what one end reports of a connection.
type attributed struct {
	key  flow.Key
	ends flow.Ends
	// agreed: the model's verdict is what the kernel did.
	agreed bool
}

// attribute says what this node reports of a connection that the kernel
// allowed at time t: one record for each end that is a pod of this node
// (S10), with the verdict of the revision that was in force.
func (a *Agent) attribute(t *tuple, at time.Time) []attributed {
	r, ok := a.history.latest()
	if !ok {
		return nil
	}
	return a.reports(r.model, t, func(dir policy.Direction) (enforced, pending tier.Verdict, agreed bool) {
		return a.history.judge(at, a.ask(t, dir), func(v tier.Verdict) bool { return v.Action == policy.Allow })
	})
}

// rejudge says what this node reports of a live connection now (S29).
func (a *Agent) rejudge(t *tuple) []attributed {
	r, ok := a.history.latest()
	if !ok {
		return nil
	}
	return a.present(r.model, t)
}

// present is what a model says of a connection, whatever was observed.
func (a *Agent) present(m *tier.Model, t *tuple) []attributed {
	return a.reports(m, t, func(dir policy.Direction) (enforced, pending tier.Verdict, agreed bool) {
		enforced, pending = a.ask(t, dir)(m)
		return enforced, pending, true
	})
}

// denies tells whether this node would refuse a connection now.
func (a *Agent) denies(t *tuple) bool {
	r, ok := a.history.latest()
	denied := false
	if ok {
		a.eachEnd(r.model, t, func(dir policy.Direction, fromHost bool) {
			if !fromHost {
				enforced, _ := a.ask(t, dir)(r.model)
				denied = denied || enforced.Action == policy.Deny
			}
		})
	}
	return denied
}

// eachEnd calls f for each end that is a pod of this node. A pod reaching
// itself is nobody's policy (S32). fromHost: a node always reaches its own
// pods, whatever policies say (S12).
func (a *Agent) eachEnd(m *tier.Model, t *tuple, f func(dir policy.Direction, fromHost bool)) {
	src, dst := m.Peer(t.src), m.Peer(t.dst)
	if src.Endpoint != nil && src.Endpoint == dst.Endpoint {
		return
	}
	if src.Endpoint != nil && src.Endpoint.Node == a.opts.Node {
		f(policy.Egress, false)
	}
	if dst.Endpoint != nil && dst.Endpoint.Node == a.opts.Node {
		f(policy.Ingress, a.isHost(src.Addr))
	}
}

// reports makes a record for each end that this node judges, with the names
// that a model knows.
func (a *Agent) reports(m *tier.Model, t *tuple, judge func(policy.Direction) (enforced, pending tier.Verdict, agreed bool)) []attributed {
	var out []attributed
	a.eachEnd(m, t, func(dir policy.Direction, fromHost bool) {
		rec := a.record(m, t, dir)
		if fromHost {
			rec.key.Enforced = policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
			rec.key.Pending, rec.agreed = rec.key.Enforced, true
		} else {
			enforced, pending, agreed := judge(dir)
			rec.key.Enforced, rec.key.Pending, rec.agreed = enforced.By, pending.By, agreed
			rec.key.Logs = flow.NewLogs(enforced.Logs)
		}
		out = append(out, rec)
	})
	return out
}

// attributeDenied is attribute for a connection that the kernel refused in
// one direction, by the decision that the log's number names.
func (a *Agent) attributeDenied(t *tuple, at time.Time, dir policy.Direction, by policy.Hit) (attributed, bool) {
	r, ok := a.history.latest()
	if !ok {
		return attributed{}, false
	}
	rec := a.record(r.model, t, dir)
	enforced, pending, agreed := a.history.judge(at, a.ask(t, dir), func(v tier.Verdict) bool { return v.By == by })
	rec.key.Enforced, rec.key.Pending, rec.agreed = by, pending.By, agreed
	if agreed {
		rec.key.Logs = flow.NewLogs(enforced.Logs)
	}
	return rec, true
}

// ask judges a connection with one revision's model, which may know other
// endpoints than the next.
func (a *Agent) ask(t *tuple, dir policy.Direction) func(*tier.Model) (enforced, pending tier.Verdict) {
	return func(m *tier.Model) (tier.Verdict, tier.Verdict) {
		local, peer := m.Peer(t.src), m.Peer(t.dst)
		local.Port = t.srcPort
		if dir == policy.Ingress {
			local, peer = peer, local
		}
		if local.Endpoint == nil {
			return tier.Verdict{}, tier.Verdict{}
		}
		return m.Judge(tier.Enforced(), dir, local, peer, t.protocol, t.dstPort),
			m.Judge(tier.Pending(), dir, local, peer, t.protocol, t.dstPort)
	}
}

// record fills in who talked to whom.
func (a *Agent) record(m *tier.Model, t *tuple, dir policy.Direction) attributed {
	src, dst := m.Peer(t.src), m.Peer(t.dst)
	rec := attributed{key: flow.Key{
		Source: a.flowPeer(src), Destination: a.flowPeer(dst),
		Protocol: t.protocol, Port: t.dstPort, Direction: dir,
		Probe: a.probes.has(t.source(), a.opts.Now()),
	}}
	if svc, ok := a.services.Load().find(t, a.isHost(t.dialled.Addr())); ok {
		rec.key.ServiceNamespace, rec.key.ServiceName, rec.key.ServicePortName = svc.namespace, svc.name, svc.port
	}
	rec.ends = flow.Ends{Source: src.Endpoint, Destination: dst.Endpoint}
	return rec
}

func (a *Agent) flowPeer(p tier.Peer) flow.Peer {
	switch {
	case p.Endpoint != nil:
		return flow.Peer{Kind: flow.PeerWorkload, Workload: p.Endpoint.Workload}
	case a.isHost(p.Addr) && !a.services.Load().isLocal(p.Addr):
		return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: a.opts.Node}}
	}
	if name := a.nodes.Load().name(p.Addr); name != "" {
		return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: name}, Addr: p.Addr}
	}
	return a.setNames.Load().Network(p.Addr)
}

func (a *Agent) isHost(addr netip.Addr) bool {
	p := a.places.Load()
	return p != nil && p.own[addr]
}
