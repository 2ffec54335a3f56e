package push

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
)

// maxHands is how many commands are carried out at once; maxCommand bounds how
// long one may take.
const (
	maxHands   = 256
	maxCommand = 10 * time.Minute
)

// hands carry out commands and hand out replies.
type hands struct {
	local   Local
	replies chan *relaypb.Reply

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
}

func newHands(local Local) *hands {
	return &hands{local: local, replies: make(chan *relaypb.Reply, 16), cancels: map[uint64]context.CancelFunc{}}
}

// do begins a command, or ends one. ctx is the line's.
func (h *hands) do(ctx context.Context, c *relaypb.Command) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := c.GetIs().(*relaypb.Command_Cancel); ok {
		if cancel := h.cancels[c.GetId()]; cancel != nil {
			cancel()
		}
		return
	}
	if len(h.cancels) >= maxHands || h.cancels[c.GetId()] != nil {
		go h.reply(ctx, &relaypb.Reply{Id: c.GetId(), Code: uint32(codes.ResourceExhausted), Message: "the agent is busy"})
		return
	}
	work, cancel := context.WithTimeout(ctx, min(max(time.Duration(c.GetTimeoutNanos()), time.Millisecond), maxCommand))
	h.cancels[c.GetId()] = cancel
	go func() {
		r := h.carryOut(work, c)
		h.mu.Lock()
		delete(h.cancels, c.GetId())
		h.mu.Unlock()
		cancel()
		h.reply(ctx, r)
	}()
}

func (h *hands) reply(ctx context.Context, r *relaypb.Reply) {
	select {
	case h.replies <- r:
	case <-ctx.Done():
	}
}

func (h *hands) carryOut(ctx context.Context, c *relaypb.Command) *relaypb.Reply {
	r := &relaypb.Reply{Id: c.GetId()}
	var err error
	switch is := c.GetIs().(type) {
	case *relaypb.Command_RegisterProbe:
		var reply *agentpb.RegisterProbeReply
		if err = h.owns(is.RegisterProbe.GetNamespace(), is.RegisterProbe.GetSourceAddress()); err == nil {
			reply, err = h.local.Agent.RegisterProbe(ctx, is.RegisterProbe)
			r.Is = &relaypb.Reply_RegisterProbe{RegisterProbe: reply}
		}
	case *relaypb.Command_Denied:
		var reply *agentpb.DeniedReply
		if err = h.owns(is.Denied.GetNamespace(), is.Denied.GetSourceAddress()); err == nil {
			reply, err = h.local.Agent.Denied(ctx, is.Denied)
			r.Is = &relaypb.Reply_Denied{Denied: reply}
		}
	case *relaypb.Command_Await:
		var reply *agentpb.StatusReply
		reply, err = h.local.Agent.Await(ctx, is.Await)
		r.Is = &relaypb.Reply_Status{Status: reply}
	case *relaypb.Command_Sync:
		var reply *agentpb.StatusReply
		reply, err = h.local.Agent.Sync(ctx, is.Sync)
		r.Is = &relaypb.Reply_Status{Status: reply}
	case *relaypb.Command_WouldCut:
		var reply *agentpb.WouldCutReply
		reply, err = h.local.Agent.WouldCut(ctx, is.WouldCut)
		r.Is = &relaypb.Reply_WouldCut{WouldCut: reply}
	default:
		err = status.Error(codes.Unimplemented, "this version of the agent does not know the command")
	}
	if err != nil {
		s := status.Convert(err)
		return &relaypb.Reply{Id: c.GetId(), Code: uint32(s.Code()), Message: s.Message()}
	}
	return r
}

// owns refuses what is asked about another's pod: the server knows a user's
// rights in a namespace, and the agent whose an address is.
func (h *hands) owns(namespace, addr string) error {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "source_address %q is no address", addr)
	}
	owner, ok := h.local.Namespace(a.Unmap())
	if !ok || owner != namespace || namespace == "" {
		return status.Errorf(codes.PermissionDenied, "no pod of namespace %q has the address %s", namespace, addr)
	}
	return nil
}
