package relay

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()

func example() flow.Gain {
	db := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}
	return flow.Gain{
		Key: flow.Key{
			Source:      flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: "Deployment", Namespace: "vote", Name: "worker"}},
			Destination: flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr("192.0.2.7")},
			Protocol:    policy.TCP, Port: 5432, Direction: policy.Egress,
			Enforced: policy.Hit{Tier: "default", Policy: db, Rule: 1, Action: policy.Allow},
			Pending:  policy.Hit{Tier: "default", Policy: db, Rule: policy.EndOfTier, Action: policy.Deny},
			Logs:     flow.NewLogs([]policy.Hit{{Tier: "default", Policy: db, Rule: 0, Action: policy.Log}}),
		},
		Live: -1, First: start + 1, Last: start + 2, SourceLabels: map[string]string{"app": "worker"},
		Spans:   []flow.Span{{Start: start, First: start + 1, Last: start + 2, Started: 2, Completed: 1, Counters: flow.Counters{PacketsIn: 1, PacketsOut: 2, BytesIn: 3, BytesOut: 4}}},
		Refused: []flow.Refusal{{Pod: "worker-2", Last: start + 2}, {Pod: "worker-1", Last: start + 1}},
	}
}

func TestGainKeepsItsFormOverTheWire(t *testing.T) {
	closed := example()
	closed.Key.Enforced = policy.Hit{Policy: policy.Key{Name: "spoofed"}, Rule: policy.Closed, Action: policy.Deny}
	for name, g := range map[string]flow.Gain{"judged": example(), "closed": closed} {
		got, err := GainFromWire(GainToWire(&g))
		if err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(g, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Error(name, d)
		}
	}
}

func TestGainFromWireRefuses(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, spoil := range map[string]func(*relaypb.Gain){
		"no key":                 func(g *relaypb.Gain) { g.Key = nil },
		"a port that is none":    func(g *relaypb.Gain) { g.Key.DestPort = 70000 },
		"no protocol":            func(g *relaypb.Gain) { g.Key.Proto = "0" },
		"a long name":            func(g *relaypb.Gain) { g.Key.SourceName = long },
		"a long policy":          func(g *relaypb.Gain) { g.Key.Policies.EnforcedPolicies[0].Name = long },
		"negative count":         func(g *relaypb.Gain) { g.Spans[0].Started = -1 },
		"a count that overflows": func(g *relaypb.Gain) { g.Spans[0].BytesIn = 1 << 62 },
		"no bucket's start":      func(g *relaypb.Gain) { g.Spans[0].StartNanos++ },
		"attempts out of bucket": func(g *relaypb.Gain) { g.Spans[0].LastNanos = start + int64(time.Minute) },
		"attempts backwards":     func(g *relaypb.Gain) { g.Spans[0].LastNanos = start },
		"too many labels":        func(g *relaypb.Gain) { g.SourceLabels = make([]string, 1000) },
		"too many spans":         func(g *relaypb.Gain) { g.Spans = make([]*relaypb.Span, 2000) },
		"too many pods":          func(g *relaypb.Gain) { g.Refused = make([]*flowpb.RefusedPod, 9) },
		"a long pod":             func(g *relaypb.Gain) { g.Refused[0].Name = long },
		"a pod before all time":  func(g *relaypb.Gain) { g.Refused[0].LastNanos = -1 },
		"too many open":          func(g *relaypb.Gain) { g.Live = 1 << 60 },
	} {
		g := example()
		w := GainToWire(&g)
		spoil(w)
		if _, err := GainFromWire(w); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzBatch: whatever an agent sends is counted or refused, never a panic, and
// what is counted can be listed.
func FuzzBatch(f *testing.F) {
	g := example()
	seed, err := proto.Marshal(&relaypb.Batch{Sequence: 1, Gains: []*relaypb.Gain{GainToWire(&g)}, Missing: []*relaypb.Missing{{HourNanos: start, Lost: 1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	now := time.Unix(0, start).Add(time.Minute)
	f.Fuzz(func(t *testing.T, data []byte) {
		var w relaypb.Batch
		if proto.Unmarshal(data, &w) != nil {
			return
		}
		agg := flow.NewAggregator(now, flow.Limits{Keys: 8, Keep: time.Hour})
		gains, missing, _ := BatchFromWire(&w)
		r := agg.Reporter()
		r.Add(gains, missing, now)
		flows, _ := agg.List(flow.Filter{IncludeProbes: true}, now)
		for _, fl := range flows {
			if fl.Connections < 0 || fl.Live < 0 || fl.BytesIn < 0 {
				t.Errorf("counts %+v", fl)
			}
			flow.FromWire(flow.ToWire(fl))
		}
		r.End()
	})
}
