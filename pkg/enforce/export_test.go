//go:build linux

package enforce

import "time"

// SetTimes shortens what an agent waits for: how long cut connections are
// refused, and how long connections older than the first agent are picked up.
func SetTimes(o *Options, cut, loose time.Duration) { o.cutFor, o.looseFor = cut, loose }

// SetClocks gives an agent clocks that a test sets, for trials alone: one that
// nobody sets otherwise, and the time of day.
func SetClocks(o *Options, since func() time.Duration, wall func() time.Time) {
	o.since, o.wall = since, wall
}
