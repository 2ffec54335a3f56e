//go:build linux

package collect

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
)

const openPort = 8080

func TestConnectionStartsAndEndsWithCounters(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		for _, family := range []struct{ name, client, server string }{
			{"IPv4", clientAddr, serverAddr}, {"IPv6", "fd01::2", "fd02::2"},
		} {
			t.Run(family.name, func(t *testing.T) {
				w := newWorld(t)
				w.listen(t, family.server, openPort)
				c, r := w.watch(t, Options{})
				conn := w.dial(t, "tcp", family.server, openPort)
				if _, err := conn.Write([]byte("hello")); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				r.await(t, "the start", func(e []Event) bool { return len(e) > 0 })
				started := r.of(Started, openPort)
				if len(started) != 1 || started[0].Start.IsZero() || started[0].Old {
					t.Fatalf("started: %+v", started)
				}
				want := Tuple{
					Src: netip.MustParseAddr(family.client), Dst: netip.MustParseAddr(family.server),
					SrcPort: started[0].Original.SrcPort, DstPort: openPort,
				}
				if got := started[0].Original; got != want || started[0].Forward() != want || started[0].Protocol != 6 {
					t.Errorf("got %+v, want %+v", started[0], want)
				}
				var listed []Connection
				if err := c.Dump(t.Context(), func(c *Connection) { listed = append(listed, *c) }); err != nil {
					t.Fatal(err)
				}
				if len(listed) != 1 || listed[0].ID != started[0].ID || !listed[0].Replied {
					t.Fatalf("listed %+v, want the one that started (%+v)", listed, started[0])
				}
				if found, err := c.Delete(&listed[0]); !found || err != nil {
					t.Fatalf("delete: %v, %v", found, err)
				}
				if found, err := c.Delete(&listed[0]); found || err != nil {
					t.Fatalf("delete again: %v, %v", found, err)
				}
				r.await(t, "the end", func(e []Event) bool { return len(e) > 1 })
				ended := r.of(Ended, openPort)
				if len(ended) != 1 || ended[0].ID != started[0].ID || ended[0].End.IsZero() {
					t.Fatalf("ended: %+v", ended)
				}
				// SYN, ACK, data, ACK of the answer; SYN+ACK, ACK, data.
				if e := ended[0]; e.Sent.Packets < 3 || e.Received.Packets < 2 || e.Sent.Bytes < 3*20+5 {
					t.Errorf("counters %+v and %+v: accounting is not on", e.Sent, e.Received)
				}
			})
		}
	})
}

// Connections that are older than the agent are told too, as old ones, and
// their end is noticed though the kernel does not tell it.
func TestOldConnections(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(t, serverAddr, openPort)
		w.dial(t, "tcp", serverAddr, openPort)
		c, r := w.watch(t, Options{})
		r.await(t, "the old connection", func(e []Event) bool { return len(e) == 1 && e[0].Old })
		old := r.of(Started, openPort)[0]
		if found, err := c.Delete(&old.Connection); !found || err != nil {
			t.Fatalf("delete: %v, %v", found, err)
		}
		r.await(t, "its end", func(e []Event) bool { return len(e) == 2 && e[1].Kind == Ended })
	})
}

// A burst is counted to the last connection, also where the buffer is far too
// small for it.
func TestBurstIsCountedExactly(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		for _, c := range []struct {
			name        string
			connections int
			buffer      int
		}{
			{"25000 with a large buffer", 25_000, 0},
			{"1000 with a tiny buffer", 1_000, 4096},
		} {
			t.Run(c.name, func(t *testing.T) {
				w := newWorld(t)
				ct, r := w.watch(t, Options{ReadBuffer: c.buffer})
				start := time.Now()
				w.burst(t, c.connections)
				took := time.Since(start)
				r.await(t, "all connections", func(e []Event) bool { return count(e, Started) >= c.connections })
				fill, err := ct.Fill()
				if err != nil || fill.Entries < uint32(c.connections) || fill.Max < fill.Entries {
					t.Errorf("fill %+v, %v", fill, err)
				}
				forgetAll(t, ct)
				r.await(t, "all ends", func(e []Event) bool { return count(e, Ended) >= c.connections })
				seen, ended := map[Name]int{}, 0
				r.mu.Lock()
				for i := range r.events {
					e := &r.events[i]
					switch e.Kind {
					case Started:
						seen[e.Name]++
					case Ended:
						ended++
						seen[e.Name] += 1000
					}
				}
				r.mu.Unlock()
				for k, n := range seen {
					if n != 1001 {
						t.Errorf("connection %v: %d", k, n)
						break
					}
				}
				if len(seen) != c.connections || ended != c.connections {
					t.Errorf("%d connections started and %d ended, want %d", len(seen), ended, c.connections)
				}
				t.Logf("%d connections in %s; %+v, buffer %d", c.connections, took, ct.Loss(), ct.events.ReadBuffer())
				if c.buffer > 0 && ct.Loss().Late == 0 {
					t.Error("the buffer was not too small: nothing was tested")
				}
			})
		}
	})
}

