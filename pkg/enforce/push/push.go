package push

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
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

	// Batches that were handed out and not acknowledged, the oldest first.
	waiting []*relaypb.Batch
	next    uint64 // sequence of the next batch
}

// window is how many batches may be under way at once. What does not fit into
// them stays with the flows.
const window = 4

// New prepares the line of one agent process.
func New(opts Options, local Local) *Pusher {
	opts.setDefaults()
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Pusher{opts: opts, local: local, session: hex.EncodeToString(id[:]), outbox: local.Flows.Outbox(), next: 1}
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
	if !w.GetKnown() {
		p.outbox.Restart()
		p.waiting, p.next = nil, 1
		return
	}
	p.acknowledged(w.GetAcknowledged())
}

// acknowledged forgets batches that are counted.
func (p *Pusher) acknowledged(sequence uint64) {
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
