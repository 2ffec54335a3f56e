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

	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// errRenew: the line is to be made anew at once, with new papers.
var errRenew = errors.New("the certificate is to be renewed")

// farewell is how long an agent that ends waits for its last batches to be counted.
const farewell = 2 * time.Second

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
