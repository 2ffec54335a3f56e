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
	live *nameTable
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
	keep  any    // the callee's
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
	return &mirror{seed: maphash.MakeSeed(), live: newNameTable(), old: map[Name]*oldEntry{}}
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
	return Name{hash: maphash.Bytes(m.seed, b[:]) | 1<<63, id: uint64(c.ID)}
}

// listSlack is more than lies between a connection's entry in the table and
// its event.
const listSlack = 10 * time.Millisecond

// began takes an event of a new connection, which is not older than after;
// slot is where to keep what is the callee's, nil if the connection is known.
// An old one that has its name has ended: the kernel names connections by their
// addresses and their place in memory, and both are used again.
func (m *mirror) began(n Name, after time.Time) (slot *nameSlot, former *oldEntry) {
	slot, fresh := m.live.insert(n)
	if len(m.old) > 0 {
		if e := m.old[n]; e != nil {
			delete(m.old, n)
			if !m.late && after.Sub(m.since) > listSlack {
				return slot, e
			}
			slot.keep = e.keep // it was listed first, but its end will be told
			return nil, nil
		}
	}
	if !fresh {
		return nil, nil
	}
	return slot, nil
}

// ended takes an event of a connection's end. known tells whether its
// beginning was told, with what was kept, again whether its end was.
func (m *mirror) ended(n Name, at time.Time) (keep any, known, again bool) {
	m.turn(at)
	keep, known = m.live.remove(n)
	if len(m.old) > 0 && !known {
		var e *oldEntry
		if e, known = m.old[n]; known {
			keep = e.keep
			delete(m.old, n)
		}
	}
	again = !known && (m.recent.has(n) || m.before.has(n))
	m.recent.add(n)
	return keep, known, again
}

// older tells whether a connection that ended unheard of, by a message that is
// not older than after, began before collecting did: then it ended before it
// could be listed. If not, its beginning did not fit, and the end came first.
func (m *mirror) older(after time.Time) bool {
	return !m.late && after.Sub(m.since) <= listSlack
}

func (m *mirror) turn(at time.Time) {
	if at.Sub(m.turned) < endMemory {
		return
	}
	m.turned = at
	m.before, m.recent = m.recent, nameSet{}
}

// listed takes an entry of a listing; keep is where to keep what is the
// callee's, nil if it is known. Only where nobody listened when it began
// (silent) its end must be looked for.
func (m *mirror) listed(n Name, c *Connection, silent bool) (keep *any) {
	if m.live.has(n) {
		return nil
	}
	e := m.old[n]
	if e == nil && !silent {
		slot, _ := m.live.insert(n)
		return &slot.keep
	}
	if e == nil {
		e = &oldEntry{}
		m.old[n], keep = e, &e.keep
	}
	e.conn, e.round = *c, m.round
	return keep
}

// vanished forgets the old connections that were seen in neither of the last
// two sweeps and returns them as they were last seen.
func (m *mirror) vanished(at time.Time) map[Name]*oldEntry {
	m.turn(at)
	gone := map[Name]*oldEntry{}
	for n, e := range m.old {
		if m.round-e.round >= 2 {
			gone[n] = e
			delete(m.old, n)
			m.recent.add(n)
		}
	}
	return gone
}
