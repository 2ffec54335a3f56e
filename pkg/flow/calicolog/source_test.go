package calicolog

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

const start = 1772366400

// line is a flow log with some fields of its own.
func line(fields string) string {
	return fmt.Sprintf(`{"start_time":%d,"end_time":%d,"source_ip":null,"source_name":"-","source_name_aggr":"vote-6d8b9c7f5-*","source_namespace":"vote",`+
		`"source_port":null,"source_type":"wep","source_labels":{"labels":["app=vote","pod-template-hash=6d8b9c7f5"]},"dest_ip":null,"dest_name":"-",`+
		`"dest_name_aggr":"redis-0","dest_namespace":"vote","dest_port":6379,"dest_type":"wep","dest_labels":null,"dest_service_namespace":"vote",`+
		`"dest_service_name":"redis","dest_service_port":"redis","proto":"tcp","action":"allow","reporter":"src","bytes_in":10,"bytes_out":20,`+
		`"packets_in":1,"packets_out":2,"num_flows":3,"num_flows_started":2,"num_flows_completed":1,"host":"node-1","http_requests_allowed_in":0%s}`, start, start+300, fields)
}

func read(t *testing.T, f flow.Filter, lines ...string) ([]flow.Flow, flow.Coverage) {
	t.Helper()
	flows, coverage, err := open(lines...).List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return flows, coverage
}

func open(lines ...string) flow.Source {
	text := strings.Join(lines, "\n")
	return NewSource("flows.log", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil })
}

func TestFields(t *testing.T) {
	got, coverage := read(t, flow.Filter{}, line(`,"policies":{"all_policies":["0|default|vote/default.db|allow|1"],`+
		`"enforced_policies":["1|default|vote/default.db|allow|1","0|platform|platform.base|pass|0"],"pending_policies":["0|default|snp:vote/db|deny|0"]}`))
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	base := flow.Step{Hit: policy.Hit{Tier: "platform", Policy: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "platform.base"}, Action: policy.Pass}}
	db := policy.Hit{Tier: "default", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "default.db"}, Rule: 1, Action: policy.Allow}
	staged := policy.Hit{Tier: "default", Policy: policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "vote", Name: "db"}, Action: policy.Deny}
	want := flow.Flow{
		Key: flow.Key{
			Source:           flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "vote", Name: "vote-6d8b9c7f5-*"}},
			Destination:      flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "vote", Name: "redis-0"}},
			ServiceNamespace: "vote", ServiceName: "redis", ServicePortName: "redis",
			Protocol: policy.TCP, Port: 6379, Direction: policy.Egress, Enforced: db, Pending: staged,
		},
		FirstSeen: at(start), LastSeen: at(start + 300), Connections: 2, Completed: 1, Live: 1,
		PacketsIn: 1, PacketsOut: 2, BytesIn: 10, BytesOut: 20,
		SourceLabels:  map[string]string{"app": "vote", "pod-template-hash": "6d8b9c7f5"},
		EnforcedTrace: []flow.Step{base, {Hit: db, Index: 1}}, PendingTrace: []flow.Step{{Hit: staged}},
	}
	if d := cmp.Diff([]flow.Flow{want}, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if !coverage.From.Equal(at(start)) || !coverage.To.Equal(at(start+300)) {
		t.Errorf("%+v", coverage)
	}
}

