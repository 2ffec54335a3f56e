//go:build linux

package collect

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

// mirror knows which connections live, so that each is told once however
// often the kernel speaks of it: an event that did not fit is offered again,
// and a listing overlaps with the events.
type mirror struct {
	seed maphash.Seed
	live map[key]entry
	old  int // entries of live that have a connection
	// recent and before are connections that ended lately: when another
	// listener is overrun, the kernel tells everybody of the end again.
	recent, before map[key]struct{}
	turned         time.Time
	round          uint32 // number of the present sweep
	// since is when the old ones had been listed.
	since time.Time
	// late: events did not fit once, so beginnings may be told late.
	late bool
}

// key names a connection without holding on to its addresses.
type key struct {
	id   uint32
	hash uint64
}

// entry is a connection that lives. The kernel tells the end of all that
// began while somebody listened; the others (old is set) just vanish from the
// table one day.
type entry struct {
	old   *Connection
	round uint32 // sweep that it was last seen in
}

// endMemory is how long the end of a connection is remembered at least.
const endMemory = 5 * time.Second

func newMirror() *mirror {
	return &mirror{
		seed: maphash.MakeSeed(), live: map[key]entry{},
		recent: map[key]struct{}{}, before: map[key]struct{}{},
	}
}

func (m *mirror) key(c *Connection) key {
	var b [48]byte
	src, dst := c.Original.Src.As16(), c.Original.Dst.As16()
	copy(b[:], src[:])
	copy(b[16:], dst[:])
	binary.NativeEndian.PutUint16(b[32:], c.Original.SrcPort)
	binary.NativeEndian.PutUint16(b[34:], c.Original.DstPort)
	binary.NativeEndian.PutUint16(b[36:], c.ICMPID)
	b[38], b[39], b[40] = c.Protocol, c.ICMPType, c.ICMPCode
	binary.NativeEndian.PutUint16(b[42:], c.Zone)
	return key{c.ID, maphash.Bytes(m.seed, b[:])}
}

// listSlack is more than lies between a connection's entry in the table and
// its event.
const listSlack = 10 * time.Millisecond

// began takes an event of a new connection, which is not older than after;
// fresh is false if it is known. An old one that has its name has ended: the
// kernel names connections by their addresses and their place in memory, and
// both are used again.
func (m *mirror) began(c *Connection, after time.Time) (fresh bool, former *Connection) {
	k := m.key(c)
	e, known := m.live[k]
	m.live[k] = entry{}
	if e.old == nil {
		return !known, nil
	}
	m.old--
	if !m.late && after.Sub(m.since) > listSlack {
		return true, e.old
	}
	return false, nil // it was listed first, but its end will be told
}

// ended takes an event of a connection's end. known tells whether its
// beginning was told, again whether its end was.
func (m *mirror) ended(c *Connection, at time.Time) (known, again bool) {
	m.turn(at)
	k := m.key(c)
	if e, ok := m.live[k]; ok {
		m.remove(k, e)
		return true, false
	}
	_, a := m.recent[k]
	_, b := m.before[k]
	m.recent[k] = struct{}{}
	return false, a || b
}

func (m *mirror) remove(k key, e entry) {
	delete(m.live, k)
	if e.old != nil {
		m.old--
	}
	m.recent[k] = struct{}{}
}

func (m *mirror) turn(at time.Time) {
	if at.Sub(m.turned) < endMemory {
		return
	}
	m.turned = at
	m.before, m.recent = m.recent, map[key]struct{}{}
}

// listed takes an entry of a listing; fresh tells that it was not known. Only
// where nobody listened when it began (silent) its end must be looked for.
func (m *mirror) listed(c *Connection, silent bool) (fresh bool) {
	k := m.key(c)
	e, known := m.live[k]
	switch {
	case known && e.old == nil:
		return false
	case !known && !silent:
		m.live[k] = entry{}
		return true
	case !known:
		m.old++
	}
	copied := *c
	m.live[k] = entry{old: &copied, round: m.round}
	return !known
}

// vanished forgets the old connections that were seen in neither of the last
// two sweeps and returns them as they were last seen.
func (m *mirror) vanished(at time.Time) []Connection {
	m.turn(at)
	if m.old == 0 {
		return nil
	}
	var gone []Connection
	for k, e := range m.live {
		if e.old != nil && m.round-e.round >= 2 {
			gone = append(gone, *e.old)
			m.remove(k, e)
		}
	}
	return gone
}
