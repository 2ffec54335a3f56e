package keep

import (
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// history counts each of so many flows in each of so many hours.
func history(s *Store, c *clock, flows, hours int) error {
	for range hours {
		for n := range flows {
			s.Flows().Denied(key(n), flow.Ends{}, flow.Counters{PacketsIn: 10, PacketsOut: 12, BytesIn: 4200, BytesOut: 900}, c.at)
		}
		if err := s.Sync(); err != nil {
			return err
		}
		c.at = c.at.Add(time.Hour)
	}
	return nil
}

// BenchmarkOpen reads 20 000 flows, each seen in every hour of 15 days.
func BenchmarkOpen(b *testing.B) {
	const flows, hours = 20_000, 15 * 24
	dir, c := b.TempDir(), &clock{t0}
	s := Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits(), Now: c.now})
	if err := history(s, c, flows, hours); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(s.Size())/flows/hours, "B/flow/h")
	for b.Loop() {
		s := Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits(), Now: c.now})
		if s.Flows().Len() != flows {
			b.Fatal(s.Flows().Len(), s.Problem())
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnection counts a connection with and without keeping it; it is
// written every 20 000 connections, as on a node that has 10 000 in a second.
func BenchmarkConnection(b *testing.B) {
	for _, dir := range []string{"", b.TempDir()} {
		name := "memory"
		if dir != "" {
			name = "kept"
		}
		b.Run(name, func(b *testing.B) {
			c := &clock{t0}
			s := Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits(), Now: c.now})
			handles := make([]*flow.Handle, 500)
			for n := range handles {
				handles[n] = flow.NewHandle(key(n))
			}
			var batch flow.Batch
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h := handles[i%len(handles)]
				batch.Started(h, flow.Ends{})
				batch.Ended(h, flow.Counters{PacketsIn: 1})
				if i%100 == 99 {
					s.Flows().Add(&batch, c.at)
				}
				if i%20_000 == 19_999 {
					c.at = c.at.Add(2 * time.Second)
					if err := s.Sync(); err != nil {
						b.Fatal(err)
					}
				}
			}
			_ = s.Close()
		})
	}
}

// The file is bounded by the limits however much comes and goes.
func TestSizeIsBounded(t *testing.T) {
	dir, c := t.TempDir(), &clock{t0}
	limits := flow.Limits{Keys: 200, Keep: 5 * time.Hour}
	s := c.open(t, dir, limits)
	box := s.Flows().Outbox()
	sizes := map[int]int64{}
	for hour := range 24 {
		for minute := range 20 {
			for n := range 40 {
				s.Flows().Denied(key(hour*1000+minute*10+n), ends(n), flow.Counters{BytesIn: 100}, c.at)
			}
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			if minute%7 == 0 {
				box.Take(1000)
			}
			c.at = c.at.Add(3 * time.Minute)
		}
		sizes[hour] = s.Size()
	}
	// 200 flows of 5 coarse and 240 fine buckets of at most 64 bytes, twice for
	// what is untold, and what bbolt needs to write beside what is in force.
	if most := int64(200 * 245 * 64 * 2); s.Size() > most || sizes[23] > 2*sizes[10] {
		t.Errorf("%d bytes after 24 hours, %d after 10", sizes[23], sizes[10])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
