package output

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Verdict is the word for a verdict: allowed or blocked.
func Verdict(allowed bool) Cell {
	if allowed {
		return Cell{Text: "allowed", Style: Good}
	}
	return Cell{Text: "blocked", Style: Bad}
}

// Judged is a word of your own, green or red.
func Judged(good bool, text string) Cell {
	if good {
		return Cell{Text: text, Style: Good}
	}
	return Cell{Text: text, Style: Bad}
}

// Count is a number; atLeast puts ≥ before it: more is known to be missing,
// how much is not.
func Count(n int64, atLeast bool) string {
	if atLeast {
		return "≥" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// Age is a span of time for people, as kubectl writes it: 5s, 3m12s, 2d.
func Age(d time.Duration) string { return duration.HumanDuration(d) }

// Ago is how long before now t was; "-" for no time.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return Age(now.Sub(t))
}

// Time is a time in JSON and in wide tables: RFC 3339, UTC.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
