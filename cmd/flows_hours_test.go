package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// A recording of what there is tells by hours when a flow was seen, and sums up
// to what the agents count.
func TestRecordTellsHours(t *testing.T) {
	b := newBench(t)
	b.agg = flow.NewAggregator(testNow.Add(-6*time.Hour), flow.DefaultLimits())
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	k := flow.Key{
		Source: benchPeer("vote/worker"), Destination: benchPeer("vote/db"), Protocol: policy.TCP, Port: 5432,
		Direction: policy.Ingress, Enforced: allow, Pending: allow,
	}
	open := k
	open.Port = 5433
	b.agg.Started(open, flow.Ends{}, testNow.Add(-5*time.Hour))
	want := map[string]int64{}
	for minutes := 330; minutes > 0; minutes -= 7 {
		at := testNow.Add(-time.Duration(minutes) * time.Minute)
		if at.Hour()%2 == 0 {
			continue // nothing every other hour
		}
		b.agg.Started(k, flow.Ends{}, at)
		b.agg.Ended(k, flow.Counters{BytesIn: 100}, at)
		want[at.Truncate(time.Hour).Format(time.RFC3339)]++
	}
	before, _ := b.must(0, "flows", "-A", "-o", "json")
	file := filepath.Join(t.TempDir(), "flows.jsonl")
	b.must(0, "flows", "record", "-o", file)

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		var doc struct {
			Flow *struct {
				Port uint16
			}
			FirstSeen, LastSeen time.Time
			Connections, Live   int64
		}
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Flow == nil || doc.Flow.Port != 5432 {
			continue
		}
		hour := doc.FirstSeen.Truncate(time.Hour)
		if !doc.LastSeen.Truncate(time.Hour).Equal(hour) {
			t.Errorf("a line is of more than an hour: %s", line)
		}
		got[hour.Format(time.RFC3339)] += doc.Connections
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for hour, n := range want {
		if got[hour] != n {
			t.Errorf("%s: %d, want %d", hour, got[hour], n)
		}
	}
	after, _ := b.must(0, "flows", "-A", "-o", "json", "--flows", file)
	// It is judged anew, which comes to the same.
	if d := cmp.Diff(before, strings.Replace(after, "  \"pending\": \"present\",\n", "", 1)); d != "" {
		t.Errorf("the recording tells otherwise: %s", d)
	}
}
