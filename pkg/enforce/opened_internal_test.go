//go:build linux

package enforce

import (
	"testing"
	"time"
	"unsafe"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
)

func TestMomentOfABeginning(t *testing.T) {
	at, start := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), time.Date(2026, 3, 1, 11, 0, 0, 7, time.UTC)
	for _, c := range []struct {
		name    string
		e       collect.Event
		want    time.Time
		atLeast bool
	}{
		{"new", collect.Event{At: at, Connection: collect.Connection{Start: at}}, at, false},
		{"old, and the kernel keeps times", collect.Event{At: at, Old: true, Connection: collect.Connection{Start: start}}, start, false},
		{"old, and it does not", collect.Event{At: at, Old: true}, at, true},
		{"unheard of", collect.Event{At: at, Unheard: true}, at, true},
	} {
		m := beganAt(&c.e)
		if !m.time().Equal(c.want.Truncate(time.Second)) || m.atLeast() != c.atLeast {
			t.Errorf("%s: %v, at least %v", c.name, m.time(), m.atLeast())
		}
	}
	if got := momentOf(time.Time{}, false); got != 0 {
		t.Errorf("before all: %d", got)
	}
}

// There may be millions of them.
func TestAnOpenConnectionTakes32Bytes(t *testing.T) {
	if got := unsafe.Sizeof(liveConn{}); got != 32 {
		t.Errorf("%d bytes", got)
	}
}
