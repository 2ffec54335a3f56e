package flow

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// serve answers for agg on a unix socket, at the moment now.
func serve(t *testing.T, agg *Aggregator, now time.Time) *grpc.ClientConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	flowpb.RegisterFlowsServer(s, NewServer(agg, func() time.Time { return now }))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := DialUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func someFlows() *Aggregator {
	a := NewAggregator(t0, DefaultLimits())
	for i, k := range []Key{
		tcp(workload("vote", "vote"), workload("vote", "redis"), 6379),
		tcp(workload("wp", "wordpress"), workload("wp", "mysql"), 3306),
		tcp(network("192.0.2.7"), workload("vote", "vote"), 80),
	} {
		a.Started(k, Ends{}, t0.Add(time.Duration(i)*time.Minute+time.Nanosecond))
	}
	denied := tcp(workload("wp", "wordpress"), workload("vote", "redis"), 6379)
	denied.Enforced = policy.Hit{Tier: "sec", Policy: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "stop"}, Action: policy.Deny}
	a.Denied(denied, Ends{}, Counters{PacketsIn: 2}, t0.Add(5*time.Minute))
	a.Lost(2, true, t0)
	return a
}

func TestClientListsWhatTheAggregatorHas(t *testing.T) {
	agg, now := someFlows(), t0.Add(time.Hour)
	src := NewClient(serve(t, agg, now))
	for _, f := range []Filter{
		{}, {Namespaces: []string{"wp"}}, {Action: policy.Deny}, {From: "192.0.2.7"}, {Port: 3306, Protocol: policy.TCP},
		{Since: t0.Add(time.Minute + 2*time.Nanosecond)}, {Until: t0.Add(time.Minute + time.Nanosecond)}, {Workload: "nobody"},
	} {
		want, wantCoverage := agg.List(f, now)
		got, coverage, err := src.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) || cmp.Diff(want, got, cmp.Comparer(sameAddr), cmp.Comparer(sameMap)) != "" {
			t.Errorf("%+v: %s", f, cmp.Diff(want, got, cmp.Comparer(sameAddr), cmp.Comparer(sameMap)))
		}
		if cmp.Diff(wantCoverage, coverage) != "" {
			t.Errorf("%+v: coverage %+v, want %+v", f, coverage, wantCoverage)
		}
	}
}

func sameMap(a, b map[string]string) bool { return len(a) == 0 && len(b) == 0 || cmp.Equal(a, b) }

func TestFollowAddsUpToList(t *testing.T) {
	agg := NewAggregator(t0, DefaultLimits())
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	agg.Started(k, Ends{}, t0)
	src := NewClient(serve(t, agg, t0.Add(time.Hour)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	errEnough := errors.New("enough")
	var sum, calls int64
	err := src.Follow(ctx, Filter{Since: t0.Add(-time.Hour)}, func(f Flow) error {
		calls++
		sum += f.Connections
		if f.Key != k {
			return errors.New("a flow that the filter excludes")
		}
		if calls == 1 { // what was there; now some more
			probe := k
			probe.Probe = true
			agg.Started(probe, Ends{}, t0)
			for range 1000 {
				agg.Started(k, Ends{}, t0.Add(time.Second))
			}
		}
		if sum >= 1001 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || sum != 1001 {
		t.Errorf("followed %d connections in %d calls, want 1001: %v", sum, calls, err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	src := NewClient(serve(t, NewAggregator(t0, DefaultLimits()), t0))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err := src.Follow(ctx, Filter{}, func(Flow) error { return nil })
	if status.Code(errors.Unwrap(err)) != codes.Canceled && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want cancelled", err)
	}
}

func TestServerPagesAndSorts(t *testing.T) {
	c := flowpb.NewFlowsClient(serve(t, someFlows(), t0.Add(time.Hour)))
	byTime := []*flowpb.SortOption{{SortBy: flowpb.SortBy_Time}}
	var ports []int64
	for page := range int64(3) {
		res, err := c.List(t.Context(), &flowpb.FlowListRequest{Page: page, PageSize: 3, SortBy: byTime})
		if err != nil {
			t.Fatal(err)
		}
		if m := res.GetMeta(); m.GetTotalPages() != 2 || m.GetTotalResults() != 4 {
			t.Errorf("page %d: got %v", page, m)
		}
		for _, f := range res.GetFlows() {
			ports = append(ports, f.GetFlow().GetKey().GetDestPort())
		}
	}
	if d := cmp.Diff([]int64{6379, 80, 3306, 6379}, ports); d != "" {
		t.Errorf("newest first: %s", d)
	}
	if _, err := c.List(t.Context(), &flowpb.FlowListRequest{Page: -1}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("negative page: got %v", err)
	}
}

func TestServerFiltersAsGoldmane(t *testing.T) {
	c := flowpb.NewFlowsClient(serve(t, someFlows(), t0.Add(time.Hour)))
	fuzzy := func(s string) []*flowpb.StringMatch {
		return []*flowpb.StringMatch{{Value: s, Type: flowpb.MatchType_Fuzzy}}
	}
	for _, tc := range []struct {
		name string
		f    *flowpb.Filter
		want int
	}{
		{"values of one field are alternatives", &flowpb.Filter{SourceNames: []*flowpb.StringMatch{{Value: "vote"}, {Value: "wordpress"}}}, 3},
		{"fields must all fit", &flowpb.Filter{SourceNames: []*flowpb.StringMatch{{Value: "wordpress"}}, DestNames: []*flowpb.StringMatch{{Value: "redis"}}}, 1},
		{"exact is exact", &flowpb.Filter{DestNames: []*flowpb.StringMatch{{Value: "REDIS"}}}, 0},
		{"fuzzy", &flowpb.Filter{DestNames: fuzzy("EDI")}, 2},
		{"action", &flowpb.Filter{Actions: []flowpb.Action{flowpb.Action_Deny}}, 1},
		{"policy", &flowpb.Filter{Policies: []*flowpb.PolicyMatch{{Tier: "sec", Name: "stop"}}}, 1},
		{"policy's every field", &flowpb.Filter{Policies: []*flowpb.PolicyMatch{{Tier: "sec", Name: "stop", Action: flowpb.Action_Allow}}}, 0},
		{"network", &flowpb.Filter{SourceNames: []*flowpb.StringMatch{{Value: "pub"}}}, 1},
	} {
		res, err := c.List(t.Context(), &flowpb.FlowListRequest{Filter: tc.f})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(res.GetFlows()); got != tc.want {
			t.Errorf("%s: %d flows, want %d", tc.name, got, tc.want)
		}
	}
}

func TestServerHints(t *testing.T) {
	c := flowpb.NewFlowsClient(serve(t, someFlows(), t0.Add(time.Hour)))
	for _, tc := range []struct {
		t    flowpb.FilterType
		want []string
	}{
		{flowpb.FilterType_FilterTypeDestName, []string{"mysql", "redis", "vote"}},
		{flowpb.FilterType_FilterTypeSourceNamespace, []string{"-", "vote", "wp"}},
		{flowpb.FilterType_FilterTypePolicyTier, []string{"sec"}},
		{flowpb.FilterType_FilterTypePolicyName, []string{"kns.", "kns.vote", "kns.wp", "stop"}},
	} {
		res, err := c.FilterHints(t.Context(), &flowpb.FilterHintsRequest{Type: tc.t})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range res.GetHints() {
			got = append(got, h.GetValue())
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%v: %s", tc.t, d)
		}
	}
	if _, err := c.FilterHints(t.Context(), &flowpb.FilterHintsRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no type: got %v", err)
	}
}
