package cmd

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

func TestFlowsTable(t *testing.T) {
	b := newBench(t).sawVote()
	out, errs := b.must(0, "flows", "--ns", "wordpress")
	want := `SEEN   FROM                  TO                PORT       DIR   CONNS   VERDICT
21m    wordpress/wordpress   wordpress/mysql   TCP/3306   out   10      allow
21m    wordpress/wordpress   wordpress/mysql   TCP/3306   in    10      allow
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	contains(t, errs, "2 rows, seen from 2026-03-01T11:00:00Z to 2026-03-01T12:00:00Z")
}

func TestFlowsTableMarksProbesAndLeavesOutWhatIsEmpty(t *testing.T) {
	b := newBench(t)
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	k := flow.Key{
		Source: benchPeer("vote/vote"), Destination: benchPeer("vote/db"), Protocol: policy.TCP, Port: 5432,
		Enforced: allow, Pending: allow,
	}
	at := testNow.Add(-time.Minute)
	b.agg.Started(k, flow.Ends{}, at)
	k.Probe = true
	b.agg.Started(k, flow.Ends{}, at)
	k.Probe, k.Port = false, 80
	b.agg.Ended(k, flow.Counters{PacketsIn: 1, BytesIn: 40}, at)         // its start was another verdict's
	k.Port, k.Enforced = 5432, policy.Hit{Rule: 0, Action: policy.Allow} // the same to a reader
	b.agg.Started(k, flow.Ends{}, at.Add(30*time.Second))
	out, errs := b.must(0, "flows", "--include-probes")
	want := `SEEN   FROM        TO        PORT       DIR   CONNS   VERDICT
30s    vote/vote   vote/db   TCP/5432   in    2       allow
60s    vote/vote   vote/db   TCP/5432   in    1       allow (probe)
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	contains(t, errs, "2 rows, seen from")
	out, errs = b.must(0, "flows", "--verdict", "deny")
	if contains(t, errs, "0 rows, seen from"); out != "" {
		t.Errorf("a head without rows: %s", out)
	}
	out, _ = b.must(0, "flows", "--include-probes", "-o", "json")
	contains(t, out, `"flows": 4,`, `"bytesIn": 40,`)
}

func TestFollowedFlowsFitATerminal(t *testing.T) {
	it := &flowItem{
		Source: stage.NewPeer(benchPeer("kube-system/coredns")), Destination: stage.NewPeer(benchPeer("wordpress/wordpress")),
		Port: flow.Port{Protocol: "TCP", Port: 5432}, Direction: "Egress", Verdict: "allow", PendingVerdict: "deny", Connections: 1,
	}
	for _, c := range []struct{ width, want int }{{80, 80}, {100, 88}, {0, 88}} {
		var out bytes.Buffer
		p := &output.Printer{W: &out, Width: c.width}
		p.Line(followLine(it, followWidth(c.width), false)...)
		if got := len([]rune(strings.TrimRight(out.String(), "\n"))); got != c.want {
			t.Errorf("width %d: %d columns, want %d: %s", c.width, got, c.want, out.String())
		}
	}
}

