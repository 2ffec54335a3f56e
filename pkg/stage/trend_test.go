package stage

import (
	"fmt"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func TestWindowsOfATrend(t *testing.T) {
	to := seen.Add(7 * time.Minute) // 12:07
	for _, c := range []struct {
		name          string
		changed, from time.Duration // before to; 0: not known
		first         string
		step          time.Duration
		n             int
	}{
		{"since the change", 10 * time.Minute, time.Hour, "11:57:00", time.Minute, 10},
		{"a moment ago", 20 * time.Second, time.Hour, "12:06:30", 15 * time.Second, 2},
		{"within the hour", 50 * time.Minute, 3 * time.Hour, "11:15:00", 5 * time.Minute, 11},
		{"older than what is counted finely", 2 * time.Hour, 9 * time.Hour, "10:00:00", time.Hour, 3},
		{"not known when: all that there is", 0, 5 * time.Hour, "07:00:00", time.Hour, 6},
		{"before all: a day at most", 400 * time.Hour, 300 * time.Hour, "12:00:00", 2 * time.Hour, 13},
		{"a week ago", 168 * time.Hour, 300 * time.Hour, "12:00:00", 0, 0},
	} {
		var changed time.Time
		if c.changed != 0 {
			changed = to.Add(-c.changed)
		}
		w := Windows(changed, to.Add(-c.from), to)
		if len(w) == 0 {
			t.Errorf("%s: no windows", c.name)
			continue
		}
		for i := range w {
			if w[i].To.Sub(w[i].From) != w[0].To.Sub(w[0].From) || i > 0 && !w[i].From.Equal(w[i-1].To) {
				t.Errorf("%s: window %d is %v to %v", c.name, i, w[i].From, w[i].To)
			}
		}
		if last := w[len(w)-1]; last.To.Before(to) || !last.From.Before(to) || len(w) > mostWindows+1 {
			t.Errorf("%s: %d windows, the last from %v to %v", c.name, len(w), last.From, last.To)
		}
		if c.n == 0 {
			continue
		}
		if got := w[0].From.Format("15:04:05"); got != c.first || w[0].To.Sub(w[0].From) != c.step || len(w) != c.n {
			t.Errorf("%s: %d windows of %v from %s, want %d of %v from %s", c.name, len(w), w[0].To.Sub(w[0].From), got, c.n, c.step, c.first)
		}
	}
	if w := Windows(time.Time{}, to, to); w != nil {
		t.Errorf("of no time: %v", w)
	}
}

func TestTrendCountsWhatWouldBeBlockedOnceAWindow(t *testing.T) {
	redis := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress)
	m := impactWorld(redis)
	blocked := func(n int64) []flow.Flow { // reported by both ends
		return []flow.Flow{
			impactFlow("vote", "redis", 6379, policy.Egress, n), impactFlow("vote", "redis", 6379, policy.Ingress, n),
			impactFlow("worker", "db", 5432, policy.Ingress, 100), // not blocked
		}
	}
	r := Impact(m, blocked(7), tier.Pending())
	windows := Windows(seen.Add(-3*time.Minute), seen.Add(-time.Hour), seen.Add(30*time.Second))
	windows[0].Flows, windows[len(windows)-1].Flows = blocked(5), blocked(2)
	got := r.Follow(m, windows, seen.Add(-3*time.Minute))
	if fmt.Sprint(got.Connections) != "[5 0 0 0 0 0 2]" || fmt.Sprint(r.Items[0].Trend) != fmt.Sprint(got.Connections) {
		t.Errorf("got %v and %v", got.Connections, r.Items[0].Trend)
	}
	if got.Changed == nil || !got.Changed.Equal(seen.Add(-3*time.Minute)) || !got.Happening || !got.LastSeen.Equal(seen.Add(time.Minute)) {
		t.Errorf("got %+v", got)
	}
}

func TestTrendSpreadsWhatAFileSumsUp(t *testing.T) {
	at := seen.Truncate(time.Minute)
	m := impactWorld(np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress))
	for _, c := range []struct {
		name        string
		first, last time.Duration // after at
		n           int64
		want        string
	}{
		{"evenly", 0, 4 * time.Minute, 8, "[2 2 2 2 0]"},
		{"one, when it was first seen", time.Minute, 4 * time.Minute, 1, "[0 1 0 0 0]"},
		{"two, the first and the last", 0, 4*time.Minute + time.Second, 2, "[1 0 1 0 0]"},
		{"at one moment", time.Minute, time.Minute, 5, "[0 5 0 0 0]"},
		{"from before the windows", -5 * time.Minute, 5 * time.Minute, 10, "[1 1 1 1 1]"},
		{"to after them", 4 * time.Minute, 6 * time.Minute, 4, "[0 0 0 0 2]"},
		{"outside", 6 * time.Minute, 7 * time.Minute, 4, "[0 0 0 0 0]"},
	} {
		var windows []Window
		for i := range 5 {
			windows = append(windows, Window{From: at.Add(time.Duration(i) * time.Minute), To: at.Add(time.Duration(i+1) * time.Minute)})
		}
		f := impactFlow("vote", "redis", 6379, policy.Egress, c.n)
		f.FirstSeen, f.LastSeen = at.Add(c.first), at.Add(c.last)
		r := Impact(m, []flow.Flow{f}, tier.Pending())
		trend := r.Follower(m, windows)
		trend.Spread(&f)
		trend.Spread(&f)
		got := trend.Trend(time.Time{}).Connections
		for i := range got {
			got[i] /= 2
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}

func TestTrendEndsWhereNothingWasSeenLately(t *testing.T) {
	redis := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress)
	m := impactWorld(redis)
	f := impactFlow("vote", "redis", 6379, policy.Ingress, 1)
	windows := Windows(seen.Add(-time.Minute), seen.Add(-time.Hour), seen.Add(30*time.Minute))
	r := Impact(m, []flow.Flow{f}, tier.Pending())
	if got := r.Follow(m, windows, seen); got.Happening {
		t.Error("it ended half an hour ago, and is said to go on")
	}
	f.Live = 1
	r = Impact(m, []flow.Flow{f}, tier.Pending())
	if got := r.Follow(m, windows, seen); !got.Happening {
		t.Error("a connection is open, and it is said to have ended")
	}
}
