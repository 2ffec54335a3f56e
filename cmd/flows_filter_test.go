package cmd

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// sawVote: ten flows between workloads and from outside, each reported by the
// ends that are pods.
func TestFlowsFiltersOfEachEnd(t *testing.T) {
	b := newBench(t).sawVote()
	for _, c := range []struct {
		args string
		want int
	}{
		{"--from-workload vote/worker", 6},
		{"--to-workload vote/db", 4},
		{"--from-namespace vote --to-namespace kube-system", 6},
		{"--to-namespace wordpress", 2},
		{"--from-label app=worker", 6},
		{"--to-label app=db", 4},
		{"--label app=db", 4},
		{"--label app==db", 4},
		{"--to-label app!=db,app=redis", 4},
		{"--to-label app!=db,projectcalico.org/namespace=vote", 6},
		{"--to-label app!=redis,app=redis", 0},
		{"--label app=nosuch", 0},
		{"--from-ip 192.0.2.0/24", 2},
		{"--from-ip 192.0.2.10", 2},
		{"--to-ip 192.0.2.10", 0},
		{"--ip 192.0.2.10", 2},
		{"--from-pod vote/worker", 6},
		{"--pod vote/db", 4},
		{"--to-port 5432 --from-workload worker", 2},
		{"--pending allow", 18},
		{"--pending deny", 0},
		{"--until 25m", 18},
		{"--until 50m", 0},
		{"--last 3", 3},
		{"--last 100", 18},
	} {
		args := strings.Fields(c.args)
		out, _ := b.must(0, append([]string{"flows", "-o", "json"}, args...)...)
		var doc struct{ Summary struct{ Flows int } }
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Summary.Flows != c.want {
			t.Errorf("flows %s: %d flows, want %d", c.args, doc.Summary.Flows, c.want)
		}
	}
	out, _ := b.must(0, "flows", "--to-label", "app in {'db', 'redis'}", "--from-label", "app == 'worker'", "-o", "json")
	contains(t, out, `"flows": 4`)
	out, _ = b.must(130, "flows", "--follow", "--to-label", "app=db", "-o", "json")
	if n := strings.Count(out, "\n"); n != 4 {
		t.Errorf("%d lines followed, want 4:\n%s", n, out)
	}
}

func TestFlowsFilterByWhatIsPending(t *testing.T) {
	b := newBench(t)
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	k := flow.Key{Source: benchPeer("vote/vote"), Destination: benchPeer("vote/db"), Protocol: policy.TCP, Port: 5432, Enforced: allow}
	for _, k.Pending = range []policy.Hit{allow, {Tier: "default", Action: policy.Deny}} {
		b.agg.Started(k, flow.Ends{}, testNow.Add(-time.Minute))
	}
	out, _ := b.must(0, "flows", "--pending", "deny")
	contains(t, out, "allow→deny")
	if strings.Count(out, "\n") != 2 {
		t.Errorf("got\n%s", out)
	}
}

// Rates are over the time in which connections are counted: of a span that begins
// within 15 seconds, or an hour, that are counted as a whole, it is longer.
func TestRatesAreOverWhatIsCounted(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := flow.Flow{FirstSeen: at, LastSeen: at.Add(90 * time.Minute), Connections: 5400}
	open := flow.Flow{FirstSeen: at.Add(-10 * time.Hour), LastSeen: at.Add(-10 * time.Hour), Live: 1}
	f.Source, f.Destination = flow.Peer{Kind: flow.PeerHost}, flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "a", Name: "b"}}
	open.Source, open.Destination = f.Source, f.Destination
	doc := newFlowMatrix([]flow.Flow{f, open}, "namespace", flow.Coverage{From: at.Add(50 * time.Minute), To: at.Add(90 * time.Minute)})
	if doc.Seconds != 5400 || doc.Items[0].ConnectionsPerSecond != 1 {
		t.Errorf("%v seconds, %+v", doc.Seconds, doc.Items)
	}
}

func TestFlowsMatrix(t *testing.T) {
	b := newBench(t).sawVote()
	out, errs := b.must(0, "flows", "--by", "namespace")
	want := `FROM        TO            CONNS   CONNS/S   BYTES/S   DENIED
vote        kube-system   30      0.008     6.7       0
vote        vote          40      0.011     8.9       0
wordpress   wordpress     10      0.003     2.2       0
(outside)   vote          20      0.006     4.4       0
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	contains(t, errs, "4 rows, seen from 2026-03-01T11:00:00Z to 2026-03-01T12:00:00Z")
	out, _ = b.must(0, "flows", "--by", "workload", "--to-workload", "vote/db", "-o", "json")
	var doc flowMatrixReport
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Kind != "FlowMatrix" || doc.By != "workload" || doc.Seconds != 3600 || len(doc.Items) != 2 {
		t.Fatalf("got %s", out)
	}
	if it := doc.Items[0]; it.Source.Workload != "result" || it.Source.Kind != "Deployment" || it.Connections != 10 || it.Bytes != 8000 || it.BytesPerSecond != 8000.0/3600 {
		t.Errorf("got %+v", it)
	}
}

func TestRatesInWords(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.0001: "<0.001", 0.0123: "0.012", 0.9949: "0.995", 0.996: "1.0", 4.53: "4.5", 99.9: "99.9", 99.96: "100", 999: "999", 999.6: "1.0k", 12345: "12.3k", 5e15: "5000T",
	} {
		if got := rateWords(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

func TestFlowsFlagsThatDoNotFit(t *testing.T) {
	b := newBench(t).sawVote()
	for args, want := range map[string]string{
		"--from 192.0.2.0/24":                 "that is a network, and no name or address\n  try: --from-ip 192.0.2.0/24",
		"--label a===":                        "expected a string in quotes",
		"--last x":                            "--last \"x\": expected a whole number",
		"--follow=maybe":                      "--follow \"maybe\": expected true or false",
		"-n ,":                                "-n is empty: it needs a namespace; -A means all",
		"--pending maybe":                     "--pending \"maybe\": expected allow or deny",
		"--by pod":                            "expected namespace or workload",
		"--last -1":                           "expected a number",
		"--until soon":                        "--until \"soon\": expected how long ago",
		"--since 1m --until 2m":               "--until is before --since",
		"-f --by namespace":                   "--follow has no end",
		"--by namespace -o wide":              "--by has no -o wide",
		"--from-ip 192.0.2.300":               "expected an address or a network",
		"--label app==(x":                     "--label \"app==(x\"",
		"--from-pod vote/nosuch":              "no pod \"vote/nosuch\"",
		"--to-namespace vot":                  "did you mean \"vote\"?",
		"--to-workload vote/dbb":              "did you mean \"vote/db\"?",
		"--pod vote/db --workload vote/redis": "not of --workload vote/redis",
		"--from-label (":                      "--from-label",
	} {
		_, errs := b.must(2, append([]string{"flows"}, strings.Fields(args)...)...)
		contains(t, errs, want)
	}
}
