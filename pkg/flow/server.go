package flow

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// pause is how long a stream waits between two sends, so that a burst of
// connections comes as one message a flow.
const pause = 200 * time.Millisecond

type server struct {
	flowpb.UnimplementedFlowsServer
	agg *Aggregator
	now func() time.Time
}

// NewServer serves what agg has counted. now is the clock that requests
// relative to the present are read by.
func NewServer(agg *Aggregator, now func() time.Time) flowpb.FlowsServer {
	return &server{agg: agg, now: now}
}

// List implements flowpb.FlowsServer.
func (s *server) List(_ context.Context, r *flowpb.FlowListRequest) (*flowpb.FlowListResult, error) {
	if err := checkPage(r.GetPage(), r.GetPageSize()); err != nil {
		return nil, err
	}
	now := s.now()
	f := Filter{
		Since:         moment(r.GetSinceNanos(), r.GetStartTimeGte(), now),
		Until:         moment(r.GetUntilNanos(), r.GetStartTimeLt(), now),
		IncludeProbes: r.GetIncludeProbes(),
	}
	records, coverage := s.agg.records(f, now)
	var flows []*flowpb.FlowResult
	for _, rec := range records {
		w := ToWire(rec.Flow)
		if matchWire(r.GetFilter(), w.GetKey()) {
			flows = append(flows, &flowpb.FlowResult{Id: rec.ID, Flow: w})
		}
	}
	sortWire(flows, r.GetSortBy())
	return &flowpb.FlowListResult{
		Meta:  listMetadata(len(flows), r.GetPageSize()),
		Flows: pageOf(flows, r.GetPage(), r.GetPageSize()),
		Coverage: &flowpb.Coverage{
			FromNanos: nanos(coverage.From), ToNanos: nanos(coverage.To),
			Lost: coverage.Lost, LostUnknown: coverage.LostUnknown, Evicted: coverage.Evicted,
		},
	}, nil
}

// Stream implements flowpb.FlowsServer. Each message says what one flow gained
// since the message before, so that they add up to what List says.
func (s *server) Stream(r *flowpb.FlowStreamRequest, stream grpc.ServerStreamingServer[flowpb.FlowResult]) error {
	f := Filter{
		Since:         moment(r.GetSinceNanos(), r.GetStartTimeGte(), s.now()),
		IncludeProbes: r.GetIncludeProbes(),
	}
	send := func(records []record) error {
		for _, rec := range records {
			w := ToWire(rec.Flow)
			if !matchWire(r.GetFilter(), w.GetKey()) {
				continue
			}
			if err := stream.Send(&flowpb.FlowResult{Id: rec.ID, Flow: w}); err != nil {
				return err
			}
		}
		return nil
	}
	place, records := s.agg.follow(f)
	// The headers tell the caller that nothing from here on is missed.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	f.Since = time.Time{}
	for {
		if err := send(records); err != nil {
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

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// FilterHints implements flowpb.FlowsServer.
func (s *server) FilterHints(_ context.Context, r *flowpb.FilterHintsRequest) (*flowpb.FilterHintsResult, error) {
	if err := checkPage(r.GetPage(), r.GetPageSize()); err != nil {
		return nil, err
	}
	values, err := hintValues(r.GetType())
	if err != nil {
		return nil, err
	}
	now := s.now()
	records, _ := s.agg.records(Filter{
		Since: moment(0, r.GetStartTimeGte(), now),
		Until: moment(0, r.GetStartTimeLt(), now),
	}, now)
	var found []string
	for _, rec := range records {
		if key := keyToWire(rec.Key); matchWire(r.GetFilter(), key) {
			found = append(found, values(key)...)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	result := &flowpb.FilterHintsResult{Meta: listMetadata(len(found), r.GetPageSize())}
	for _, v := range pageOf(found, r.GetPage(), r.GetPageSize()) {
		result.Hints = append(result.Hints, &flowpb.FilterHint{Value: v})
	}
	return result, nil
}

// hintValues is how the values of one kind of hint are read from a flow.
func hintValues(t flowpb.FilterType) (func(*flowpb.FlowKey) []string, error) {
	one := func(get func(*flowpb.FlowKey) string) func(*flowpb.FlowKey) []string {
		return func(k *flowpb.FlowKey) []string { return []string{get(k)} }
	}
	hits := func(get func(*flowpb.PolicyHit) string) func(*flowpb.FlowKey) []string {
		return func(k *flowpb.FlowKey) (out []string) {
			for _, h := range allHits(k) {
				if v := get(h); v != "" {
					out = append(out, v)
				}
			}
			return out
		}
	}
	switch t {
	case flowpb.FilterType_FilterTypeDestName:
		return one((*flowpb.FlowKey).GetDestName), nil
	case flowpb.FilterType_FilterTypeSourceName:
		return one((*flowpb.FlowKey).GetSourceName), nil
	case flowpb.FilterType_FilterTypeDestNamespace:
		return one((*flowpb.FlowKey).GetDestNamespace), nil
	case flowpb.FilterType_FilterTypeSourceNamespace:
		return one((*flowpb.FlowKey).GetSourceNamespace), nil
	case flowpb.FilterType_FilterTypePolicyTier:
		return hits((*flowpb.PolicyHit).GetTier), nil
	case flowpb.FilterType_FilterTypePolicyName:
		return hits((*flowpb.PolicyHit).GetName), nil
	}
	return nil, status.Error(codes.InvalidArgument, "the request does not say what hints it wants")
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

func checkPage(page, size int64) error {
	if page < 0 || size < 0 {
		return status.Error(codes.InvalidArgument, "page and page_size must not be negative")
	}
	return nil
}

func listMetadata(total int, size int64) *flowpb.ListMetadata {
	m := &flowpb.ListMetadata{TotalResults: int64(total), TotalPages: 1}
	if size > 0 {
		m.TotalPages = (int64(total) + size - 1) / size
	}
	return m
}

func pageOf[T any](all []T, page, size int64) []T {
	if size == 0 {
		if page > 0 {
			return nil
		}
		return all
	}
	n := int64(len(all))
	if page > n/size {
		return nil
	}
	return all[page*size : min(n, page*size+size)]
}

// sortWire sorts as asked, the first option first; flows that are alike stay
// in the order of their keys. Time is newest first.
func sortWire(flows []*flowpb.FlowResult, by []*flowpb.SortOption) {
	slices.SortStableFunc(flows, func(x, y *flowpb.FlowResult) int {
		for _, o := range by {
			if c := compareWire(x.GetFlow(), y.GetFlow(), o.GetSortBy()); c != 0 {
				return c
			}
		}
		return 0
	})
}

func compareWire(x, y *flowpb.Flow, by flowpb.SortBy) int {
	a, b := x.GetKey(), y.GetKey()
	switch by {
	case flowpb.SortBy_DestName:
		return strings.Compare(a.GetDestName(), b.GetDestName())
	case flowpb.SortBy_DestNamespace:
		return strings.Compare(a.GetDestNamespace(), b.GetDestNamespace())
	case flowpb.SortBy_DestType:
		return cmp.Compare(a.GetDestType(), b.GetDestType())
	case flowpb.SortBy_SourceName:
		return strings.Compare(a.GetSourceName(), b.GetSourceName())
	case flowpb.SortBy_SourceNamespace:
		return strings.Compare(a.GetSourceNamespace(), b.GetSourceNamespace())
	case flowpb.SortBy_SourceType:
		return cmp.Compare(a.GetSourceType(), b.GetSourceType())
	}
	return cmp.Compare(y.GetLastSeenNanos(), x.GetLastSeenNanos())
}
