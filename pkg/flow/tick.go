package flow

import "time"

// maxStep is how far a clock may be set ahead before it is told: less is what keeps
// clocks right.
const maxStep = time.Minute

// tick is what was known when the present was told last.
type tick struct {
	at, to int64         // the present, and until when there were windows; Unix nanoseconds
	up     time.Duration // for how long the process had run
}

// Tick tells the present, and for how long the process has run by a clock that
// nobody sets; it is told every few seconds. Where the present has gone on by more
// than that, the clock was set ahead (a machine that begins without the time of day)
// or the machine stood still: nobody counted in what was left out, which is a gap in
// the window of the node that is counted on here.
func (a *Aggregator) Tick(now time.Time, up time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.ticked
	a.ticked = &tick{at: now.UnixNano(), up: up}
	for _, w := range a.windows {
		if !w.own {
			continue
		}
		if before != nil && now.UnixNano()-before.at-int64(up-before.up) > int64(maxStep) {
			gap := span{max(before.at, before.to), now.UnixNano()}
			w.gap(gap)
			a.doubt(gap.From, gap.To)
		}
		a.ticked.to = max(a.ticked.to, w.To)
	}
}