func TestPeers(t *testing.T) {
	for name, c := range map[string]struct {
		fields string
		want   flow.Peer
	}{
		"a pod":             {`,"dest_name":"redis-1"`, flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "vote", Name: "redis-1"}}},
		"a host":            {`,"dest_type":"hep","dest_namespace":"-","dest_name_aggr":"node-1"`, flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: "node-1"}}},
		"a global set":      {`,"dest_type":"ns","dest_namespace":"-","dest_name_aggr":"partners"`, flow.Peer{Kind: flow.PeerNetworkSet, Workload: policy.Workload{Name: "partners"}}},
		"a set's address":   {`,"dest_type":"ns","dest_ip":"192.0.2.7"`, flow.Peer{Kind: flow.PeerNetworkSet, Addr: netip.MustParseAddr("192.0.2.7"), Workload: policy.Workload{Namespace: "vote", Name: "redis-0"}}},
		"an address":        {`,"dest_type":"net","dest_name_aggr":"pub","dest_ip":"::ffff:192.0.2.7"`, flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr("192.0.2.7")}},
		"addresses at once": {`,"dest_type":"net","dest_name_aggr":"pvt"`, flow.Peer{Kind: flow.PeerNetwork}},
	} {
		got, _ := read(t, flow.Filter{}, line(c.fields))
		if len(got) != 1 || got[0].Destination != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An address outside has the DNS names that Calico logs; a pod has none.
func TestDomains(t *testing.T) {
	const names = `,"dest_domains":["www.example.com","example.com"]`
	for fields, want := range map[string]int{`,"dest_type":"net","dest_ip":"192.0.2.7"`: 2, ``: 0, `,"dest_type":"ns","dest_ip":"192.0.2.7"`: 2} {
		if got, _ := read(t, flow.Filter{}, line(fields+names)); len(got[0].Domains) != want {
			t.Errorf("%q: %v", fields, got[0].Domains)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct{ fields, enforced, pending string }{
		"no policies told":           {``, "no policy Allow", "no policy Allow"},
		"a profile":                  {`,"policies":{"all_policies":["0|__PROFILE__|__PROFILE__.kns.vote|allow"]}`, "no policy Allow", "no policy Allow"},
		"one list, staged denies":    {`,"policies":{"all_policies":["0|default|vote/default.staged:db|deny|-1","1|__PROFILE__|__PROFILE__.kns.vote|allow|0"]}`, "no policy Allow", "db Deny"},
		"one list, staged passes":    {`,"policies":{"all_policies":["0|sec|sec.staged:a|pass|0","1|default|vote/default.b|allow|0"]}`, "default.b Allow", "default.b Allow"},
		"nothing staged":             {`,"policies":{"enforced_policies":["0|default|np:vote/db|allow|0"],"pending_policies":[]}`, "db Allow", "db Allow"},
		"the last tier passes":       {`,"policies":{"enforced_policies":["0|sec|np:vote/sec|pass|0"]}`, "no policy Allow", "no policy Allow"},
		"the flow's own action wins": {`,"action":"deny","policies":{"enforced_policies":["0|sec|np:vote/a|deny|0","1|sec|np:vote/b|allow|0"]}`, "a Deny", "a Deny"},
		"denied, no policy told":     {`,"action":"deny"`, "no policy Deny", "no policy Deny"},
	} {
		got, _ := read(t, flow.Filter{}, line(c.fields))
		text := func(h policy.Hit) string {
			if h.Rule == policy.NoPolicy {
				return "no policy " + h.Action.String()
			}
			return h.Policy.Name + " " + h.Action.String()
		}
		if e, p := text(got[0].Enforced), text(got[0].Pending); e != c.enforced || p != c.pending {
			t.Errorf("%s: enforced %s, pending %s", name, e, p)
		}
		if got[0].Enforced.Action == policy.Deny && got[0].Live+got[0].Completed > 0 {
			t.Errorf("%s: what is refused is open: %+v", name, got[0])
		}
	}
}

func TestLinesAddUpWithinTheFilter(t *testing.T) {
	later := strings.NewReplacer(fmt.Sprint(start), fmt.Sprint(start+300), fmt.Sprint(start+300), fmt.Sprint(start+600)).Replace(line(""))
	lines := []string{line(""), "", `{"_index":"x","_source":` + later + `}`, line(`,"dest_port":443`)}
	got, coverage := read(t, flow.Filter{Port: 6379}, lines...)
	if len(got) != 1 || got[0].Connections != 4 || got[0].Completed != 2 || got[0].Live != 2 || coverage.To.Unix() != start+600 {
		t.Errorf("%+v %+v", got, coverage)
	}
	got, _ = read(t, flow.Filter{Since: time.Unix(start+400, 0)}, lines...)
	if len(got) != 1 || got[0].Connections != 2 {
		t.Errorf("since: %+v", got)
	}
	got, _ = read(t, flow.Filter{Until: time.Unix(start, 0)}, lines...)
	if len(got) != 0 {
		t.Errorf("until: %+v", got)
	}
	n := 0
	if err := open(lines...).Follow(t.Context(), flow.Filter{Port: 6379}, func(flow.Flow) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("followed %d: %v", n, err)
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{`"2026-03-01T12:00:00Z"`: start, `1772366400000`: start, `"1772366400"`: start} {
		got, _ := read(t, flow.Filter{}, line(`,"start_time":`+text))
		if got[0].FirstSeen.Unix() != want {
			t.Errorf("%s: %v", text, got[0].FirstSeen)
		}
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for says, bad := range map[string]string{
		"expected a flow log as one JSON object a line":      `[`,
		`proto "": expected tcp, udp`:                        line(`,"proto":""`),
		`action "pass": expected allow or deny`:              line(`,"action":"pass"`),
		`reporter "fwd": expected src or dst`:                line(`,"reporter":"fwd"`),
		`dest_type "pod": expected wep, hep, ns or net`:      line(`,"dest_type":"pod"`),
		`dest_ip "x" is no address`:                          line(`,"dest_ip":"x"`),
		`dest_port 70000: there is no such port`:             line(`,"dest_port":70000`),
		`-1: expected a number`:                              line(`,"num_flows":-1`),
		`policy "0|a": expected INDEX|TIER|NAME|ACTION|RULE`: line(`,"policies":{"enforced_policies":["0|a"]}`),
		`expected seconds since 1970`:                        line(`,"end_time":"yesterday"`),
		"start_time or end_time is missing":                  strings.Replace(line(""), `"start_time"`, `"x"`, 1),
		`cannot unmarshal number`:                            line(`,"source_labels":1`),
	} {
		_, _, err := open(line(""), "", bad).List(t.Context(), flow.Filter{})
		if err == nil || !strings.HasPrefix(err.Error(), "flows.log:3: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("want %s\n got %v", says, err)
		}
	}
	_, _, err := open(line(""), strings.Repeat("x", 16<<20+1)).List(t.Context(), flow.Filter{})
	if err == nil || !strings.Contains(err.Error(), "flows.log:2: the line is longer than 16 MB") {
		t.Error(err)
	}
}

// A node's clock that is set back ends a log before it began.
func TestClockThatWasSetBack(t *testing.T) {
	text := strings.Replace(line(""), fmt.Sprint(start+300), fmt.Sprint(start-60), 1)
	flows, c := read(t, flow.Filter{}, text)
	if len(flows) != 1 || !flows[0].FirstSeen.Equal(time.Unix(start-60, 0)) || !flows[0].LastSeen.Equal(time.Unix(start, 0)) || !c.From.Before(c.To) {
		t.Errorf("%+v, %+v", flows, c)
	}
}

// Numbers and times that nothing can have counted are refused.
func TestWhatNothingCanCount(t *testing.T) {
	for _, text := range []string{
		strings.Replace(line(""), `"num_flows_started":2`, `"num_flows_started":4611686018427387903`, 1),
		strings.Replace(line(""), fmt.Sprint(start), `"9999-12-31T00:00:00Z"`, 1),
	} {
		if _, _, err := open(text).List(t.Context(), flow.Filter{}); err == nil || !strings.Contains(err.Error(), "expected ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
