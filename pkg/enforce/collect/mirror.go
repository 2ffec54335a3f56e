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
	// live are those whose end the kernel will tell, which it does of all that
	// began while somebody listened. The old ones just vanish from the table
	// one day. A connection is in one of the two.
	live map[Name]struct{}
	old  map[Name]*oldEntry
	// recent and before are connections that ended lately: when another
	// listener is overrun, the kernel tells everybody of the end again.
	recent, before nameSet
	turned         time.Time
	round          uint32 // number of the present sweep
	// since is when the old ones had been listed.
	since time.Time
	// late: events did not fit once, so beginnings may be told late.
	late bool
}

// oldEntry is an old connection as it was last seen.
type oldEntry struct {
	conn  Connection
	round uint32 // sweep that it was last seen in
}

// nameSet is a set that is seldom asked: names are only noted until then.
type nameSet struct {
	noted []Name
	set   map[Name]struct{}
}

func (s *nameSet) add(n Name) { s.noted = append(s.noted, n) }

func (s *nameSet) has(n Name) bool {
	if s.set == nil {
		s.set = make(map[Name]struct{}, len(s.noted))
	}
	for _, noted := range s.noted {
		s.set[noted] = struct{}{}
	}
	s.noted = s.noted[:0]
	_, ok := s.set[n]
	return ok
}

// endMemory is how long the end of a connection is remembered at least.
const endMemory = 5 * time.Second

func newMirror() *mirror {
	return &mirror{seed: maphash.MakeSeed(), live: map[Name]struct{}{}, old: map[Name]*oldEntry{}}
}

func (m *mirror) name(c *Connection) Name {
	var b [48]byte
	src, dst := c.Original.Src.As16(), c.Original.Dst.As16()
	copy(b[:], src[:])
	copy(b[16:], dst[:])
	binary.NativeEndian.PutUint16(b[32:], c.Original.SrcPort)
	binary.NativeEndian.PutUint16(b[34:], c.Original.DstPort)
	binary.NativeEndian.PutUint16(b[36:], c.ICMPID)
	b[38], b[39], b[40] = c.Protocol, c.ICMPType, c.ICMPCode
	binary.NativeEndian.PutUint16(b[42:], c.Zone)
	return Name{c.ID, maphash.Bytes(m.seed, b[:])}
}

// listSlack is more than lies between a connection's entry in the table and
// its event.
const listSlack = 10 * time.Millisecond

// began takes an event of a new connection, which is not older than after;
// fresh is false if it is known. An old one that has its name has ended: the
// kernel names connections by their addresses and their place in memory, and
// both are used again.
func (m *mirror) began(n Name, after time.Time) (fresh bool, former *Connection) {
	before := len(m.live)
	m.live[n] = struct{}{}
	if len(m.old) == 0 {
		return len(m.live) > before, nil
	}
	e := m.old[n]
	if e == nil {
		return len(m.live) > before, nil
	}
	delete(m.old, n)
	if !m.late && after.Sub(m.since) > listSlack {
		return true, &e.conn
	}
	return false, nil // it was listed first, but its end will be told
}

// ended takes an event of a connection's end. known tells whether its
// beginning was told, again whether its end was.
func (m *mirror) ended(n Name, at time.Time) (known, again bool) {
	m.turn(at)
	before := len(m.live) + len(m.old)
	delete(m.live, n)
	if len(m.old) > 0 {
		delete(m.old, n)
	}
	known = len(m.live)+len(m.old) < before
	again = !known && (m.recent.has(n) || m.before.has(n))
	m.recent.add(n)
	return known, again
}

func (m *mirror) turn(at time.Time) {
	if at.Sub(m.turned) < endMemory {
		return
	}
	m.turned = at
	m.before, m.recent = m.recent, nameSet{}
}

// listed takes an entry of a listing; fresh tells that it was not known. Only
// where nobody listened when it began (silent) its end must be looked for.
func (m *mirror) listed(n Name, c *Connection, silent bool) (fresh bool) {
	if _, ok := m.live[n]; ok {
		return false
	}
	_, known := m.old[n]
	if !known && !silent {
		m.live[n] = struct{}{}
		return true
	}
	m.old[n] = &oldEntry{conn: *c, round: m.round}
	return !known
}

// vanished forgets the old connections that were seen in neither of the last
// two sweeps and returns them as they were last seen.
func (m *mirror) vanished(at time.Time) map[Name]*Connection {
	m.turn(at)
	gone := map[Name]*Connection{}
	for n, e := range m.old {
		if m.round-e.round >= 2 {
			gone[n] = &e.conn
			delete(m.old, n)
			m.recent.add(n)
		}
	}
	return gone
}
