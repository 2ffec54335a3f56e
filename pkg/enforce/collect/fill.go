//go:build linux

package collect

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// Fill says how full the table of connections is, and what became of
// connections that did not fit: the kernel refuses them whatever policies say.
type Fill struct {
	Entries, Max uint32
	// Since the namespace was made: entries that could not be inserted,
	// packets dropped for want of room, and entries dropped early to make some.
	InsertFailed, Dropped, EarlyDropped uint64
}

// Messages and attributes of the table's statistics.
const (
	ctGetStatsCPU = 4
	ctGetStats    = 5

	ctaStatsInsertFailed = 9
	ctaStatsDrop         = 10
	ctaStatsEarlyDrop    = 11

	ctaStatsGlobalEntries = 1
	ctaStatsGlobalMax     = 2
)

// Fill asks how full the table is.
func (c *Conntrack) Fill() (Fill, error) {
	var f Fill
	err := c.table.ask(ctGetStats, unix.NLM_F_ACK, func(typ uint16, data []byte) {
		switch typ {
		case ctaStatsGlobalEntries:
			f.Entries = nfnl.Uint32(data)
		case ctaStatsGlobalMax:
			f.Max = nfnl.Uint32(data)
		}
	})
	if err != nil {
		return f, err
	}
	err = c.table.ask(ctGetStatsCPU, unix.NLM_F_DUMP, func(typ uint16, data []byte) {
		n := uint64(nfnl.Uint32(data)) // of one processor
		switch typ {
		case ctaStatsInsertFailed:
			f.InsertFailed += n
		case ctaStatsDrop:
			f.Dropped += n
		case ctaStatsEarlyDrop:
			f.EarlyDropped += n
		}
	})
	return f, err
}

// ask sends a request without attributes and calls each for every attribute
// of the answers.
func (t *table) ask(kind, flags uint16, each func(typ uint16, data []byte)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | kind, Flags: flags, Seq: t.seq, Family: unix.AF_UNSPEC})
	enc.End()
	if err := t.conn.Send(enc.Bytes()); err != nil {
		return fmt.Errorf("statistics of connections: %w", err)
	}
	for {
		done, err := t.answers(func(m nfnl.Message) { nfnl.Attrs(m.Body, each) })
		if err != nil {
			return fmt.Errorf("statistics of connections: %w", err)
		}
		if done {
			return nil
		}
	}
}
