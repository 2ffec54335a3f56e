//go:build linux

package enforce

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// roomyHeap is what a small heap may grow to before garbage is collected,
	// in bytes: at Go's usual 4 MiB a burst of connections would collect every
	// few milliseconds. What is larger than half of it grows as is usual.
	roomyHeap = 24 << 20
	// usualPercent is Go's default, largestPercent what makes its least heap
	// of 4 MiB a roomy one.
	usualPercent, largestPercent = 100, 600
)

// gcPercent is by how much a heap of so many live bytes may grow.
func gcPercent(live uint64) int {
	if live == 0 {
		return largestPercent
	}
	room := (roomyHeap - int64(min(live, roomyHeap))) * 100 / int64(live)
	return int(min(max(room, usualPercent), largestPercent))
}

// collectSeldom fits the collector to the size of the heap, after every
// collection and until ctx ends, unless the user has said how to collect.
func collectSeldom(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := usualPercent
	var fit func(struct{})
	fit = func(struct{}) {
		metrics.Read(live)
		want := usualPercent
		if live[0].Value.Kind() == metrics.KindUint64 && ctx.Err() == nil {
			want = gcPercent(live[0].Value.Uint64())
		}
		// To set it stops everything for a moment, so small changes are not worth it.
		if want != percent && (want <= usualPercent || want-percent > 20 || percent-want > 20) {
			percent = want
			debug.SetGCPercent(percent)
		}
		if ctx.Err() == nil {
			runtime.AddCleanup(new([64]byte), fit, struct{}{}) // with the next collection
		}
	}
	fit(struct{}{})
}
