//go:build linux

package enforce

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

const (
	// cutFor is how long what the far end of a cut connection says is refused
	// before it would be judged as a new connection, the other way round: longer
	// than retransmissions of a TCP peer that has data to send are apart at
	// first.
	cutFor = 30 * time.Second
	// cutForward is how long what the near end says is refused unheard, by when
	// the entry is gone. From then on the policies refuse it, and tell; a client
	// that takes the same port once more is not left without a word. It is
	// shorter than the first pause before a SYN is sent again, and than
	// retryAfter.
	cutForward = 900 * time.Millisecond
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
		if err := a.allowAgain(); err != nil && ctx.Err() == nil {
			a.opts.Log.Error("connections that were cut are not let through again yet", "error", err)
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
		t := c.tuple()
		src, dst := r.model.Owner(t.src), r.model.Owner(t.dst)
		// A peer that left, is leaving or gave its address to another pod never
		// makes a cut: its connections end by themselves.
		from, to := a.live.pods(c, refOf(src), refOf(dst))
		if refOf(src) != from || refOf(dst) != to ||
			src != nil && src.Terminating || dst != nil && dst.Terminating {
			continue
		}
		records := a.rejudge(&t)
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

// cutAll refuses the packets of both directions for a time, then deletes the
// conntrack entries; deleting alone does not cut, since the next packet of the
// far end would bring the entry back.
func (a *Agent) cutAll(ctx context.Context, conns []*liveConn) error {
	forth, back := cutKeys{}, cutKeys{}
	for _, c := range conns {
		t := c.tuple()
		if t.icmp() {
			continue // an answer alone begins no connection, so deleting cuts
		}
		forth.add(t.src, t.dst, t.protocol, t.srcPort, t.dstPort)
		back.add(t.dst, t.src, t.protocol, t.dstPort, t.srcPort)
	}
	life := a.cutLife()
	a.noteCut(conns, life)
	if err := back.put(a.kernel, life); err != nil {
		return err
	}
	if err := forth.put(a.kernel, min(cutForward, a.opts.cutFor)); err != nil {
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

// cutLife is how long what the far end of a cut connection says is refused.
func (a *Agent) cutLife() time.Duration {
	life := a.opts.cutFor
	if a.loose.Load() {
		// What the far end says again must not be taken for a connection that is
		// older than the agent.
		life += max(0, a.looseUntil.Sub(a.opts.Now()))
	}
	return life
}

// cutKeys are elements of the cut sets, by the sets' names.
type cutKeys map[string][]string

// add adds one direction of a connection.
func (k cutKeys) add(src, dst netip.Addr, proto policy.Protocol, srcPort, dstPort uint16) {
	set := "cut6"
	if src.Is4() {
		set = "cut4"
	}
	k[set] = append(k[set], cutKey(src, dst, proto, srcPort, dstPort))
}

func (k cutKeys) put(kernel *nft.Kernel, life time.Duration) error {
	for set, keys := range k {
		if err := kernel.AddCut(set, keys, life); err != nil {
			return err
		}
	}
	return nil
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
