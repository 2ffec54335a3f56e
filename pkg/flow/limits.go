package flow

import "time"

// Limits bound what an Aggregator keeps.
type Limits struct {
	// Keys is how many different flows are kept, at least 1.
	Keys int
	// Keep is how long roll-ups are kept.
	Keep time.Duration
}

// DefaultLimits keep 20 000 flows for 15 days. A flow that is seen once costs
// about 1 KiB, one that is never silent for 15 days about 45 KiB.
func DefaultLimits() Limits { return Limits{Keys: 20000, Keep: 15 * 24 * time.Hour} }
