package figures

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/calicolog"
	"github.com/netpol-project/netpol/pkg/flow/hubble"
	"github.com/netpol-project/netpol/pkg/flow/recording"
)

// source is the flows of a file that is not packed.
func source(tb testing.TB, path string) flow.Source {
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	switch filepath.Base(path) {
	case "calico.log":
		return calicolog.NewSource(path, open)
	case "hubble.jsonl":
		return hubble.NewSource(path, open)
	}
	s, err := recording.Open(path, open)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// cpu is the processor time that this process has taken, in nanoseconds.
func cpu(tb testing.TB) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

// BenchmarkRead reads and sums up 200 000 records of 50 000 flows, in this
// process and without judging them.
func BenchmarkRead(b *testing.B) {
	const records, flows = 200_000, 50_000
	for _, name := range []string{"recording.jsonl", "calico.log", "hubble.jsonl"} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), name)
			if err := newWorld(flows).write(path, records); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu(b)
			for b.Loop() {
				if got, _, err := source(b, path).List(b.Context(), flow.Filter{}); err != nil || len(got) < flows/2 {
					b.Fatalf("%d flows, %v", len(got), err)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/records, "cpu-ns/record")
		})
	}
}

// What is written of a world is what is read of it, whatever the form.
func TestFilesOfAWorldSayTheSame(t *testing.T) {
	const records, flows = 60_000, 45_000
	dir := t.TempDir()
	world := newWorld(flows)
	want := map[string]bool{}
	for _, k := range world.keys[:records/8] {
		want[peer(k.source, k.outside).String()+" "+peer(k.destination, k.outside).String()] = true
	}
	for _, name := range []string{"recording.jsonl", "calico.log", "hubble.jsonl"} {
		path := filepath.Join(dir, name)
		if err := newWorld(flows).write(path, records); err != nil {
			t.Fatal(err)
		}
		src := source(t, path)
		if rec, ok := src.(*recording.Source); ok && len(rec.World().Endpoints) != len(world.snap.Endpoints) {
			t.Errorf("%d of %d pods", len(rec.World().Endpoints), len(world.snap.Endpoints))
		}
		got, _, err := flow.Named(src, flow.NewNames(&world.snap)).List(t.Context(), flow.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		pairs := map[string]bool{}
		for i := range got {
			pairs[got[i].Source.String()+" "+got[i].Destination.String()] = true
		}
		for pair := range want {
			if !pairs[pair] {
				t.Fatalf("%s: %s is missing", name, pair)
			}
		}
	}
}
