package recording

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// generate records n flows of pairs of workloads of a cluster: what each gained
// in 15 s.
func generate(tb testing.TB, path string, n, pairs int) {
	tb.Helper()
	w, err := Create(path, Header{Created: testTime}.Covered(flow.Coverage{From: testTime, To: testTime}))
	if err != nil {
		tb.Fatal(err)
	}
	f := testFlows()[0]
	f.EnforcedTrace, f.PendingTrace, f.Logs = nil, nil, ""
	at := testTime
	for i := range n {
		f.Source.Workload.Name, f.Destination.Workload.Name = fmt.Sprintf("client-%d", i%pairs), fmt.Sprintf("server-%d", i%pairs%97)
		if i%pairs == 0 {
			at = at.Add(15 * time.Second)
		}
		f.FirstSeen, f.LastSeen, f.BytesIn = at, at.Add(time.Duration(i%15)*time.Second), int64(i%1000)
		if err := w.Flow(&f); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(flow.Coverage{From: testTime, To: at}); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkList reads and sums up records of 5 000 flows. NETPOL_BENCH_KEEP
// names a file to write ten million of them into, for the command line.
func BenchmarkList(b *testing.B) {
	const records = 200_000
	if path := os.Getenv("NETPOL_BENCH_KEEP"); path != "" {
		generate(b, path, 10_000_000, 5000)
	}
	for _, ext := range []string{".jsonl", ".jsonl.zst"} {
		b.Run(ext[1:], func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "r"+ext)
			generate(b, path, records, 5000)
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			open := opener(path)
			if ext == ".jsonl" {
				open = func() (io.ReadCloser, error) { return os.Open(path) }
			}
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open("r", open)
				if err != nil {
					b.Fatal(err)
				}
				if flows, _, err := s.List(b.Context(), flow.Filter{}); err != nil || len(flows) != 5000 {
					b.Fatalf("%d flows, %v", len(flows), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
			b.ReportMetric(float64(info.Size())/records, "B/record")
		})
	}
}
