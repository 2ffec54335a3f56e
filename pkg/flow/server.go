package flow

import (
	"context"
	"math"
	"time"

	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// pause is how long a stream waits between two sends, so that a burst of
// connections comes as one message a flow.
const pause = 200 * time.Millisecond

// reviewed is how long a stream may go on before it is asked again what the
// caller may see.
const reviewed = 30 * time.Second

type server struct {
	flowpb.UnimplementedFlowsServer
	agg  *Aggregator
	now  func() time.Time
	view Views
}

// NewServer serves what agg has counted. now is the clock that requests
// relative to the present are read by.
func NewServer(agg *Aggregator, now func() time.Time) flowpb.FlowsServer {
	return NewServerFor(agg, now, everything{})
}

// NewServerFor serves each caller what it may see.
func NewServerFor(agg *Aggregator, now func() time.Time, view Views) flowpb.FlowsServer {
	return &server{agg: agg, now: now, view: view}
}

// List implements flowpb.FlowsServer.
func (s *server) List(ctx context.Context, r *flowpb.FlowListRequest) (*flowpb.FlowListResult, error) {
	if err := checkPage(r.GetPage(), r.GetPageSize()); err != nil {
		return nil, err
	}
	now := s.now()
	f := Filter{
		Since:         moment(r.GetSinceNanos(), r.GetStartTimeGte(), now),
		Until:         moment(r.GetUntilNanos(), r.GetStartTimeLt(), now),
		IncludeProbes: r.GetIncludeProbes(), Namespaces: r.GetNamespaces(),
	}
	view, err := s.view.View(ctx, f.Namespaces)
	if err != nil {
		return nil, err
	}
	done, err := view.Turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	records, coverage, err := s.visible(f, now, view)
	if err != nil {
		return nil, err
	}
	var flows []*flowpb.FlowResult
	for _, rec := range records {
		w := ToWire(rec.Flow)
		if matchWire(r.GetFilter(), w.GetKey()) {
			flows = append(flows, &flowpb.FlowResult{Id: rec.ID, Flow: w})
		}
	}
	sortWire(flows, r.GetSortBy())
	return &flowpb.FlowListResult{
		Meta:     listMetadata(len(flows), r.GetPageSize()),
		Flows:    pageOf(flows, r.GetPage(), r.GetPageSize()),
		Coverage: CoverageToWire(coverage),
	}, nil
}

// Stream implements flowpb.FlowsServer. Each message says what one flow gained
// since the message before, so that they add up to what List says.
func (s *server) Stream(r *flowpb.FlowStreamRequest, stream grpc.ServerStreamingServer[flowpb.FlowResult]) error {
	f := Filter{
		Since:         moment(r.GetSinceNanos(), r.GetStartTimeGte(), s.now()),
		IncludeProbes: r.GetIncludeProbes(), Namespaces: r.GetNamespaces(),
	}
	view, err := s.view.View(stream.Context(), f.Namespaces)
	if err != nil {
		return err
	}
	asked := time.Now()
	if err := s.sighted(view); err != nil {
		return err // rather now than never a flow
	}
	place, records := s.agg.follow(f)
	// The headers tell the caller that nothing from here on is missed.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	f.Since = time.Time{}
	for {
		if time.Since(asked) > reviewed {
			if view, err = s.view.View(stream.Context(), f.Namespaces); err != nil {
				return err
			}
			asked = time.Now()
		}
		if records, err = seen(records, view); err == nil {
			err = sendWire(stream, records, r.GetFilter())
		}
		if err != nil {
			return err
		}
		var wait <-chan struct{}
		if records, wait = s.agg.next(place, f); wait == nil {
			wait = closed()
		}
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-wait:
		}
		if len(records) == 0 {
			continue
		}
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-time.After(pause):
		}
	}
}

func sendWire(stream grpc.ServerStreamingServer[flowpb.FlowResult], records []record, filter *flowpb.Filter) error {
	for _, rec := range records {
		w := ToWire(rec.Flow)
		if !matchWire(filter, w.GetKey()) {
			continue
		}
		if err := stream.Send(&flowpb.FlowResult{Id: rec.ID, Flow: w}); err != nil {
			return err
		}
	}
	return nil
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// moment is a request's time: exact nanoseconds if given, else Unix seconds,
// negative ones before now. 0 is the zero time.
func moment(exact, seconds int64, now time.Time) time.Time {
	switch {
	case exact != 0:
		return time.Unix(0, exact)
	case seconds > 0:
		return time.Unix(seconds, 0)
	case seconds < 0:
		return now.Add(time.Duration(max(seconds, -math.MaxInt32)) * time.Second)
	}
	return time.Time{}
}
