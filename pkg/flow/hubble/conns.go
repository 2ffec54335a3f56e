package hubble

import (
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Hubble tells of one connection at several points of its way, and again for
// some of its packets.
const (
	// idle is how long a connection is silent before its ports may be another's.
	idle = time.Minute
	// maxConns bounds the connections that are remembered (35 MB). What is
	// forgotten too early is counted again if it goes on.
	maxConns = 1 << 17
)

// conn is a connection as one end sees it. It is comparable.
type conn struct {
	source, destination netip.AddrPort
	protocol            policy.Protocol
	direction           policy.Direction
	denied              bool
	// pods where no addresses are told.
	pods [2]string
}

// conns are the connections that were seen, each with when it last was.
type conns map[conn]time.Time

// begins says whether a packet of a connection is the first that is seen of it.
// opens: it is one that only the first can be, so it begins another connection
// if there was none for a while; of protocols without such a packet any is.
func (s conns) begins(c conn, at time.Time, opens bool) bool {
	last, known := s[c]
	if !known && len(s) >= maxConns {
		s.forget(at)
	}
	if !known || at.After(last) {
		s[c] = at
	}
	return !known || opens && at.Sub(last) > idle
}

// forget makes room: by what is silent, or else by all.
func (s conns) forget(now time.Time) {
	for c, last := range s {
		if now.Sub(last) > idle {
			delete(s, c)
		}
	}
	if len(s) > maxConns/2 {
		clear(s)
	}
}
