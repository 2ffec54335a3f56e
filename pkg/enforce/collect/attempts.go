//go:build linux

package collect

import (
	"net/netip"
	"time"
)

const (
	// attemptLife is how long a packet without a beginning (UDP and others)
	// belongs to the attempt before it.
	attemptLife = 30 * time.Second
	// tcpLife is longer than the pause before a last retransmission of a SYN.
	tcpLife = 3 * time.Minute
)

// Attempts tells connection attempts among refused packets: TCP by addresses,
// ports and initial sequence number, everything else by addresses and ports
// with pauses of at most 30 s. It has no clock but the packets' times, and a
// bounded memory; it is not for use by several goroutines at once.
type Attempts struct {
	// ByPrefix: a packet under another prefix is another attempt, so that each
	// of several rules that log one connection counts.
	ByPrefix bool
	// Two generations: when recent is full, what is in before and was not
	// seen again is forgotten.
	recent, before map[attempt]time.Time
	half           int
	packets, count uint64
	forgotten      uint64
}

type attempt struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	seq              uint32
	protocol         uint8
	syn              bool
	prefix           string
}

// NewAttempts remembers at most limit attempts.
func NewAttempts(limit int) *Attempts {
	return &Attempts{recent: map[attempt]time.Time{}, before: map[attempt]time.Time{}, half: max(limit/2, 1)}
}

// First tells whether a packet is the first of an attempt.
func (a *Attempts) First(d *Denied) bool {
	a.packets++
	k := attempt{
		src: d.Src, dst: d.Dst, srcPort: d.SrcPort, dstPort: d.DstPort,
		protocol: d.Protocol, syn: d.SYN && !d.ACK,
	}
	if a.ByPrefix {
		k.prefix = d.Prefix
	}
	life := attemptLife
	if k.syn {
		// What follows within a connection (after a cut) has ever new
		// numbers; only the first one's is an attempt's name.
		k.seq, life = d.TCPSeq, tcpLife
	}
	last, known := a.recent[k]
	if !known {
		if last, known = a.before[k]; known {
			delete(a.before, k)
		}
		a.turn(d.Time)
	}
	a.recent[k] = d.Time
	if known && d.Time.Sub(last) <= life {
		return false
	}
	a.count++
	return true
}

func (a *Attempts) turn(now time.Time) {
	if len(a.recent) < a.half {
		return
	}
	for k, last := range a.before {
		life := attemptLife
		if k.syn {
			life = tcpLife
		}
		if now.Sub(last) <= life {
			a.forgotten++
		}
	}
	a.before, a.recent = a.recent, map[attempt]time.Time{}
}

// Counts are attempts and packets so far. forgotten attempts had to be
// forgotten early for want of room, so their later packets counted as new
// ones.
func (a *Attempts) Counts() (attempts, packets, forgotten uint64) {
	return a.count, a.packets, a.forgotten
}
