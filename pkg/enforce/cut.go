//go:build linux

package enforce

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

const (
	// cutFor is how long the packets of a cut connection are refused before
	// they would be judged as a new one: longer than retransmissions of a TCP
	// peer that has data to send are apart at first.
	cutFor = 30 * time.Second
	// lookAgain is when a cut connection's entry is looked for once more: a
	// packet under way at the moment of deletion can bring it back.
	lookAgain = 200 * time.Millisecond
)

// cutForbidden judges the live connections again after every change (S29) and
// cuts those that became forbidden (S11).
func (a *Agent) cutForbidden(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.cuts:
		}
		forbidden := a.rejudgeLive()
		if len(forbidden) == 0 || a.opts.KeepEstablished {
			continue
		}
		if err := a.cutAll(ctx, forbidden); err != nil && ctx.Err() == nil {
			a.opts.Log.Error("connections that became forbidden are not cut", "count", len(forbidden), "error", err)
			// What is not cut is still among the live ones, so it is found again.
			pause(ctx, retryAfter)
			a.judgeAgain()
		}
	}
}

// rejudgeLive moves the reports of live connections to their present
// verdicts and returns those that are denied now.
func (a *Agent) rejudgeLive() []*liveConn {
	r, ok := a.history.latest()
	if !ok {
		return nil
	}
	var forbidden []*liveConn
	for _, c := range a.live.list() {
		src, dst := r.model.Owner(c.tuple.src), r.model.Owner(c.tuple.dst)
		// A peer that left, is leaving or gave its address to another pod never
		// makes a cut: its connections end by themselves.
		from, to := a.live.pods(c, podName(src), podName(dst))
		if podName(src) != from || podName(dst) != to ||
			src != nil && src.Terminating || dst != nil && dst.Terminating {
			continue
		}
		records := a.rejudge(&c.tuple)
		denied := false
		for i := range records {
			denied = denied || records[i].key.Enforced.Action == policy.Deny
		}
		a.live.update(c, records, func(before, after *flow.Key, ends flow.Ends) {
			a.flows.Rejudged(*before, *after, ends, a.opts.Now())
		})
		if denied {
			forbidden = append(forbidden, c)
		}
	}
	return forbidden
}

func podName(ep *policy.Endpoint) string {
	if ep == nil {
		return ""
	}
	return ep.ID()
}

// cutAll refuses the packets of both directions for a time, then deletes the
// conntrack entries; deleting alone does not cut, since the next packet of
// either side would bring the entry back.
func (a *Agent) cutAll(ctx context.Context, conns []*liveConn) error {
	var v4, v6 []string
	for _, c := range conns {
		t := &c.tuple
		keys := []string{
			cutKey(t.src, t.dst, t.protocol, t.srcPort, t.dstPort),
			cutKey(t.dst, t.src, t.protocol, t.dstPort, t.srcPort),
		}
		if t.src.Is4() {
			v4 = append(v4, keys...)
		} else {
			v6 = append(v6, keys...)
		}
	}
	life := a.opts.cutFor
	if a.loose.Load() {
		// What either end says again must not be taken for a connection that is
		// older than the agent.
		life += max(0, a.looseUntil.Sub(a.opts.Now()))
	}
	if err := a.kernel.AddCut("cut4", v4, life); err != nil {
		return err
	}
	if err := a.kernel.AddCut("cut6", v6, life); err != nil {
		return err
	}
	err := a.forget(ctx, conns)
	pause(ctx, lookAgain)
	a.counters.cut.Add(uint64(len(conns)))
	if again := a.forget(ctx, conns); err == nil {
		err = again
	}
	return err
}

// cutKey is an element of a cut set: addresses, protocol and ports, each
// padded to four bytes.
func cutKey(src, dst netip.Addr, proto policy.Protocol, srcPort, dstPort uint16) string {
	key := append(src.AsSlice(), dst.AsSlice()...)
	key = append(key, byte(proto), 0, 0, 0)
	key = binary.BigEndian.AppendUint16(key, srcPort)
	key = append(key, 0, 0)
	key = binary.BigEndian.AppendUint16(key, dstPort)
	return string(append(key, 0, 0))
}
