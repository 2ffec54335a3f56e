package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/recording"
)

// recorded writes what was seen to a file, by halves of the time of each flow. Its
// first line says until when it is.
func (b *bench) recorded(name string, promised time.Time) string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), name)
	flows, coverage := b.agg.List(flow.Filter{}, testNow)
	first := coverage
	first.To = promised
	w, err := recording.Create(path, recording.Header{Created: testNow}.Covered(first))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range flows {
		half := flows[i]
		half.LastSeen = half.FirstSeen.Add(half.LastSeen.Sub(half.FirstSeen) / 2)
		half.Connections = flows[i].Connections / 2
		rest := flows[i]
		rest.FirstSeen, rest.Connections = half.LastSeen, flows[i].Connections-half.Connections
		for _, f := range []flow.Flow{half, rest} {
			if err := w.Flow(&f); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	if err := w.Close(coverage); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// Where a recording's first line says of which time it is, it is read once, also
// for the trend, and that is what it is by reading it twice.
func TestReportReadsARecordingOnceForItsTrend(t *testing.T) {
	b := newBench(t).sawVote()
	b.sawFrom(benchPeer("192.0.2.77"), "vote/vote", 8080)
	b.write("deny.yaml", stagedDeny)
	right, wrong := b.recorded("right.jsonl", testNow), b.recorded("wrong.jsonl", testNow.Add(-40*time.Minute))
	read := func(stdin string, args ...string) (doc map[string]any) {
		t.Helper()
		b.stdin = stdin
		out, _ := b.must(0, append([]string{"report", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	once, twice := read("", "--flows", right), read("", "--flows", wrong)
	if once["trend"] == nil || !reflect.DeepEqual(once, twice) {
		t.Errorf("read once:\n%v\nread twice:\n%v", once["trend"], twice["trend"])
	}
	// Standard input can't be read twice.
	text := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if got := read(text(right), "--flows", "-"); !reflect.DeepEqual(got["trend"], once["trend"]) {
		t.Errorf("from standard input: %v, want %v", got["trend"], once["trend"])
	}
	if got := read(text(wrong), "--flows", "-"); got["trend"] != nil {
		t.Errorf("of a recording that is of another time than it says: %v", got["trend"])
	}
	// The trend begins before --since, by the width of its windows: that takes
	// records that the report itself leaves out.
	since := testNow.Add(-26*time.Minute - 10*time.Second).Format(time.RFC3339)
	if once, twice := read("", "--flows", right, "--since", since), read("", "--flows", wrong, "--since", since); once["trend"] == nil || !reflect.DeepEqual(once, twice) {
		t.Errorf("since %s, read once:\n%v\nread twice:\n%v", since, once["trend"], twice["trend"])
	}
	if _, errs := b.must(2, "report", "none", "--flows", right); errs == "" {
		t.Error("a policy that is not there is not told")
	}
}
