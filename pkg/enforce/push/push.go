package push

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// Pusher keeps the line up.
type Pusher struct {
	opts    Options
	local   Local
	session string
	outbox  *flow.Outbox
	papers  papers

	process time.Time // since when it has run
	since   time.Time // since when the session tells of what was counted; zero: all
	anew    bool      // nobody was told yet what is open

	// mu guards what is kept: what was handed out of the outbox is in waiting.
	mu sync.Mutex
	// Batches that were handed out and not acknowledged, the oldest first.
	waiting []*relaypb.Batch
	next    uint64          // sequence of the next batch
	kept    map[uint64]bool // batches that are on disk
	dirty   bool            // session or next are to be written
}

// window is how many batches may be under way at once. What does not fit into
// them stays with the flows.
const window = 4

// New prepares the line of one agent process. What it counts is to be kept from
// before the call on, and nobody else takes it.
func New(opts Options, local Local) *Pusher {
	opts.setDefaults()
	p := &Pusher{opts: opts, local: local, process: opts.Now(), anew: true, next: 1, kept: map[uint64]bool{}}
	if !p.resume() {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		p.session, p.outbox, p.dirty = hex.EncodeToString(id[:]), local.Flows.Outbox(), true
		p.since = local.Flows.Since()
	}
	if local.Store != nil {
		local.Store.With(p)
	}
	return p
}

// Run keeps the line up until ctx ends. What is still to be told then is told
// before it returns, if the server takes it quickly.
func (p *Pusher) Run(ctx context.Context) {
	wait := p.opts.Pace.LeastWait
	var said string
	for ctx.Err() == nil {
		began := p.opts.Now()
		err := p.line(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(err, errRenew):
			wait = p.opts.Pace.LeastWait
			continue
		case p.opts.Now().Sub(began) > p.opts.Pace.MostWait: // it has been up
			wait, said = p.opts.Pace.LeastWait, ""
		}
		if text := err.Error(); text != said { // once, however often it is tried
			p.opts.Log.Warn("no line to the flows server; enforcement does not depend on it", "error", text)
			said = text
		}
		// Half of the wait is chance, so that the agents of a large cluster do
		// not come all at once.
		pause(ctx, wait/2+mathrand.N(wait/2+1))
		wait = min(2*wait, p.opts.Pace.MostWait)
	}
}

// welcome begins anew or goes on, as the server says.
func (p *Pusher) welcome(w *relaypb.Welcome) {
	p.anew = false
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.GetKnown() {
		p.outbox.Restart()
		p.waiting, p.next, p.dirty = nil, 1, true
		p.since = time.Time{}
		return
	}
	switch n := w.GetAcknowledged(); {
	case n >= p.next:
		// It has counted batches that we know nothing of: what was handed out
		// could not be kept before this process began. What is left of it may be
		// in them, and is not told twice.
		p.outbox.Skip()
		p.waiting, p.next, p.dirty = nil, n+1, true
		p.outbox.Doubt(p.before(), p.process)
	case len(p.waiting) == 0 && n+1 < p.next, len(p.waiting) > 0 && n+1 < p.waiting[0].GetSequence():
		// It has lost batches that it had counted.
		p.outbox.Doubt(unixTime(w.GetKeptUntilNanos()), p.opts.Now())
		p.renumber(n + 1)
	}
	if w.GetLiveForgotten() {
		for _, b := range p.waiting {
			for _, g := range b.GetGains() {
				g.Live = 0
			}
		}
		p.outbox.LiveAgain()
	}
	p.forget(w.GetAcknowledged())
}

// before is when what the process before counted was kept last: what it handed
// out after that is lost.
func (p *Pusher) before() time.Time {
	if p.local.Store == nil {
		return time.Time{}
	}
	return p.local.Store.Before()
}

// unixTime is a moment in Unix nanoseconds, 0 for the zero time.
func unixTime(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// unixNanos is the opposite.
func unixNanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// renumber has the batches that wait follow each other from a number on.
func (p *Pusher) renumber(next uint64) {
	for _, b := range p.waiting {
		b.Sequence = next
		next++
	}
	p.next, p.dirty = next, true
}

// acknowledged forgets batches that are counted.
func (p *Pusher) acknowledged(sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(sequence)
}

func (p *Pusher) forget(sequence uint64) {
	n := 0
	for n < len(p.waiting) && p.waiting[n].GetSequence() <= sequence {
		n++
	}
	p.waiting = append([]*relaypb.Batch(nil), p.waiting[n:]...)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