func count(events []Event, kind EventKind) (n int) {
	for i := range events {
		if events[i].Kind == kind {
			n++
		}
	}
	return n
}

func TestMirrorTellsOnce(t *testing.T) {
	at := time.Unix(1000, 0)
	conn := func(id uint32) *Connection {
		return &Connection{ID: id, Protocol: 6, Original: Tuple{
			Src: netip.MustParseAddr(clientAddr), Dst: netip.MustParseAddr(serverAddr), SrcPort: 1, DstPort: 2,
		}}
	}
	m := newMirror()
	m.since = at
	began := func(c *Connection) bool {
		slot, _ := m.began(m.name(c), at)
		return slot != nil
	}
	if !began(conn(1)) || began(conn(1)) || !began(conn(2)) {
		t.Error("a beginning is told once for each id")
	}
	if _, known, again := m.ended(m.name(conn(1)), at); !known || again {
		t.Error("the end of a known one")
	}
	if _, known, again := m.ended(m.name(conn(1)), at); known || !again {
		t.Error("its end once more")
	}
	if _, known, again := m.ended(m.name(conn(3)), at); known || again {
		t.Error("the end of one whose beginning was missed")
	}
	if !began(conn(1)) {
		t.Error("the same addresses and id may live again")
	}
	if _, known, _ := m.ended(m.name(conn(1)), at); !known {
		t.Error("and end again")
	}
	if _, known, again := m.ended(m.name(conn(3)), at.Add(time.Minute)); known || !again {
		t.Error("a repeated end is known for one turn at least")
	}
	m.turn(at.Add(2 * time.Minute))
	m.turn(at.Add(3 * time.Minute))
	if _, _, again := m.ended(m.name(conn(3)), at.Add(3*time.Minute)); again {
		t.Error("ends are remembered for ever")
	}

	m.round = 1
	listed := func(c *Connection, silent bool) bool { return m.listed(m.name(c), c, silent) != nil }
	if !listed(conn(8), false) || listed(conn(8), true) || len(m.old) != 0 {
		t.Error("one whose end will be told need not be looked for")
	}
	if !listed(conn(9), true) || listed(conn(9), true) || len(m.old) != 1 {
		t.Error("an old one is told once")
	}
	m.round = 2
	if gone := m.vanished(at); len(gone) != 0 {
		t.Error("missing once is not gone")
	}
	m.round = 3
	if gone := m.vanished(at); len(gone) != 1 || gone[m.name(conn(9))] == nil || len(m.old) != 0 {
		t.Errorf("missing twice is gone, got %v", gone)
	}
	listed(conn(10), true)
	if began(conn(10)) || len(m.old) != 0 {
		t.Error("a beginning that comes after the listing is the same connection")
	}
	for _, late := range []bool{false, true} {
		listed(conn(11), true)
		m.late = late
		slot, former := m.began(m.name(conn(11)), at.Add(time.Second))
		if fresh := slot != nil; fresh == late || (former == nil) != late || len(m.old) != 0 {
			t.Errorf("one of the same name that is younger than the listing: new %v, in place of %v; events late: %v", slot != nil, former, late)
		}
		m.ended(m.name(conn(11)), at)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{8, 0, 12, 0, 0, 0, 0, 1})
	f.Add([]byte{20, 0, 1, 128, 16, 0, 1, 128, 8, 0, 1, 0, 1, 2, 3, 4, 4, 0, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := decode(b); ok && (!c.Original.Src.IsValid() || !c.Original.Dst.IsValid()) {
			t.Errorf("addresses are missing: %+v", c)
		}
		var d Denied
		d.decode(b)
	})
}

// What the kernel has told of by when Run is to end is told before it does.
func TestWhatWasHeardIsToldAtTheEnd(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		c, err := OpenConntrack(Options{NetNS: w.router.FD()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &recorder{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- c.Run(ctx, func(e *Event) {
				<-ctx.Done() // all but the first waits
				r.add(e)
			}, func() {})
		}()
		<-c.Ready()
		const burst = 2000
		w.burst(t, burst)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := count(r.events, Started); got != burst {
			t.Errorf("%d connections told, want %d", got, burst)
		}
	})
}
