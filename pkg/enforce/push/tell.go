package push

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// batchFlows is how many flows a batch has at most.
const batchFlows = 200

// teller is what tell works with.
type teller struct {
	stream  relaypb.Relay_ConnectClient
	acks    <-chan uint64
	replies <-chan *relaypb.Reply
	more    bool // the last batch was full
	told    *agentpb.StatusReply
	toldAt  time.Time
	lookAt  time.Time // when the CA was looked at
	staged  uint64    // the change of what is staged that was told; 0: none
}

// tell sends what there is to tell.
func (p *Pusher) tell(ctx, alive context.Context, t teller) error {
	p.durable()
	for _, b := range p.waiting { // of the line before
		if err := t.batch(b); err != nil {
			return err
		}
	}
	t.lookAt = p.opts.Now()
	flush := time.NewTicker(p.opts.Pace.Flush)
	defer flush.Stop()
	renew := time.NewTimer(p.due())
	defer renew.Stop()
	err := p.flush(ctx, &t)
	for err == nil {
		select {
		case <-ctx.Done():
			return p.goodbye(alive, &t)
		case <-alive.Done():
			return alive.Err()
		case <-renew.C:
			p.papers = papers{}
			return errRenew
		case <-flush.C:
			if now := p.opts.Now(); now.Sub(t.lookAt) >= p.opts.Pace.Trust {
				if t.lookAt = now; p.caChanged(ctx) {
					return errRenew
				}
			}
			err = p.flush(ctx, &t)
		case n := <-t.acks:
			p.acknowledged(n)
			if t.more { // else what comes meanwhile is told together
				err = p.flush(ctx, &t)
			}
		case r := <-t.replies:
			err = t.stream.Send(&relaypb.Up{Is: &relaypb.Up_Reply{Reply: r}})
		}
	}
	return err
}

// flush sends status and flows, as far as there is anything new and room for it.
func (p *Pusher) flush(ctx context.Context, t *teller) error {
	if p.opts.Now().Sub(t.toldAt) >= p.opts.Pace.Flush {
		now, err := p.local.Agent.Status(ctx, &agentpb.StatusRequest{})
		if err == nil && (t.told == nil || p.opts.Now().Sub(t.toldAt) >= p.opts.Pace.Status || !proto.Equal(now, t.told)) {
			if err := t.stream.Send(&relaypb.Up{Is: &relaypb.Up_Status{Status: now}}); err != nil {
				return err
			}
			t.told, t.toldAt = now, p.opts.Now()
		}
	}
	if p.local.Flows.StagedChange() != t.staged {
		var list []flow.StagedSpec
		list, t.staged = p.local.Flows.StagedSpecs()
		for _, s := range relay.StagedToWire(list) {
			if err := t.stream.Send(&relaypb.Up{Is: &relaypb.Up_Staged{Staged: s}}); err != nil {
				return err
			}
		}
	}
	t.more = true
	before := len(p.waiting)
	for t.more && len(p.waiting) < window {
		t.more = p.batch() != nil
	}
	if len(p.waiting) == before {
		return nil
	}
	p.durable()
	for _, b := range p.waiting[before:] {
		if err := t.batch(b); err != nil {
			return err
		}
	}
	return nil
}

// batch is what is to be told next, nil if that is nothing. From here on it is
// kept until it is acknowledged.
func (p *Pusher) batch() *relaypb.Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	gains, missing := p.outbox.Take(batchFlows)
	if len(gains)+len(missing) == 0 {
		return nil
	}
	b := &relaypb.Batch{Sequence: p.next, Missing: relay.MissingToWire(missing)}
	for i := range gains {
		b.Gains = append(b.Gains, relay.GainToWire(&gains[i]))
	}
	p.next++
	p.waiting = append(p.waiting, b)
	return b
}

func (t *teller) batch(b *relaypb.Batch) error {
	return t.stream.Send(&relaypb.Up{Is: &relaypb.Up_Batch{Batch: b}})
}

// goodbye tells the rest and waits until it is counted.
func (p *Pusher) goodbye(alive context.Context, t *teller) error {
	for {
		if err := p.flush(alive, t); err != nil {
			return err
		}
		if len(p.waiting) == 0 {
			break
		}
		select {
		case <-alive.Done():
			return alive.Err()
		case n := <-t.acks:
			p.acknowledged(n)
		}
	}
	if err := t.stream.Send(&relaypb.Up{Is: &relaypb.Up_Goodbye{Goodbye: &relaypb.Goodbye{}}}); err != nil {
		return err
	}
	return t.stream.CloseSend()
}
