//go:build linux

package enforce

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/policy"
)

// wasCut is a connection whose packets are refused because it was cut.
type wasCut struct {
	tuple tuple
	until time.Time
}

// noteCut remembers what was cut and for how long. It and allowAgain are called
// by one goroutine only.
func (a *Agent) noteCut(conns []*liveConn, life time.Duration) {
	until := a.opts.Now().Add(life)
	for _, c := range conns {
		a.wereCut = append(a.wereCut, wasCut{c.tuple(), until})
	}
}

// allowAgain lets through what was cut and is allowed by now: a client that
// takes the same port again must not wait until the cut is over.
func (a *Agent) allowAgain() error {
	if err := a.recallCuts(); err != nil {
		return err
	}
	if len(a.wereCut) == 0 {
		return nil
	}
	now, keys := a.opts.Now(), cutKeys{}
	var left []wasCut
	for _, c := range a.wereCut {
		switch t := &c.tuple; {
		case !now.Before(c.until):
		case a.denies(t):
			left = append(left, c)
		default:
			keys.add(t.src, t.dst, t.protocol, t.srcPort, t.dstPort)
			keys.add(t.dst, t.src, t.protocol, t.dstPort, t.srcPort)
		}
	}
	for set, list := range keys {
		if err := a.kernel.RemoveCut(set, list); err != nil {
			return err // all of it is tried again with the next change
		}
	}
	a.wereCut = left
	return nil
}

// recallCuts remembers, once, what the agent before this one had cut, or nobody
// would let it through again before its time is over.
func (a *Agent) recallCuts() error {
	if a.recalled {
		return nil
	}
	var list []wasCut
	now, longer := a.opts.Now(), cutKeys{}
	for _, set := range []string{"cut4", "cut6"} {
		cuts, err := a.kernel.Cuts(set)
		if err != nil {
			return err
		}
		for _, c := range cuts {
			t, ok := cutBack(c)
			if !ok {
				continue
			}
			if a.loose.Load() { // from anew, so the cut must last as long
				c.Left = max(c.Left, a.cutLife())
				longer[set] = append(longer[set], c.Key)
			}
			list = append(list, wasCut{t, now.Add(c.Left)})
		}
	}
	if err := longer.put(a.kernel, a.cutLife()); err != nil {
		return err
	}
	a.wereCut, a.recalled = append(a.wereCut, list...), true
	return nil
}

// cutBack is the connection whose way back a cut is; ok is false for the way
// there, whose time is over in a moment anyway.
func cutBack(c nft.Cut) (t tuple, ok bool) {
	key, n := []byte(c.Key), 4
	if len(key) > 2*16 {
		n = 16
	}
	if len(key) != 2*n+3*4 || c.Left <= cutForward {
		return t, false
	}
	src, _ := netip.AddrFromSlice(key[n : 2*n])
	dst, _ := netip.AddrFromSlice(key[:n])
	rest := key[2*n:]
	return tuple{
		src: src, dst: dst, protocol: policy.Protocol(rest[0]),
		srcPort: binary.BigEndian.Uint16(rest[8:]), dstPort: binary.BigEndian.Uint16(rest[4:]),
	}, true
}
