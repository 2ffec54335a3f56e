//go:build linux

package enforce

import "time"

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
