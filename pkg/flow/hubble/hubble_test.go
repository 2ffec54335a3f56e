package hubble

import (
	"encoding/json"
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

// tcp is the l4 of a TCP packet from a port, with flags.
func tcp(from int, flags string) string {
	return fmt.Sprintf(`"l4":{"TCP":{"source_port":%d,"destination_port":6379,"flags":{%s}}}`, from, flags)
}

const syn = `"SYN":true`

// line is an event some seconds after noon; later fields win.
func line(second int, fields ...string) string {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second).Format(time.RFC3339Nano)
	all := append([]string{
		`"time":"` + at + `","uuid":"x","verdict":"FORWARDED","IP":{"source":"10.0.1.5","destination":"10.0.2.6","ipVersion":"IPv4"}`, tcp(40000, syn),
		`"source":{"ID":1,"identity":2,"namespace":"vote","labels":["k8s:app=vote","k8s:io.cilium.k8s.policy.cluster=c","k8s:io.kubernetes.pod.namespace=vote"],"pod_name":"vote-6d8b9c7f5-x2k4z","workloads":[{"name":"vote","kind":"Deployment"}]}`,
		`"destination":{"ID":3,"namespace":"vote","labels":["k8s:app=redis","reserved:x"],"pod_name":"redis-0"}`,
		`"Type":"L3_L4","node_name":"c/node-1","event_type":{"type":4,"sub_type":3},"traffic_direction":"EGRESS","trace_observation_point":"TO_STACK","is_reply":false`,
		`"destination_service":{"name":"redis","namespace":"vote"}`,
	}, fields...)
	merged := map[string]json.RawMessage{} // of a field in two of them the later counts, as a whole
	for _, text := range all {
		if err := json.Unmarshal([]byte("{"+text+"}"), &merged); err != nil {
			panic(err)
		}
	}
	text, err := json.Marshal(merged)
	if err != nil {
		panic(err)
	}
	return `{"flow":` + string(text) + `,"node_name":"c/node-1","time":"` + at + `"}`
}

func open(lines ...string) flow.Source {
	text := strings.Join(lines, "\n")
	return NewSource("hubble.jsonl", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil })
}

func list(t *testing.T, f flow.Filter, lines ...string) ([]flow.Flow, flow.Coverage) {
	t.Helper()
	flows, coverage, err := open(lines...).List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return flows, coverage
}

func TestFields(t *testing.T) {
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	at := time.Date(2026, 3, 1, 12, 0, 3, 0, time.UTC)
	want := flow.Flow{
		Key: flow.Key{
			Source:           flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "vote", Name: "vote"}},
			Destination:      flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "vote", Name: "redis-0"}},
			ServiceNamespace: "vote", ServiceName: "redis",
			Protocol: policy.TCP, Port: 6379, Direction: policy.Egress, Enforced: allow, Pending: allow,
		},
		FirstSeen: at, LastSeen: at, Connections: 1,
		SourceLabels: map[string]string{"app": "vote"}, DestinationLabels: map[string]string{"app": "redis"},
	}
	alone := line(3)
	alone = alone[len(`{"flow":`):strings.LastIndex(alone, `,"node_name"`)]
	for name, text := range map[string]string{"a response": line(3), "a flow alone": alone} {
		got, coverage := list(t, flow.Filter{}, text)
		if d := cmp.Diff([]flow.Flow{want}, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Error(name, d)
		}
		if !coverage.From.Equal(at) || !coverage.To.Equal(at) || coverage.Lost != 0 {
			t.Errorf("%s: %+v", name, coverage)
		}
	}
}

func TestPeers(t *testing.T) {
	addr := netip.MustParseAddr("10.0.1.5")
	for name, c := range map[string]struct {
		source string
		want   flow.Peer
	}{
		"the world":         {`{"labels":["reserved:world"]}`, flow.Peer{Kind: flow.PeerNetwork, Addr: addr}},
		"a CIDR":            {`{"labels":["cidr:10.0.0.0/8","reserved:world"]}`, flow.Peer{Kind: flow.PeerNetwork, Addr: addr}},
		"the node":          {`{"labels":["reserved:host"]}`, flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: "node-1"}}},
		"another node":      {`{"labels":["reserved:remote-node"]}`, flow.Peer{Kind: flow.PeerHost, Addr: addr}},
		"a node's API":      {`{"labels":["reserved:kube-apiserver","reserved:remote-node"]}`, flow.Peer{Kind: flow.PeerHost, Addr: addr}},
		"an API outside":    {`{"labels":["reserved:kube-apiserver"]}`, flow.Peer{Kind: flow.PeerNetwork, Addr: addr}},
		"nothing is told":   {`{}`, flow.Peer{Kind: flow.PeerNetwork, Addr: addr}},
		"no workload known": {`{"namespace":"a","pod_name":"b-1"}`, flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "a", Name: "b-1"}}},
	} {
		got, _ := list(t, flow.Filter{}, line(0, `"source":`+c.source))
		if len(got) != 1 || got[0].Source != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for fields, want := range map[string]policy.Action{
		`"verdict":"REDIRECTED"`: policy.Allow,
		`"verdict":"AUDIT"`:      policy.Allow,
		`"verdict":"DROPPED"`:    policy.Deny,
		`"verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED"`:          policy.Deny,
		`"verdict":"DROPPED","drop_reason_desc":"POLICY_DENY"`:            policy.Deny,
		`"verdict":"DROPPED","drop_reason_desc":"STALE_OR_UNROUTABLE_IP"`: 0,
		`"verdict":"ERROR"`:      0,
		`"verdict":"TRACED"`:     0,
		`"verdict":"TRANSLATED"`: 0,
	} {
		var got policy.Action
		flows, _ := list(t, flow.Filter{}, line(0, fields))
		if len(flows) == 1 {
			got = flows[0].Enforced.Action
		}
		if got != want || len(flows) == 1 && flows[0].Pending != flows[0].Enforced {
			t.Errorf("%s: %v", fields, flows)
		}
	}
}

