package flow

import (
	"math"
	"time"
)

// Spread adds to began how many of the connections began in each of some windows
// of time, which are from one edge to the next: at or after the former, before
// the latter. In which of them a connection began is not told, so they are spread
// evenly over the time from the first that was seen to the last; all of them are
// in the windows, but for what was before or after these.
func (c *Counts) Spread(edges []time.Time, began []int64) {
	span := c.LastSeen.Sub(c.FirstSeen)
	before := func(at time.Time) int64 {
		switch {
		case !at.After(c.FirstSeen):
			return 0
		case at.After(c.LastSeen):
			return c.Connections
		}
		return int64(math.Ceil(float64(c.Connections) * (float64(at.Sub(c.FirstSeen)) / float64(span))))
	}
	for i := range began {
		if edges[i].After(c.LastSeen) {
			return
		}
		if edges[i+1].After(c.FirstSeen) {
			began[i] += before(edges[i+1]) - before(edges[i])
		}
	}
}

// Touches says whether anything was seen between the first edge and the last.
func (c *Counts) Touches(edges []time.Time) bool {
	return len(edges) > 1 && !edges[0].After(c.LastSeen) && edges[len(edges)-1].After(c.FirstSeen)
}
