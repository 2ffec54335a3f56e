package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// errRenew: the line is to be made anew at once, with new papers.
var errRenew = errors.New("the certificate is to be renewed")

const (
	// batchFlows is how many flows a batch has at most.
	batchFlows = 200
	// farewell is how long an agent that ends waits for its last batches to be
	// counted.
	farewell = 2 * time.Second
)

// line is one connection, from enrolling until it breaks.
func (p *Pusher) line(ctx context.Context) error {
	addr, err := p.address()
	if err != nil {
		return err
	}
	if err := p.obtain(ctx, addr); err != nil {
		return err
	}
	conn, err := p.dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The stream outlives ctx for as long as the farewell takes.
	alive, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(farewell, hangUp) })
	defer stop()
	stream, err := relaypb.NewRelayClient(conn).Connect(alive)
	if err != nil {
		return p.refused(err)
	}
	since, gaps := p.told()
	hello := &relaypb.Hello{
		Node: p.opts.Node, Session: p.session, StartedNanos: since.UnixNano(), ProcessNanos: p.process.UnixNano(),
		Gaps: flow.GapsToWire(gaps), LiveAnew: p.anew,
	}
	if err := stream.Send(&relaypb.Up{Is: &relaypb.Up_Hello{Hello: hello}}); err != nil && !errors.Is(err, io.EOF) {
		return p.refused(err)
	}
	first, err := receive(alive, stream)
	if err != nil {
		return p.refused(err)
	}
	if first.GetWelcome() == nil {
		return errors.New("the flows server did not welcome the agent")
	}
	p.welcome(first.GetWelcome())
	return p.refused(p.talk(ctx, call{stream, alive, hangUp}))
}

// told is since when the session tells of what was counted, and the gaps. What was
// kept before and could be read only later another session has told of.
func (p *Pusher) told() (time.Time, []flow.Gap) {
	since, gaps := p.local.Flows.Gaps(p.opts.Node)
	p.mu.Lock()
	defer p.mu.Unlock()
	if since.Before(p.since) {
		since = p.since
	}
	return since, gaps
}

// call is a stream, and how to end it.
type call struct {
	relaypb.Relay_ConnectClient
	alive  context.Context
	hangUp context.CancelFunc
}

// refused drops papers that the server does not take.
func (p *Pusher) refused(err error) error {
	if c := status.Code(err); c == codes.Unauthenticated || c == codes.PermissionDenied {
		p.papers = papers{}
	}
	return err
}

// receive waits for the first message, not for ever.
func receive(ctx context.Context, stream relaypb.Relay_ConnectClient) (*relaypb.Down, error) {
	timer := time.AfterFunc(15*time.Second, func() { _ = stream.CloseSend() })
	defer timer.Stop()
	down, err := stream.Recv()
	if err != nil && ctx.Err() == nil && !timer.Stop() {
		return nil, fmt.Errorf("the flows server says nothing: %w", err)
	}
	return down, err
}

// talk goes on until the connection breaks, the papers have to be renewed or
// ctx ends. It alone sends.
func (p *Pusher) talk(ctx context.Context, stream call) error {
	g, alive := errgroup.WithContext(stream.alive)
	hands := newHands(p.local)
	acks := make(chan uint64, window)
	g.Go(func() error {
		for {
			down, err := stream.Recv()
			if err != nil {
				return err
			}
			switch is := down.GetIs().(type) {
			case *relaypb.Down_Acknowledged:
				select {
				case acks <- is.Acknowledged:
				case <-alive.Done():
					return alive.Err()
				}
			case *relaypb.Down_Command:
				hands.do(alive, is.Command)
			}
		}
	})
	g.Go(func() error {
		err := p.tell(ctx, alive, teller{stream: stream, acks: acks, replies: hands.replies})
		if err != nil {
			stream.hangUp()
		}
		return err // after a farewell the server hangs up
	})
	return g.Wait()
}

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