func TestConnections(t *testing.T) {
	udp := func(from int) string {
		return fmt.Sprintf(`"l4":{"UDP":{"source_port":%d,"destination_port":53}}`, from)
	}
	const unknown = `"is_reply":null`
	for name, c := range map[string]struct {
		want  int64
		lines []string
	}{
		"a SYN":                          {1, []string{line(0)}},
		"points and packets of one":      {1, []string{line(0), line(0, `"trace_observation_point":"TO_OVERLAY"`), line(30, tcp(40000, `"ACK":true`)), line(300, tcp(40000, `"ACK":true,"FIN":true`))}},
		"a SYN again":                    {1, []string{line(0), line(1), line(3), line(7), line(63)}},
		"the port again":                 {2, []string{line(0), line(70)}},
		"each port":                      {2, []string{line(0), line(0, tcp(40001, syn))}},
		"begun before":                   {1, []string{line(0, tcp(40000, `"ACK":true`)), line(90, tcp(40000, `"ACK":true`))}},
		"a reply":                        {0, []string{line(0, `"is_reply":true`)}},
		"a reply, as it was told before": {0, []string{line(0, `"reply":true`, unknown)}},
		"may be a reply":                 {0, []string{line(0, unknown, tcp(1, `"ACK":true`)), line(0, unknown, tcp(1, `"SYN":true,"ACK":true`))}},
		"a SYN is none":                  {1, []string{line(0, unknown)}},
		"a query":                        {1, []string{line(0, udp(5)), line(5, udp(5))}},
		"queries":                        {2, []string{line(0, udp(5)), line(61, udp(5))}},
		"a query refused":                {1, []string{line(0, udp(5), unknown, `"verdict":"DROPPED"`)}},
		"whose query":                    {0, []string{line(0, udp(5), unknown, `"trace_observation_point":"FROM_ENDPOINT"`)}},
		"a request within":               {0, []string{line(0, `"Type":"L7","l7":{"type":"REQUEST","http":{"method":"GET"}}`)}},
		"no direction":                   {0, []string{line(0, `"traffic_direction":"TRAFFIC_DIRECTION_UNKNOWN"`)}},
		"a socket":                       {0, []string{line(0, `"Type":"SOCK"`)}},
		"a ping":                         {1, []string{line(0, `"l4":{"ICMPv4":{"type":8}}`), line(1, `"l4":{"ICMPv4":{"type":0}}`), line(2, `"l4":{"ICMPv4":{"type":3,"code":1}}`)}},
		"a ping of IPv6":                 {1, []string{line(0, `"l4":{"ICMPv6":{"type":128}}`), line(1, `"l4":{"ICMPv6":{"type":135}}`)}},
		"what else Hubble tells":         {0, []string{`{"node_status":{"state_change":"NODE_CONNECTED"},"time":"2026-03-01T12:00:00Z"}`, `{"agent_event":{}}`}},
	} {
		flows, _ := list(t, flow.Filter{}, c.lines...)
		var got int64
		for i := range flows {
			got += flows[i].Connections
		}
		if got != c.want {
			t.Errorf("%s: %d connections, want %d", name, got, c.want)
		}
	}
	// Each end sees it, and what is refused at one is not refused at the other.
	flows, _ := list(t, flow.Filter{}, line(0), line(0, `"traffic_direction":"INGRESS","verdict":"DROPPED"`))
	if len(flows) != 2 {
		t.Errorf("%+v", flows)
	}
}