func TestFlowsFilters(t *testing.T) {
	b := newBench(t).sawVote()
	for _, c := range []struct {
		args string
		want int
	}{
		{"", 18},
		{"-A", 18},
		{"--ns vote", 16},
		{"--from vote/worker --protocol tcp", 4},
		{"--to db --port 5432", 4},
		{"--workload mysql", 2},
		{"--from 192.0.2.10", 2},
		{"--verdict deny", 0},
		{"--since 25m", 18},
		{"--since 5m", 0},
	} {
		out, _ := b.must(0, append([]string{"flows", "-o", "json"}, strings.Fields(c.args)...)...)
		var doc struct {
			Kind    string
			Summary struct{ Flows int }
			Items   []json.RawMessage
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Kind != "FlowList" || doc.Summary.Flows != c.want || len(doc.Items) != c.want {
			t.Errorf("flows %s: %d flows, want %d", c.args, doc.Summary.Flows, c.want)
		}
	}
}

func TestFlowsBadFlags(t *testing.T) {
	b := newBench(t)
	for args, want := range map[string]string{
		"--port 70000":                 "expected a number from 1 to 65535",
		"--port 0":                     "expected a number from 1 to 65535",
		"--protocol tpc":               "expected TCP",
		"--verdict maybe":              "expected allow or deny",
		"--since tomorrow":             "expected how long ago",
		"--since -5m":                  "expected how long ago",
		"--since 2099-01-01T00:00:00Z": "is in the future",
		"--ns vot":                     `did you mean "vote"?`,
		"--ns vote -A":                 "can't be given together",
	} {
		_, errs := b.must(2, append([]string{"flows"}, strings.Fields(args)...)...)
		contains(t, errs, want)
	}
}

func TestFlowsFollowPrintsALineEach(t *testing.T) {
	b := newBench(t).sawVote()
	out, _ := b.must(130, "flows", "-f", "--ns", "wordpress", "-o", "json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines, want 2:\n%s", len(lines), out)
	}
	var item struct {
		Source      struct{ Namespace, Workload, Kind string }
		Verdict     string
		Connections int
	}
	if err := json.Unmarshal([]byte(lines[0]), &item); err != nil {
		t.Fatal(err)
	}
	if item.Source.Workload != "wordpress" || item.Source.Kind != "Deployment" || item.Verdict != "allow" || item.Connections != 10 {
		t.Errorf("got %+v", item)
	}
	out, _ = b.must(130, "flows", "-f", "--ns", "wordpress")
	contains(t, out, "11:39:00 wordpress/wordpress      wordpress/mysql          TCP/3306  out   10 allow\n")
}

func TestParseSince(t *testing.T) {
	for in, want := range map[string]time.Time{
		"":                     {},
		"90s":                  testNow.Add(-90 * time.Second),
		"1h30m":                testNow.Add(-90 * time.Minute),
		"7d":                   testNow.Add(-7 * 24 * time.Hour),
		"2026-02-28T00:00:00Z": time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := parseSince(in, testNow); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestFlowsShowICMPSetsAndLogs(t *testing.T) {
	b := newBench(t)
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	k := flow.Key{
		Source: benchPeer("vote/vote"), Destination: benchPeer("192.0.2.7"), Direction: policy.Egress,
		Protocol: policy.ICMP, Port: policy.ICMPPort(8, 0), Enforced: allow, Pending: allow,
		Logs: flow.NewLogs([]policy.Hit{{
			Tier: "default", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "log"}, Rule: 0, Action: policy.Log,
		}}),
	}
	k.Destination.Kind, k.Destination.Workload = flow.PeerNetworkSet, policy.Workload{Name: "office"}
	b.agg.Started(k, flow.Ends{}, testNow.Add(-time.Minute))
	k.Logs, k.Protocol, k.Port = "", policy.ICMPv6, policy.ICMPPort(1, 4)
	b.agg.Started(k, flow.Ends{}, testNow.Add(-time.Minute))
	k.Protocol, k.Port = 47, 0
	b.agg.Started(k, flow.Ends{}, testNow.Add(-time.Minute))
	out, _ := b.must(0, "flows")
	want := `SEEN   FROM        TO                   PORT         DIR   CONNS   VERDICT
60s    vote/vote   office (192.0.2.7)   ICMP/8       out   1       allow
60s    vote/vote   office (192.0.2.7)   47           out   1       allow
60s    vote/vote   office (192.0.2.7)   ICMPv6/1:4   out   1       allow
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	out, _ = b.must(0, "flows", "-o", "json")
	contains(t, out, `"kind": "NetworkSet"`, `"icmp": {
        "type": 8,
        "code": 0
      }`, `"logs": [`, `"name": "log"`)
	out, _ = b.must(0, "flows", "-o", "wide", "--to", "office", "--protocol", "icmp")
	contains(t, out, "no policy; logged by default: NetworkPolicy vote/log, rule 0")
}

func TestFlowsRefusesNamesThatNothingHas(t *testing.T) {
	b := newBench(t).sawVote()
	_, errs := b.must(2, "flows", "--from", "vote/vot")
	contains(t, errs, `no workload, network set, node or address "vote/vot"; did you mean "vote/vote"?`)
	b.must(2, "flows", "--workload", "nosuch", "-o", "json")
	b.must(0, "flows", "--from", "192.0.2.99")
	b.must(0, "flows", "--to", "vote")
}
