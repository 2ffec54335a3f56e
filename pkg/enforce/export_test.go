//go:build linux

package enforce

import "time"

// SetTimes shortens what an agent waits for: how long cut connections are
// refused, and how long connections older than the first agent are picked up.
func SetTimes(o *Options, cut, loose time.Duration) { o.cutFor, o.looseFor = cut, loose }