func TestWhatIsLostIsTold(t *testing.T) {
	flows, coverage := list(t, flow.Filter{}, `{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"5"},"node_name":"n"}`,
		line(0, `"source":{"namespace":"vote","labels":["k8s:app=vote"]}`), line(1, tcp(2, syn)))
	if len(flows) != 1 || coverage.Lost != 6 || !coverage.LostUnknown {
		t.Errorf("%+v %+v", flows, coverage)
	}
	// Protocols that Hubble tells nothing of: once for each two ends.
	flows, coverage = list(t, flow.Filter{}, line(0), line(0, `"l4":null`), line(1, `"l4":{"VRRP":{"type":1,"vrid":7}}`),
		line(2, `"l4":{"IGMP":{"type":22}}`, `"IP":{"source":"10.0.1.5","destination":"224.0.0.22"}`))
	if len(flows) != 1 || coverage.Lost != 2 || !coverage.LostUnknown {
		t.Errorf("%+v %+v", flows, coverage)
	}
}

func TestFilter(t *testing.T) {
	lines := []string{line(0), "", line(100), line(200, `"l4":{"SCTP":{"source_port":1,"destination_port":9}}`)}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		filter flow.Filter
		want   int
	}{{flow.Filter{}, 3}, {flow.Filter{Port: 6379}, 2}, {flow.Filter{Since: noon.Add(time.Minute)}, 2}, {flow.Filter{Until: noon.Add(time.Minute)}, 1}} {
		n := 0
		if err := open(lines...).Follow(t.Context(), c.filter, func(flow.Flow) error { n++; return nil }); err != nil || n != c.want {
			t.Errorf("%+v: %d, %v", c.filter, n, err)
		}
	}
	if flows, _ := list(t, flow.Filter{}, lines...); len(flows) != 2 || flows[0].Connections+flows[1].Connections != 3 {
		t.Errorf("%+v", flows)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for says, bad := range map[string]string{
		"expected an event of hubble observe -o jsonpb": `[`,
		"it has no flow":                `{"a":1}`,
		"not a JSON object":             `null`,
		`IP.source "x" is no address`:   line(0, `"IP":{"source":"x"}`),
		"cannot unmarshal number 70000": line(0, `"l4":{"UDP":{"destination_port":70000}}`),
		"time is missing":               `{"flow":{"verdict":"FORWARDED","traffic_direction":"EGRESS","l4":{"UDP":{}}}}`,
		"-1: expected a number":         `{"lost_events":{"num_events_lost":-1}}`,
	} {
		_, _, err := open(line(0), "", bad).List(t.Context(), flow.Filter{})
		if err == nil || !strings.HasPrefix(err.Error(), "hubble.jsonl:3: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("want %s\n got %v", says, err)
		}
	}
	_, _, err := open(line(0), strings.Repeat("x", 16<<20+1)).List(t.Context(), flow.Filter{})
	if err == nil || !strings.Contains(err.Error(), "hubble.jsonl:2: the line is longer than 16 MB") {
		t.Error(err)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	s := conns{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range maxConns + 10 {
		c := conn{source: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)}
		if !s.begins(c, now, true) {
			t.Fatal(i)
		}
	}
	if len(s) > maxConns {
		t.Errorf("%d are remembered", len(s))
	}
}

// FuzzEach: every flow that is read is whole, and nothing makes it panic.
func FuzzEach(f *testing.F) {
	f.Add(line(0))
	f.Add(line(0) + "\n\n" + line(1, `"verdict":"DROPPED"`, `"l4":{"ICMPv6":{"type":128}}`))
	f.Add(`{"lost_events":{"num_events_lost":"5"}}`)
	f.Add(`{"verdict":"AUDIT","time":"2026-03-01T12:00:00Z","traffic_direction":"INGRESS","l4":{"UDP":{}},"source":{"namespace":"a"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var all []flow.Flow
		lost, err := Each("f", strings.NewReader(text), func(fl flow.Flow) error {
			all = append(all, fl)
			return nil
		})
		if err != nil && !strings.HasPrefix(err.Error(), "f:") || lost < 0 {
			t.Errorf("%d lost: %v", lost, err)
		}
		for i := range all {
			fl := &all[i]
			if fl.Connections != 1 || fl.FirstSeen.IsZero() || fl.Enforced.Action == 0 || fl.Pending.Action == 0 || fl.Source.Kind == "" || fl.Destination.Kind == "" || flow.Compare(fl.Key, fl.Key) != 0 {
				t.Errorf("%+v", fl)
			}
		}
		flow.Merge(all)
	})
}

// An address outside has the DNS names that the pod asked for; a pod has none.
func TestDomains(t *testing.T) {
	names := `"destination_names":["example.com.","API.example.com","example.com"]`
	outside := `"destination":{"labels":["reserved:world"]},"destination_service":null`
	more := `"destination_names":["b.example.com"]`
	got, _ := list(t, flow.Filter{}, line(1, outside, names), line(2, outside, more, tcp(40001, syn)), line(3, names, tcp(40002, syn)))
	if len(got) != 2 {
		t.Fatalf("%d flows: %+v", len(got), got)
	}
	if d := cmp.Diff([]string(nil), got[0].Domains); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"api.example.com", "b.example.com", "example.com"}, got[1].Domains); d != "" {
		t.Error(d)
	}
}
