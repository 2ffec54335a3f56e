package flowserver

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
)

const (
	// helloWithin is how long a new line may be silent.
	helloWithin = 15 * time.Second
	// maxPending is how many commands may be under way on one line.
	maxPending = 256
	// An agent may send so many messages a second, in the long run and at once;
	// more wait.
	messageRate, messageBurst = 100, 1000
)

var (
	errSuperseded = status.Error(codes.Aborted, "the agent has another line")
	errNoLine     = status.Error(codes.Unavailable, "the node's agent has no line to the flows server")
)

// line is one agent's connection.
type line struct {
	superseded chan struct{} // closed when another takes its place
	closed     chan struct{} // closed when it is no more
	down       chan *relaypb.Down

	mu      sync.Mutex
	last    uint64
	pending map[uint64]chan *relaypb.Reply
}

func newLine() *line {
	return &line{
		superseded: make(chan struct{}), closed: make(chan struct{}),
		down: make(chan *relaypb.Down, 16), pending: map[uint64]chan *relaypb.Reply{},
	}
}

// ask has the agent carry out a command and waits for its reply, which is no
// error of the agent's.
func (l *line) ask(ctx context.Context, c *relaypb.Command) (*relaypb.Reply, error) {
	reply := make(chan *relaypb.Reply, 1)
	l.mu.Lock()
	if len(l.pending) >= maxPending {
		l.mu.Unlock()
		return nil, status.Error(codes.ResourceExhausted, "the node's agent is busy with other commands")
	}
	l.last++
	c.Id = l.last
	l.pending[c.Id] = reply
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, c.Id)
		l.mu.Unlock()
	}()
	if deadline, ok := ctx.Deadline(); ok {
		c.TimeoutNanos = int64(time.Until(deadline))
	}
	select {
	case l.down <- &relaypb.Down{Is: &relaypb.Down_Command{Command: c}}:
	case <-l.closed:
		return nil, errNoLine
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	select {
	case r := <-reply:
		if r.GetCode() != 0 {
			return nil, status.Error(codes.Code(r.GetCode()), r.GetMessage())
		}
		return r, nil
	case <-l.closed:
		return nil, errNoLine
	case <-ctx.Done():
		select {
		case l.down <- &relaypb.Down{Is: &relaypb.Down_Command{Command: &relaypb.Command{Id: c.Id, Is: &relaypb.Command_Cancel{}}}}:
		default: // it ends by its own time-out
		}
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// answered hands a reply to who waits for it; nobody may.
func (l *line) answered(r *relaypb.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.pending[r.GetId()]; c != nil {
		delete(l.pending, r.GetId())
		c <- r
	}
}

// serve talks with an agent until either end hangs up; ended says that the agent
// has told everything. It alone sends.
func (l *line) serve(h *hub, name string, until time.Time, stream relaypb.Relay_ConnectServer) error {
	defer close(l.closed)
	ups := receive(stream)
	hello, err := firstHello(ups, name)
	if err != nil {
		return err
	}
	welcome, err := h.attach(name, hello, l)
	if err != nil {
		return err
	}
	ended := false
	defer func() { h.detach(name, l, ended) }()
	if err := stream.Send(&relaypb.Down{Is: &relaypb.Down_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	expired := time.NewTimer(until.Sub(h.now()))
	defer expired.Stop()
	for {
		var down *relaypb.Down
		select {
		case <-l.superseded:
			return errSuperseded
		case <-expired.C:
			return status.Error(codes.Unauthenticated, "the agent's certificate has expired")
		case down = <-l.down:
		case up, ok := <-ups.messages:
			if !ok {
				return ups.err
			}
			if up.GetGoodbye() != nil {
				ended = true
				return nil
			}
			if down, err = l.take(h, name, up); err != nil {
				return err
			}
		}
		if down != nil {
			if err := stream.Send(down); err != nil {
				return err
			}
		}
	}
}

// take carries out what an agent says, and gives the answer if there is one.
func (l *line) take(h *hub, name string, up *relaypb.Up) (*relaypb.Down, error) {
	switch is := up.GetIs().(type) {
	case *relaypb.Up_Batch:
		n, err := h.count(name, l, is.Batch)
		if err == nil {
			// What is acknowledged the agent forgets. Where it can't be kept it
			// is counted in memory, and the agent is to go on.
			_ = h.store.Sync()
		}
		return &relaypb.Down{Is: &relaypb.Down_Acknowledged{Acknowledged: n}}, err
	case *relaypb.Up_Status:
		h.heard(name, l, is.Status)
	case *relaypb.Up_Staged:
		h.staged(relay.StagedFromWire(is.Staged))
	case *relaypb.Up_Reply:
		l.answered(is.Reply)
	case *relaypb.Up_Hello:
		return nil, status.Error(codes.InvalidArgument, "a second hello")
	}
	return nil, nil // what newer agents say may be passed over
}

// inbox is what comes in; messages is closed after the last, and err says why.
type inbox struct {
	messages chan *relaypb.Up
	err      error
}

// receive reads no faster than an agent should send.
func receive(stream relaypb.Relay_ConnectServer) *inbox {
	in := &inbox{messages: make(chan *relaypb.Up)}
	limit := rate.NewLimiter(messageRate, messageBurst)
	go func() {
		defer close(in.messages)
		for {
			up, err := stream.Recv()
			if err == nil {
				err = limit.Wait(stream.Context())
			}
			if err != nil {
				in.err = err
				return
			}
			select {
			case in.messages <- up:
			case <-stream.Context().Done():
				in.err = stream.Context().Err()
				return
			}
		}
	}()
	return in
}

func firstHello(in *inbox, name string) (*relaypb.Hello, error) {
	timer := time.NewTimer(helloWithin)
	defer timer.Stop()
	select {
	case up, ok := <-in.messages:
		if !ok {
			return nil, in.err
		}
		hello := up.GetHello()
		switch {
		case hello == nil || hello.GetSession() == "" || len(hello.GetSession()) > 64 || hello.GetStartedNanos() <= 0:
			return nil, status.Error(codes.InvalidArgument, "the first message is no hello")
		case hello.GetNode() != name:
			return nil, status.Errorf(codes.PermissionDenied, "the certificate is node %s's, not %.253s's", name, hello.GetNode())
		}
		return hello, nil
	case <-timer.C:
		return nil, status.Error(codes.DeadlineExceeded, "no hello")
	}
}
