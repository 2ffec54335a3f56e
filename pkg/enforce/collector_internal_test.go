//go:build linux

package enforce

import "testing"

// A small heap may grow to a fixed size, a large one as is usual.
func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 600}, {1 << 20, 600}, {4 << 20, 500}, {6 << 20, 300}, {12 << 20, 100}, {24 << 20, 100}, {1 << 40, 100},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d bytes: %d%%, want %d%%", c.live, got, c.want)
		}
	}
}
