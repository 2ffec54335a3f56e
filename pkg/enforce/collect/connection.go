//go:build linux

// Package collect tells what the kernel saw: connections that began and ended
// (conntrack) and packets that were refused or logged (nflog), with what was
// lost on the way.
//
// It does not know pods, policies or flows; addresses and numbers are all
// that it speaks of.
package collect

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Tuple is one direction of a connection. Ports are 0 where the protocol has
// none.
type Tuple struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// Counters count one direction. They are 0 while accounting is off.
type Counters struct {
	Packets, Bytes uint64
}

// Connection is an entry of conntrack.
type Connection struct {
	// ID is the kernel's; together with the protocol and Original it names the
	// connection among those that live.
	ID       uint32
	Protocol uint8
	// Original is as the first packet came in, before any translation; Reply
	// is what answers look like, so it shows what was translated.
	Original, Reply Tuple
	// Sent is what travelled in the direction of Original, Received in that of
	// Reply.
	Sent, Received Counters
	// Start and End are when it was first seen and when it was gone; zero is
	// not known or not yet.
	Start, End time.Time
	Mark       uint32
	Zone       uint16
	// Replied: the other side has answered.
	Replied bool
	// Assured: traffic has gone to and fro for long enough that it is no single
	// question and answer.
	Assured bool
	// TCPState is TCP's, as it was when the entry was listed.
	TCPState TCPState
	// ICMP messages have an identifier, type and code in place of ports.
	ICMPID             uint16
	ICMPType, ICMPCode uint8
}

// TCPState is the state of a TCP connection as conntrack numbers it
// (linux/netfilter/nf_conntrack_tcp.h).
type TCPState uint8

// The first state of a connection that both sides have opened, and the last in
// which one of them can still send.
const (
	TCPEstablished TCPState = 3
	TCPCloseWait   TCPState = 5
)

// InUse says whether anybody would miss a connection: TCP that is open, or
// another protocol's that is no single question with its answer. Entries of
// others stay in the table for a while after they ended.
func (c *Connection) InUse() bool {
	if c.Protocol == unix.IPPROTO_TCP {
		return c.TCPState >= TCPEstablished && c.TCPState <= TCPCloseWait
	}
	return c.Assured
}

// Forward is the connection as the forward hook judges it: after the
// destination was translated, before the source is. ICMP has its identifier
// for the source's port, and type and code (type<<8 | code) for the
// destination's.
func (c *Connection) Forward() Tuple {
	t := Tuple{
		Src: c.Original.Src, SrcPort: c.Original.SrcPort,
		Dst: c.Reply.Src, DstPort: c.Reply.SrcPort,
	}
	if isICMP(c.Protocol) {
		t.SrcPort, t.DstPort = c.ICMPID, icmpPort(c.ICMPType, c.ICMPCode)
	}
	return t
}

// EventKind is what happened to a connection.
type EventKind uint8

// The kinds of events. Every connection starts once and ends once.
const (
	Started EventKind = iota + 1
	Ended
)

// Name tells the connections that live apart, as their ID, protocol, addresses
// and ports do, by a number of them. The number is made with a secret of this
// process, so that nobody can choose connections that share it; that two share
// it and the kernel's ID (itself 32 bits of a keyed hash) by chance is not to
// be expected in the life of a machine: 96 bits among some millions.
type Name struct {
	hash uint64 // never 0
	id   uint64 // the kernel's; as wide as the hash, so that all bits count
}

// Event is something that happened to a connection. It is the callee's for the
// time of the call only.
type Event struct {
	Kind EventKind
	// Name is the same at the start and the end.
	Name Name
	// Old: it was there before collecting began.
	Old bool
	// Unheard: it began since, but it was learnt of only at its end; when it
	// began is not known.
	Unheard bool
	// Keep is the callee's: what it sets when a connection starts comes back
	// when it ends.
	Keep any
	// At is when the event was read.
	At time.Time
	Connection
}

// Loss says what was not seen, or not at once.
type Loss struct {
	// Lost messages whose content is gone.
	Lost uint64
	// Unknown: more were lost, how many can't be known.
	Unknown bool
	// Late messages did not fit into the buffer at first; the kernel offered
	// them again, so nothing is missing.
	Late uint64
}
