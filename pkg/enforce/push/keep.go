package push

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow/keep"
)

// The records that a Pusher keeps: its session, and the batches that are not
// acknowledged. They are written with what they were taken from, and before they
// are sent, so that a process that follows goes on where this one ended.
const (
	recordSession = "push/session"
	recordBatch   = "push/batch/"
)

type sessionRecord struct {
	Session string
	Next    uint64
	Since   int64 `json:",omitempty"` // Unix nanoseconds; 0: all
}

func batchName(sequence uint64) string { return fmt.Sprintf("%s%020d", recordBatch, sequence) }

// resume goes on with the session that was kept; false if none was.
func (p *Pusher) resume() bool {
	if p.local.Store == nil {
		return false
	}
	var r sessionRecord
	if json.Unmarshal(p.local.Store.Record(recordSession), &r) != nil || r.Session == "" || r.Next == 0 {
		return false
	}
	for n := r.Next - 1; n > 0; n-- {
		b := &relaypb.Batch{}
		data := p.local.Store.Record(batchName(n))
		if data == nil || proto.Unmarshal(data, b) != nil || b.GetSequence() != n {
			break
		}
		for _, g := range b.GetGains() {
			g.Live = 0 // of the process before
		}
		p.waiting = append([]*relaypb.Batch{b}, p.waiting...)
	}
	p.haveBatches(p.local.Store.Records())
	p.session, p.next, p.since = r.Session, r.Next, unixTime(r.Since)
	p.outbox = p.local.Flows.Resume()
	return true
}

// haveBatches notes which batches are on disk.
func (p *Pusher) haveBatches(records map[string][]byte) {
	for name := range records {
		var n uint64
		if rest, ok := strings.CutPrefix(name, recordBatch); ok {
			if _, err := fmt.Sscanf(rest, "%d", &n); err == nil {
				p.kept[n] = true
			}
		}
	}
}

// Anew implements keep.Companion: this process goes on with its own session. What
// the batches in the file told of may have arrived or not, so its hours are in
// doubt.
func (p *Pusher) Anew(have map[string][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.kept)
	p.haveBatches(have)
	p.dirty = true
	for n := range p.kept {
		b := &relaypb.Batch{}
		if proto.Unmarshal(have[batchName(n)], b) != nil {
			continue
		}
		for _, g := range b.GetGains() {
			for _, s := range g.GetSpans() {
				at := time.Unix(0, s.GetStartNanos())
				p.outbox.Doubt(at, at)
			}
		}
	}
}

// Keep implements keep.Companion.
func (p *Pusher) Keep(gather func()) (out []keep.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gather()
	if p.dirty {
		for n := range p.kept { // numbers may stand for others now
			out = append(out, keep.Record{Name: batchName(n)})
		}
		clear(p.kept)
	}
	waiting := map[uint64]bool{}
	for _, b := range p.waiting {
		n := b.GetSequence()
		waiting[n] = true
		if p.kept[n] {
			continue
		}
		if data, err := proto.Marshal(b); err == nil {
			out = append(out, keep.Record{Name: batchName(n), Value: data})
			p.kept[n] = true
			p.dirty = true
		}
	}
	for n := range p.kept {
		if !waiting[n] {
			out = append(out, keep.Record{Name: batchName(n)})
			delete(p.kept, n)
		}
	}
	if p.dirty {
		data, err := json.Marshal(sessionRecord{p.session, p.next, unixNanos(p.since)})
		if err == nil {
			out = append(out, keep.Record{Name: recordSession, Value: data})
		}
		p.dirty = false
	}
	return out
}

// durable waits until what is about to be sent is kept. Where that can't be, it
// is sent all the same.
func (p *Pusher) durable() {
	if p.local.Store != nil {
		_ = p.local.Store.Sync() // its Problem tells
	}
}

// Hold goes on with noting what is to be told, for a process that tells nobody:
// a later one may.
func Hold(s *keep.Store) {
	if s.Record(recordSession) != nil {
		s.Flows().Resume()
	}
}
