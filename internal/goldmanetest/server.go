// Package goldmanetest stands in for Calico's Goldmane in tests. It speaks the
// same wire form over mutual TLS, without any of netpol's own fields, and counts
// as Goldmane does: in windows of 15 s, whose numbers it adds up, live
// connections too.
//
// It does not collect anything: tests say what Felix would have told it.
package goldmanetest

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// Window is the width of the windows that flows are counted in, in seconds.
const Window = 15

// Server is a Goldmane. Its fields may be set before the first request.
type Server struct {
	flowpb.UnimplementedFlowsServer
	// Address is where it listens, on this machine.
	Address string
	// Certs are its own and those of its clients.
	Certs *Certs
	// Now is its clock.
	Now func() time.Time
	// PageSize is how many flows an answer has at most; 0: all of them.
	PageSize int64

	mu      sync.Mutex
	windows []*flowpb.FlowResult // one for each flow and window
	keys    []*flowpb.FlowKey    // by ID-1
	streams map[chan *flowpb.FlowResult]*flowpb.Filter
	asked   []proto.Message
}

// Start serves until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Certs: newCerts(t), Now: time.Now, streams: map[chan *flowpb.FlowResult]*flowpb.Filter{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = l.Addr().String()
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(s.Certs.server)))
	flowpb.RegisterFlowsServer(g, s)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// Add counts what a node reports of a flow. Times are moved to the borders of
// the window that the flow begins in.
func (s *Server) Add(f *flowpb.Flow) {
	f = proto.CloneOf(f)
	f.StartTime -= f.GetStartTime() % Window
	f.EndTime = f.GetStartTime() + Window
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.id(f.GetKey())
	for _, w := range s.windows {
		if w.GetId() == id && w.GetFlow().GetStartTime() == f.GetStartTime() {
			sum(w.GetFlow(), f)
			return
		}
	}
	r := &flowpb.FlowResult{Id: id, Flow: f}
	s.windows = append(s.windows, r)
	for c, filter := range s.streams {
		if match(filter, f.GetKey()) {
			c <- proto.CloneOf(r)
		}
	}
}

// Asked are the requests that came, in order.
func (s *Server) Asked() []proto.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// id numbers keys from 1. The lock is held.
func (s *Server) id(k *flowpb.FlowKey) int64 {
	i := slices.IndexFunc(s.keys, func(other *flowpb.FlowKey) bool { return proto.Equal(k, other) })
	if i < 0 {
		s.keys = append(s.keys, k)
		i = len(s.keys) - 1
	}
	return int64(i + 1)
}

// List implements flowpb.FlowsServer.
func (s *Server) List(_ context.Context, r *flowpb.FlowListRequest) (*flowpb.FlowListResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, proto.CloneOf(r))
	since, until := s.times(r.GetStartTimeGte(), r.GetStartTimeLt())
	if since >= until {
		return nil, status.Errorf(codes.Unknown, "startTimeGt (%d) must be less than startTimeLt (%d)", since, until)
	}
	flows := s.between(since, until, r.GetFilter())
	size := r.GetPageSize()
	if size == 0 || s.PageSize > 0 && size > s.PageSize {
		size = s.PageSize
	}
	res := &flowpb.FlowListResult{Meta: &flowpb.ListMetadata{TotalPages: 1, TotalResults: int64(len(flows))}, Flows: flows}
	if size > 0 {
		n := int64(len(flows))
		res.Meta.TotalPages = (n + size - 1) / size
		res.Flows = flows[min(n, r.GetPage()*size):min(n, (r.GetPage()+1)*size)]
	}
	return res, nil
}

// times are absolute times of a request: 0 is the begin of history, and now.
func (s *Server) times(since, until int64) (int64, int64) {
	now := s.Now().Unix()
	if since < 0 {
		since += now
	} else if since == 0 {
		since = now - 3600
	}
	if until <= 0 {
		until += now
	}
	return since, until
}

// between adds up the windows of each flow that lie in a span. The lock is held.
func (s *Server) between(since, until int64, filter *flowpb.Filter) []*flowpb.FlowResult {
	byID := map[int64]*flowpb.FlowResult{}
	for _, w := range s.windows {
		f := w.GetFlow()
		switch {
		case f.GetStartTime() < since || f.GetEndTime() > until || !match(filter, f.GetKey()):
		case byID[w.GetId()] == nil:
			byID[w.GetId()] = proto.CloneOf(w)
		default:
			sum(byID[w.GetId()].GetFlow(), f)
		}
	}
	var out []*flowpb.FlowResult
	for _, r := range byID {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y *flowpb.FlowResult) int {
		return cmp.Or(cmp.Compare(y.GetFlow().GetStartTime(), x.GetFlow().GetStartTime()), cmp.Compare(x.GetId(), y.GetId()))
	})
	return out
}

// Stream implements flowpb.FlowsServer: a message for each flow and window.
func (s *Server) Stream(r *flowpb.FlowStreamRequest, stream grpc.ServerStreamingServer[flowpb.FlowResult]) error {
	if r.GetAggregationInterval() != Window {
		return status.Error(codes.InvalidArgument, "the aggregation interval must be 15 s")
	}
	news := make(chan *flowpb.FlowResult, 100)
	s.mu.Lock()
	s.asked = append(s.asked, proto.CloneOf(r))
	var old []*flowpb.FlowResult
	if r.GetStartTimeGte() != 0 {
		since, _ := s.times(r.GetStartTimeGte(), 0)
		for _, w := range s.windows {
			if w.GetFlow().GetStartTime() >= since && match(r.GetFilter(), w.GetFlow().GetKey()) {
				old = append(old, proto.CloneOf(w))
			}
		}
	}
	s.streams[news] = r.GetFilter()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, news)
		s.mu.Unlock()
	}()
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for _, w := range old {
		if err := stream.Send(w); err != nil {
			return err
		}
	}
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case w := <-news:
			if err := stream.Send(w); err != nil {
				return err
			}
		}
	}
}

// sum adds what another report, or another window, has of a flow.
func sum(f, g *flowpb.Flow) {
	f.StartTime, f.EndTime = min(f.GetStartTime(), g.GetStartTime()), max(f.GetEndTime(), g.GetEndTime())
	f.PacketsIn += g.GetPacketsIn()
	f.PacketsOut += g.GetPacketsOut()
	f.BytesIn += g.GetBytesIn()
	f.BytesOut += g.GetBytesOut()
	f.NumConnectionsStarted += g.GetNumConnectionsStarted()
	f.NumConnectionsCompleted += g.GetNumConnectionsCompleted()
	f.NumConnectionsLive += g.GetNumConnectionsLive()
	f.SourceLabels = common(f.GetSourceLabels(), g.GetSourceLabels())
	f.DestLabels = common(f.GetDestLabels(), g.GetDestLabels())
}

func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// match is the part of Goldmane's filter that netpol asks for.
func match(f *flowpb.Filter, k *flowpb.FlowKey) bool {
	protocol := len(f.GetProtocols()) == 0 || slices.ContainsFunc(f.GetProtocols(), func(m *flowpb.StringMatch) bool { return m.GetValue() == k.GetProto() })
	port := len(f.GetDestPorts()) == 0 || slices.ContainsFunc(f.GetDestPorts(), func(m *flowpb.PortMatch) bool { return m.GetPort() == k.GetDestPort() })
	return protocol && port && (len(f.GetActions()) == 0 || slices.Contains(f.GetActions(), k.GetAction()))
}
