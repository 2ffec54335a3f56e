package stage

import (
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// Window is a span of time, and the flows that were seen in it: at or after
// From, before To.
type Window struct {
	From, To time.Time
	Flows    []flow.Flow
}

// Trend is how what would be blocked went on since the policies last changed.
// Its JSON is a contract.
type Trend struct {
	// Changed is when the last of the policies changed; absent where that is
	// not known, or was before anything was counted: then the trend is of the
	// last day at most.
	Changed *time.Time `json:"changed,omitempty"`
	From    time.Time  `json:"from"`
	To      time.Time  `json:"to"`
	// StepSeconds is the width of a window; the first begins at From.
	StepSeconds int64 `json:"stepSeconds"`
	// Connections that would be blocked, by the window that they began in.
	Connections []int64 `json:"connections"`
	// LastSeen is the last attempt at a connection that would be blocked.
	LastSeen *time.Time `json:"lastSeen,omitempty"`
	// Happening: one was seen in the last window, or was open at its end.
	Happening bool `json:"happening"`
}

// mostWindows is how many windows a trend has, or one more where its span does
// not begin with a window.
const mostWindows = 12

// steps are the widths of windows. Those of less than an hour are for the last
// hour alone: what is older, flows are counted by the hour.
func steps() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, day / 2, day, 2 * day, 7 * day, 28 * day,
	}
}

// Windows are equal ones that end after to. They begin when the policies
// changed, as far as that is between from and to; else a day before to at most.
// They are aligned to their width, so the first may begin that much earlier.
func Windows(changed, from, to time.Time) []Window {
	start := changed
	if !changed.After(from) || !changed.Before(to) {
		start = from
		if day := to.Add(-24 * time.Hour); day.After(start) {
			start = day
		}
	}
	if !start.Before(to) {
		return nil
	}
	all := steps()
	for i, step := range all {
		first := start.UTC().Truncate(step)
		if step < time.Hour && first.Before(to.Add(-time.Hour)) {
			continue
		}
		if to.Sub(first) > (mostWindows+1)*step && i < len(all)-1 {
			continue
		}
		var out []Window
		for at := first; at.Before(to); at = at.Add(step) {
			out = append(out, Window{From: at, To: at.Add(step)})
		}
		return out
	}
	return nil
}

// Edges are where windows begin, and where the last ends; none without windows.
func Edges(windows []Window) []time.Time {
	if len(windows) == 0 {
		return nil
	}
	var out []time.Time
	for i := range windows {
		out = append(out, windows[i].From)
	}
	return append(out, windows[len(windows)-1].To)
}
